/**
 * A classic consumer group as a state machine: events in, answers out, no clock and no I/O. Whoever owns it tells the time (monotonic,
 * in ms), calls {@link ClassicGroup.tick} when {@link ClassicGroup.dueMs} has come, and keeps what it asks to have kept.
 *
 *   Empty -> PreparingRebalance -> CompletingRebalance -> Stable, back to PreparingRebalance whenever members change, to Empty without
 *   members, to Dead where the group is deleted.
 *
 * Invariants
 *  - Every join and every sync is answered: by the next step, by the end of the phase, or by the end of the member's session.
 *  - Who lies about its id, its instance id or its generation changes nothing.
 *  - At most `sizeMax` members, and as many ids that were given out and have not come back.
 *
 * Source: apache/kafka GroupMetadataManager.classicGroup*, ClassicGroup; KIP-62, KIP-134, KIP-345, KIP-394, KIP-559, KIP-814.
 */
import { assert } from "../../../core/mod.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import { Generations, type GroupState, NEVER } from "./Generations.ts"
import {
  type JoinAnswer,
  type JoinRequest,
  joinError,
  NO_BYTES,
  type Reply,
  type SyncAnswer,
  type SyncRequest,
  syncError
} from "./group-events.ts"
import type { GroupHost } from "./group-host.ts"
import { type Member, memberBytes, saysTheSame } from "./Roster.ts"

/** A member that waits in its first join sends no heartbeats: it goes when it has waited so long. Source: KIP-394. */
export const NEW_MEMBER_JOIN_MS = 300_000
/** What an unused group takes, about. */
const GROUP_BYTES = 600

/** What is kept of a member. */
export type KeptMember = Pick<
  Member,
  | "id"
  | "instanceId"
  | "clientId"
  | "clientHost"
  | "sessionTimeoutMs"
  | "rebalanceTimeoutMs"
  | "protocols"
  | "assignment"
>

/** What is kept of a group: its last generation that was settled. */
export interface KeptGroup {
  readonly generation: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string | null
  readonly members: ReadonlyArray<KeptMember>
}

export class ClassicGroup {
  readonly id: string
  readonly #host: GroupHost
  readonly #generations: Generations
  /** Static members that came back, and wait for their new id to be kept: by ticket. */
  readonly #returning = new Map<number, { readonly member: Member; readonly answer: JoinAnswer }>()

  /** With what was kept of it, its members' sessions begin at `nowMs`. */
  constructor(id: string, host: GroupHost, kept?: KeptGroup, nowMs = 0) {
    this.id = id
    this.#host = host
    const generations = new Generations(host)
    this.#generations = generations
    if (kept === undefined) return
    const { roster } = generations
    generations.generation = kept.generation
    generations.protocolType = kept.protocolType
    generations.protocolName = kept.protocolName
    for (const each of kept.members) {
      const member = { ...each, deadlineMs: NEVER, isNew: false, join: undefined, sync: undefined }
      roster.add(member)
      generations.listen(member, nowMs)
    }
    const leader = roster.get(kept.leader ?? "")
    if (leader !== undefined) roster.lead(leader)
    if (roster.size > 0) generations.state = "Stable"
  }

  get state(): GroupState {
    return this.#generations.state
  }
  get generation(): number {
    return this.#generations.generation
  }
  get protocolType(): string | null {
    return this.#generations.protocolType
  }
  get protocolName(): string | null {
    return this.#generations.protocolName
  }
  get leader(): string | undefined {
    return this.#generations.roster.leader
  }
  get size(): number {
    return this.#generations.roster.size
  }
  /** Ids that were given out and have not come back. */
  get pendingCount(): number {
    return this.#generations.pending.size
  }
  /** No later than anything that is due; Infinity = nothing is. */
  get dueMs(): number {
    return this.#generations.dueMs
  }
  members(): Iterable<Readonly<Member>> {
    return this.#generations.roster.all()
  }
  /** What it takes in memory, about; committed offsets apart. */
  get bytes(): number {
    const { roster, pending } = this.#generations
    return GROUP_BYTES + 2 * this.id.length + roster.bytes + pending.bytes
  }
  /** Nobody has ever been in a generation, and nobody is about to. */
  get isUnused(): boolean {
    const { state, generation, pending } = this.#generations
    return state === "Empty" && generation === 0 && pending.size === 0
  }

