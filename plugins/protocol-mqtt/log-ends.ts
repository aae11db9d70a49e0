/** Where all queue logs end. */
import type { QueueLogsShape } from "../../core/mod.ts"

/** Asks every log in its place among its messages; `done` is called in place where they are all of this shard. */
export function askEnds(queueLogs: QueueLogsShape, done: (ends: ReadonlyArray<number>) => void): void {
  const ends = Array.from({ length: queueLogs.count }, () => 0)
  let waiting = queueLogs.count
  for (let log = 0; log < queueLogs.count; log++) {
    const received = (end: number): void => {
      ends[log] = end
      waiting -= 1
      if (waiting === 0) done(ends)
    }
    // A shard that does not answer is on its way out, and the node with it.
    queueLogs.end(log, { received, failed: () => received(0) })
  }
}
