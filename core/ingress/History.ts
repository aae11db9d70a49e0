/**
 * What topics have stored, as the messages that it was or would be delivered as: for whoever wants a topic name's past, in the order in which it
 * was stored.
 *
 * A reader keeps an offset in each partition and reads on from there; it is told when there is more ({@link LogsShape.watch}). Nothing is kept
 * for it here.
 *
 * Invariants
 *  - Nobody sees past the high watermark; below it each record that has a name which matches is visited once, in the order of offsets.
 *  - A reading that stops for want of room goes on with the record that had none, in a batch that is kept open meanwhile.
 *  - A batch that cannot be read is passed over and counted, as it is on its way to subscribers.
 */
import { Context } from "effect"
import { type LogsShape, OUT_OF_RANGE, type ReadResult } from "../log/Logs.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import { baseOffset, batchSize, crc, lastOffsetDelta } from "../log/record-batch.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { matches } from "../router/topic-filter.ts"
import type { TopicDirectory } from "../topics/TopicDirectory.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { Message } from "./Message.ts"
import { OpenBatches } from "./OpenBatches.ts"
import { RecordNames } from "./RecordNames.ts"
import { fillFromRecord } from "./record-message.ts"

/** Stored bytes that are read at once. */
const READ_BYTES_MAX = 262_144

/** Names of topics that one turn looks at: about a millisecond. */
const NAMES_PER_TURN = 500

/** Takes a message, borrowed during the call; false where it has no room for it: reading stops there. */
export type HistoryVisitor = (message: Message) => boolean

/** What one reading may bring: at least one message, whatever its size. */
export interface HistoryRoom {
  readonly messages: number
  readonly bytes: number
}

/** Where to read on. */
export interface HistoryPlace {
  readonly offset: number
  /** Which log that is an offset of, see {@link PartitionState.incarnation}; undefined = whichever there is. Of another one nothing is read. */
  readonly incarnation: number | undefined
}

export interface HistoryRead {
  /** 0, or why nothing was read: the partition's refusal, or the offset is another log's, below the log's start or above its high watermark. */
  readonly refusal: number
  /** Where to go on. */
  readonly next: number
  /** Nothing was left at or above `next` at that moment. */
  readonly isAtEnd: boolean
  readonly logStartOffset: number
  readonly highWatermark: number
  /** See {@link PartitionState.endOffset}. */
  readonly endOffset: number
  /** See {@link PartitionState.incarnation}. */
  readonly incarnation: number
}

export interface HistoryShape {
  /** Rises when names may have come to the home of others, for theirs was removed. */
  readonly removals: number
  /** The home of a topic name. */
  homeOf(tenant: number, name: string): TopicInfo | undefined
  /**
   * The homes that names which match a filter may have; undefined where they are more than `max`. Others have their turn meanwhile: a topic that
   * comes to be by then may be among them or not.
   */
  homesOf(tenant: number, filter: string, max: number): Promise<ReadonlyArray<TopicInfo> | undefined>
  /** The topics that were homes of such names, by bindings that were changed since: what they have of them is below the change. */
  formerHomesOf(tenant: number, filter: string): ReadonlyArray<TopicInfo>
  /**
   * Tells of topics that come to be and may be homes of names that match a filter, until what it returns is called. Each is told of before anybody
   * knows it as a home, and its partitions are opened in a later turn.
   */
  watchHomes(tenant: number, filter: string, came: (topic: TopicInfo) => void): () => void
  /**
   * Visits what is stored from `place` on under names that match `filter`, each message borrowed during its visit. Expired ones are visited,
   * too. Rejects where another shard does not answer.
   */
  read(
    topic: TopicInfo,
    partition: number,
    place: HistoryPlace,
    filter: string,
    room: HistoryRoom,
    visit: HistoryVisitor
  ): Promise<HistoryRead>
}

export class History extends Context.Service<History, HistoryShape>()("manifold/core/ingress/History") {}

/** How far a reading has come. */
interface Progress {
  next: number
  messages: number
  bytes: number
}

export class ShardHistory implements HistoryShape {
  /** Batches that could not be read. */
  unreadableCount = 0
  readonly #logs: Pick<LogsShape, "read">
  readonly #directory: TopicDirectory
  readonly #clock: Pick<ClockShape, "immediate" | "after">
  readonly #open: OpenBatches
  readonly #names: RecordNames
  /** Of batches that are not open. */
  #cursor = new RecordCursor()
  readonly #message = new Message()