  /** What has to be kept of it: with the leader's assignment, where that is on its way. */
  kept(): KeptGroup {
    const { roster, proposal, generation, protocolType, protocolName } = this.#generations
    const members = Array.from(roster.all(), (member): KeptMember => {
      const assignment = proposal === undefined ? member.assignment : proposal.assignments.get(member.id)
      return { ...member, assignment: assignment ?? NO_BYTES }
    })
    return { generation, protocolType, protocolName, leader: roster.leader ?? null, members }
  }

  /** Answered when the next generation begins, or at once with an error; `request` and its bytes are the group's from now on. */
  join(request: JoinRequest, reply: Reply<JoinAnswer>, nowMs: number): void {
    const { memberId, instanceId } = request
    const { roster, pending } = this.#generations
    const returning = instanceId === null ? undefined : roster.byInstance(instanceId)
    const itself = memberId === "" ? returning : roster.get(memberId)
    const refused = this.#refusedJoin(request, itself)
    if (refused !== 0) {
      if (refused === ErrorCode.GROUP_MAX_SIZE_REACHED && pending.remove(memberId)) {
        this.#generations.whenAllJoined(nowMs)
      }
      reply(joinError(refused, memberId))
    } else if (itself !== undefined) {
      if (memberId === "") this.#takeOver(itself, request, reply, nowMs)
      else this.#rejoin(itself, request, reply, nowMs)
    } else if (memberId === "" && instanceId === null && request.needsKnownId) {
      const given = this.#host.newMemberId(request.clientId)
      this.#generations.due(pending.add(given, nowMs + request.sessionTimeoutMs))
      reply(joinError(ErrorCode.MEMBER_ID_REQUIRED, given))
    } else this.#add(request, reply, nowMs)
  }

