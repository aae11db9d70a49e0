/**
 * A subscriber: finds publisher and sequence number in each PUBLISH by offset, books it, answers it.
 *
 * Invariants
 *  - A delivery counts only with the length, the marker and the place of the payload that the publisher gave it.
 *  - QoS 1 is answered by PUBACK; QoS 2 by PUBREC, then PUBCOMP for PUBREL. Answers leave once per chunk, in order.
 */
import { MARKER, type ProtocolLevel, PUBLISH, PUBREL, readU16, readU32 } from "./frames.ts"
import { Peer } from "./Peer.ts"
import type { Run } from "./Run.ts"

export class Subscriber extends Peer {
  readonly index: number
  readonly #run: Run
  readonly #payloadBytes: number
  /** Packet Identifiers of QoS 2 messages that are not released yet; made with the first of them. */
  #unreleased: Uint8Array | undefined
  #chunkAtMs = 0

  constructor(
    run: Run,
    options: { readonly level: ProtocolLevel; readonly index: number; readonly payloadBytes: number }
  ) {
    super(options.level)
    this.#run = run
    this.index = options.index
    this.#payloadBytes = options.payloadBytes
  }

  override onData(chunk: Uint8Array): void {
    if (this.#run.onDelivery !== undefined) this.#chunkAtMs = performance.now()
    super.onData(chunk)
  }

  protected override receive(bytes: Uint8Array, start: number, body: number, end: number): void {
    const first = bytes[start] as number
    if (first >> 4 !== PUBLISH) {
      this.#receiveRelease(first, bytes, body, end)
      return
    }
    const qos = (first >> 1) & 3
    let payload = body + 2 + readU16(bytes, body)
    if (qos > 0) {
      const high = bytes[payload] as number
      const low = bytes[payload + 1] as number
      payload += 2
      if (!this.#acknowledge(qos, high, low)) return
    }
    if (this.level === 5) payload = afterProperties(bytes, payload)
    if (end - payload !== this.#payloadBytes || bytes[end - 1] !== MARKER) {
      this.#run.corrupt++
      return
    }
    const publisher = readU32(bytes, payload)
    const sequence = readU32(bytes, payload + 4)
    this.#run.ledger.record(this.index, publisher, sequence)
    this.#run.onDelivery?.(publisher, sequence, this.#chunkAtMs)
  }

  protected override afterChunk(): void {
    this.flushAnswers()
    this.#run.resumeTouched()
  }

  /** Queues the answer; false where a QoS 2 message came a second time before its PUBREL and is not to be booked. */
  #acknowledge(qos: number, high: number, low: number): boolean {
    if (qos === 1) {
      this.answer(0x40, high, low)
      this.#run.acknowledgementsSent++
      return true
    }
    this.answer(0x50, high, low)
    this.#unreleased ??= new Uint8Array(65_536)
    const identifier = (high << 8) | low
    const isNew = this.#unreleased[identifier] === 0
    this.#unreleased[identifier] = 1
    return isNew
  }

  #receiveRelease(first: number, bytes: Uint8Array, body: number, end: number): void {
    if (first >> 4 !== PUBREL || end - body < 2) {
      this.malformed++
      return
    }
    const identifier = readU16(bytes, body)
    if (this.#unreleased?.[identifier] === 1) this.#unreleased[identifier] = 0
    else this.#run.unexpectedAcknowledgements++
    this.answer(0x70, bytes[body] as number, bytes[body + 1] as number)
    this.#run.acknowledgementsSent++
  }
}

/** Where the payload begins whose properties begin at `position` (MQTT 5.0, section 2.2.2). */
export function afterProperties(bytes: Uint8Array, position: number): number {
  let length = 0
  let at = position
  for (let factor = 1; factor <= 128 ** 3; factor *= 128) {
    const byte = bytes[at++] as number
    length += (byte & 127) * factor
    if (byte < 128) break
  }
  return at + length
}
