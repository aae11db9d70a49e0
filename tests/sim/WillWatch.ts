/**
 * The wills of one client identifier: which of them must be published, and which must not.
 *
 * A will whose connection was lost is judged when the next connection is accepted, for by then the broker has seen the end of the
 * old one, however that came about.
 */
import type { Will } from "../support/mqtt-packets.ts"
import type { Instant } from "./KeepAlive.ts"
import { type Persona, type Qos, willName } from "./Scenario.ts"
import { NUMBER_PROPERTY } from "./SessionModel.ts"
import type { SimMessage, World } from "./World.ts"

/** The broker's timers are this coarse, ms; beyond it a delay that is over is over there too. */
const SLACK_MS = 1_000

interface Given {
  readonly message: SimMessage
  /** Seconds, as far as the session's expiry allows. */
  readonly delay: number
}

interface Lost extends Given {
  /** The broker knew of the end at this time at the earliest: what was subscribed to later is too young. */
  readonly since: Instant
  /** It knew of it at this time at the latest, ms; infinite where nobody can tell. */
  readonly knownMs: number
}

export class WillWatch {
  readonly #world: World
  readonly #persona: Persona
  readonly #taken: (message: SimMessage, since: number) => void
  #given: Given | undefined
  #isAccepted = false
  #lost: Lost | undefined

  constructor(world: World, persona: Persona, taken: (message: SimMessage, since: number) => void) {
    this.#world = world
    this.#persona = persona
    this.#taken = taken
  }

  /** A connection with a will is about to be asked for. */
  begin(): Will {
    const { clientId, version, sessionExpiry } = this.#persona
    const qos = this.#world.pick<Qos>([0, 1, 2])
    const message = this.#world.message({
      publisher: clientId,
      source: "will",
      topic: willName(clientId),
      qos,
      retain: false,
      hasProperty: version === 5,
      paddingMax: 20
    })
    message.transmissions = 1
    const wished = version === 5 ? this.#world.pick([0, 0, 1, 4]) : 0
    this.#given = { message, delay: Math.min(wished, sessionExpiry) }
    this.#isAccepted = false
    const { topic, payload } = message
    if (version === 4) return { topic, payload, qos }
    const number = [NUMBER_PROPERTY, String(message.id)] as const
    const properties = [["userProperty", number] as const]
    return { topic, payload, qos, properties: wished === 0 ? properties : [["willDelay", wished], ...properties] }
  }

  beginWithout(): undefined {
    this.#given = undefined
    this.#isAccepted = false
  }

  /** The connection stands; what became of the will of the one before is clear now. */
  accepted(sessionPresent: boolean): void {
    this.#isAccepted = true
    const lost = this.#lost
    this.#lost = undefined
    if (lost === undefined) return
    const { message, delay, since, knownMs } = lost
    const { nowMs } = this.#world
    const delayMs = delay * 1_000
    if (delay === 0 || !sessionPresent || nowMs - knownMs > delayMs + SLACK_MS) this.#taken(message, since.moment)
    else if (nowMs - since.ms < delayMs)
      message.forbidden = "was not due: its session went on before its delay was over"
  }

  /**
   * The connection was lost, or left to itself. `isKnown`: the broker knows of it by now; `overdue`: it may have ended the connection
   * since then.
   */
  cut(isKnown: boolean, overdue: Instant | undefined): void {
    const given = this.#given
    this.#given = undefined
    // Never accepted as far as its client knows: it may have been all the same, and nothing can be said of its will, nor of an
    // earlier one that it may have called off.
    if (!this.#isAccepted && this.#lost !== undefined && this.#lost.delay > 0) this.#lost = undefined
    if (given === undefined || !this.#isAccepted) return
    const { nowMs } = this.#world
    const since = overdue ?? { ms: nowMs, moment: this.#world.moment() }
    this.#lost = { ...given, since, knownMs: isKnown ? nowMs : Number.POSITIVE_INFINITY }
  }

  /** The client said DISCONNECT; `isKnown`: the broker has read it, on a connection that stood. */
  left(isKnown: boolean): void {
    if (isKnown && this.#given !== undefined) this.#given.message.forbidden = "was not due: its client said DISCONNECT"
    this.#given = undefined
  }
}
