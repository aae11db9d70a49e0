/** What a shared subscription tells its surroundings, and what it knows of a message. */
import type { Message } from "../../../core/mod.ts"
import type { ReplayPlace } from "../replay/find-start.ts"
import type { GroupMember } from "./GroupMember.ts"
import type { Place, Token } from "./group-rows.ts"

/** A group, as it is known by. */
export interface Group {
  readonly tenant: number
  /** Share name, `/` and topic filter. */
  readonly name: string
  readonly number: number
}

/** Where a group begins that replays: in partitions, and in the queue logs; none = with what is published from now on. */
export interface GroupStart {
  readonly places: ReadonlyArray<ReplayPlace>
  readonly queue: ReadonlyArray<number>
}

/** What the members of a group hear of it: their shards, by a call or over the link. */
export interface GroupVoice {
  /** Whether all shards have told who their members are. */
  readonly isOpen: boolean
  /** A message for a member; `token` where it has to be kept before it is sent. */
  assign(member: GroupMember, message: Message, qos: number, place: Place, token: Token | undefined): void
  /** What was asked for with a SUBSCRIBE is done, or has failed. */
  joined(shard: number, ask: number, outcome: number): void
  /** Asks a shard whether a member there has taken a message. */
  ask(token: Token, shard: number): void
  /** The token of a message is not needed any more. */
  forget(token: Token, shard: number): void
  /** Nothing is on its way any more to a member that has left. */
  left(member: GroupMember): void
  /** The group has ended. */
  ended(group: Group): void
}

/** A message that was read and is not done with. */
export interface Held extends Place {
  readonly message: Message
  member: GroupMember | undefined
  /** At which it was given to its member. */
  qos: number
  /** By a keyed strategy: the member without room that it waits for, chosen among the members as they were then. */
  awaits: GroupMember | undefined
  awaitsSince: number
  /** With a member whose session ends with its connection, QoS 2: nobody else may have it after a crash. */
  isGone: boolean
}
