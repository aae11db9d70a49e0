/**
 * The packet identifiers of one client: so few that one comes again soon after its PUBCOMP, also behind the next restart. The lowest
 * free one behind the last is taken, so that an identifier is not used again at once where the window is small.
 *
 * Source: MQTT 5.0, section 2.2.1.
 */

/** More than any window of a client and its requests. */
const IDENTIFIER_MAX = 45

export class PacketIdentifiers {
  readonly #inUse = new Set<number>()
  #last = 0

  take(): number {
    for (let step = 1; step <= IDENTIFIER_MAX; step++) {
      const identifier = ((this.#last + step - 1) % IDENTIFIER_MAX) + 1
      if (this.#inUse.has(identifier)) continue
      this.#inUse.add(identifier)
      this.#last = identifier
      return identifier
    }
    throw new Error("a client has no packet identifier left")
  }

  free(identifier: number): void {
    this.#inUse.delete(identifier)
  }
}
