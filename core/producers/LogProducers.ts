/**
 * The idempotent producers of one log, and how what is known of them outlives it: by a row now and then, and by the batches behind it.
 *
 * Source: apache/kafka ProducerStateManager (snapshots beside segments, and the log behind the last one read again), KIP-98.
 * Invariants
 *  - The row says what the batches below its offset say, all of them committed. At most {@link SNAPSHOT_BYTES} (or 16 times its own
 *    size) and what is on its way lie behind it: that much is read when a log is opened after a crash, and nothing where it was closed.
 *  - Where the log outlives the process its row is synced before the first batch of such a producer is appended. Without a row there is none.
 *  - Batches are checked when all of that is known; what comes before waits ({@link LogProducers.whenReady}).
 */
import { FAILED, type Partition, type PartitionKey } from "../log/Engines.ts"
import { lineOf } from "../log/GuardedPartition.ts"
import { baseOffset, batchSize, lastOffsetDelta } from "../log/record-batch.ts"
import { hasProducer, PartitionProducers, REPEATED } from "./PartitionProducers.ts"
import { decodeProducers, encodeProducers } from "./producer-rows.ts"
import type { ShardProducers } from "./ShardProducers.ts"

/** A row is written when so many bytes lie behind the last one. */
export const SNAPSHOT_BYTES = 16_777_216
/** What is read at a time when they are read again. */
const READ_BYTES = 1_048_576
/** Between two looks at whether what was on its way when the log was opened is committed, ms. */
const PAUSE_MS = 5

export interface LogProducersParts {
  readonly all: ShardProducers
  readonly key: PartitionKey
  readonly engine: Partition
  /** The log outlives the process, and so do rows. */
  readonly isKept: boolean
  /** It has a row, or perhaps one: what is known is read at once. */
  readonly hasRow: boolean
}

export class LogProducers {
  /** Everything is known: batches may be checked. */
  isReady: boolean
  state = new PartitionProducers()
  readonly #parts: LogProducersParts
  #hasRow: boolean
  #readying: Promise<number> | undefined
  /** What is to be read again ends here. */
  #openedEnd: number
  /** Appended behind the row, bytes. */
  #bytesSince = 0
  #snapshotAt: number
  #isClosed = false

