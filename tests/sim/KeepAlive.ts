/**
 * The keep alive of one connection of a simulated client: it pings in time, and it knows when the broker may have taken it for dead.
 *
 * Source: MQTT 5.0 section 3.1.2.10, the same in 3.1.1. What the broker must have had in time is a Control Packet, and part of one is
 * none [MQTT-3.1.2-22]. So a packet that takes longer than one and a half times the keep alive ends its connection, however steadily
 * its bytes come; that the interval between packets is not exceeded is the client's responsibility, which chose it.
 */
import type { World } from "./World.ts"

/** A connection that is passed on to another shard, whose loop is busy, has its bytes so much later, ms. */
const PASSED_ON_MS_MAX = 100

/** A place in virtual time: `ms`, and the moment (see {@link World.moment}) from which on what is noted may be younger. */
export interface Instant {
  readonly ms: number
  readonly moment: number
}

export class KeepAlive {
  readonly #world: World
  readonly #seconds: number
  readonly #ping: () => void
  #isOver = false
  #lastSentMs = 0
  /** When the broker last had a whole packet. */
  #heard: Instant
  #overdue: Instant | undefined

  /** `seconds` as the CONNECT, which is sent now, has them; 0 = none. `ping` is called where nothing else was sent for half of that. */
  constructor(world: World, seconds: number, ping: () => void) {
    this.#world = world
    this.#seconds = seconds
    this.#ping = ping
    this.#heard = { ms: world.nowMs, moment: world.moment() }
    if (seconds > 0) this.#pingLater()
  }

  /** A packet was handed to the socket. */
  sent(): void {
    this.#lastSentMs = this.#world.nowMs
  }

  /** A packet is whole at the broker. */
  arrived(): void {
    this.#look()
    this.#heard = { ms: this.#world.nowMs, moment: this.#world.moment() }
  }

  /** The connection is over for the client. */
  stop(): void {
    this.#isOver = true
  }

  /**
   * The earliest time at which the broker may have ended the connection for its keep alive; undefined where it may not. It need not
   * have: while it does not read, silence is its own.
   */
  get overdue(): Instant | undefined {
    this.#look()
    return this.#overdue
  }

  #look(): void {
    if (this.#seconds === 0 || this.#overdue !== undefined) return
    const { ms, moment } = this.#heard
    const dueMs = ms + this.#seconds * 1_500 - PASSED_ON_MS_MAX
    if (this.#world.nowMs >= dueMs) this.#overdue = { ms: dueMs, moment }
  }

  #pingLater(): void {
    const periodMs = this.#seconds * 500
    this.#world.after(periodMs, () => {
      if (this.#isOver) return
      if (this.#world.nowMs - this.#lastSentMs >= periodMs) this.#ping()
      this.#pingLater()
    })
  }
}
