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
import { Blacklist } from "./Blacklist.ts"
import type { BanRule } from "./ban-rule.ts"

/** In one go, ms. */
const SLICE_MS = 4

interface Walk {
  readonly connections: Iterator<Connection>
  /** What was added: nobody is asked for what was there before. */
  readonly added: Blacklist
}

export class LiveBans {
  readonly #broker: Broker
  #walk: Walk | undefined
  /** What was added since the walk began, by name. */
  #next = new Map<string, BanRule>()

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** The blacklist has grown by these. */
  look(rules: ReadonlyArray<BanRule>): void {
    const isIdle = this.#walk === undefined && this.#next.size === 0
    for (const rule of rules) this.#next.set(rule.name, rule)
    if (isIdle && this.#next.size > 0) this.#later(() => this.#begin())
  }

  #later(go: () => void): void {
    this.#broker.services.clock.immediate(go)
  }

  #begin(): void {
    const added = new Blacklist([...this.#next.values()])
    this.#next = new Map()
    this.#walk = { connections: this.#broker.connections.values(), added }
    this.#slice(this.#walk)
  }

  #slice({ connections, added }: Walk): void {
    const { blacklist, services } = this.#broker
    const { clock } = services
    const nowMs = clock.nowMs()
    const untilMs = clock.monotonicMs() + SLICE_MS
    do {
      const next = connections.next()
      if (next.done === true) {
        this.#walk = undefined
        if (this.#next.size > 0) this.#later(() => this.#begin())
        return
      }
      const { client, listener } = next.value
      const { clientIdentifier, user, peerAddress } = client
      // Nobody yet: it is asked at its CONNECT.
      if (clientIdentifier === "" || listener.isHosted || !added.isBanned(clientIdentifier, user, peerAddress, nowMs))
        continue
      blacklist.ended += 1
      next.value.close(ADMINISTRATIVE_ACTION)
    } while (clock.monotonicMs() < untilMs)
    this.#later(() => {
      if (this.#walk !== undefined) this.#slice(this.#walk)
    })
  }
}
