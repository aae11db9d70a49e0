/** Publishing one message at a time, with a promise for each. */
import { ACCEPTED_PENDING, checkTopicName, Message, TOPIC_REFUSALS } from "../../core/mod.ts"
import { PublishError, publishError, REFUSED_CLOSED } from "./errors.ts"
import { fillMessage, PublishLine } from "./PublishLine.ts"
import { type EncodedProperties, encodeProperties, type MessageProperties } from "./properties.ts"

export interface PublishOptions extends MessageProperties {
  /**
   * 1 where it is left out. With 0 nothing is promised: the promise settles when the message is taken, and only a refusal at once is
   * told. Subscribers get the lower one of this and what they subscribed with.
   */
  readonly qos?: 0 | 1 | 2
  /** Whether the broker keeps it for later subscribers of its name. */
  readonly retain?: boolean
}

/** Characters of a name in a message for a person. */
const SHOWN_MAX = 80

interface Waiting {
  readonly topicName: string
  readonly resolve: () => void
  readonly reject: (error: PublishError) => void
  outcome: number
}

const encoder = new TextEncoder()
/** For a program without types. */
export const NO_BYTES = "a payload is a Uint8Array"

export class SinglePublishes extends PublishLine {
  readonly #message = new Message()
  readonly #waiting = new Map<number, Waiting>()
  readonly #done: Array<Waiting> = []
  #lastToken = 0

  /** Publishes; the bytes are copied before this returns. Rejects with {@link PublishError}. */
  publish(topicName: string, payload: Uint8Array | string, options: PublishOptions): Promise<void> {
    const properties = readProperties(topicName, options)
    if (properties instanceof PublishError) return Promise.reject(properties)
    const message = this.#message
    const body = typeof payload === "string" ? encoder.encode(payload) : payload
    if (!(body instanceof Uint8Array)) return Promise.reject(new TypeError(NO_BYTES))
    const { nowMs } = this.services.clock
    fillMessage(message, encoder.encode(topicName), options.qos ?? 1, options.retain ?? false)
    message.payload = body
    message.payloadEnd = body.length
    message.timestamp = nowMs()
    setProperties(message, properties)
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { topicName, resolve, reject, outcome: 0 }
      const token = ++this.#lastToken
      message.begin()
      const outcome = this.sendUnsafe(message, token)
      if (outcome === ACCEPTED_PENDING) this.#waiting.set(token, waiting)
      else this.#settle(waiting, outcome)
    })
  }

  override close(): void {
    for (const waiting of this.#waiting.values()) waiting.reject(publishError(waiting.topicName, REFUSED_CLOSED))
    this.#waiting.clear()
    this.tell()
  }

  protected override acknowledged(outcome: number, token: number): void {
    const waiting = this.#waiting.get(token)
    this.#waiting.delete(token)
    if (waiting !== undefined) this.#settle(waiting, outcome)
  }

  protected override tell(): void {
    for (const { topicName, outcome, resolve, reject } of this.#done) {
      if (outcome < 0) reject(publishError(topicName, outcome))
      else resolve()
    }
    this.#done.length = 0
  }

  #settle(waiting: Waiting, outcome: number): void {
    waiting.outcome = outcome
    this.#done.push(waiting)
    this.tellAtEndOfTurn()
  }
}

/** The properties of a message, or why it cannot be published. */
export function readProperties(topicName: string, options: PublishOptions): EncodedProperties | PublishError {
  const refusal = checkTopicName(topicName)
  if (refusal !== 0) {
    const message = `"${topicName.slice(0, SHOWN_MAX)}" ${TOPIC_REFUSALS[refusal] ?? "is no topic name"}`
    return new PublishError({ topicName, reason: "topic-name", message })
  }
  const { qos = 1 } = options
  const isQos = qos === 0 || qos === 1 || qos === 2
  const properties = isQos ? encodeProperties(options) : "QoS is 0, 1 or 2"
  if (typeof properties !== "string") return properties
  return new PublishError({ topicName, reason: "properties", message: properties })
}

/** Sets headers and expiry; the message's timestamp is set already. */
export function setProperties(message: Message, { bytes, count, expiryMs }: EncodedProperties): void {
  message.headers = bytes
  message.headersStart = 0
  message.headersEnd = bytes.length
  message.headerCount = count
  message.expiresAtMs = expiryMs < 0 ? 0 : message.timestamp + expiryMs
}
