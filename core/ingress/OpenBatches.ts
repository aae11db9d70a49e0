/**
 * Batches that somebody reads in several goes, kept open between them: inflated, with where each reader stopped. Without that a large batch would be
 * inflated and walked from its beginning for every few of its records.
 *
 * Invariants
 *  - The bytes that are held are bounded: beyond {@link OPEN_BYTES_MAX} those that were used the longest ago go, but for the last one.
 *  - What nobody has gone on with for a while goes. A reader whose batch is gone reads it from its beginning, as one that comes new does.
 *  - A batch is another one where its checksum is: offsets may be given again.
 */
import type { RecordCursor, RecordMark } from "../log/RecordCursor.ts"
import type { ClockShape } from "../platform/Clock.ts"

/** Bytes of batches that are kept open on one shard, beyond one that is larger. */
export const OPEN_BYTES_MAX = 33_554_432
/** Less than this is walked again in no time. */
const BYTES_MIN = 16_384
/** Between two looks for those that nobody goes on with. */
const IDLE_MS = 2_000
/** Places that are remembered in one batch. */
const MARKS_MAX = 1_000

class OpenBatch {
  readonly checksum: number
  readonly cursor: RecordCursor
  readonly marks = new Map<number, RecordMark>()
  isUsed = true

  constructor(checksum: number, cursor: RecordCursor) {
    this.checksum = checksum
    this.cursor = cursor
  }

  get size(): number {
    return this.cursor.bytes.length
  }

  /** The last place at or before `offset` where somebody stopped. */
  markBelow(offset: number): RecordMark | undefined {
    const own = this.marks.get(offset)
    if (own !== undefined) return own
    let best = -1
    for (const each of this.marks.keys()) if (each < offset && each > best) best = each
    return this.marks.get(best)
  }
}

export class OpenBatches {
  /** Bytes that they hold. */
  bytes = 0
  readonly #clock: Pick<ClockShape, "after">
  /** Those that were used last come last. */
  readonly #byKey = new Map<string, OpenBatch>()
  #isLooking = false

  constructor(clock: Pick<ClockShape, "after">) {
    this.#clock = clock
  }

  /** A cursor in the batch, before a record where somebody stopped, at `offset` or less far; undefined = it is not open. */
  find(key: string, checksum: number, offset: number): RecordCursor | undefined {
    const open = this.#byKey.get(key)
    if (open === undefined) return undefined
    if (open.checksum !== checksum) {
      this.#drop(key, open)
      return undefined
    }
    open.isUsed = true
    this.#byKey.delete(key)
    this.#byKey.set(key, open)
    const mark = open.markBelow(offset)
    if (mark === undefined) open.cursor.rewind()
    else open.cursor.goTo(mark)
    return open.cursor
  }

  /** Somebody stopped before the record at `offset`, to which the cursor has stepped; true where the cursor is kept and must not be used again. */
  stopped(key: string, checksum: number, cursor: RecordCursor, offset: number): boolean {
    let open = this.#byKey.get(key)
    if (open === undefined) {
      if (cursor.size < BYTES_MIN) return false
      open = new OpenBatch(checksum, cursor)
      this.#byKey.set(key, open)
      this.bytes += open.size
    }
    if (open.marks.size >= MARKS_MAX) open.marks.clear()
    open.marks.set(offset, cursor.mark)
    for (const [oldest, each] of this.#byKey) {
      if (this.bytes <= OPEN_BYTES_MAX || each === open) break
      this.#drop(oldest, each)
    }
    this.#lookLater()
    return true
  }

  #drop(key: string, open: OpenBatch): void {
    this.#byKey.delete(key)
    this.bytes -= open.size
    open.cursor.release()
  }

  #lookLater(): void {
    if (this.#isLooking) return
    this.#isLooking = true
    this.#clock.after(IDLE_MS, () => {
      this.#isLooking = false
      for (const [key, open] of [...this.#byKey]) {
        if (open.isUsed) open.isUsed = false
        else this.#drop(key, open)
      }
      if (this.#byKey.size > 0) this.#lookLater()
    })
  }
}