  constructor(
    logs: Pick<LogsShape, "read">,
    directory: TopicDirectory,
    clock: Pick<ClockShape, "immediate" | "after">
  ) {
    this.#open = new OpenBatches(clock)
    this.#logs = logs
    this.#clock = clock
    this.#directory = directory
    this.#names = new RecordNames(
      directory,
      ({ tenant, name }, topic) => directory.homeOf(tenant, name)?.id === topic.id
    )
  }

  /** Bytes of batches that are kept open for those who read them in several goes. */
  get openBytes(): number {
    return this.#open.bytes
  }

  get removals(): number {
    return this.#directory.removals
  }

  homeOf(tenant: number, name: string): TopicInfo | undefined {
    return this.#directory.homeOf(tenant, name)
  }

  async homesOf(tenant: number, filter: string, max: number): Promise<ReadonlyArray<TopicInfo> | undefined> {
    const found: Array<TopicInfo> = []
    for (let cursor = ""; ; ) {
      const { homes, next } = this.#directory.homesPage(tenant, filter, cursor, NAMES_PER_TURN)
      found.push(...homes)
      if (found.length > max) return undefined
      if (next === undefined) return found.filter(({ id }) => this.#directory.findById(id) !== undefined)
      cursor = next
      await new Promise<void>((goOn) => this.#clock.immediate(goOn))
    }
  }

  formerHomesOf(tenant: number, filter: string): ReadonlyArray<TopicInfo> {
    return this.#directory.formerHomes(tenant, filter)
  }

  watchHomes(tenant: number, filter: string, came: (topic: TopicInfo) => void): () => void {
    return this.#directory.watchHomes(tenant, filter, came)
  }

  async read(
    topic: TopicInfo,
    partition: number,
    { offset, incarnation: wanted }: HistoryPlace,
    filter: string,
    room: HistoryRoom,
    visit: HistoryVisitor
  ): Promise<HistoryRead> {
    const result = await this.#logs.read(topic, partition, offset, READ_BYTES_MAX)
    const { logStartOffset, highWatermark, endOffset, incarnation } = result
    const state = { logStartOffset, highWatermark, endOffset, incarnation }
    const isOther = result.refusal === 0 && wanted !== undefined && wanted !== incarnation
    const refusal = isOther ? OUT_OF_RANGE : result.refusal
    if (refusal !== 0) return { refusal, next: offset, isAtEnd: false, ...state }
    const progress: Progress = { next: offset, messages: room.messages, bytes: room.bytes }
    // A reader may have heard of the topic before it was bound as it is now.
    const now = this.#directory.findById(topic.id) ?? topic
    this.#visitAll(now, partition, result, filter, progress, visit)
    const { next } = progress
    return { refusal: 0, next, isAtEnd: next >= highWatermark, ...state }
  }

  /** Goes through the batches as far as there is room; nothing else happens on this shard meanwhile. */
  #visitAll(
    topic: TopicInfo,
    partition: number,
    { bytes }: ReadResult,
    filter: string,
    progress: Progress,
    visit: HistoryVisitor
  ): void {
    for (let start = 0; start < bytes.length; ) {
      const size = batchSize(bytes, start, bytes.length)
      if (size <= 0) return
      const base = baseOffset(bytes, start)
      const behind = base + lastOffsetDelta(bytes, start) + 1
      const key = `${topic.id}/${partition}/${base}`
      const checksum = crc(bytes, start)
      const found = this.#open.find(key, checksum, progress.next)
      const cursor = found ?? this.#cursor
      const isReadable = found !== undefined || cursor.reset(bytes, start, start + size) === 0
      if (!isReadable) this.unreadableCount += 1
      const isDone =
        !isReadable || cursor.isControl || this.#visitBatch(cursor, topic, partition, base, filter, progress, visit)
      if (!isDone) {
        const isKept = this.#open.stopped(key, checksum, cursor, progress.next)
        if (isKept && cursor === this.#cursor) this.#cursor = new RecordCursor()
      }
      this.#cursor.release()
      if (!isDone) return
      progress.next = Math.max(progress.next, behind)
      start += size
    }
  }

  /** False where room ended before the batch did. */
  #visitBatch(
    cursor: RecordCursor,
    topic: TopicInfo,
    partition: number,
    base: number,
    filter: string,
    progress: Progress,
    visit: HistoryVisitor
  ): boolean {
    const message = this.#message
    while (cursor.next()) {
      const offset = base + cursor.offsetDelta
      if (offset < progress.next) continue
      fillFromRecord(message, cursor, cursor.isGathered)
      message.tenant = topic.tenant
      if (!cursor.isGathered && !this.#names.nameAt(topic, partition, offset, cursor, message)) continue
      message.begin()
      if (!matches(filter, message.name)) continue
      if (progress.messages <= 0 || progress.bytes <= 0) {
        progress.next = offset
        return false
      }
      message.partition = partition
      message.offset = offset
      if (!visit(message)) {
        progress.next = offset
        return false
      }
      progress.messages -= 1
      progress.bytes -= message.sizeBytes
    }
    if (cursor.refusal !== 0) this.unreadableCount += 1
    return true
  }
}
