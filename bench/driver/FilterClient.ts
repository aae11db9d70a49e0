/**
 * A subscriber that changes its subscriptions: many filters a packet, many packets on their way; every answer is counted by its codes.
 *
 * Invariants
 *  - A SUBACK has one code for each filter of its SUBSCRIBE; a code of 0x80 or above is a refusal.
 *  - Packet Identifiers are taken in turn; a caller has far fewer packets open than there are identifiers.
 */
import { subscribeManyFrame, unsubscribeFrame } from "./filter-frames.ts"
import type { QualityOfService } from "./frames.ts"
import { readU16 } from "./frames.ts"
import { afterProperties, Subscriber } from "./Subscriber.ts"

const UNSUBACK = 11
const IDENTIFIER_MAX = 65_535

export class FilterClient extends Subscriber {
  /** Filters that were granted and refused, and filters that were given up, each when its answer came. */
  granted = 0
  refused = 0
  givenUp = 0
  /** Answers to what was not asked, or with another number of codes. */
  unexpected = 0
  /** Called for every answer. */
  onAnswer: () => void = () => {}
  #identifier = 0
  /** Filters by Packet Identifier, while the answer is due. */
  readonly #open = new Map<number, number>()

  /** Packets whose answer is due. */
  get openPackets(): number {
    return this.#open.size
  }

  /** A SUBSCRIBE, to be written by the caller. */
  subscribing(filters: readonly string[], qos: QualityOfService): Uint8Array {
    return subscribeManyFrame(this.level, this.#take(filters.length), filters, qos)
  }

  /** An UNSUBSCRIBE, to be written by the caller. */
  unsubscribing(filters: readonly string[]): Uint8Array {
    return unsubscribeFrame(this.level, this.#take(filters.length), filters)
  }

  /** Sends a SUBSCRIBE; resolves when it is answered or the connection has ended. Only when nothing else is on its way. */
  async subscribeAll(filters: readonly string[], qos: QualityOfService): Promise<void> {
    const frame = this.subscribing(filters, qos)
    await new Promise<void>((resolve) => {
      this.onAnswer = resolve
      this.onChange = () => {
        if (this.isBroken) resolve()
      }
      this.write(frame, 0, frame.length)
      this.onChange()
    })
    this.onAnswer = () => {}
  }

  protected override subscribed(bytes: Uint8Array, body: number, end: number): void {
    super.subscribed(bytes, body, end)
    const wanted = this.#answered(readU16(bytes, body))
    const codes = this.level === 5 ? afterProperties(bytes, body + 2) : body + 2
    if (end - codes !== wanted) this.unexpected++
    for (let at = codes; at < end; at++) {
      if ((bytes[at] as number) >= 0x80) this.refused++
      else this.granted++
    }
    this.onAnswer()
  }

  protected override receive(bytes: Uint8Array, start: number, body: number, end: number): void {
    if ((bytes[start] as number) >> 4 !== UNSUBACK) {
      super.receive(bytes, start, body, end)
      return
    }
    this.givenUp += this.#answered(readU16(bytes, body))
    this.onAnswer()
  }

  #take(filters: number): number {
    this.#identifier = this.#identifier === IDENTIFIER_MAX ? 1 : this.#identifier + 1
    this.#open.set(this.#identifier, filters)
    return this.#identifier
  }

  #answered(identifier: number): number {
    const filters = this.#open.get(identifier)
    this.#open.delete(identifier)
    if (filters === undefined) this.unexpected++
    return filters ?? 0
  }
}
