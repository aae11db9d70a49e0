/**
 * A client that wants every retained message once, or every stored one: the RETAIN flag, topic name and payload of each are checked.
 *
 * Invariant: a message counts the first time it comes unharmed under its own topic name; everything else is a fault.
 */
import { MARKER, type ProtocolLevel, PUBLISH, readU16, readU32 } from "./frames.ts"
import { Peer } from "./Peer.ts"
import { afterProperties } from "./Subscriber.ts"

const decoder = new TextDecoder()

export class RetainedSubscriber extends Peer {
  delivered = 0
  duplicates = 0
  /** Messages that nobody retained. */
  stray = 0
  /** With the RETAIN flag where it has none to have, or without, on another name than their own, cut or changed. */
  corrupt = 0
  /** Moment of the first and of the last new message (performance.now()); 0 before. */
  firstMs = 0
  lastMs = 0
  readonly #seen: Uint8Array
  readonly #topicNameOf: (index: number) => string
  readonly #payloadBytes: number
  readonly #isRetained: boolean
  #chunkAtMs = 0

  constructor(
    level: ProtocolLevel,
    options: {
      readonly messages: number
      readonly payloadBytes: number
      readonly topicNameOf: (index: number) => string
      /** Whether each has to have the RETAIN flag, or none may. */
      readonly isRetained?: boolean
    }
  ) {
    super(level)
    this.#seen = new Uint8Array(options.messages)
    this.#payloadBytes = options.payloadBytes
    this.#topicNameOf = options.topicNameOf
    this.#isRetained = options.isRetained ?? true
  }

  override onData(chunk: Uint8Array): void {
    this.#chunkAtMs = performance.now()
    super.onData(chunk)
  }

  protected override receive(bytes: Uint8Array, start: number, body: number, end: number): void {
    const first = bytes[start] as number
    if (first >> 4 !== PUBLISH) {
      this.malformed++
      return
    }
    const topicEnd = body + 2 + readU16(bytes, body)
    let payload = topicEnd
    if ((first & 6) !== 0) {
      this.answer(0x40, bytes[payload] as number, bytes[payload + 1] as number)
      payload += 2
    }
    if (this.level === 5) payload = afterProperties(bytes, payload)
    const isRetained = (first & 1) === 1
    if (isRetained !== this.#isRetained || end - payload !== this.#payloadBytes || bytes[end - 1] !== MARKER) {
      this.corrupt++
      return
    }
    const index = readU32(bytes, payload)
    if (index >= this.#seen.length) this.stray++
    else if (this.#seen[index] === 1) this.duplicates++
    else if (decoder.decode(bytes.subarray(body + 2, topicEnd)) !== this.#topicNameOf(index)) this.corrupt++
    else {
      this.#seen[index] = 1
      this.delivered++
      if (this.firstMs === 0) this.firstMs = this.#chunkAtMs
      this.lastMs = this.#chunkAtMs
    }
  }

  protected override afterChunk(): void {
    this.flushAnswers()
  }
}
