/**
 * A message inside the broker, in the neutral form of the stored record: topic name, value, headers, and the few facts that
 * routing needs. Ranges point into buffers that belong to whoever fills the message in.
 *
 * One scratch instance a shard serves all traffic; its ranges hold until the call it was passed to returns. Who keeps a message
 * takes {@link Message.owned}, one copy that all keepers share.
 */
import { copyBytes } from "../copy-bytes.ts"
import type { ByteReader, ByteWriter } from "../link/bytes.ts"

const NONE = new Uint8Array(0)
let lastSequence = 0
// A leading U+FEFF is part of the name [MQTT-1.5.4-3].
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

export class Message {
  tenant = 0
  /** Topic name, UTF-8, checked. */
  topic: Uint8Array = NONE
  topicStart = 0
  topicEnd = 0
  payload: Uint8Array = NONE
  payloadStart = 0
  payloadEnd = 0
  /** Record headers (Kafka record v2 encoding, without their count); without mqtt.qos and mqtt.retain. */
  headers: Uint8Array = NONE
  headersStart = 0
  headersEnd = 0
  headerCount = 0
  /** Whether the headers are ours to obey (`mqtt.*`); false for what a Kafka client sent. */
  gathered = true
  /** The key of a Kafka record where it is not the topic name; -1 = none. Points into {@link Message.headers}' buffer. */
  keyStart = -1
  keyEnd = -1
  qos = 0
  retain = false
  /** Milliseconds since 1970: when the broker got it, or what its Kafka producer said. */
  timestamp = 0
  /** Milliseconds since 1970 after which it is not delivered any more; 0 = never. */
  expiresAtMs = 0
  /** Client identifier of the publisher, for "no local"; "" = none. Never shown to subscribers. */
  publisher = ""
  /** The stored place; -1 = not stored. */
  partition = -1
  offset = -1
  /** The queue log that keeps it for durable sessions, and its offset there; -1 = in none. */
  queue = -1
  queueOffset = -1
  /** Its publisher can keep it for a while: it is not held here where storage has no room just now ({@link HELD_UP}). */
  canWait = false
  /** Names a message that is stored once though its sender may hand it over twice; "" = none. Not part of what is stored. */
  token = ""
  /** The bytes as they came, where the protocol can send them on unchanged; what `wireFormat` means is the protocol's affair, 0 = none. */
  wire: Uint8Array = NONE
  wireStart = 0
  wireEnd = 0
  wireFormat = 0
  /** How many places keep this owned copy; counted by those who keep it. */
  holders = 0
  /** Differs between any two messages of this process: the key of what is derived from one. */
  sequence = 0
  #owned: Message | undefined
  #name: string | undefined

  /** Forgets what was derived from the last contents. Call it after the fields were set anew. */
  begin(): void {
    this.sequence = ++lastSequence
    this.#owned = undefined
    this.#name = undefined
    this.partition = -1
    this.offset = -1
    this.queue = -1
    this.queueOffset = -1
  }

  /** The topic name as text; decoded once. */
  get name(): string {
    this.#name ??= decoder.decode(this.topic.subarray(this.topicStart, this.topicEnd))
    return this.#name
  }

  set name(value: string) {
    this.#name = value
  }

  /** Bytes that an owned copy holds. */
  get sizeBytes(): number {
    return (
      this.topicEnd -
      this.topicStart +
      (this.payloadEnd - this.payloadStart) +
      (this.headersEnd - this.headersStart) +
      (this.keyStart < 0 ? 0 : this.keyEnd - this.keyStart) +
      128
    )
  }

  /** A copy that stays valid; the same one for all who ask while this message is dealt with. */
  owned(): Message {
    if (this.#owned === undefined) {
      const copy = this.#copy()
      copy.#owned = copy
      this.#owned = copy
    }
    return this.#owned
  }

  /** A copy of its own that lies in no queue log, and has this place. */
  placed(partition: number, offset: number): Message {
    const copy = this.#copy()
    copy.#owned = copy
    copy.queue = -1
    copy.queueOffset = -1
    copy.partition = partition
    copy.offset = offset
    return copy
  }

