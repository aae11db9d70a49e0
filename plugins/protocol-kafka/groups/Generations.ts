/**
 * Generations of a classic group, one after another: who waits for the next one, when it begins, and whose assignment is kept.
 *
 * The group ({@link ClassicGroup}) judges what members ask and says what has changed; here it is told what that sets off. Times are
 * monotonic, in ms, told by the caller.
 *
 * Invariants
 *  - A generation has one set of members and one assignment; generations rise by one.
 *  - Nobody has an assignment that is not kept: the leader's is asked to be kept first, and given out when it is.
 *  - A phase ends: joins and syncs after the longest rebalance timeout of the members, the first wait of an empty group before that.
 *
 * Source: apache/kafka GroupMetadataManager (prepareRebalance, completeClassicGroupJoin, expirePendingSync); KIP-134, KIP-345.
 */
import { ErrorCode } from "../wire/error-codes.ts"
import { type JoinAnswer, type JoinedMember, joinError, NO_BYTES, type SyncAnswer, syncError } from "./group-events.ts"
import type { GroupHost } from "./group-host.ts"
import { PendingMembers } from "./PendingMembers.ts"
import { type Member, metadataOf, Roster } from "./Roster.ts"

export type GroupState = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable" | "Dead"

/** Nothing is due. */
export const NEVER = Number.POSITIVE_INFINITY

/** What the leader said, while that is being kept. */
interface Proposal {
  readonly ticket: number
  readonly assignments: ReadonlyMap<string, Uint8Array>
}

export class Generations {
  readonly roster = new Roster()
  readonly pending = new PendingMembers()
  readonly #host: GroupHost
  state: GroupState = "Empty"
  generation = 0
  protocolType: string | null = null
  protocolName: string | null = null
  /** No later than anything that is due. */
  dueMs = NEVER
  /** When the phase ends: the first wait, the joins, the syncs. */
  #phaseDueMs = NEVER
  /** Of the first wait: how much longer it may become, and whether somebody came since it began. */
  #delayLeftMs = 0
  #hasNewcomer = false
  /** The phase began in an empty group: it lasts its delay, whoever has joined. */
  #isInitial = false
  /** Members that have not asked for their assignment in this generation. */
  readonly #unsynced = new Set<string>()
  #proposal: Proposal | undefined
  #lastTicket = 0

  constructor(host: GroupHost) {
    this.#host = host
  }

  get proposal(): Proposal | undefined {
    return this.#proposal
  }

  /** Has the group kept as it is; returns the ticket that {@link Generations.stored} is told of. */
  keep(): number {
    this.#lastTicket += 1
    this.#host.store(this.#lastTicket)
    return this.#lastTicket
  }

  /** A new member waits for the next generation. */
  added(nowMs: number): void {
    this.#hasNewcomer = true
    this.changed(nowMs)
  }

