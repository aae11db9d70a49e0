/** A message as a subscriber inside the process gets it: with bytes of its own, one copy for each subscription. */
import type { Message } from "../../core/mod.ts"
import { Content, NO_HEADERS } from "./Content.ts"

/** What the object costs beside its bytes, about. */
const OBJECT_BYTES = 256

export class ReceivedMessage extends Content {
  readonly topicName: string
  /** The lower one of what it was published with and what the subscription asked for. */
  readonly qos: number
  /** Whether it was there before the subscription: a retained message. */
  readonly retain: boolean
  /** Where its topic stores it; undefined where nothing does. */
  readonly partition: number | undefined
  readonly offset: number | undefined
  /** The key of a Kafka record where it is not the topic name. */
  readonly key: Uint8Array | undefined
  /** Milliseconds since 1970 after which it is not handed out any more; 0 = never. */
  readonly expiresAtMs: number
  /** What it counts against a queue's bound. */
  readonly sizeBytes: number

  /** Copies what it needs of `message`. */
  constructor(message: Message, qos: number, retain: boolean) {
    const { headers, headersStart, headersEnd, headerCount, gathered, keyStart } = message
    const own = headerCount === 0 ? NO_HEADERS.bytes : headers.slice(headersStart, headersEnd)
    const source =
      headerCount === 0 ? NO_HEADERS : { bytes: own, start: 0, end: own.length, count: headerCount, gathered }
    super(message.payload.slice(message.payloadStart, message.payloadEnd), message.timestamp, source)
    this.topicName = message.name
    this.qos = qos
    this.retain = retain
    this.partition = message.partition < 0 ? undefined : message.partition
    this.offset = message.offset < 0 ? undefined : message.offset
    this.key = keyStart < 0 ? undefined : headers.slice(keyStart, message.keyEnd)
    this.expiresAtMs = message.expiresAtMs
    this.sizeBytes = this.payload.length + own.length + (this.key?.length ?? 0) + OBJECT_BYTES
  }
}
