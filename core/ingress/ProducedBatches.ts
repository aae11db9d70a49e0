/**
 * Batches that a Kafka client produced: stored as sent, then, record by record, on their way to MQTT subscribers.
 *
 * A record goes out on the topic name in its key where this topic is that name's home; else on the binding's own name where that
 * has no wildcard (the key then travels as `manifold-key`); else it is stored, not delivered, and counted.
 */
import type { PartitionLog } from "../log/PartitionLog.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { Resolutions } from "../router/Resolutions.ts"
import type { ShardRouter } from "../router/Router.ts"
import { checkTopicNameBytes } from "../router/topic-filter.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import type { ShardTopics } from "../topics/Topics.ts"
import { Message } from "./Message.ts"
import { fillFromRecord } from "./record-message.ts"
import type { QueueAppender } from "./ShardIngress.ts"

const encoder = new TextEncoder()

export class ProducedBatches {
  /** Records stored but not delivered because no topic name is theirs. */
  unnamedCount = 0
  /** Records stored that the queue log had no room for. */
  unqueuedCount = 0
  /** Batches stored whose records could not be read for delivery. */
  unreadableCount = 0
  readonly #topics: ShardTopics
  readonly #router: ShardRouter
  readonly #resolutions: Resolutions
  readonly #cursor = new RecordCursor()
  readonly #message = new Message()
  readonly #clock: ClockShape
  /** The own name of the topic that was last produced to, as bytes. */
  #ownTopic: TopicInfo | undefined
  #ownName: Uint8Array | undefined

  readonly #queueLog: QueueAppender

  constructor(
    topics: ShardTopics,
    router: ShardRouter,
    resolutions: Resolutions,
    queueLog: QueueAppender,
    clock: ClockShape
  ) {
    this.#queueLog = queueLog
    this.#topics = topics
    this.#router = router
    this.#resolutions = resolutions
    this.#clock = clock
  }

  /** Appends a checked batch and routes its records; returns the base offset or the engine's refusal. */
  appendUnsafe(log: PartitionLog, bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    const baseOffset = log.appendUnsafe(bytes, start, end, recordCount)
    if (baseOffset < 0 || this.#router.isEmpty) return baseOffset
    const cursor = this.#cursor
    if (cursor.reset(bytes, start, end) !== 0) this.unreadableCount += 1
    else if (!cursor.isControl) this.#route(log, baseOffset)
    cursor.release()
    return baseOffset
  }

  #route(log: PartitionLog, baseOffset: number): void {
    const cursor = this.#cursor
    const message = this.#message
    const ownName = this.#nameOf(log.topic)
    while (cursor.next()) {
      fillFromRecord(message, cursor, false)
      message.tenant = log.topic.tenant
      // A producer's timestamp may lie anywhere; what travels on is a time that can be written as one.
      if (!(message.timestamp >= 0)) message.timestamp = this.#clock.nowMs()
      if (!this.#name(log.topic, ownName)) {
        this.unnamedCount += 1
        continue
      }
      message.begin()
      const resolution = this.#resolutions.resolveUnsafe(message)
      if (resolution === undefined) continue
      message.partition = log.partition
      message.offset = baseOffset + cursor.offsetDelta
      // The batch is stored: what durable sessions want of it cannot be refused any more, only missed, and is counted.
      if (resolution.queued && this.#queueLog.appendUnsafe(message) < 0) this.unqueuedCount += 1
      this.#router.dispatchUnsafe(message, resolution)
    }
    if (cursor.refusal !== 0) this.unreadableCount += 1
  }

  /** Gives the message its topic name; false where it has none. */
  #name(topic: TopicInfo, ownName: Uint8Array | undefined): boolean {
    const cursor = this.#cursor
    const message = this.#message
    if (cursor.keyStart >= 0 && this.#isNameOf(topic, ownName)) {
      message.topic = cursor.bytes
      message.topicStart = cursor.keyStart
      message.topicEnd = cursor.keyEnd
      return true
    }
    if (ownName === undefined) return false
    message.topic = ownName
    message.topicStart = 0
    message.topicEnd = ownName.length
    if (cursor.keyStart >= 0) {
      message.keyStart = cursor.keyStart
      message.keyEnd = cursor.keyEnd
    }
    return true
  }

  /** Whether the key at the cursor is a topic name whose home is this topic. */
  #isNameOf(topic: TopicInfo, ownName: Uint8Array | undefined): boolean {
    const { bytes, keyStart, keyEnd } = this.#cursor
    // Without a wildcard in the binding there is one such name only.
    if (ownName !== undefined) return sameBytes(bytes, keyStart, keyEnd, ownName)
    if (checkTopicNameBytes(bytes, keyStart, keyEnd) !== 0) return false
    const message = this.#message
    message.topic = bytes
    message.topicStart = keyStart
    message.topicEnd = keyEnd
    message.begin()
    return this.#resolutions.resolveUnsafe(message)?.home?.id === topic.id
  }

  #nameOf(topic: TopicInfo): Uint8Array | undefined {
    if (this.#ownTopic !== topic) {
      const name = this.#topics.directory.ownName(topic)
      this.#ownTopic = topic
      this.#ownName = name === undefined ? undefined : encoder.encode(name)
    }
    return this.#ownName
  }
}

function sameBytes(bytes: Uint8Array, start: number, end: number, other: Uint8Array): boolean {
  if (end - start !== other.length) return false
  for (let index = 0; index < other.length; index++) if (bytes[start + index] !== other[index]) return false
  return true
}
