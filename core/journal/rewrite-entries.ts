/** What is written again after a failure. */
import { type Entry, EntryBatch } from "./EntryBatch.ts"
import { DURABILITY_HYBRID, forEachOperation } from "./entry-format.ts"

/**
 * Entries, under the same indexes, with what of these was told as committed: hybrid operations that were written. Those of which
 * nothing was are empty, so that no index is missing. They carry no tickets and no writes: these have had their end.
 */
export function rewriteEntries(lost: ReadonlyArray<Entry>): ReadonlyArray<Entry> {
  const batch = new EntryBatch()
  return lost.map(({ index, isHandedOver, batch: { writer }, start, end }) => {
    if (isHandedOver) {
      forEachOperation(writer.bytes, start, end, (kind, durability, from, to) => {
        if (durability !== DURABILITY_HYBRID) return
        batch.begin(kind, "hybrid", 0)
        const body = batch.writer.length
        batch.writer.raw(writer.bytes, from, to)
        batch.end(body)
      })
    }
    const entry = batch.isGathering ? batch.seal(index) : batch.sealEmpty(index)
    entry.isHandedOver = true
    return entry
  })
}
