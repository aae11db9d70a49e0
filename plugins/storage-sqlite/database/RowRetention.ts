/**
 * What retention takes of the rows of partitions: beyond a partition's own bounds, and the oldest of all partitions.
 *
 * Batches get their row's id in the order in which they were put here, so the lowest ids are the oldest batches of all. A walk over them
 * looks at {@link WALK_ROWS} rows at most and goes on there next time: what it costs depends on what goes, not on how many partitions
 * there are.
 *
 * Invariant: the newest batch of a partition stays, whatever the bounds say.
 */
import type { DeletedRange, Deletion, OldestPiece, RetentionReason, TrimTask } from "../../../core/mod.ts"
import type { SqliteRow } from "../../../core/platform/mod.ts"
import { type Facts, numberOf, type PartitionRows } from "./PartitionRows.ts"

/** Batches that one trim of a partition looks at. */
const TRIM_BATCHES_MAX = 10_000
/** Rows that one walk over the oldest batches looks at. */
export const WALK_ROWS = 10_000
const WALK_PAGE = 256
/** The share of what is asked for that one piece of an answer may stand for, at least. */
const PIECES = 32
const EVERY_TENANT = -1

/** A batch that may go, as a walk finds it. */
interface OldBatch {
  readonly facts: Facts
  readonly next: number
  readonly bytes: number
  readonly appendedAtMs: number
}

export class RowRetention {
  readonly #rows: PartitionRows
  /** What went in this transaction. */
  #deleted: Array<DeletedRange> = []
  /** Behind which row the next walk begins, by tenant. */
  readonly #from = new Map<number, number>()

  constructor(rows: PartitionRows) {
    this.#rows = rows
  }

  /** What went since the last call; the transaction is about to be committed. */
  take(): ReadonlyArray<DeletedRange> {
    const deleted = this.#deleted
    this.#deleted = []
    return deleted
  }

  /** The transaction is undone. */
  reset(): void {
    this.#deleted = []
  }

  /** Forgets from the old end what the partition's bounds do not allow. */
  trim({ id, sizeBytesMax, recordsMax, appendedBeforeMs }: TrimTask): void {
    const facts = this.#rows.facts(id)
    if (facts === undefined) return
    let bytes = 0
    let records = 0
    const reasonOf = (row: SqliteRow): RetentionReason | undefined => {
      if (numberOf(row, "next") >= facts.end) return undefined
      if (appendedBeforeMs > 0 && numberOf(row, "appended_at") < appendedBeforeMs) return "time"
      if (facts.bytes - bytes > sizeBytesMax) return "bytes"
      return facts.records - records > recordsMax ? "records" : undefined
    }
    if (facts.bytes <= sizeBytesMax && facts.records <= recordsMax && appendedBeforeMs === 0) return
    const oldest = this.#rows.sql(
      "SELECT base, next, appended_at, size FROM batch WHERE partition = ? AND base >= ? ORDER BY base LIMIT ?"
    )
    const first = this.#rows.sql("SELECT max(base) AS base FROM batch WHERE partition = ? AND base <= ?")
    let from = numberOf(first.get(id, facts.start), "base")
    const gone: Array<{ readonly reason: RetentionReason; end: number; bytes: number; records: number }> = []
    for (let limit = 4, seen = 0; seen < TRIM_BATCHES_MAX; limit = 256) {
      const page = oldest.all(id, from, limit)
      let isOn = page.length === limit
      for (const row of page) {
        seen += 1
        from = numberOf(row, "next")
        if (from <= facts.start) continue
        const reason = reasonOf(row)
        if (reason === undefined) {
          isOn = false
          break
        }
        const size = numberOf(row, "size")
        const count = from - numberOf(row, "base")
        bytes += size
        records += count
        let last = gone.at(-1)
        if (last?.reason !== reason) gone.push((last = { reason, end: 0, bytes: 0, records: 0 }))
        last.end = from
        last.bytes += size
        last.records += count
      }
      if (!isOn) break
    }
    for (const each of gone) this.#forget(facts, each.end, each.reason, each.bytes, each.records)
  }

  /** Forgets the oldest batches, of one tenant or of all, until so many bytes are gone or none is left that may go. */
  deleteOldest({ bytes, tenant, reason }: Deletion): void {
    const ends = new Map<Facts, number>()
    let found = 0
    for (const batch of this.#walk(tenant)) {
      ends.set(batch.facts, batch.next)
      found += batch.bytes
      if (found >= bytes) break
    }
    for (const [facts, end] of ends) {
      const gone = this.#rows.sumUpTo(facts, end)
      this.#forget(facts, end, reason, gone.bytes, gone.records)
    }
  }

  /** The oldest batches that may go, in a few pieces, until they have so many bytes. */
  oldest(bytesMax: number, tenant: number | undefined): ReadonlyArray<OldestPiece> {
    const pieces: Array<OldestPiece> = []
    let found = 0
    let bytes = 0
    let appendedMs = 0
    for (const batch of this.#walk(tenant)) {
      bytes += batch.bytes
      appendedMs = Math.max(appendedMs, batch.appendedAtMs)
      if (bytes * PIECES < bytesMax) continue
      pieces.push({ appendedMs, bytes })
      found += bytes
      bytes = 0
      if (found >= bytesMax) break
    }
    if (bytes > 0) pieces.push({ appendedMs, bytes })
    return pieces
  }

  /** Batches that may go, oldest first. */
  *#walk(tenant: number | undefined): Iterable<OldBatch> {
    const page = this.#rows.sql(
      "SELECT id, partition, next, size, appended_at FROM batch WHERE id > ? ORDER BY id LIMIT ?"
    )
    const place = tenant ?? EVERY_TENANT
    const known = new Map<number, Facts | undefined>()
    let from = this.#from.get(place) ?? 0
    let isAtFirst = true
    for (let seen = 0; seen < WALK_ROWS; seen += WALK_PAGE) {
      const rows = page.all(from, WALK_PAGE)
      for (const row of rows) {
        const id = numberOf(row, "partition")
        if (!known.has(id)) known.set(id, this.#rows.look(id))
        const facts = known.get(id)
        const next = numberOf(row, "next")
        const isMeant = facts !== undefined && (tenant === undefined || facts.key.tenant === tenant)
        if (isMeant && next > facts.start && next < facts.end) {
          isAtFirst = false
          yield { facts, next, bytes: numberOf(row, "size"), appendedAtMs: numberOf(row, "appended_at") }
        }
        from = numberOf(row, "id")
        // What comes before the first that may go is not looked at again, until the walk has come to the end.
        if (isAtFirst) this.#from.set(place, from)
      }
      if (rows.length < WALK_PAGE) {
        this.#from.delete(place)
        return
      }
    }
  }

  #forget(looked: Facts, end: number, reason: RetentionReason, bytes: number, records: number): void {
    const facts = this.#rows.facts(looked.id)
    if (facts === undefined || end <= facts.start) return
    const { key, start: from } = facts
    this.#rows.forget(facts, end, bytes, records)
    this.#deleted.push({ key, reason, from, to: end, bytes })
  }
}
