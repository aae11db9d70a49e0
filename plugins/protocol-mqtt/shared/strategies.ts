/**
 * Which member of a shared subscription gets a message. The names are EMQX's and RobustMQ's.
 *
 * Invariants
 *  - Of two members that could get a message one gets it; none is asked for more than it has room for.
 *  - The keyed strategies give messages of one key to one member while the members stay the same, and move only the keys of a member
 *    that leaves or comes (rendezvous hashing, Thaler and Ravishankar 1998).
 */
import { type Message, textHash } from "../../../core/mod.ts"

export const STRATEGIES = [
  "round_robin",
  "random",
  "sticky",
  "hash_topic",
  "hash_clientid",
  "least_inflight",
  "local"
] as const
export type Strategy = (typeof STRATEGIES)[number]

/** A member that is connected. */
export interface Candidate {
  /** The shard of its session. */
  readonly shard: number
  /** Of its client identifier. */
  readonly hash: number
  /** Messages that it has and has not acknowledged: of QoS 1 and 2, and of QoS 0 where its group replays. */
  readonly inflight: number
  readonly hasRoom: boolean
}

export class Chooser<Member extends Candidate> {
  readonly #strategy: Strategy
  /** A number from 0 on and below 1. */
  readonly #random: () => number
  #turn = 0
  #sticky: Member | undefined

  constructor(strategy: Strategy, random: () => number) {
    this.#strategy = strategy
    this.#random = random
  }

  /** Whether a message waits for one member though others have room: what comes behind it may overtake it. */
  get isKeyed(): boolean {
    return this.#strategy === "hash_topic" || this.#strategy === "hash_clientid" || this.#strategy === "sticky"
  }

  /** Who gets `message`; undefined where nobody can now. `needsRoom` is false for what is not acknowledged. */
  choose(members: ReadonlyArray<Member>, message: Message, needsRoom: boolean): Member | undefined {
    if (members.length === 0) return undefined
    const chosen = this.#pick(members, message, needsRoom)
    return chosen !== undefined && needsRoom && !chosen.hasRoom ? undefined : chosen
  }

  #pick(members: ReadonlyArray<Member>, message: Message, needsRoom: boolean): Member | undefined {
    switch (this.#strategy) {
      case "round_robin":
        return this.#next(members, needsRoom, -1)
      case "random":
        this.#turn = Math.floor(this.#random() * members.length)
        return this.#next(members, needsRoom, -1)
      case "local":
        return this.#next(members, needsRoom, message.queue) ?? this.#next(members, needsRoom, -1)
      case "least_inflight":
        return this.#least(members, needsRoom)
      case "sticky":
        if (this.#sticky === undefined || !members.includes(this.#sticky)) {
          this.#sticky = members[Math.floor(this.#random() * members.length)]
        }
        return this.#sticky
      case "hash_topic":
        return byKey(members, hashOf(message.name))
      case "hash_clientid":
        // What is stored does not say who published it: then its name decides.
        return byKey(members, hashOf(message.publisher === "" ? message.name : message.publisher))
    }
  }

  /** The next in turn that can take one, on `shard` where that is not -1. */
  #next(members: ReadonlyArray<Member>, needsRoom: boolean, shard: number): Member | undefined {
    for (let step = 0; step < members.length; step++) {
      const at = (this.#turn + step) % members.length
      const member = members[at]
      if (member === undefined || (needsRoom && !member.hasRoom)) continue
      if (shard >= 0 && member.shard !== shard) continue
      this.#turn = at + 1
      return member
    }
    return undefined
  }

  /** The one with the least in flight; in turn among equals. */
  #least(members: ReadonlyArray<Member>, needsRoom: boolean): Member | undefined {
    let least: Member | undefined
    let place = 0
    for (let step = 0; step < members.length; step++) {
      const at = (this.#turn + step) % members.length
      const member = members[at]
      if (member === undefined || (needsRoom && !member.hasRoom)) continue
      if (least !== undefined && member.inflight >= least.inflight) continue
      least = member
      place = at
    }
    this.#turn = place + 1
    return least
  }
}

/** The member whose weight for `key` is the highest. */
function byKey<Member extends Candidate>(members: ReadonlyArray<Member>, key: number): Member | undefined {
  let highest = -1
  let chosen: Member | undefined
  for (const member of members) {
    const weight = mix(key ^ member.hash)
    if (weight <= highest) continue
    highest = weight
    chosen = member
  }
  return chosen
}

/** What a member, or what a message is chosen by, is worth to {@link byKey}. */
export function hashOf(text: string): number {
  return mix(textHash(text))
}

/** The final mix of MurmurHash3. */
function mix(value: number): number {
  let hash = value
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
