/** Who is a member of a shared subscription: those that are connected, and how many are away. */
import type { GroupMember } from "./GroupMember.ts"

export class GroupRoster {
  /** Connected. */
  readonly members: Array<GroupMember> = []
  /** How many more messages they can take together. */
  slots = 0
  /** Rises when a member comes, goes or may be given another number of messages. */
  changes = 0
  #away = 0
  /** Those of them that are granted more than QoS 0. */
  #awayKept = 0

  /** Whether nobody is a member any more. */
  get isEmpty(): boolean {
    return this.members.length === 0 && this.#away === 0
  }

  /** Whether a member wants QoS 1 or 2: messages are kept for the group. */
  get wantsKept(): boolean {
    return this.#awayKept > 0 || this.members.some(({ qos }) => qos > 0)
  }

  /** Adds a member, or takes note that it wants something else. */
  attach(member: GroupMember): void {
    if (!this.members.includes(member)) this.members.push(member)
    this.recount()
  }

  /** Removes a connected member; false where it was not there. */
  detach(member: GroupMember): boolean {
    const place = this.members.indexOf(member)
    if (place < 0) return false
    this.members.splice(place, 1)
    member.isAttached = false
    this.recount()
    return true
  }

  changeAway(qos: number, change: number): void {
    this.#away += change
    if (qos > 0) this.#awayKept += change
  }

  /** A message was given to a member. */
  given(member: GroupMember): void {
    member.inflight += 1
    this.slots -= 1
  }

  /** A member has one less; true where it has left and this was the last. */
  takenBack(member: GroupMember): boolean {
    member.inflight -= 1
    if (member.isAttached) this.slots += 1
    return !member.isAttached && member.inflight === 0
  }

  recount(): void {
    this.changes += 1
    this.slots = this.members.reduce((sum, { room }) => sum + room, 0)
  }
}
