/**
 * The groups that a shard owns, by name and by number, and what all of them replay.
 *
 * Invariant: a group is there while it has a member, connected or away; its row is looked for when the first is told of.
 */
import type { Broker } from "../Broker.ts"
import { DroppedGroups } from "./DroppedGroups.ts"
import { REPLAYED_MAX } from "./GroupReplay.ts"
import type { Group, GroupStart, GroupVoice } from "./group-contract.ts"
import { decodeGroup, groupKey } from "./group-rows.ts"
import { SharedGroup } from "./SharedGroup.ts"
import { type Claim, LIVE_GROUP, NO_GROUP, NO_ROOM, REPLAY_GROUP } from "./share-frames.ts"

export class OwnedGroups {
  readonly #broker: Broker
  readonly #voice: GroupVoice
  /** By tenant and name. */
  readonly #groups = new Map<string, SharedGroup>()
  readonly #byNumber = new Map<number, SharedGroup>()
  /** Rows that are about to go: what the store still says of them is not so. */
  readonly #dropped: DroppedGroups

  constructor(broker: Broker, voice: GroupVoice) {
    this.#broker = broker
    this.#voice = voice
    this.#dropped = new DroppedGroups(broker)
  }

  get count(): number {
    return this.#groups.size
  }

  ofNumber(number: number): SharedGroup | undefined {
    return this.#byNumber.get(number)
  }

  /**
   * A member wants into a group that replays. In one that is there, or is made from `start`, it is away until it comes: the group stays, and stays
   * what it is.
   */
  claim({ tenant, name, qos, start }: Claim): number {
    const kind = this.#kindOf(tenant, name, start)
    const isMade = kind === NO_GROUP && start !== undefined
    if (kind !== REPLAY_GROUP && !isMade) return kind
    this.changeAway(tenant, name, qos, 1, start)
    return REPLAY_GROUP
  }

  /** Members that are not connected are more or fewer. */
  changeAway(tenant: number, name: string, qos: number, change: number, start?: GroupStart): void {
    const group = this.take(tenant, name, start)
    group.changeAway(qos, change)
    group.settle()
  }

  /** The group of that name: it is there, a row says where it is, or it is made and, with `start`, replays from there. */
  take(tenant: number, name: string, start?: GroupStart): SharedGroup {
    const key = nameOf(tenant, name)
    const known = this.#groups.get(key)
    if (known !== undefined) return known
    const value = this.#dropped.has(key) ? undefined : this.#broker.services.store.get(groupKey(tenant, name))
    const row = value === undefined ? undefined : decodeGroup(value)
    const group = new SharedGroup(this.#broker, this.#voice, tenant, name, row, start)
    this.#groups.set(key, group)
    this.#byNumber.set(group.number, group)
    return group
  }

  ended({ tenant, name, number }: Group): void {
    const key = nameOf(tenant, name)
    this.#groups.delete(key)
    this.#byNumber.delete(number)
    this.#dropped.add(key, tenant, name)
  }

  /** What kind of group there is under a name, or whether one that replays may be made. */
  #kindOf(tenant: number, name: string, start: GroupStart | undefined): number {
    const group = this.#groups.get(nameOf(tenant, name))
    if (group !== undefined) return group.isReplay ? REPLAY_GROUP : LIVE_GROUP
    const { count } = this.#broker.shared.replayed
    return count < REPLAYED_MAX && count + (start?.places.length ?? 0) <= REPLAYED_MAX ? NO_GROUP : NO_ROOM
  }

  /** A queue log has lost messages. */
  lost(): void {
    for (const group of this.#groups.values()) group.lost()
  }

  /** What groups know and have not written is written. */
  flush(): void {
    for (const group of this.#groups.values()) group.flush()
  }

  /** It is known now who their members are: those that have none end. */
  settle(): void {
    for (const group of [...this.#groups.values()]) group.settle()
  }

  /** Now and then. */
  refresh(): void {
    for (const group of this.#groups.values()) group.refresh()
    this.#dropped.retry((key) => this.#groups.has(key))
  }

  /** Lowers what is needed of each queue log to where they stand. */
  lowerNeeds(lows: Array<number>): void {
    for (const group of this.#groups.values()) group.lowerNeeds(lows)
  }
}

function nameOf(tenant: number, name: string): string {
  return `${tenant}/${name}`
}
