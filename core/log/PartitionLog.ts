/**
 * One partition as its owner's shard uses it: the engine's log, and before it the batch that is being gathered from single
 * messages.
 *
 * Invariants
 *  - A message's offset is given when it is taken: log end offset + records gathered so far. Nothing is appended past a gathered
 *    batch: it is sealed first.
 *  - A gathered batch is sealed when it is big enough, when somebody reads, or {@link LINGER_MS} after the first record that a
 *    waiting reader has not seen: with nobody reading no timer runs, and under load a reader gets few, large batches.
 *  - In mode memory a message that is taken is as safe as it will be before its batch is sealed. The other modes seal at the end of
 *    each turn and give tickets ({@link PartitionLog.tickets}), which end when the high watermark has passed their record.
 */
import { assert } from "../assert.ts"
import type { StorageBudgetShape } from "../budget/StorageBudget.ts"
import type { Message } from "../ingress/Message.ts"
import type { TicketStream } from "../journal/Journal.ts"
import type { ClockShape, Timer } from "../platform/Clock.ts"
import type { TurnShape, TurnTask } from "../platform/Turn.ts"
import type { LogProducers } from "../producers/LogProducers.ts"
import { hasProducer } from "../producers/PartitionProducers.ts"
import type { ShardProducers } from "../producers/ShardProducers.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { BatchCompressor } from "./BatchCompressor.ts"
import { Commits } from "./Commits.ts"
import { BACKLOG, DISK_FULL, FAILED, type Partition, type PartitionLimits } from "./Engines.ts"
import {
  appendMessage,
  GATHERED_BYTES_MAX,
  GATHERED_RECORDS_MAX,
  giveBuilderBack,
  LINGER_MS,
  takeBuilder
} from "./gathered-builders.ts"
import { LogWaiters } from "./LogWaiters.ts"
import type { PartitionLogParts, PartitionWaiter } from "./partition-log-parts.ts"
import type { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { type OffsetGate, UNRESERVED } from "./ReservedOffsets.ts"

export { GATHERED_BYTES_MAX, GATHERED_RECORDS_MAX, LINGER_MS } from "./gathered-builders.ts"
export type { PartitionLogParts, PartitionWaiter } from "./partition-log-parts.ts"

/** Of all logs of this thread. */
let writes = 0

export class PartitionLog implements TurnTask {
  topic: TopicInfo
  readonly partition: number
  readonly isJournaled: boolean
  /**
   * When a log in memory was opened, ms since 1970, whose next one under the same id may have other messages at the same offsets. 0 where
   * offsets outlive the process: of a log that is kept, and of one in memory whose offsets are reserved.
   */
  readonly incarnation: number
  /** Higher than that of every log that something was taken by before; 0 = nothing was. Counted, for the clock costs more than a record. */
  lastWrite = 0
  /** `lastWrite` as the last {@link PartitionLog.sealIdle} and {@link PartitionLog.takeIsUnused} found it. */
  #seenWrite = 0
  #sweptWrite = 0
  /** Somebody has asked for the log since {@link PartitionLog.takeIsUnused}. */
  isUsed = true
  /** Nothing can be done with it any more: its partition was closed. */
  isClosed = false
  /** Reads that the engine has not answered. */
  #reads = 0
  /** Records and batches taken since the partition was opened, for metrics. */
  gatheredBatches = 0
  gatheredRecords = 0
  /** The ticket of the last batch that {@link PartitionLog.appendUnsafe} took. */
  producedTicket = 0
  /** The last batch that {@link PartitionLog.appendUnsafe} was given is the one that lies at the offset returned already: nothing was appended. */
  isRepeat = false
  /** When that batch was appended, ms since 1970, where that is its records' time; else -1. Told by who produces. */
  producedTimeMs = -1
  /** Gathered records that the engine refused or lost. */
  refusedRecords = 0
  /** Undefined while no idempotent producer has written lately. */
  producers: LogProducers | undefined
  readonly #allProducers: ShardProducers | undefined
  readonly #engine: Partition
  readonly #clock: ClockShape
  readonly #turn: TurnShape
  readonly #reservation: OffsetGate
  /** Undefined in mode memory. */
  readonly #commits: Commits | undefined
  readonly #room: Pick<StorageBudgetShape, "refusal"> | undefined
  /** Undefined where gathered batches stay as they are. */
  #compressor: BatchCompressor | undefined
  #endOffset: number
  #isSealDue = false
  /** How often the engine has lost what it had not committed. */
  #failures = 0
  #waiters: LogWaiters | undefined
  #builder: RecordBatchBuilder | undefined
  #linger: Timer | undefined

  constructor(topic: TopicInfo, partition: number, engine: Partition, parts: PartitionLogParts) {
    const { clock, turn, isJournaled, reservation, room } = parts
    this.topic = topic
    this.partition = partition
    this.isJournaled = isJournaled === true
    this.incarnation = topic.mode === "memory" && reservation === undefined ? clock.nowMs() : 0
    this.#reservation = reservation ?? UNRESERVED
    this.#engine = engine
    this.#clock = clock
    this.#turn = turn
    this.#commits = topic.mode === "memory" ? undefined : new Commits()
    this.#compressor = topic.compression === "zstd" ? (parts.compressor ?? new BatchCompressor()) : undefined
    this.#room = topic.mode === "memory" ? undefined : room
    this.#endOffset = engine.logEndOffset
    this.#allProducers = parts.producers
    this.producers = parts.producers?.find(this, engine)
  }

  /**
   * Receipts for records of QoS 1 and 2 and for produced batches; the last one issued is that of the last one taken. Undefined
   * where what is taken is at once as safe as its mode promises.
   */
  get tickets(): TicketStream | undefined {
    return this.#commits?.tickets
  }

  get logStartOffset(): number {
    return this.#engine.logStartOffset
  }

  get leaderEpoch(): number {
    return this.#engine.leaderEpoch
  }

  /** One past the last record that may be read, all that were acknowledged among them. */
  highWatermark(): number {
    this.#sealForReader()
    return this.#engine.highWatermark
  }

  get sizeBytes(): number {
    return this.#engine.sizeBytes + (this.#builder?.byteLength ?? 0)
  }

  /** The offset that the next record will get. */
  get nextOffset(): number {
    return this.#endOffset + (this.#builder?.recordCount ?? 0)
  }

  /** See {@link Partition.admits}; in mode memory nothing waits for a disk. */
  admits(sizeBytes: number): boolean {
    return this.#commits === undefined || this.#engine.admits?.(sizeBytes) !== false
  }

  /** Takes one message; returns its offset, or why not (a refusal of the engine's). */
  takeUnsafe(message: Message): number {
    const full = this.#room?.refusal ?? 0
    if (full !== 0) return full
    const builder = (this.#builder ??= takeBuilder())
    const offset = this.#endOffset + builder.recordCount
    if (!this.#mayEndAt(offset + 1)) return BACKLOG
    if (appendMessage(builder, message) !== 0) return BACKLOG
    this.lastWrite = ++writes
    const isFull = builder.byteLength >= GATHERED_BYTES_MAX || builder.recordCount >= GATHERED_RECORDS_MAX
    if (this.#commits !== undefined) {
      if (message.qos > 0) this.#commits.tickets.issue()
      if (isFull) this.seal()
      else if (!this.#isSealDue) {
        this.#isSealDue = true
        this.#turn.deferWork(this)
      }
    } else if (isFull) {
      const refused = this.seal()
      if (refused < 0) return refused
    } else if (this.#waiters !== undefined && this.#linger === undefined) {
      this.#linger = this.#clock.after(LINGER_MS, () => {
        this.#linger = undefined
        this.seal()
      })
    }
    return offset
  }

  endTurn(): void {
    this.#isSealDue = false
    this.seal()
  }

  /** Undefined where the batch at `start` may be appended now; else settled with 0 when its producer's sequence is known, or a refusal. */
  whenAppendable(bytes: Uint8Array, start: number): Promise<number> | undefined {
    if (!hasProducer(bytes, start) || this.#allProducers === undefined) return undefined
    this.producers ??= this.#allProducers.begin(this, this.#engine)
    return this.producers.isReady ? undefined : this.producers.whenReady()
  }

  /** It holds what another log did: what was known of that one's producers is known of it. */
  takeProducers(other: LogProducers): void {
    this.producers ??= this.#allProducers?.begin(this, this.#engine)
    this.producers?.takeOver(other)
  }

  /** Its topic is kept as this says from now on, within these bounds; `compressor` as in {@link PartitionLogParts}. */
  alter(topic: TopicInfo, limits: PartitionLimits, compressor: BatchCompressor): void {
    this.topic = topic
    this.#compressor = topic.compression === "zstd" ? compressor : undefined
    this.#engine.relimit?.(limits)
  }

  /** See {@link Partition.deleteBefore}. */
  deleteBefore(offset: number): Promise<number> {
    return this.#counted(this.#engine.deleteBefore(offset))
  }

  /**
   * Appends a client's batch as it was sent; returns its base offset, or why not. Where it {@link PartitionLog.isRepeat} it is where it was.
   * To be called when it is {@link PartitionLog.whenAppendable}.
   */
  appendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    this.isRepeat = false
    const refusal = this.seal()
    if (refusal < 0) return refusal
    const producers = hasProducer(bytes, start) ? this.producers : undefined
    const known = producers?.check(bytes, start) ?? 0
    if (known < 0) return known
    if (known > 0 && producers !== undefined) return this.#repeated(producers)
    const full = this.#room?.refusal ?? 0
    const endOffset = this.#endOffset + recordCount
    const isAdmitted = full === 0 && this.#mayEndAt(endOffset)
    const baseOffset = isAdmitted ? this.#append(bytes, start, end, recordCount) : full === 0 ? BACKLOG : full
    if (baseOffset < 0) {
      producers?.refused(bytes, start)
      return baseOffset
    }
    producers?.appended(bytes, start, baseOffset)
    this.lastWrite = ++writes
    this.producedTicket = this.#commits?.tickets.issue() ?? 0
    this.#appended(recordCount, end - start)
    return baseOffset
  }

  /** Hands the gathered batch to the engine; 0, or the engine's refusal, with which the batch is gone. */
  seal(): number {
    const builder = this.#builder
    if (builder === undefined || builder.recordCount === 0) return 0
    this.#linger?.cancel()
    this.#linger = undefined
    const records = builder.recordCount
    // Taken out first: an engine that tells of a failure out of its append must not find it here.
    this.#builder = undefined
    const length = this.#compressor === undefined ? builder.finish() : this.#compressor.finish(builder)
    const baseOffset = this.#append(builder.bytes, 0, length, records)
    giveBuilderBack(builder)
    if (baseOffset < 0) {
      this.refusedRecords += records
      this.#commits?.refused(baseOffset, this.#engine.highWatermark)
      return baseOffset
    }
    this.gatheredBatches += 1
    this.gatheredRecords += records
    this.#appended(records, length)
    return 0
  }

  /** Seals what lies gathered where nothing was taken since the last call. */
  sealIdle(): void {
    if (this.lastWrite === this.#seenWrite) this.seal()
    else this.#seenWrite = this.lastWrite
  }

  /** The engine's high watermark has risen. */
  committed(): void {
    this.#commits?.settle(this.#engine.highWatermark)
    this.#waiters?.advanced(this)
  }

  /** Takes nothing while it is held, as if it were closed; what it has is committed or lost in time. */
  hold(isHeld: boolean): void {
    this.seal()
    this.isClosed = isHeld
  }

  /** Closes the log: what is not committed by then may be stored or not, and is refused. */
  close(): void {
    this.seal()
    this.isClosed = true
    this.#linger?.cancel()
    this.#waiters?.closed()
    this.#waiters = undefined
    this.#commits?.lost(FAILED, this.#engine.highWatermark)
    this.producers?.close()
    this.#reservation.ended({ offset: this.#endOffset, leaderEpoch: this.#engine.leaderEpoch })
  }

  /**
   * The engine lost what it had not committed; what lies gathered was given offsets behind that, and goes with it. All of it ends with
   * `refusal` where that is {@link DISK_FULL}, else with {@link FAILED}.
   */
  failed(refusal: number = FAILED): void {
    this.#failures += 1
    const builder = this.#builder
    if (builder !== undefined) {
      this.refusedRecords += builder.recordCount
      this.#builder = undefined
      giveBuilderBack(builder)
    }
    this.#endOffset = this.#engine.logEndOffset
    this.producers?.rewound(this.#endOffset)
    this.#commits?.lost(refusal === DISK_FULL ? DISK_FULL : FAILED, this.#engine.highWatermark)
    // The epoch has risen: a reader that named the old one is told so at once.
    this.#waiters?.closed()
  }

  /** Asks to be told of every advance until {@link PartitionLog.unwatch}. */
  watch(waiter: PartitionWaiter): void {
    this.#waiters ??= new LogWaiters()
    this.#waiters.add(waiter)
  }

  unwatch(waiter: PartitionWaiter): void {
    if (this.#waiters?.remove(waiter) === true) this.#waiters = undefined
  }

  /** See {@link Partition.readUnsafe}. */
  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined {
    this.#sealForReader()
    return this.#engine.readUnsafe(offset, maxBytes)
  }

  /** See {@link Partition.read}. */
  read(...wanted: Parameters<Partition["read"]>): Promise<Uint8Array> {
    this.#sealForReader()
    return this.#counted(this.#engine.read(...wanted))
  }

  offsetForTimestamp(timestamp: number): ReturnType<Partition["offsetForTimestamp"]> {
    this.#sealForReader()
    return this.#counted(this.#engine.offsetForTimestamp(timestamp))
  }

  /** Whether nobody has used it since the last call, and nothing waits in it or for it. */
  takeIsUnused(): boolean {
    const isUsed = this.isUsed || this.lastWrite !== this.#sweptWrite
    this.isUsed = false
    this.#sweptWrite = this.lastWrite
    return !isUsed && this.#reads === 0 && this.#waiters === undefined && this.isSettled
  }

  /** All that was taken is committed or lost, and whoever waited for that knows. */
  get isSettled(): boolean {
    const { tickets } = this
    const isEmpty =
      (this.#builder?.recordCount ?? 0) === 0 && (tickets === undefined || tickets.committed === tickets.issued)
    return isEmpty && this.#engine.highWatermark === this.#engine.logEndOffset
  }

  #counted<Answer>(answer: Promise<Answer>): Promise<Answer> {
    this.#reads += 1
    return answer.finally(() => void (this.#reads -= 1))
  }

  /** The batch is there: its producer is told so when it is committed. */
  #repeated({ state: { repeat } }: LogProducers): number {
    this.isRepeat = true
    this.producedTicket = this.#commits?.again(repeat.endOffset, this.#engine.highWatermark) ?? 0
    return repeat.baseOffset
  }

  /** Whether offsets below `endOffset` may be given out. */
  #mayEndAt(endOffset: number): boolean {
    return endOffset <= this.#reservation.askAt || this.#reservation.admits(endOffset, this.#engine.leaderEpoch)
  }

  /** In mode memory what was acknowledged can lie gathered; in the others it is committed, and more is not to be seen. */
  #sealForReader(): void {
    if (this.#commits === undefined) this.seal()
  }

  /** Appends at the offset that was counted on; an engine that has moved its end without a word has lost what it had. */
  #append(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    if (this.#engine.logEndOffset !== this.#endOffset) {
      this.failed()
      return FAILED
    }
    const failures = this.#failures
    const baseOffset = this.#engine.tryAppendUnsafe(bytes, start, end, recordCount)
    // The engine told of a failure out of its append: this batch is lost with the others.
    if (this.#failures !== failures) return FAILED
    assert(baseOffset < 0 || baseOffset === this.#endOffset, "a batch gets the offsets that were counted on")
    return baseOffset
  }

  #appended(records: number, bytes: number): void {
    this.#endOffset += records
    this.producers?.counted(bytes)
    const commits = this.#commits
    if (commits !== undefined) {
      commits.appended(this.#endOffset)
      const highWatermark = this.#engine.highWatermark
      commits.settle(highWatermark)
      // The rest is told of when it is committed.
      if (highWatermark < this.#endOffset) return
    }
    this.#waiters?.advanced(this)
  }
}
