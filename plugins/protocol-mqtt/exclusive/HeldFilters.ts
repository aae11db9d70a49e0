/**
 * The exclusive filters of one session: those that it holds, and those that it has asked for.
 *
 * Invariant: what it holds and has no subscription for is given back, unless it is being asked for once more.
 */
import type { Session } from "../Session.ts"
import type { Claimant } from "./ExclusiveFilters.ts"

/** When what the journal did not take is looked at again, ms. */
const RETRY_MS = 500

export class HeldFilters {
  readonly #session: Session
  readonly #claimant: Claimant
  readonly #held = new Set<string>()
  /** How often each is being asked for. */
  readonly #asked = new Map<string, number>()

  constructor(session: Session, name: string) {
    this.#session = session
    this.#claimant = { clientIdentifier: session.clientIdentifier, session: name }
  }

  has(filter: string): boolean {
    return this.#held.has(filter)
  }

  /** Whether an answer is due: its session stays in memory for it. */
  get isAsking(): boolean {
    return this.#asked.size > 0
  }

  /** Those that it holds. */
  get filters(): ReadonlyArray<string> {
    return [...this.#held]
  }

  /** A row says that the session holds it. */
  restore(filter: string): void {
    this.#held.add(filter)
  }

  /** Asks for a filter; `done` is told whether it is the session's until it is given up. */
  claim(filter: string, done: (isGranted: boolean) => void): void {
    const { broker, tenant } = this.#session
    this.#asked.set(filter, (this.#asked.get(filter) ?? 0) + 1)
    broker.exclusive.claim(tenant, filter, this.#claimant, (isGranted) => {
      const left = (this.#asked.get(filter) ?? 1) - 1
      if (left > 0) this.#asked.set(filter, left)
      else this.#asked.delete(filter)
      done(isGranted)
    })
  }

  /** The session has subscribed to what was granted. */
  keep(filter: string): void {
    this.#held.add(filter)
  }

  /** What was granted is not wanted any more: its connection ended meanwhile. */
  drop(filter: string): void {
    const { broker, tenant } = this.#session
    if (this.#held.has(filter) || this.#asked.has(filter)) return
    broker.exclusive.release(tenant, filter, this.#claimant)
  }

  /** The subscription is taken off, or is exclusive no more. */
  release(filter: string): void {
    if (!this.#held.delete(filter)) return
    this.#whenGone(() => this.drop(filter))
  }

  /** Calls `call` when what was taken off in this turn will not come back: where it has a row, when that has gone. */
  #whenGone(call: () => void): void {
    const session = this.#session
    const { broker } = session
    if (!session.isDurable) {
      call()
      return
    }
    broker.whenCommitted((outcome) => {
      if (outcome >= 0 && !session.isDirty) call()
      // The row says otherwise still: it is written again when the journal takes it.
      else broker.services.clock.after(RETRY_MS, () => this.#whenGone(call))
    })
  }

  /** The session has ended. */
  end(): void {
    for (const filter of this.#held) this.release(filter)
  }
}
