/**
 * Messages of a group that no member has, in the order in which they are given.
 *
 * Invariant: of one queue log they stand by their offsets, also those that came back.
 */
import type { GroupMember } from "./GroupMember.ts"
import type { GroupRoster } from "./GroupRoster.ts"
import type { Held } from "./group-contract.ts"
import type { Chooser } from "./strategies.ts"

export class WaitingLine {
  #messages: Array<Held> = []

  get length(): number {
    return this.#messages.length
  }

  push(held: Held): void {
    this.#messages.push(held)
  }

  /** Puts in one that has come back, before those of its log that follow it. */
  putBack(held: Held): void {
    const messages = this.#messages
    let at = messages.length
    while (at > 0 && messages[at - 1]?.log === held.log && (messages[at - 1]?.offset ?? 0) > held.offset) at -= 1
    messages.splice(at, 0, held)
  }

  /** Gives what waits, in order, to members that have room; what a keyed strategy has wait for its member may be overtaken. */
  handOut(
    { members, changes }: GroupRoster,
    chooser: Chooser<GroupMember>,
    hand: (member: GroupMember, held: Held) => void
  ): void {
    let place = 0
    for (let held = this.#messages[place]; held !== undefined; held = this.#messages[place]) {
      // Chosen before among the same members, and still without room.
      const isKnown = held.awaits !== undefined && held.awaitsSince === changes && !held.awaits.hasRoom
      const member = isKnown ? undefined : chooser.choose(members, held.message, true)
      if (member !== undefined) {
        this.#messages.splice(place, 1)
        hand(member, held)
        // It came back at once: its member is about to leave.
        if (this.#messages[place] === held) return
      } else if (chooser.isKeyed) {
        if (!isKnown) held.awaits = chooser.choose(members, held.message, false)
        held.awaitsSince = changes
        place += 1
      } else return
    }
  }

  takeAll(): ReadonlyArray<Held> {
    const all = this.#messages
    this.#messages = []
    return all
  }
}