  #copy(): Message {
    const topicLength = this.topicEnd - this.topicStart
    const payloadLength = this.payloadEnd - this.payloadStart
    const headersLength = this.headersEnd - this.headersStart
    const keyLength = this.keyStart < 0 ? 0 : this.keyEnd - this.keyStart
    const bytes = new Uint8Array(topicLength + payloadLength + headersLength + keyLength)
    copyBytes(this.topic, this.topicStart, this.topicEnd, bytes, 0)
    copyBytes(this.payload, this.payloadStart, this.payloadEnd, bytes, topicLength)
    const headersStart = topicLength + payloadLength
    copyBytes(this.headers, this.headersStart, this.headersEnd, bytes, headersStart)
    const copy = new Message()
    copy.sequence = ++lastSequence
    if (this.keyStart >= 0) {
      copy.keyStart = headersStart + headersLength
      copy.keyEnd = copy.keyStart + keyLength
      copyBytes(this.headers, this.keyStart, this.keyEnd, bytes, copy.keyStart)
    }
    copy.tenant = this.tenant
    copy.topic = bytes
    copy.topicEnd = topicLength
    copy.payload = bytes
    copy.payloadStart = topicLength
    copy.payloadEnd = headersStart
    copy.headers = bytes
    copy.headersStart = headersStart
    copy.headersEnd = headersStart + headersLength
    copy.headerCount = this.headerCount
    copy.gathered = this.gathered
    copy.qos = this.qos
    copy.retain = this.retain
    copy.timestamp = this.timestamp
    copy.expiresAtMs = this.expiresAtMs
    copy.publisher = this.publisher
    copy.partition = this.partition
    copy.offset = this.offset
    copy.queue = this.queue
    copy.queueOffset = this.queueOffset
    copy.#name = this.#name
    return copy
  }

  /** Writes the message as plain data for another shard. */
  encode(writer: ByteWriter): void {
    writer.uint32(this.tenant)
    writer.uint8(this.qos | (this.retain ? 4 : 0) | (this.gathered ? 8 : 0) | (this.keyStart >= 0 ? 16 : 0))
    writer.uint53(Math.max(0, this.timestamp))
    writer.uint53(this.expiresAtMs)
    writer.uint53(this.partition + 1)
    writer.uint53(this.offset + 1)
    writer.uint32(this.queue + 1)
    writer.uint53(this.queueOffset + 1)
    writer.text(this.publisher)
    writer.block(this.topic, this.topicStart, this.topicEnd)
    writer.block(this.payload, this.payloadStart, this.payloadEnd)
    writer.uint32(this.headerCount)
    writer.block(this.headers, this.headersStart, this.headersEnd)
    if (this.keyStart >= 0) writer.block(this.headers, this.keyStart, this.keyEnd)
  }

  /** Takes over what {@link Message.encode} wrote; ranges point into the reader's bytes. */
  decode(reader: ByteReader): void {
    const bytes = reader.bytes
    this.tenant = reader.uint32()
    const flags = reader.uint8()
    this.qos = flags & 3
    this.retain = (flags & 4) !== 0
    this.gathered = (flags & 8) !== 0
    this.timestamp = reader.uint53()
    this.expiresAtMs = reader.uint53()
    const partition = reader.uint53() - 1
    const offset = reader.uint53() - 1
    const queue = reader.uint32() - 1
    const queueOffset = reader.uint53() - 1
    this.publisher = reader.text()
    this.topic = bytes
    this.topicStart = reader.blockStart()
    this.topicEnd = reader.position
    this.payload = bytes
    this.payloadStart = reader.blockStart()
    this.payloadEnd = reader.position
    this.headerCount = reader.uint32()
    this.headers = bytes
    this.headersStart = reader.blockStart()
    this.headersEnd = reader.position
    this.keyStart = -1
    this.keyEnd = -1
    if ((flags & 16) !== 0) {
      this.keyStart = reader.blockStart()
      this.keyEnd = reader.position
    }
    this.wireFormat = 0
    this.begin()
    this.partition = partition
    this.offset = offset
    this.queue = queue
    this.queueOffset = queueOffset
  }
}
