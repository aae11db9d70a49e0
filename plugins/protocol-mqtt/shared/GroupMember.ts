/** A connected member of a shared subscription, as the shard that owns the group sees it. */
import type { Candidate } from "./strategies.ts"

/** What a member says of itself; its session is on shard `shard`, which has given it `number`. */
export interface MemberFacts {
  readonly shard: number
  readonly number: number
  readonly clientIdentifier: string
  /** Its session outlives its connection. */
  readonly isDurable: boolean
  /** Granted. */
  readonly qos: number
  /** Messages that it can have unacknowledged: of QoS 1 and 2, and of QoS 0 where its group replays. */
  readonly limit: number
}

export class GroupMember implements Candidate {
  readonly shard: number
  readonly number: number
  readonly hash: number
  readonly isDurable: boolean
  /** Its session is in the journal of the group's shard. */
  readonly isLocal: boolean
  qos: number
  limit: number
  inflight = 0
  isAttached = true
  /** Whether it has no more at a time at QoS 0 either. */
  isPaced = false

  constructor(facts: MemberFacts, isLocal: boolean, hash: number) {
    this.shard = facts.shard
    this.number = facts.number
    this.hash = hash
    this.isDurable = facts.isDurable
    this.isLocal = isLocal
    this.qos = facts.qos
    this.limit = facts.limit
  }

  get room(): number {
    return Math.max(0, this.limit - this.inflight)
  }

  get hasRoom(): boolean {
    return (this.qos === 0 && !this.isPaced) || this.inflight < this.limit
  }
}
