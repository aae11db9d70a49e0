/**
 * Batches that a Kafka client produced: stored as sent, then, record by record, on their way to MQTT subscribers. A record that has no topic
 * name ({@link RecordNames}) is stored, not delivered, and counted.
 */
import type { JournalShape } from "../journal/Journal.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import { writeTimestampType } from "../log/record-batch.ts"
import type { QueuedBesides } from "../log/ShardLogs.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { Resolutions } from "../router/Resolutions.ts"
import type { ShardRouter } from "../router/Router.ts"
import type { ShardTopics } from "../topics/ShardTopics.ts"
import type { TopicDirectory } from "../topics/TopicDirectory.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { settingsOf } from "../topics/topic-settings.ts"
import { Message } from "./Message.ts"
import { RecordNames } from "./RecordNames.ts"
import { fillFromRecord } from "./record-message.ts"
import type { QueueAppender } from "./ShardIngress.ts"

export class ProducedBatches {
  /** Records stored but not delivered because no topic name is theirs. */
  unnamedCount = 0
  /** Records stored that the queue log had no room for. */
  unqueuedCount = 0
  /** Batches stored whose records could not be read for delivery. */
  unreadableCount = 0
  /** See {@link LocalAppend.queued}. */
  readonly queued: QueuedBesides
  readonly #router: ShardRouter
  readonly #resolutions: Resolutions
  readonly #cursor = new RecordCursor()
  readonly #message = new Message()
  readonly #clock: ClockShape
  readonly #directory: Pick<TopicDirectory, "findById">
  readonly #names: RecordNames
  readonly #queueLog: QueueAppender

  constructor(
    topics: ShardTopics,
    router: ShardRouter,
    resolutions: Resolutions,
    queueLog: QueueAppender,
    journal: Pick<JournalShape, "tickets" | "isHeldUp">,
    clock: ClockShape
  ) {
    this.queued = {
      tickets: journal.tickets,
      ticket: 0,
      get isHeldUp(): boolean {
        return journal.isHeldUp === true && !router.isUnwanted
      }
    }
    this.#queueLog = queueLog
    this.#router = router
    this.#resolutions = resolutions
    this.#clock = clock
    this.#directory = topics.directory
    this.#names = new RecordNames(
      topics.directory,
      (message, topic) => resolutions.resolveUnsafe(message)?.home?.id === topic.id
    )
  }

  /**
   * Appends a checked batch and routes its records; returns the base offset or why it was refused. Where the append's time is the topic's
   * it is stored with that. One that was appended before is where it was, and was routed then.
   */
  appendUnsafe(log: PartitionLog, bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    // Not that of the log, which may have been opened before the topic was bound as it is now.
    const topic = this.#directory.findById(log.topic.id) ?? log.topic
    if (settingsOf(topic).timestampType === "create") {
      log.producedTimeMs = -1
      return this.#append(log, topic, bytes, start, end, recordCount)
    }
    const nowMs = this.#clock.nowMs()
    // The bytes are the connection's.
    const stamped = bytes.slice(start, end)
    writeTimestampType(stamped, 0, stamped.length, true, nowMs)
    const baseOffset = this.#append(log, topic, stamped, 0, stamped.length, recordCount)
    log.producedTimeMs = log.isRepeat ? (log.producers?.state.repeat.timestamp ?? -1) : nowMs
    return baseOffset
  }

  #append(
    log: PartitionLog,
    topic: TopicInfo,
    bytes: Uint8Array,
    start: number,
    end: number,
    recordCount: number
  ): number {
    const baseOffset = log.appendUnsafe(bytes, start, end, recordCount)
    // What came with the first of them may be on its way still.
    this.queued.ticket = log.isRepeat ? this.queued.tickets.issued : 0
    if (baseOffset < 0 || log.isRepeat || this.#router.isEmpty) return baseOffset
    const cursor = this.#cursor
    if (cursor.reset(bytes, start, end) !== 0) this.unreadableCount += 1
    else if (!cursor.isControl) this.#route(log, topic, baseOffset)
    cursor.release()
    return baseOffset
  }

  #route(log: PartitionLog, topic: TopicInfo, baseOffset: number): void {
    const cursor = this.#cursor
    const message = this.#message
    while (cursor.next()) {
      fillFromRecord(message, cursor, false)
      message.tenant = topic.tenant
      // A producer's timestamp may lie anywhere; what travels on is a time that can be written as one.
      if (!(message.timestamp >= 0)) message.timestamp = this.#clock.nowMs()
      if (!this.#names.name(topic, cursor, message)) {
        this.unnamedCount += 1
        continue
      }
      message.begin()
      const resolution = this.#resolutions.resolveUnsafe(message)
      if (resolution === undefined) continue
      message.partition = log.partition
      message.offset = baseOffset + cursor.offsetDelta
      // The batch is stored: what durable sessions want of it cannot be refused any more, only missed, and is counted.
      if (resolution.queued) this.#queue(message)
      this.#router.dispatchUnsafe(message, resolution)
    }
    if (cursor.refusal !== 0) this.unreadableCount += 1
  }

  #queue(message: Message): void {
    if (this.#queueLog.appendUnsafe(message) < 0) this.unqueuedCount += 1
    else this.queued.ticket = this.queued.tickets.issued
  }
}
