/**
 * Whether the broker has a session for a client, as far as the client can know: what a CONNACK's session present must say.
 *
 * A CONNECT without its CONNACK leaves it open whether the broker has seen it. Time that a session is away is counted by whoever ran:
 * from the loss of the connection at the earliest, from the next start of the broker at the latest.
 * Source: MQTT 5.0, sections 3.1.2.4, 3.1.2.11.2 and 3.2.2.1.1; MQTT 3.1.1, section 3.1.2.4.
 */
import { type Persona, SESSION_NEVER_EXPIRES } from "./cast.ts"
import type { Ledger } from "./Ledger.ts"
import { SLACK_MS } from "./WillModel.ts"

/** A broker that lived for so long after a connection ended has committed when it ended, ms. */
const COMMITTED_MS = 500

type State = "present" | "absent" | "unknown"

export class Presence {
  /** The connection that was last asked for is a clean start. */
  isClean = false
  /** Its session expiry, seconds. */
  expiry = 0
  readonly #ledger: Ledger
  readonly #persona: Persona
  #state: State = "absent"
  /** A clean start was asked for, or a session that may have expired, and no CONNACK came: the next one is a clean start. */
  #owesCleanStart = false
  #leftAtMs = 0
  /** Since when the broker knows that the connection is gone; 0 = it has yet to notice. */
  #knownAtMs = 0
  #sentMs = 0
  #isCertain = false

  constructor(ledger: Ledger, persona: Persona) {
    this.#ledger = ledger
    this.#persona = persona
  }

  /** A CONNECT is about to be sent, with a clean start where one is wished or must be. */
  connecting(wishesClean: boolean): void {
    const { version, sessionExpiry } = this.#persona
    const isBounded = sessionExpiry !== SESSION_NEVER_EXPIRES
    this.#sentMs = this.#ledger.nowMs
    this.isClean = wishesClean || this.#owesCleanStart || (version === 4 && sessionExpiry === 0)
    this.expiry = this.isClean && version === 4 ? 0 : sessionExpiry
    const mayExpire = isBounded && this.#sentMs - this.#leftAtMs > (sessionExpiry - 1) * 1_000
    this.#owesCleanStart = this.isClean || mayExpire
    this.#isCertain = false
  }

  /** A CONNACK came. */
  accepted(sessionPresent: boolean): void {
    const expected = this.isClean ? "absent" : this.#expected()
    this.#ledger.check(
      expected === "unknown" || sessionPresent === (expected === "present"),
      () => `${this.#persona.clientId}: session present is ${sessionPresent}, the session is ${expected}`
    )
    if (expected === "present") this.#ledger.counts.resumed += 1
    if (expected === "absent" && this.#state === "present" && !this.isClean) this.#ledger.counts.expired += 1
    this.#owesCleanStart = false
    this.#isCertain = true
    this.#state = this.expiry > 0 ? "present" : "absent"
  }

  /** The connection is gone. */
  left(isBrokerAlive: boolean): void {
    if (!this.#isCertain) {
      // Whether this CONNECT arrived is unknown; what was there before may be there.
      if (this.#state === "absent" || this.isClean) this.#state = "unknown"
      if (this.expiry === 0) this.#state = "absent"
    }
    this.#leftAtMs = this.#ledger.nowMs
    this.#knownAtMs = isBrokerAlive ? this.#leftAtMs : 0
  }

  /** The broker's process is about to be killed. */
  killing(): void {
    if (this.#ledger.nowMs - this.#knownAtMs < COMMITTED_MS) this.#knownAtMs = 0
  }

  /** A broker is ready. */
  restarted(): void {
    if (this.#knownAtMs === 0) this.#knownAtMs = this.#ledger.nowMs
  }

  #expected(): State {
    const { sessionExpiry } = this.#persona
    if (this.#state !== "present" || sessionExpiry === SESSION_NEVER_EXPIRES) return this.#state
    if (this.#ledger.nowMs - this.#leftAtMs < sessionExpiry * 1_000 - 100) return "present"
    return this.#sentMs - this.#knownAtMs > sessionExpiry * 1_000 + SLACK_MS ? "absent" : "unknown"
  }
}
