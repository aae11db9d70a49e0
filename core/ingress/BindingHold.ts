/**
 * Publishing on names whose binding is being changed: what this shard takes from its clients meanwhile waits, what it took before is brought to
 * its end, and then all of it goes on by what is bound by then.
 *
 * Invariants
 *  - While a name is held no message of this shard's clients on it is on its way to anybody once {@link BindingHold.settled} has said so.
 *  - What other shards had sent before they held is taken as it comes: it is older than the change.
 *  - A name's messages go on in their order, each ends as it would have without the change, and none is acknowledged before.
 */
import type { ClockShape } from "../platform/Clock.ts"
import { matches } from "../router/topic-filter.ts"
import type { BindingGate, NamesAffected } from "../topics/TopicBindings.ts"
import { HeldMessages, type HeldMessagesParts } from "./HeldMessages.ts"

/** Between two looks at whether all is settled. */
const LOOK_MS = 1

export interface BindingHoldParts extends Pick<HeldMessagesParts, "sequence" | "pending" | "soon"> {
  readonly clock: Pick<ClockShape, "immediate" | "after">
  /** Messages that wait for their topic, whatever becomes of bindings. */
  readonly opening: Pick<HeldMessages, "holdsSome">
  /** Whether what was sent to other shards until now has been sequenced there; to be asked again. */
  readonly settling: () => () => boolean
}

export class BindingHold implements BindingGate {
  readonly held: HeldMessages
  readonly #parts: BindingHoldParts
  readonly #changes = new Map<string, NamesAffected>()

  constructor(parts: BindingHoldParts) {
    this.#parts = parts
    this.held = new HeldMessages({
      mustWait: (tenant, name) => this.#isAffected(tenant, name),
      sequence: parts.sequence,
      pending: parts.pending,
      later: (task) => parts.clock.immediate(task),
      soon: parts.soon
    })
  }

  /** Whether a message on this name has to wait now: for a change, or behind those that did and then found no room. */
  holds(tenant: number, name: string): boolean {
    return this.held.holds(tenant, name) || (this.#changes.size > 0 && this.#isAffected(tenant, name))
  }

  hold(id: string, names: NamesAffected): void {
    this.#changes.set(id, names)
  }

  async settled(id: string, goesOn: () => boolean): Promise<boolean> {
    const { clock, opening, settling } = this.#parts
    const names = this.#changes.get(id)
    if (names === undefined) return false
    const comes = async (isDone: () => boolean): Promise<boolean> => {
      while (!isDone()) {
        if (!goesOn()) return false
        await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve))
      }
      return true
    }
    // In this order: what waited for its topic may go to another shard then.
    if (!(await comes(() => !opening.holdsSome((tenant, name) => affects(names, tenant, name))))) return false
    if (!(await comes(settling()))) return false
    // What belongs to the last answers, the row of a packet identifier for one, is written in a turn of its own.
    await new Promise<void>((resolve) => void clock.after(LOOK_MS, resolve))
    return goesOn()
  }

  release(id: string): void {
    if (this.#changes.delete(id)) this.held.review()
  }

  #isAffected(tenant: number, name: string): boolean {
    for (const names of this.#changes.values()) if (affects(names, tenant, name)) return true
    return false
  }
}

function affects(names: NamesAffected, tenant: number, name: string): boolean {
  return tenant === names.tenant && names.filters.some((filter) => matches(filter, name))
}
