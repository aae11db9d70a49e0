/** How much each of several stores deletes, so that of what all of them have together the oldest goes. */
import type { OldestPiece } from "./StorageAccount.ts"

/** `offers` has for each store what may go, oldest first. Returns for each the bytes that go: pieces as a whole, until there are `bytes`. */
export function dealDeletion(offers: ReadonlyArray<ReadonlyArray<OldestPiece>>, bytes: number): ReadonlyArray<number> {
  const dealt = offers.map(() => 0)
  const places = offers.map(() => 0)
  for (let found = 0; found < bytes; ) {
    let oldest = -1
    let piece: OldestPiece | undefined
    for (const [store, offer] of offers.entries()) {
      const next = offer[places[store] ?? 0]
      if (next === undefined || (piece !== undefined && next.appendedMs >= piece.appendedMs)) continue
      piece = next
      oldest = store
    }
    if (piece === undefined) break
    places[oldest] = (places[oldest] ?? 0) + 1
    dealt[oldest] = (dealt[oldest] ?? 0) + piece.bytes
    found += piece.bytes
  }
  return dealt
}
