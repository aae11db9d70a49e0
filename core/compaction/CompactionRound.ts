/**
 * One round of compaction of one partition: what came since the last round is read for its keys, then the log from its start on is
 * replaced, without the records that a later one of the same key makes superfluous.
 *
 * Source: Apache Kafka, Cleaner.doClean and buildOffsetMap.
 * Invariants
 *  - What stays is in order, at its offset. Of a key's records below {@link RoundResult.cleanedTo} the last one stays, but for a tombstone
 *    whose time is over; earlier ones go. What lies behind is not touched.
 *  - The first batch of the log and the last one of the round stay, without records if need be: a log begins and ends where it did.
 *  - A batch that cannot be read stays whole, and so do all tombstones behind it: what they delete may be in it.
 *  - Work on the loop ends after {@link SLICE_MS}, or after one batch that takes longer, and goes on when others had their turn.
 */
import type { CompactionStore, CompactionSurvey, Replacement } from "../log/CompactionStore.ts"
import type { PartitionKey } from "../log/Engines.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import * as recordBatch from "../log/record-batch.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { Pace } from "../platform/pace.ts"
import { BatchCleaner } from "./BatchCleaner.ts"
import type { OffsetMap } from "./OffsetMap.ts"
import type { ProducerEnds } from "./ProducerEnds.ts"

/** Bytes of one read, beyond a first batch that is larger. */
const READ_BYTES = 262_144
/** How long the loop is kept from others. */
export const SLICE_MS = 2

export interface RoundOptions {
  /** Milliseconds since 1970. */
  readonly nowMs: number
  /** Of the topic: see `TopicSettings`. */
  readonly tombstoneMs: number
  readonly lagMsMin: number
  /** Whether it is worth it, with so many bytes between the last round's end and this one's: asked when that is known. */
  readonly isWorth: (dirtyBytes: number) => boolean
  /** Given up: the topic is gone, or the node stops. */
  readonly isOver: () => boolean
}

export interface RoundParts {
  readonly store: CompactionStore
  readonly key: PartitionKey
  readonly survey: CompactionSurvey
  /** Empty, and the round's own. */
  readonly map: OffsetMap
  readonly producers: ProducerEnds
  readonly pace: Pace
  readonly clock: Pick<ClockShape, "monotonicMs" | "immediate">
}

/** What a round did. Bytes and records that were read for their keys alone count as read bytes. */
export interface RoundResult {
  /** "done"; "nothing" was worth it; the log "changed" under it, or it was given up: then what it had replaced by then stays so. */
  readonly outcome: "done" | "nothing" | "changed"
  readonly cleanedTo: number
  /** The keys did not fit: another round is due at once. */
  readonly isPartial: boolean
  readonly keys: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly recordsRead: number
  readonly recordsRemoved: number
  /** Batches whose records cannot be read. */
  readonly unread: number
}

export class CompactionRound {
  readonly #parts: RoundParts
  readonly #options: RoundOptions
  readonly #cleaner: BatchCleaner
  readonly #cursor = new RecordCursor()
  #bytesRead = 0
  #bytesWritten = 0
  #unread = 0
  #isPartial = false
  #sliceMs: number
  /** Where the round ends: one past the last offset whose keys are in the map. */
  #end: number