  constructor(parts: LogProducersParts) {
    this.#parts = parts
    this.#hasRow = parts.hasRow
    this.#snapshotAt = parts.all.snapshotBytes
    this.#openedEnd = parts.engine.logEndOffset
    this.isReady = !parts.isKept
    if (this.#hasRow) void this.whenReady()
  }

  get key(): PartitionKey {
    return this.#parts.key
  }

  /** There is nothing to be known, and no row says otherwise. */
  get isEmpty(): boolean {
    return this.state.size === 0 && !this.#hasRow
  }

  /**
   * Settled when batches may be checked: 0; or a refusal where that cannot be now, to be asked again. Has the first row written where there
   * is none.
   */
  whenReady(): Promise<number> {
    if (this.isReady) return Promise.resolve(0)
    this.#readying ??= this.#prepare().then((refusal) => {
      this.#readying = undefined
      return refusal
    })
    return this.#readying
  }

  /** 0 where the batch may be appended, {@link REPEATED}, or a refusal. Only while it is ready. */
  check(bytes: Uint8Array, start: number): number {
    const outcome = this.state.check(bytes, start)
    const { all } = this.#parts
    if (outcome === REPEATED) all.repeats += 1
    else if (outcome < 0) all.refusals += 1
    return outcome
  }

  /** The batch, which was checked, lies at `offset`. */
  appended(bytes: Uint8Array, start: number, offset: number): void {
    const { all, engine } = this.#parts
    if (this.state.appended(bytes, start, offset, engine.highWatermark, all.clock.nowMs())) all.added(this)
  }

  /** The batch, which could have been appended, was not. */
  refused(bytes: Uint8Array, start: number): void {
    const { all } = this.#parts
    if (this.state.refused(bytes, start, all.clock.nowMs())) all.added(this)
  }

  /** So many bytes were appended, of whomever. */
  counted(bytes: number): void {
    this.#bytesSince += bytes
    if (this.#bytesSince >= this.#snapshotAt && this.isReady) this.#snapshot()
  }

  /** The log ends at `endOffset`: what lay behind was lost. */
  rewound(endOffset: number): void {
    this.#openedEnd = Math.min(this.#openedEnd, endOffset)
    this.state.rewind(endOffset)
  }

  /** Forgets who has not written for a day. */
  expire(beforeMs: number): number {
    const gone = this.state.expire(beforeMs)
    this.#parts.all.gone(gone)
    if (gone > 0) this.#leaveRow()
    return gone
  }

  /** Forgets one of them that has not written lately; false where there is only one. */
  forgetOne(): boolean {
    if (this.state.size < 2 || !this.state.forgetOne()) return false
    this.#parts.all.gone(1)
    return true
  }

  /** The log is closed: the next one goes on where it ends. */
  close(): void {
    this.#isClosed = true
    if (this.isReady && this.#bytesSince > 0) this.#snapshot()
    const { all } = this.#parts
    all.gone(this.state.size)
    all.closed(this)
    this.state = new PartitionProducers()
  }

  /** Has the log under another key, of which all was copied there, know the same; whether that is synced. */
  async copyTo(key: PartitionKey): Promise<boolean> {
    const { all, engine, isKept } = this.#parts
    if (!this.isReady && (!isKept || this.#hasRow) && (await this.whenReady()) !== 0) return false
    if (this.state.size === 0) return true
    return all.writeSynced(key, encodeProducers(this.state, engine.highWatermark))
  }

  /** Takes over what the log knew that this one was copied from; that one is closed next. */
  takeOver(other: LogProducers): void {
    // Without a row there was nobody, and the first one waits for it.
    if (!other.isReady || this.#isClosed || (this.#parts.isKept && !this.#hasRow)) return
    const { all } = this.#parts
    all.gone(this.state.size)
    this.state = other.state
    other.state = new PartitionProducers()
    this.isReady = true
    all.joined(this)
  }

  async #prepare(): Promise<number> {
    const { all, key, engine } = this.#parts
    try {
      const row = await all.rowOf(key)
      if (this.#isOver) return this.isReady ? 0 : FAILED
      if (row !== undefined) await this.#load(row)
      else if (!(await all.writeSynced(key, encodeProducers(this.state, engine.highWatermark)))) return FAILED
    } catch (error) {
      if (this.#isOver) return this.isReady ? 0 : FAILED
      this.#drop()
      all.fault(key, `what its producers sent cannot be told: ${lineOf(error)}`)
      return FAILED
    }
    if (this.#isClosed) return FAILED
    this.#hasRow = true
    this.isReady = true
    return 0
  }

  /** Nobody waits for what is being read: it is closed, or has been told by another log. */
  get #isOver(): boolean {
    return this.#isClosed || this.isReady
  }

  /** Begins with the row and reads what lies behind it. */
  async #load(value: Uint8Array): Promise<void> {
    const { all, key, engine } = this.#parts
    const row = decodeProducers(value)
    // Of an attempt that failed.
    all.gone(this.state.size)
    for (const state of row.producers) this.state.add(state)
    all.adopted(this)
    if (row.offset > this.#openedEnd) {
      // The log has lost what the row counts on: it must not be believed once other batches lie there.
      this.rewound(this.#openedEnd)
      if (!(await all.writeSynced(key, encodeProducers(this.state, this.#openedEnd))))
        throw new Error("no row is taken")
    }
    let position = row.offset
    while (position < this.#openedEnd && !this.#isOver) {
      position = Math.max(position, engine.logStartOffset)
      if (position >= engine.highWatermark) {
        if (position < this.#openedEnd) await all.pause(PAUSE_MS)
        continue
      }
      const bytes = engine.readUnsafe(position, READ_BYTES) ?? (await engine.read(position, READ_BYTES))
      if (this.#isOver) return
      const next = this.#replay(bytes, position)
      if (next === position && position >= engine.logStartOffset && position < engine.highWatermark) {
        throw new Error(`nothing can be read at offset ${position}`)
      }
      position = next
    }
    if (!this.#isOver) all.gone(this.state.expire(all.expiredMs))
  }

  /** Notes the batches from `position` on; returns where they end. */
  #replay(bytes: Uint8Array, position: number): number {
    const { all, engine } = this.#parts
    const nowMs = all.clock.nowMs()
    let next = position
    for (let at = 0; at < bytes.length; ) {
      const size = batchSize(bytes, at, bytes.length)
      if (size <= 0) break
      const base = baseOffset(bytes, at)
      if (base >= position && base < this.#openedEnd && hasProducer(bytes, at)) {
        if (this.state.appended(bytes, at, base, engine.highWatermark, nowMs)) all.added(this)
      }
      next = Math.max(next, base + lastOffsetDelta(bytes, at) + 1)
      at += size
    }
    this.#bytesSince += bytes.length
    all.replayedBytes += bytes.length
    return next
  }

  #drop(): void {
    this.#parts.all.gone(this.state.size)
    this.state = new PartitionProducers()
    this.#bytesSince = 0
  }

  #snapshot(): void {
    const { all, key, engine, isKept } = this.#parts
    const since = this.#bytesSince
    this.#bytesSince = 0
    if (!isKept || this.#leaveRow()) return
    const value = encodeProducers(this.state, engine.highWatermark)
    this.#snapshotAt = Math.max(all.snapshotBytes, 16 * value.length)
    all.write(key, value, () => {
      // The one before is as good; there is more to be read behind it.
      this.#bytesSince += since
    })
  }

  /** Where nobody is left to be known of the row goes, too; whether that is so. */
  #leaveRow(): boolean {
    if (this.state.size > 0) return false
    if (!this.#hasRow || !this.isReady) return true
    this.#hasRow = false
    // The next one waits until there is a row again.
    this.isReady = false
    this.#parts.all.write(this.#parts.key, undefined, () => {})
    return true
  }
}