  /** Answered when the leader's assignment is kept, or at once with an error; the assignments are the group's from now on. */
  sync(request: SyncRequest, reply: Reply<SyncAnswer>, nowMs: number): void {
    const generations = this.#generations
    const { memberId, instanceId, generation, protocolType, protocolName, assignments } = request
    const refused = this.#refused(memberId, instanceId, generation)
    const member = generations.roster.get(memberId)
    if (refused !== 0 || member === undefined) {
      reply(syncError(refused))
      return
    }
    const isOther =
      (protocolType !== null && protocolType !== generations.protocolType) ||
      (protocolName !== null && protocolName !== generations.protocolName)
    if (isOther) reply(syncError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
    else if (generations.state === "PreparingRebalance") reply(syncError(ErrorCode.REBALANCE_IN_PROGRESS))
    else if (generations.state === "Stable") {
      generations.synced(member)
      generations.listen(member, nowMs)
      reply(generations.assigned(member))
    } else {
      member.sync?.(syncError(ErrorCode.REBALANCE_IN_PROGRESS))
      member.sync = reply
      member.deadlineMs = NEVER
      generations.synced(member)
      if (generations.roster.leader === memberId) generations.propose(assignments, nowMs)
    }
  }

  /** A sign of life. Returns an error code. */
  heartbeat(memberId: string, instanceId: string | null, generation: number, nowMs: number): number {
    const refused = this.#refused(memberId, instanceId, generation)
    const member = this.#generations.roster.get(memberId)
    if (refused !== 0 || member === undefined) return refused
    this.#generations.listen(member, nowMs)
    return this.state === "PreparingRebalance" ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
  }

  /** A member goes, by its id or by its instance id alone. Returns an error code. */
  leave(memberId: string, instanceId: string | null, nowMs: number): number {
    if (this.state === "Dead") return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const { roster, pending } = this.#generations
    if (instanceId === null && pending.remove(memberId)) {
      this.#generations.whenAllJoined(nowMs)
      return ErrorCode.NONE
    }
    const named = memberId === "" && instanceId !== null ? roster.byInstance(instanceId)?.id : memberId
    const refused = this.#unknown(named ?? "", instanceId)
    const member = roster.get(named ?? "")
    if (refused === 0 && member !== undefined) this.#generations.remove(member, nowMs)
    return refused
  }

  /**
   * Whether offsets may be committed by this member, or by nobody in particular (generation -1). Returns an error code. A member's
   * commit is a sign of life.
   */
  mayCommit(memberId: string, instanceId: string | null, generation: number, nowMs: number): number {
    if (generation < 0 && this.state === "Empty") return ErrorCode.NONE
    const refused = this.#refused(memberId, instanceId, generation)
    if (refused !== 0) return refused
    if (this.state === "CompletingRebalance") return ErrorCode.REBALANCE_IN_PROGRESS
    const member = this.#generations.roster.get(memberId)
    if (member !== undefined) this.#generations.listen(member, nowMs)
    return ErrorCode.NONE
  }

  /** What {@link GroupHost.store} was asked to keep is kept, or could not be. */
  stored(ticket: number, isKept: boolean, nowMs: number): void {
    if (this.state === "Dead") return
    const returned = this.#returning.get(ticket)
    if (returned === undefined) {
      this.#generations.stored(ticket, isKept, nowMs)
      return
    }
    this.#returning.delete(ticket)
    const { member, answer } = returned
    const isStill = this.#generations.roster.get(member.id) === member && member.join !== undefined
    // A generation that has begun meanwhile has answered it, one that is being prepared will.
    if (!isStill || this.state !== "Stable" || answer.generationId !== this.generation) return
    const outcome = isKept ? answer : joinError(ErrorCode.COORDINATOR_NOT_AVAILABLE, member.id)
    this.#generations.answerJoin(member, outcome, nowMs)
  }

  /** Does what is due. */
  tick(nowMs: number): void {
    if (this.state !== "Dead") this.#generations.tick(nowMs)
  }

  /** The owner did not run for so long: nobody is late for what it could not have heard. */
  paused(pausedMs: number): void {
    this.#generations.paused(pausedMs)
  }

  /** The group is deleted; nobody may be in it. */
  end(): void {
    assert(this.size === 0, "a group that is deleted has no members")
    this.#generations.end()
  }

  #refusedJoin({ memberId, instanceId, ...request }: JoinRequest, itself: Member | undefined): number {
    if (this.state === "Dead") return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const { roster, pending, protocolType } = this.#generations
    const isPending = instanceId === null && pending.has(memberId)
    if (memberId !== "" && !isPending) {
      const unknown = this.#unknown(memberId, instanceId)
      if (unknown !== 0) return unknown
    }
    const hasOthers = roster.size > (itself === undefined ? 0 : 1)
    const isOfType = request.protocolType !== "" && (!hasOthers || request.protocolType === protocolType)
    if (!isOfType || !roster.supports(request.protocols, itself)) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    const { sizeMax } = this.#host.rules
    const hasPlace = roster.size < sizeMax && (isPending || pending.size < sizeMax)
    if (itself === undefined && !hasPlace) return ErrorCode.GROUP_MAX_SIZE_REACHED
    const before = itself === undefined ? 0 : memberBytes(itself.id, itself.protocols)
    const more = memberBytes(memberId || (instanceId ?? request.clientId), request.protocols) - before
    return this.#host.hasRoom(more) ? ErrorCode.NONE : ErrorCode.GROUP_MAX_SIZE_REACHED
  }

  /** Whether this is no member, or no more the one behind its instance id: an error code. */
  #unknown(memberId: string, instanceId: string | null): number {
    const { roster } = this.#generations
    if (instanceId !== null) {
      const member = roster.byInstance(instanceId)
      if (member === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
      if (member.id !== memberId) return ErrorCode.FENCED_INSTANCE_ID
    }
    return roster.get(memberId) === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : ErrorCode.NONE
  }

