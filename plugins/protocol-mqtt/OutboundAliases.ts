/**
 * Topic aliases that we use towards one client: numbers that stand for topic names it was sent before.
 *
 * The clock algorithm decides which name gives way: one that was used since the hand passed it last stays once more. Where names come
 * that are used once, most of them get no alias, and the others keep theirs.
 *
 * Source: MQTT 5.0 sections 3.1.2.11.5, 3.3.2.3.4.
 * Invariants
 *  - An alias is from 1 to the client's Topic Alias Maximum [MQTT-3.1.2-26], and stands for one name at a time.
 *  - A name is known under its alias from {@link OutboundAliases.set} on: when the packet that says so is on its way.
 */

import type { Message } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import type { EncodedPublish } from "./PublishEncoder.ts"
import { aliasedSize, writeAliased } from "./wire/publish-alias.ts"

/** Longer names get none, so that what a connection keeps is bounded. */
const NAME_LENGTH_MAX = 1_024
/** A name that finds no place within so many that are in use goes without: those in use are the rest of what is looked at. */
const PLACES_LOOKED_AT = 2
/** Shorter ones are no longer than the alias. */
const NAME_LENGTH_MIN = 6

export class OutboundAliases {
  readonly #max: number
  readonly #aliases = new Map<string, number>()
  /** By alias less 1. */
  readonly #names: Array<string> = []
  readonly #wasUsed: Array<boolean> = []
  #hand = 0

  /** `max`: how many aliases may be in use, at least 1. */
  constructor(max: number) {
    this.#max = max
  }

  get count(): number {
    return this.#aliases.size
  }

  /** The alias that a name has; the negative of one that it may be given; 0 = neither. */
  find(name: string): number {
    const known = this.#aliases.get(name)
    if (known !== undefined) {
      this.#wasUsed[known - 1] = true
      return known
    }
    if (name.length < NAME_LENGTH_MIN || name.length > NAME_LENGTH_MAX) return 0
    if (this.#names.length < this.#max) return -(this.#names.length + 1)
    for (let looked = 0; looked < PLACES_LOOKED_AT; looked++) {
      const place = this.#hand
      if (!this.#wasUsed[place]) return -(place + 1)
      this.#wasUsed[place] = false
      this.#hand = this.#after(place)
    }
    return 0
  }

  /** Gives a name the alias that {@link OutboundAliases.find} offered; what had it before has none any more. */
  set(name: string, alias: number): void {
    const before = this.#names[alias - 1]
    if (before !== undefined) {
      this.#aliases.delete(before)
      this.#hand = this.#after(alias - 1)
    }
    this.#names[alias - 1] = name
    this.#wasUsed[alias - 1] = false
    this.#aliases.set(name, alias)
  }

  #after(place: number): number {
    return place + 1 === this.#max ? 0 : place + 1
  }

  /** Writes a PUBLISH with its alias; false where it has none, or there is no room for it: then it goes without. */
  send(
    connection: Connection,
    message: Message,
    { bytes, start, end }: EncodedPublish,
    qos: number,
    packetIdentifier: number
  ): boolean {
    const found = this.find(message.name)
    if (found === 0) return false
    const { broker, output } = connection
    const isKnown = found > 0
    const size = aliasedSize(bytes, start, end, qos, isKnown)
    if (size > connection.packetSizeMax || (qos === 0 && !output.fits(size, broker.settings.output_bytes_max)))
      return false
    const position = connection.reserve(size)
    writeAliased(bytes, start, end, qos, output.bytes, position, packetIdentifier, Math.abs(found), isKnown)
    if (!isKnown) this.set(message.name, -found)
    broker.counts.publishSent += 1
    return true
  }
}
