/** A page of rows from the database, with what lies over it in memory: the newest of each key, in order. */
import type { KeyValue } from "../../core/mod.ts"
import { nameOf } from "./OrderedTable.ts"
import type { Overlay } from "./Overlay.ts"

/** What the database has. */
export interface StoredPage {
  readonly rows: ReadonlyArray<KeyValue>
  /** The database has no more rows there. */
  readonly isLast: boolean
  /** Bytes of the value behind the last row, where the page ends for want of room for it; 0 = it does not. */
  readonly refusedBytes: number
}

export interface MergedPage {
  readonly found: ReadonlyArray<KeyValue>
  /** Where the next page of the database begins; undefined = there is nothing more, or `limit` or `bytesMax` is reached. */
  readonly next: string | undefined
}

/**
 * Merges the rows of a page, keys from `start` on and before `end`, under `layers`, the newest first.
 * At most `limit` entries and about `bytesMax` bytes of values, at least one entry where there is one.
 */
export function mergeRange(
  { rows, isLast, refusedBytes }: StoredPage,
  layers: ReadonlyArray<Overlay>,
  start: string,
  end: string,
  limit: number,
  bytesMax: number
): MergedPage {
  const cursors = layers.map(({ entries }) => entries.cursor(start))
  const found: Array<KeyValue> = []
  let size = 0
  let index = 0
  let rowName = nameAt(rows, 0)
  while (found.length < limit) {
    // Behind the last row of a page that is not the last nobody knows what the database holds.
    if (rowName === undefined && !isLast) {
      // It was asked for with the same bound, and what follows has no room here either: the page is full, not short.
      if (refusedBytes > 0 && found.length > 0 && size + refusedBytes > bytesMax) break
      const last = rows.at(-1)
      return { found, next: last === undefined ? start : `${nameOf(last.key)}\0` }
    }
    let name = rowName
    for (const { key } of cursors) if (key !== undefined && (name === undefined || key < name)) name = key
    if (name === undefined || name >= end) break
    let winner: KeyValue | undefined
    let isDecided = false
    for (let depth = 0; depth < cursors.length; depth++) {
      const cursor = cursors[depth]
      if (cursor?.key === name) {
        const entry = cursor.value
        cursor.next()
        if (!isDecided && entry?.value !== undefined) winner = { key: entry.key, value: entry.value }
        isDecided = true
      } else if (!isDecided && layers[depth]?.ranges.covers(name)) isDecided = true
    }
    if (rowName === name) {
      if (!isDecided) winner = rows[index]
      index += 1
      rowName = nameAt(rows, index)
    }
    if (winner === undefined) continue
    if (found.length > 0 && size + winner.value.length > bytesMax) break
    size += winner.value.length
    found.push(winner)
  }
  return { found, next: undefined }
}

function nameAt(rows: ReadonlyArray<KeyValue>, index: number): string | undefined {
  const row = rows[index]
  return row === undefined ? undefined : nameOf(row.key)
}
