/**
 * One partition as its owner's shard uses it: the engine's log, and before it the batch that is being gathered from single
 * messages.
 *
 * Invariants
 *  - A message's offset is given when it is taken: log end offset + records gathered so far. Nothing is appended past a gathered
 *    batch: it is sealed first.
 *  - A gathered batch is sealed when it is big enough, when somebody reads, or {@link LINGER_MS} after the first record that a
 *    waiting reader has not seen: with nobody reading no timer runs, and under load a reader gets few, large batches.
 *  - Mode memory only: a message that is taken is as safe as the mode promises before its batch is sealed. Modes that sync seal at
 *    the end of each turn.
 */
import { assert } from "../assert.ts"
import type { Message } from "../ingress/Message.ts"
import type { ClockShape, Timer } from "../platform/Clock.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { deliveryHeaders, deliveryHeadersCount } from "./delivery-headers.ts"
import { BACKLOG, type Partition } from "./Engines.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"

/** A gathered batch is sealed at this size. */
export const GATHERED_BYTES_MAX = 32_768
/** A gathered batch is sealed at this many records: a quarter of what an auto-created topic keeps. */
export const GATHERED_RECORDS_MAX = 250
/** How long a reader that waits at the end lets a batch grow. */
export const LINGER_MS = 10

/** One message may be as large as a packet may be; a batch with such a record is sealed at once. */
export const RECORD_BYTES_MAX = 536_870_912
/** Builders kept for the next batch, whichever partition it is for: a partition that gathers nothing holds none. */
const SPARE_BUILDERS_MAX = 64
const spareBuilders: Array<RecordBatchBuilder> = []

/** Told when records became readable. */
export interface PartitionWaiter {
  partitionAdvanced(log: PartitionLog): void
}

export class PartitionLog {
  readonly topic: TopicInfo
  readonly partition: number
  /** When something was last taken, ms on the monotonic clock. */
  lastWriteMs = 0
  /** Records and batches taken since the partition was opened, for metrics. */
  gatheredBatches = 0
  gatheredRecords = 0
  readonly #engine: Partition
  readonly #clock: ClockShape
  readonly #waiters = new Set<PartitionWaiter>()
  #builder: RecordBatchBuilder | undefined
  #linger: Timer | undefined

  constructor(topic: TopicInfo, partition: number, engine: Partition, clock: ClockShape) {
    this.topic = topic
    this.partition = partition
    this.#engine = engine
    this.#clock = clock
  }

  get logStartOffset(): number {
    return this.#engine.logStartOffset
  }

  get leaderEpoch(): number {
    return this.#engine.leaderEpoch
  }

  /** One past the last record that may be read; seals what is gathered, so that what was acknowledged is counted. */
  highWatermark(): number {
    this.seal()
    return this.#engine.highWatermark
  }

  get sizeBytes(): number {
    return this.#engine.sizeBytes + (this.#builder?.byteLength ?? 0)
  }

  /** The offset that the next record will get. */
  get nextOffset(): number {
    return this.#engine.logEndOffset + (this.#builder?.recordCount ?? 0)
  }

  /** Takes one message; returns its offset, or why not (a refusal of the engine's). */
  takeUnsafe(message: Message): number {
    const builder = (this.#builder ??= spareBuilders.pop() ?? new RecordBatchBuilder(RECORD_BYTES_MAX))
    const offset = this.#engine.logEndOffset + builder.recordCount
    const extra = deliveryHeaders(message.qos, message.retain)
    const deleted = message.retain && message.payloadStart === message.payloadEnd
    const refusal = builder.append(
      message.timestamp,
      message.topic,
      message.topicStart,
      message.topicEnd,
      deleted ? undefined : message.payload,
      message.payloadStart,
      message.payloadEnd,
      message.headers,
      message.headersStart,
      message.headersEnd,
      message.headerCount,
      extra,
      0,
      extra.length,
      deliveryHeadersCount(message.qos, message.retain)
    )
    if (refusal !== 0) return BACKLOG
    this.lastWriteMs = this.#clock.monotonicMs()
    if (builder.byteLength >= GATHERED_BYTES_MAX || builder.recordCount >= GATHERED_RECORDS_MAX) {
      const refused = this.seal()
      if (refused < 0) return refused
    } else if (this.#waiters.size > 0 && this.#linger === undefined) {
      this.#linger = this.#clock.after(LINGER_MS, () => {
        this.#linger = undefined
        this.seal()
      })
    }
    return offset
  }

  /** Appends a client's batch as it was sent; returns its base offset, or why not. */
  appendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    const refusal = this.seal()
    if (refusal < 0) return refusal
    const baseOffset = this.#engine.tryAppendUnsafe(bytes, start, end, recordCount)
    if (baseOffset >= 0) {
      this.lastWriteMs = this.#clock.monotonicMs()
      this.#advance()
    }
    return baseOffset
  }

  /** Hands the gathered batch to the engine; 0, or the engine's refusal, which loses the batch as the mode allows. */
  seal(): number {
    const builder = this.#builder
    if (builder === undefined || builder.recordCount === 0) return 0
    this.#linger?.cancel()
    this.#linger = undefined
    const records = builder.recordCount
    const expected = this.#engine.logEndOffset
    const length = builder.finish()
    const baseOffset = this.#engine.tryAppendUnsafe(builder.bytes, 0, length, records)
    builder.reset()
    this.#builder = undefined
    if (spareBuilders.length < SPARE_BUILDERS_MAX) spareBuilders.push(builder)
    if (baseOffset < 0) return baseOffset
    assert(baseOffset === expected, "a gathered batch gets the offsets that its messages were given")
    this.gatheredBatches += 1
    this.gatheredRecords += records
    this.#advance()
    return 0
  }

  /** Asks to be told of every advance until {@link PartitionLog.unwatch}. */
  watch(waiter: PartitionWaiter): void {
    this.#waiters.add(waiter)
  }

  unwatch(waiter: PartitionWaiter): void {
    this.#waiters.delete(waiter)
  }

  /** See {@link Partition.readUnsafe}; what is gathered is sealed first. */
  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined {
    this.seal()
    return this.#engine.readUnsafe(offset, maxBytes)
  }

  read(offset: number, maxBytes: number): Promise<Uint8Array> {
    this.seal()
    return this.#engine.read(offset, maxBytes)
  }

  offsetForTimestamp(timestamp: number): ReturnType<Partition["offsetForTimestamp"]> {
    this.seal()
    return this.#engine.offsetForTimestamp(timestamp)
  }

  /** The engine's high watermark has risen: see {@link PartitionEvents}. */
  committed(): void {
    this.#advance()
  }

  /** The engine has lost what was not committed. */
  failed(): void {}

  close(): void {
    this.seal()
    this.#linger?.cancel()
    this.#waiters.clear()
  }

  #advance(): void {
    for (const waiter of this.#waiters) waiter.partitionAdvanced(this)
  }
}