  constructor(parts: RoundParts, options: RoundOptions) {
    this.#parts = parts
    this.#options = options
    this.#end = parts.survey.cleanedTo
    this.#sliceMs = parts.clock.monotonicMs()
    this.#cleaner = new BatchCleaner({
      isLatest: (bytes, start, end, offset) => offset >= parts.map.get(bytes, start, end),
      nowMs: options.nowMs,
      tombstoneMs: options.tombstoneMs
    })
  }

  /** Rejects with `StorageError`: what was replaced by then stays so. */
  async run(): Promise<RoundResult> {
    const { survey, producers } = this.#parts
    const dirtyBytes = await this.#readKeys()
    if (this.#end <= survey.cleanedTo || !this.#options.isWorth(dirtyBytes)) return this.#result("nothing")
    producers.end()
    return this.#result((await this.#replaceAll()) ? "done" : "changed")
  }

  /** Fills the map; returns the bytes of the batches that it takes in. */
  async #readKeys(): Promise<number> {
    const { survey, producers, map } = this.#parts
    const { nowMs, lagMsMin } = this.#options
    const [before, after] = [survey.cleanedTo, survey.activeFrom]
    let dirtyBytes = 0
    for await (const { bytes, start, end } of this.#batches(before, after)) {
      const base = recordBatch.baseOffset(bytes, start)
      // One that lies across the start has been taken in.
      if (base < before) continue
      if (base >= after) break
      if (lagMsMin > 0 && recordBatch.maxTimestamp(bytes, start) > nowMs - lagMsMin) break
      if (!this.#noteKeys(bytes, start, end, dirtyBytes === 0)) {
        this.#isPartial = map.size > 0
        break
      }
      producers.see(bytes, start)
      this.#end = endOffsetOf(bytes, start)
      dirtyBytes += end - start
    }
    this.#cursor.release()
    return dirtyBytes
  }

  /** Notes the keys of a batch; false where they have no room. Those that were noted by then do no harm: they stand behind. */
  #noteKeys(bytes: Uint8Array, start: number, end: number, isForced: boolean): boolean {
    const cursor = this.#cursor
    if ((recordBatch.attributes(bytes, start) & recordBatch.CONTROL) !== 0) return true
    // What cannot be read is told of when it is met again, where all is replaced.
    if (cursor.reset(bytes, start, end) !== 0) return true
    while (cursor.next()) {
      const { keyStart, keyEnd, offset } = cursor
      if (keyStart >= 0 && !this.#parts.map.put(cursor.bytes, keyStart, keyEnd, offset, isForced)) return false
    }
    return true
  }

  async #replaceAll(): Promise<boolean> {
    const { store, key, survey } = this.#parts
    for (let from = survey.logStart; from < this.#end; ) {
      const replacement = await store.replace(key, from)
      if (replacement === undefined) return false
      let isDone = false
      try {
        if (!(await this.#fill(replacement, from))) return false
        const isLast = replacement.end >= this.#end
        const written = await replacement.commit(isLast ? this.#end : Math.min(survey.cleanedTo, this.#end))
        isDone = true
        if (written === undefined) return false
        this.#bytesWritten += written
        await this.#parts.pace(written)
      } finally {
        if (!isDone) await replacement.abort()
      }
      if (replacement.end <= from) return false
      from = replacement.end
    }
    return true
  }

  /** Hands over what stays of one piece; false where the round is given up. */
  async #fill(replacement: Replacement, from: number): Promise<boolean> {
    const { producers, survey } = this.#parts
    for await (const { bytes, start, end } of this.#batches(from, replacement.end)) {
      if (this.#options.isOver()) return false
      const base = recordBatch.baseOffset(bytes, start)
      if (base >= replacement.end) break
      const next = endOffsetOf(bytes, start)
      // Below the log's start, but in the first piece.
      if (next <= survey.logStart) continue
      if (base >= this.#end) {
        await replacement.add(bytes.slice(start, end), false)
        continue
      }
      const isEdge = base <= survey.logStart || next === this.#end || this.#isFirst
      this.#isFirst = false
      const cleaned = await this.#cleaner.clean(bytes, start, end, {
        isKeptEmpty: isEdge || producers.isLast(bytes, start),
        keepsTombstones: this.#unread > 0
      })
      if (cleaned.outcome === "unread") this.#unread += 1
      if (cleaned.outcome === "changed") await replacement.add(cleaned.bytes, true)
      else if (cleaned.outcome !== "gone") await replacement.add(bytes.slice(start, end), false)
    }
    return true
  }

  /** The next batch that is met is the log's first. */
  #isFirst = true

  /** Batches from the one that holds `from` on, of those that begin below `end`; the loop is left to others between them. */
  async *#batches(
    from: number,
    end: number
  ): AsyncGenerator<{ readonly bytes: Uint8Array; readonly start: number; readonly end: number }> {
    const { store, key, pace, clock } = this.#parts
    for (let next = from; next < end; ) {
      const bytes = await store.read(key, next, end, READ_BYTES)
      if (bytes.length === 0) return
      this.#bytesRead += bytes.length
      await pace(bytes.length)
      this.#sliceMs = clock.monotonicMs()
      for (let at = 0; at < bytes.length; ) {
        const size = recordBatch.batchSize(bytes, at, bytes.length)
        if (size <= 0) return
        next = endOffsetOf(bytes, at)
        yield { bytes, start: at, end: at + size }
        at += size
        if (clock.monotonicMs() - this.#sliceMs < SLICE_MS) continue
        await new Promise<void>((resolve) => clock.immediate(resolve))
        this.#sliceMs = clock.monotonicMs()
      }
    }
  }

  #result(outcome: RoundResult["outcome"]): RoundResult {
    const { recordsRead, recordsRemoved } = this.#cleaner
    return {
      outcome,
      cleanedTo: this.#end,
      isPartial: this.#isPartial,
      keys: this.#parts.map.size,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
      recordsRead,
      recordsRemoved,
      unread: this.#unread
    }
  }
}
