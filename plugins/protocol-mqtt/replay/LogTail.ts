/**
 * Whether somebody who has read a log to its end has to read again. What matches is told by the router, each message with its offset, in the order
 * of its log and before it is committed: so an append that matches nothing wakes nobody, however many stand at the end of a log.
 *
 * Invariants
 *  - At rest nothing that matches lies at or above the place. The first reading says up to where the log had been appended to when the log's shard
 *    knew of the filter already; of what comes behind that the router tells.
 *  - An offset that a log has lost may be given again, and is told again.
 */
import { type ClockShape, LINGER_MS, type LogsShape, type QueueLogsShape, type TopicInfo } from "../../../core/mod.ts"
import { QUEUE } from "./queue-history.ts"

export class LogTail {
  /** Nothing is to be read before the router tells of it. */
  isAtRest = false
  /** The highest offset that may match and is not read. */
  #heard = -1
  /** The first message that was told of since it rested. */
  #from = 0
  #isKnown = false

  /** What is waited for: the message that was told of first, or whatever comes at `place`. */
  awaited(place: number): number {
    return Math.max(place, this.#from)
  }

  /** A reading was answered by a log that ends there, committed or not. */
  answered(endOffset: number): void {
    this.#from = 0
    if (this.#isKnown) return
    this.#isKnown = true
    this.#heard = Math.max(this.#heard, endOffset - 1)
  }

  /** All that is committed is read, up to `place`; true where nothing is on its way. */
  rest(place: number): boolean {
    this.isAtRest = this.#heard < place
    return this.isAtRest
  }

  /** The router tells of a message; true where its commit is to be waited for from now on, see {@link LogTail.awaited}. */
  hear(offset: number): boolean {
    this.#heard = Math.max(this.#heard, offset)
    const isFirst = this.isAtRest || offset < this.#from
    if (isFirst) this.#from = offset
    this.isAtRest = false
    return isFirst
  }

  /** The router has not told of everything, or what was read is to be read again. */
  renew(): void {
    this.isAtRest = false
    this.#isKnown = false
    this.#from = 0
  }
}

export interface LogServices {
  readonly logs: LogsShape
  readonly queueLogs: QueueLogsShape
  readonly clock: ClockShape
}

/** Calls `again` once when what has `offset` can be read; the result takes it back. */
export function awaitCommit(
  { logs, queueLogs, clock }: LogServices,
  topic: TopicInfo,
  partition: number,
  offset: number,
  again: () => void
): () => void {
  if (topic === QUEUE) return queueLogs.watch(partition, offset, { queueAdvanced: again })
  const watch = (): (() => void) => logs.watch(topic, partition, offset, { logAdvanced: again })
  if (topic.mode !== "memory") return watch()
  // Whoever looks at a log in memory ends the batch that is being gathered: it may grow as long as for anybody who waits for it.
  let stop = (): void => timer.cancel()
  const timer = clock.after(LINGER_MS, () => {
    stop = watch()
  })
  return () => stop()
}
