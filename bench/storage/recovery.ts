/** How long a start takes over a log that a killed process left, by its size: the journal is replayed, the log itself is not read. */
import { batchOf } from "./batches.ts"
import { type EngineName, openEngine } from "./open-engine.ts"
import { dropCaches, fill } from "./reads.ts"

export interface RecoveryReport {
  readonly engine: EngineName
  readonly mib: number
  readonly isDropped: boolean
  /** Until the journal is replayed, and until the partition has taken and committed one more batch. */
  readonly openMs: number
  readonly readyMs: number
}

export async function runRecovery(engine: EngineName, mib: number, directory: string): Promise<RecoveryReport> {
  const key = { tenant: 0, topicId: "bench", partition: 0 }
  const before = await openEngine(engine, directory)
  await fill(await before.open(key, "persistent"), mib * 1_048_576)
  await before.kill()
  const isDropped = dropCaches()
  const start = performance.now()
  const after = await openEngine(engine, directory)
  const openMs = performance.now() - start
  const partition = await after.open(key, "persistent")
  const batch = batchOf(1, 100, 1)
  partition.tryAppendUnsafe(batch, 0, batch.length, 1)
  while (partition.highWatermark < partition.logEndOffset) await new Promise((resolve) => setTimeout(resolve, 1))
  const readyMs = performance.now() - start
  await after.close()
  return { engine, mib, isDropped, openMs, readyMs }
}