  /** `member` stands where `old` stood. */
  replace(old: Member, member: Member): void {
    this.roster.replace(old, member)
    if (this.#unsynced.delete(old.id)) this.#unsynced.add(member.id)
  }

  /** A member has asked for its assignment. */
  synced(member: Member): void {
    this.#unsynced.delete(member.id)
  }

  /** The leader says who gets what; only its first word in a generation counts. */
  propose(assignments: ReadonlyMap<string, Uint8Array>, nowMs: number): void {
    if (this.#proposal !== undefined) return
    let bytes = 0
    for (const each of this.roster.all()) bytes += (assignments.get(each.id)?.length ?? 0) - each.assignment.length
    if (!this.#host.hasRoom(bytes)) {
      this.#failSync(ErrorCode.UNKNOWN_SERVER_ERROR, nowMs)
      this.#prepare(nowMs)
      return
    }
    // The ticket first: what is kept holds the proposal.
    this.#proposal = { ticket: this.#lastTicket + 1, assignments }
    this.keep()
  }

  /** What {@link GroupHost.store} was asked to keep is kept, or could not be. */
  stored(ticket: number, isKept: boolean, nowMs: number): void {
    const proposal = this.#proposal
    if (proposal?.ticket !== ticket) return
    if (!isKept) {
      this.#failSync(ErrorCode.COORDINATOR_NOT_AVAILABLE, nowMs)
      this.#prepare(nowMs)
      return
    }
    this.#proposal = undefined
    this.state = "Stable"
    for (const member of this.roster.all()) {
      this.roster.setAssignment(member, proposal.assignments.get(member.id) ?? NO_BYTES)
      if (member.sync === undefined) continue
      const reply = member.sync
      member.sync = undefined
      this.listen(member, nowMs)
      reply(this.assigned(member))
    }
  }

  tick(nowMs: number): void {
    for (const id of this.pending.expired(nowMs)) {
      this.pending.remove(id)
      this.whenAllJoined(nowMs)
    }
    for (const member of [...this.roster.all()]) {
      if (member.deadlineMs <= nowMs && this.roster.get(member.id) === member) this.remove(member, nowMs)
    }
    if (this.#phaseDueMs <= nowMs) this.#endPhase(nowMs)
    let due = Math.min(this.#phaseDueMs, this.pending.dueMs)
    for (const { deadlineMs } of this.roster.all()) due = Math.min(due, deadlineMs)
    this.dueMs = due
  }

  paused(pausedMs: number): void {
    for (const member of this.roster.all()) member.deadlineMs += pausedMs
    this.pending.paused(pausedMs)
    this.#phaseDueMs += pausedMs
    this.dueMs += pausedMs
  }

  /** The group is no more. */
  end(): void {
    this.state = "Dead"
    this.pending.clear()
    this.dueMs = NEVER
    this.#phaseDueMs = NEVER
  }

  /** A member is gone: what it waits for is answered, and the others share its work. */
  remove(member: Member, nowMs: number): void {
    this.roster.remove(member)
    this.#unsynced.delete(member.id)
    const { join, sync } = member
    member.join = undefined
    member.sync = undefined
    join?.(joinError(ErrorCode.UNKNOWN_MEMBER_ID, member.id))
    sync?.(syncError(ErrorCode.UNKNOWN_MEMBER_ID))
    if (this.state === "PreparingRebalance") this.whenAllJoined(nowMs)
    else if (this.state !== "Empty") this.#prepare(nowMs)
  }

  /** A member was heard: its session goes on, unless it waits for an answer of ours. */
  listen(member: Member, nowMs: number): void {
    if (member.join !== undefined || member.sync !== undefined) return
    member.deadlineMs = nowMs + member.sessionTimeoutMs
    this.due(member.deadlineMs)
  }

  /** Somebody came, or asks for a new generation. */
  changed(nowMs: number): void {
    if (this.state === "PreparingRebalance") this.whenAllJoined(nowMs)
    else this.#prepare(nowMs)
  }

  /** Begins the generation where everybody is there, also those who were only told their id. */
  whenAllJoined(nowMs: number): void {
    if (this.state !== "PreparingRebalance" || this.#isInitial || this.pending.size > 0) return
    for (const { join } of this.roster.all()) if (join === undefined) return
    this.#begin(nowMs)
  }

  joined(member: Member, isToldOfAll: boolean, skipAssignment: boolean): JoinAnswer {
    const name = this.protocolName ?? undefined
    const members = isToldOfAll
      ? Array.from(this.roster.all(), (each): JoinedMember => {
          return { memberId: each.id, instanceId: each.instanceId, metadata: metadataOf(each, name) }
        })
      : []
    return {
      errorCode: ErrorCode.NONE,
      generationId: this.generation,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      leader: this.roster.leader ?? "",
      memberId: member.id,
      skipAssignment,
      members
    }
  }

  assigned({ assignment }: Member): SyncAnswer {
    const { protocolType, protocolName } = this
    return { errorCode: ErrorCode.NONE, protocolType, protocolName, assignment }
  }

  answerJoin(member: Member, answer: JoinAnswer, nowMs: number): void {
    const reply = member.join
    member.join = undefined
    member.isNew = false
    this.listen(member, nowMs)
    reply?.(answer)
  }

  #prepare(nowMs: number): void {
    if (this.state === "CompletingRebalance") this.#failSync(ErrorCode.REBALANCE_IN_PROGRESS, nowMs)
    this.#isInitial = this.state === "Empty"
    this.state = "PreparingRebalance"
    this.#unsynced.clear()
    const longest = this.#rebalanceTimeoutMs
    const { initialRebalanceDelayMs } = this.#host.rules
    this.#hasNewcomer = false
    this.#delayLeftMs = Math.max(longest - initialRebalanceDelayMs, 0)
    this.#phaseDueMs = nowMs + (this.#isInitial ? initialRebalanceDelayMs : longest)
    this.due(this.#phaseDueMs)
    if (this.#phaseDueMs <= nowMs) this.#endPhase(nowMs)
    else this.whenAllJoined(nowMs)
  }

  #endPhase(nowMs: number): void {
    if (this.state === "CompletingRebalance" || this.state === "Stable") {
      this.#phaseDueMs = NEVER
      const silent = [...this.#unsynced]
      this.#unsynced.clear()
      for (const id of silent) {
        const member = this.roster.get(id)
        if (member !== undefined) this.remove(member, nowMs)
      }
      return
    }
    const { initialRebalanceDelayMs } = this.#host.rules
    if (this.#isInitial && this.#hasNewcomer && this.#delayLeftMs > 0) {
      // Others come as well, it seems: wait once more, as long as members wait for each other at most.
      const more = Math.min(initialRebalanceDelayMs, this.#delayLeftMs)
      this.#hasNewcomer = false
      this.#delayLeftMs -= more
      this.#phaseDueMs = nowMs + more
      this.due(this.#phaseDueMs)
      return
    }
    this.#begin(nowMs)
  }

  /** Begins the next generation with who has joined; of those who have not, static members stay. */
  #begin(nowMs: number): void {
    this.#isInitial = false
    for (const member of [...this.roster.all()]) {
      if (member.join === undefined && member.instanceId === null) this.roster.remove(member)
    }
    const leader = this.roster.get(this.roster.leader ?? "")
    if (leader !== undefined && leader.join === undefined) {
      const other = Array.from(this.roster.all()).find(({ join }) => join !== undefined)
      if (other === undefined) {
        // Static members alone, and none of them here: their sessions decide.
        this.#phaseDueMs = nowMs + this.#rebalanceTimeoutMs
        this.due(this.#phaseDueMs)
        return
      }
      this.roster.lead(other)
    }
    this.generation += 1
    this.#host.rebalanced()
    this.#unsynced.clear()
    this.#proposal = undefined
    if (this.roster.size === 0) {
      this.#becomeEmpty()
      return
    }
    this.protocolName = this.roster.vote() ?? null
    this.state = "CompletingRebalance"
    this.#phaseDueMs = nowMs + this.#rebalanceTimeoutMs
    this.due(this.#phaseDueMs)
    for (const member of this.roster.all()) {
      this.#unsynced.add(member.id)
      this.roster.setAssignment(member, NO_BYTES)
      if (member.join === undefined) continue
      this.answerJoin(member, this.joined(member, member.id === this.roster.leader, false), nowMs)
    }
  }

  #becomeEmpty(): void {
    this.state = "Empty"
    this.protocolName = null
    this.#phaseDueMs = NEVER
    this.keep()
  }

  #failSync(errorCode: number, nowMs: number): void {
    this.#proposal = undefined
    for (const member of this.roster.all()) {
      this.roster.setAssignment(member, NO_BYTES)
      const reply = member.sync
      if (reply === undefined) continue
      member.sync = undefined
      this.listen(member, nowMs)
      reply(syncError(errorCode))
    }
  }

  get #rebalanceTimeoutMs(): number {
    let longest = 0
    for (const { rebalanceTimeoutMs } of this.roster.all()) longest = Math.max(longest, rebalanceTimeoutMs)
    return longest
  }

  due(atMs: number): void {
    this.dueMs = Math.min(this.dueMs, atMs)
  }
}
