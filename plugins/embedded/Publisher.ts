/**
 * Publishing many messages on one topic name: everything but the payload is made ready once, and no promise is made for a message.
 *
 * Invariants
 *  - `publishUnsafe` copies the payload before it returns and allocates nothing of its own.
 *  - `flush` settles when everything that was taken before it is as safe as its mode promises and was handed to who subscribes.
 */
import { ACCEPTED_PENDING, Message } from "../../core/mod.ts"
import { type PublishError, publishError, REFUSED_CLOSED } from "./errors.ts"
import { fillMessage, type Lines, PublishLine } from "./PublishLine.ts"
import type { EncodedProperties } from "./properties.ts"
import type { Services } from "./Services.ts"
import { NO_BYTES, setProperties } from "./SinglePublishes.ts"

interface Flush {
  /** Tells when so many are acknowledged. */
  readonly after: number
  readonly resolve: () => void
  readonly reject: (error: PublishError) => void
}

export class Publisher extends PublishLine {
  readonly topicName: string
  readonly #message = new Message()
  readonly #expiryMs: number
  #sent = 0
  #acknowledged = 0
  /** Of those that were refused or lost after they were taken, since the last flush that told: the first one's number. */
  #refusal = 0
  #flushes: Array<Flush> = []

  constructor(
    services: Services,
    lines: Lines,
    topicName: string,
    properties: EncodedProperties,
    qos: number,
    retain: boolean
  ) {
    super(services, lines)
    this.topicName = topicName
    this.#expiryMs = properties.expiryMs
    fillMessage(this.#message, new TextEncoder().encode(topicName), qos, retain)
    setProperties(this.#message, properties)
  }

  /**
   * Publishes one message. 0 or more: taken, and {@link Publisher.flush} tells when it is safe. Less: refused, without any effect; -201
   * says that too much waits: await a flush, then go on.
   */
  publishUnsafe(payload: Uint8Array): number {
    if (!(payload instanceof Uint8Array)) throw new TypeError(NO_BYTES)
    const message = this.#message
    const nowMs = this.services.clock.nowMs()
    message.payload = payload
    message.payloadEnd = payload.length
    message.timestamp = nowMs
    if (this.#expiryMs >= 0) message.expiresAtMs = nowMs + this.#expiryMs
    message.begin()
    const outcome = this.sendUnsafe(message, 0)
    if (outcome === ACCEPTED_PENDING) this.#sent += 1
    return outcome
  }

  /** Rejects with {@link PublishError} where a message that was taken has been refused or lost since the last flush that told. */
  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#flushes.push({ after: this.#sent, resolve, reject })
      this.tellAtEndOfTurn()
    })
  }

  override close(): void {
    if (this.pending > 0 && this.#refusal === 0) this.#refusal = REFUSED_CLOSED
    this.#acknowledged = this.#sent
    this.tell()
  }

  protected override acknowledged(outcome: number): void {
    this.#acknowledged += 1
    if (outcome < 0 && this.#refusal === 0) this.#refusal = outcome
  }

  protected override tell(): void {
    let told = 0
    for (const { after, resolve, reject } of this.#flushes) {
      if (after > this.#acknowledged) break
      told += 1
      if (this.#refusal === 0) resolve()
      else reject(publishError(this.topicName, this.#refusal))
    }
    if (told === 0) return
    this.#flushes.splice(0, told)
    this.#refusal = 0
  }
}
