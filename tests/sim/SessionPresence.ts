/**
 * Whether the broker has a session for a client, as far as the client can know: what a CONNACK's session present must say.
 *
 * A CONNECT without its CONNACK leaves it open whether the broker has seen it. And of a session that may have expired it cannot be
 * told whether such a CONNECT has made another in its place, so that the next one is a clean start.
 */
import type { Instant } from "./KeepAlive.ts"
import { type Persona, SESSION_NEVER_EXPIRES } from "./Scenario.ts"
import type { World } from "./World.ts"

type Presence = "present" | "absent" | "expired" | "unknown"

export class SessionPresence {
  /** The connection that was last asked for is a clean start. */
  isClean = false
  /** Its session expiry, seconds. */
  expiry = 0
  readonly #world: World
  readonly #persona: Persona
  /** A clean start was asked for, and no CONNACK came: it stays one. */
  #owesCleanStart = false
  #presence: Presence = "absent"
  /** What session present must say. */
  #expected: Presence = "absent"
  /** When the connection that was last accepted was lost. */
  #leftAtMs = 0

  constructor(world: World, persona: Persona) {
    this.#world = world
    this.#persona = persona
  }

  /** A CONNECT is about to be sent, with a clean start where one is wished or must be. */
  connecting(wishesClean: boolean, isLast: boolean): void {
    const { version, sessionExpiry } = this.#persona
    const known = this.#known()
    const isForced = this.#owesCleanStart || known === "expired" || (version === 4 && sessionExpiry === 0)
    this.isClean = wishesClean || isForced
    this.#owesCleanStart = this.isClean
    this.expiry = isLast || (this.isClean && version === 4) ? 0 : sessionExpiry
    this.#expected = this.isClean ? "absent" : known
    if (this.#expected !== "present" && this.expiry > 0) this.#presence = "unknown"
  }

  /** A CONNACK came. */
  accepted(sessionPresent: boolean): void {
    const { clientId } = this.#persona
    const expected = this.#expected
    this.#world.check(
      expected === "unknown" || sessionPresent === (expected === "present"),
      () => `${clientId}: session present is ${sessionPresent}, the session is ${expected}`
    )
    this.#owesCleanStart = false
    this.#presence = this.expiry > 0 ? "present" : "absent"
  }

  /** The connection, which was accepted, is lost; `overdue`: the broker may have ended it since then. */
  left(overdue: Instant | undefined): void {
    this.#leftAtMs = overdue?.ms ?? this.#world.nowMs
  }

  #known(): Presence {
    const { sessionExpiry } = this.#persona
    if (this.#presence !== "present" || sessionExpiry === SESSION_NEVER_EXPIRES) return this.#presence
    const awayMs = this.#world.nowMs - this.#leftAtMs
    return awayMs < sessionExpiry * 1_000 - 100 ? "present" : "expired"
  }
}