  #refused(memberId: string, instanceId: string | null, generation: number): number {
    if (this.state === "Dead") return ErrorCode.COORDINATOR_NOT_AVAILABLE
    const unknown = this.#unknown(memberId, instanceId)
    if (unknown !== 0) return unknown
    return generation === this.generation ? ErrorCode.NONE : ErrorCode.ILLEGAL_GENERATION
  }

  #add(request: JoinRequest, reply: Reply<JoinAnswer>, nowMs: number): void {
    const generations = this.#generations
    const { memberId, instanceId, clientId, clientHost, protocols, sessionTimeoutMs, rebalanceTimeoutMs } = request
    const id = memberId === "" ? this.#host.newMemberId(instanceId ?? clientId) : memberId
    generations.pending.remove(memberId)
    if (generations.roster.size === 0) generations.protocolType = request.protocolType
    const deadlineMs = nowMs + NEW_MEMBER_JOIN_MS
    const timeouts = { sessionTimeoutMs, rebalanceTimeoutMs, deadlineMs }
    const member = { id, instanceId, clientId, clientHost, ...timeouts, protocols, assignment: NO_BYTES }
    generations.roster.add({ ...member, isNew: true, join: reply, sync: undefined })
    generations.due(deadlineMs)
    generations.added(nowMs)
  }

  #rejoin(member: Member, request: JoinRequest, reply: Reply<JoinAnswer>, nowMs: number): void {
    const generations = this.#generations
    const isLeader = generations.roster.leader === member.id
    const isCompleting = this.state === "CompletingRebalance"
    // In a generation that stands a leader that joins again asks for a new one.
    const isAsked = isCompleting || (this.state === "Stable" && !isLeader)
    if (isAsked && member.join === undefined && saysTheSame(member, request.protocols)) {
      generations.listen(member, nowMs)
      reply(generations.joined(member, isCompleting && isLeader, false))
      return
    }
    this.#update(member, request, reply)
    generations.changed(nowMs)
  }

  /** A static member came back without its id: it takes the old one's place, with its assignment where nothing else has changed. */
  #takeOver(old: Member, request: JoinRequest, reply: Reply<JoinAnswer>, nowMs: number): void {
    const generations = this.#generations
    const { roster } = generations
    const leaderBefore = roster.leader ?? ""
    const id = this.#host.newMemberId(request.instanceId ?? "")
    old.join?.(joinError(ErrorCode.FENCED_INSTANCE_ID, old.id))
    old.sync?.(syncError(ErrorCode.FENCED_INSTANCE_ID))
    const member: Member = { ...old, id, join: undefined, sync: undefined }
    generations.replace(old, member)
    this.#update(member, request, reply)
    if (this.state !== "Stable" || roster.vote() !== this.protocolName) {
      generations.changed(nowMs)
      return
    }
    const isLeader = roster.leader === id
    const skips = isLeader && request.maySkipAssignment
    const joined = generations.joined(member, skips, skips)
    // A leader that cannot be told to leave the assignment as it is is told that another one leads.
    const answer = isLeader && !skips ? { ...joined, leader: leaderBefore } : joined
    this.#returning.set(generations.keep(), { member, answer })
  }

  /** Takes what a member says of itself anew; from now on it waits for an answer to its join. */
  #update(member: Member, request: JoinRequest, reply: Reply<JoinAnswer>): void {
    const { roster } = this.#generations
    member.join?.(joinError(ErrorCode.REBALANCE_IN_PROGRESS, member.id))
    member.join = reply
    member.clientId = request.clientId
    member.clientHost = request.clientHost
    member.sessionTimeoutMs = request.sessionTimeoutMs
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs
    if (roster.size === 1) this.#generations.protocolType = request.protocolType
    roster.setProtocols(member, request.protocols)
    if (!member.isNew) member.deadlineMs = NEVER
  }
}
