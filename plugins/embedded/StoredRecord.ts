/** A record as it is stored, copied out of its batch. */
import { type RecordCursor, recordBatch } from "../../core/mod.ts"
import { Content } from "./Content.ts"

const NO_BYTES = new Uint8Array(0)
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

export class StoredRecord extends Content {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Undefined = null. For a message its topic name. */
  readonly key: Uint8Array | undefined
  /** Undefined = null; {@link Content.payload} is then empty. */
  readonly value: Uint8Array | undefined
  /** Whether it was published as a message (MQTT, in process) and not produced by a Kafka client. */
  readonly isMessage: boolean

  /** Copies the record at the cursor. */
  constructor(topic: string, partition: number, cursor: RecordCursor) {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd, headersEnd, headerCount } = cursor
    // Key, value and headers lie side by side: one copy holds them all.
    const from = keyStart >= 0 ? keyStart : valueStart >= 0 ? valueStart : cursor.headersStart
    const own = bytes.slice(from, headersEnd)
    const value = valueStart < 0 ? undefined : own.subarray(valueStart - from, valueEnd - from)
    const start = cursor.headersStart - from
    const gathered = (cursor.attributes & recordBatch.GATHERED) !== 0
    const source = { bytes: own, start, end: own.length, count: headerCount, gathered }
    super(value ?? NO_BYTES, cursor.timestamp, source)
    this.topic = topic
    this.partition = partition
    this.offset = cursor.offset
    this.key = keyStart < 0 ? undefined : own.subarray(keyStart - from, keyEnd - from)
    this.value = value
    this.isMessage = gathered
  }

  /** The topic name that it was published on; undefined for what a Kafka client produced. */
  get topicName(): string | undefined {
    return this.isMessage && this.key !== undefined ? decoder.decode(this.key) : undefined
  }

  /** As it was published; 0 for what a Kafka client produced. */
  get qos(): number {
    return this.decoded.qos
  }

  /** Whether it was published to be retained. */
  get retain(): boolean {
    return this.decoded.retain
  }
}
