/**
 * Ends the connections of those who are put on the blacklist while they are connected: a walk over all connections of the shard, some at a
 * time, so that nobody waits for it.
 *
 * Invariant: when a walk that began after an entry was added is done, no connection is left that the entry names: who connects meanwhile has
 * been asked at CONNECT.
 */
import type { Broker } from "../Broker.ts"
import type { Connection } from "../Connection.ts"
import { ADMINISTRATIVE_ACTION } from "../reasons.ts"

/** Connections that are looked at in one go: well below a millisecond where nobody has to be asked in turn. */
const SLICE = 500

export class LiveBans {
  readonly #broker: Broker
  #walk: Iterator<Connection> | undefined
  /** Something was added since the walk began. */
  #isAgain = false

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** The blacklist has grown. */
  look(): void {
    if (this.#walk !== undefined) {
      this.#isAgain = true
      return
    }
    this.#walk = this.#broker.connections.values()
    this.#later()
  }

  #later(): void {
    this.#broker.services.clock.immediate(() => this.#slice())
  }

  #slice(): void {
    const { blacklist, services } = this.#broker
    const nowMs = services.clock.nowMs()
    for (let count = 0; count < SLICE; count++) {
      const next = this.#walk?.next()
      if (next?.done !== false) {
        this.#walk = undefined
        if (!this.#isAgain) return
        this.#isAgain = false
        this.look()
        return
      }
      const { principal } = next.value
      const { clientIdentifier, user, peerAddress } = principal
      // Nobody yet: it is asked at its CONNECT.
      if (clientIdentifier === "" || !blacklist.isBanned(clientIdentifier, user, peerAddress, nowMs)) continue
      blacklist.ended += 1
      next.value.close(ADMINISTRATIVE_ACTION)
    }
    this.#later()
  }
}
