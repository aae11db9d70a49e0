/**
 * Compaction of partitions as rows: a batch is another one at the same offsets, or its row goes. How far that went has a row of its own.
 *
 * Invariants
 *  - What replaces a piece is one transaction; the newest batch of a partition is never in it.
 *  - A batch that is replaced keeps its row, its offsets and when it was appended.
 */

import { recordBatch } from "../../../core/log/mod.ts"
import type { CompactionSurvey } from "../../../core/mod.ts"
import type { CompactionPiece, RequestOf } from "./messages.ts"
import { numberOf, type PartitionRows } from "./PartitionRows.ts"
import { FORMAT_COMPACTED } from "./schema.ts"

/** Bytes and rows of what is replaced at a time: nobody gets at the database meanwhile. */
const PIECE_BYTES = 1_048_576
const PIECE_ROWS = 1_000

export class CompactionRows {
  readonly #rows: PartitionRows

  constructor(rows: PartitionRows) {
    this.#rows = rows
  }

  /** Undefined where the partition has no batches. */
  survey(id: number): CompactionSurvey | undefined {
    const facts = this.#rows.look(id)
    const newest = this.#rows.sql("SELECT max(base) AS base FROM batch WHERE partition = ?").get(id)
    if (facts === undefined || typeof newest?.["base"] !== "number") return undefined
    const logStart = facts.start
    const activeFrom = Math.max(logStart, newest["base"])
    const cleaned = this.#rows.sql("SELECT cleaned_to FROM compaction WHERE partition = ?").get(id)
    const cleanedTo = Math.min(Math.max(logStart, numberOf(cleaned, "cleaned_to")), activeFrom)
    const sum = this.#rows.sql(
      "SELECT sum(size) AS bytes FROM batch WHERE partition = ? AND base >= ? AND base < ? AND next > ?"
    )
    const cleanBytes = numberOf(sum.get(id, 0, cleanedTo, logStart), "bytes")
    const dirtyBytes = numberOf(sum.get(id, cleanedTo, activeFrom, logStart), "bytes")
    return { logStart, cleanedTo, activeFrom, cleanBytes, dirtyBytes }
  }

  /** Undefined where nothing lies there that may be replaced. */
  piece(id: number, from: number): CompactionPiece | undefined {
    const rows = this.#rows
      .sql(
        "SELECT base, next, size FROM batch WHERE partition = ? AND next > ? AND base >= " +
          "coalesce((SELECT max(base) FROM batch WHERE partition = ? AND base <= ?), 0) AND base < " +
          "(SELECT max(base) FROM batch WHERE partition = ?) ORDER BY base LIMIT ?"
      )
      .all(id, from, id, from, id, PIECE_ROWS)
    let bytes = 0
    let end = -1
    for (const row of rows) {
      bytes += numberOf(row, "size")
      if (end >= 0 && bytes > PIECE_BYTES) break
      end = numberOf(row, "next")
    }
    const [first] = rows
    if (first === undefined) return undefined
    const base = numberOf(first, "base")
    return { from: base, end, fingerprint: this.#fingerprint(id, base, end) }
  }

  /** Whether the piece was as it is known; else nothing was done. */
  replace({ id, piece, changed, kept, cleanedTo }: RequestOf<"replace">): boolean {
    const { from, end, fingerprint } = piece
    const facts = this.#rows.facts(id)
    if (facts === undefined || this.#fingerprint(id, from, end) !== fingerprint) return false
    const update = this.#rows.sql(
      "UPDATE batch SET bytes = ?, size = ?, max_timestamp = ? WHERE partition = ? AND base = ?"
    )
    const stays = new Set(kept)
    const others = new Map(changed.map((batch) => [recordBatch.baseOffset(batch, 0), batch]))
    const rows = this.#rows
      .sql("SELECT id, base, next, size FROM batch WHERE partition = ? AND base >= ? AND base < ?")
      .all(id, from, end)
    const remove = this.#rows.sql("DELETE FROM batch WHERE id = ?")
    for (const row of rows) {
      const base = numberOf(row, "base")
      const size = numberOf(row, "size")
      const isCounted = numberOf(row, "next") > facts.start
      const other = others.get(base)
      if (other !== undefined) {
        this.#rows.rows += update.run(other, other.length, recordBatch.maxTimestamp(other, 0), id, base)
        if (isCounted) this.#rows.resized(facts, other.length - size, 0)
      } else if (!stays.has(base)) {
        this.#rows.rows += remove.run(numberOf(row, "id"))
        if (isCounted) this.#rows.resized(facts, -size, base - numberOf(row, "next"))
      }
    }
    this.#rows.sql("INSERT OR REPLACE INTO compaction VALUES (?, ?)").run(id, cleanedTo)
    this.#rows.sql("UPDATE format SET version = ?").run(FORMAT_COMPACTED)
    return true
  }

  #fingerprint(id: number, from: number, end: number): string {
    const row = this.#rows
      .sql(
        "SELECT count(*) AS count, sum(id) AS ids, sum(size) AS bytes FROM batch " +
          "WHERE partition = ? AND base >= ? AND base < ?"
      )
      .get(id, from, end)
    // Rows of what was deleted go later.
    const start = this.#rows.look(id)?.start
    return `${start} ${numberOf(row, "count")} ${numberOf(row, "ids")} ${numberOf(row, "bytes")}`
  }
}
