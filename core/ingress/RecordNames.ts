/**
 * The topic name that a Kafka client's record goes out on: the one in its key where the topic is that name's home; else the binding's own name
 * where that has no wildcard (the key then travels as `manifold-key`); else it has none.
 */
import type { RecordCursor } from "../log/RecordCursor.ts"
import { checkTopicNameBytes, matches } from "../router/topic-filter.ts"
import { bindingAt } from "../topics/former-bindings.ts"
import type { TopicDirectory } from "../topics/TopicDirectory.ts"
import type { FormerBinding, TopicInfo } from "../topics/TopicInfo.ts"
import type { Message } from "./Message.ts"

const encoder = new TextEncoder()

/** Whether a topic is the home of a message's name; the message has just been given it. */
export type IsHome = (message: Message, topic: TopicInfo) => boolean

export class RecordNames {
  readonly #directory: TopicDirectory
  readonly #isHome: IsHome
  /** The own name of the topic that was last asked for, as bytes; an answer of the directory is made anew, and says its id and filter. */
  #ownTopic: TopicInfo | undefined
  #ownName: Uint8Array | undefined
  /** The former binding that was last asked for, and the topic as it was then. */
  #former: FormerBinding | undefined
  #formerTopic: TopicInfo | undefined

  constructor(directory: TopicDirectory, isHome: IsHome) {
    this.#directory = directory
    this.#isHome = isHome
  }

  /** Gives the message of the record at the cursor its topic name; false where it has none. Ranges point into the cursor's bytes. */
  name(topic: TopicInfo, cursor: RecordCursor, message: Message, former?: FormerBinding): boolean {
    const ownName = this.#nameOf(topic)
    if (cursor.keyStart >= 0 && this.#isNameOf(topic, ownName, cursor, message, former)) {
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

  /** The same of a record that is stored, by what its topic was bound to when it was. */
  nameAt(topic: TopicInfo, partition: number, offset: number, cursor: RecordCursor, message: Message): boolean {
    const former = bindingAt(topic, partition, offset)
    if (former === undefined) return this.name(topic, cursor, message)
    // Topics that are alike may share what they were bound to.
    if (this.#former !== former || this.#formerTopic?.id !== topic.id) {
      const { filter: _present, ...rest } = topic
      this.#former = former
      this.#formerTopic = { ...rest, ...(former.filter === undefined ? {} : { filter: former.filter }) }
    }
    return this.#formerTopic !== undefined && this.name(this.#formerTopic, cursor, message, former)
  }

  /** Whether the key at the cursor is a topic name whose home this topic is. */
  #isNameOf(
    topic: TopicInfo,
    ownName: Uint8Array | undefined,
    cursor: RecordCursor,
    message: Message,
    former: FormerBinding | undefined
  ): boolean {
    const { bytes, keyStart, keyEnd } = cursor
    // Without a wildcard in the binding there is one such name only.
    if (ownName !== undefined) return sameBytes(bytes, keyStart, keyEnd, ownName)
    if (checkTopicNameBytes(bytes, keyStart, keyEnd) !== 0) return false
    message.topic = bytes
    message.topicStart = keyStart
    message.topicEnd = keyEnd
    message.begin()
    // Which topics had filters of a higher rank then is not known any more.
    return former === undefined ? this.#isHome(message, topic) : matches(former.filter ?? "", message.name)
  }

  #nameOf(topic: TopicInfo): Uint8Array | undefined {
    if (this.#ownTopic?.id !== topic.id || this.#ownTopic.filter !== topic.filter) {
      const name = this.#directory.ownName(topic)
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
