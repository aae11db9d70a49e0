/** Ingress of one shard: sequences what it owns, forwards what another owns, routes what nobody stores. */
import { ALLOW, type Principal, PUBLISH } from "../access/Access.ts"
import { assert } from "../assert.ts"
import { JointTickets } from "../journal/JointTickets.ts"
import type { TicketStream } from "../journal/TicketStream.ts"
import { CHANNEL_DELIVER } from "../link/LinkPort.ts"
import { LANES, type Resolution } from "../router/Resolution.ts"
import { partitionOfClient } from "../topics/partition-by.ts"
import { BindingHold } from "./BindingHold.ts"
import { Forwards } from "./Forwards.ts"
import { answerGiveBacks, giveBackEverywhere } from "./give-back.ts"
import { HeldMessages } from "./HeldMessages.ts"
import {
  ACCEPTED,
  ACCEPTED_PENDING,
  ACCEPTED_UNMATCHED,
  HELD_UP,
  type IngressShape,
  REFUSED_NOT_AUTHORIZED,
  REFUSED_QUOTA,
  REFUSED_TOPIC_NAME,
  type RetainedRoom,
  type RetainedVisitor,
  type RetainedWalk
} from "./Ingress.ts"
import { Message } from "./Message.ts"
import { RetainedMoves } from "./RetainedMoves.ts"
import { RetainedWalks } from "./RetainedWalks.ts"
import type { IngressCounts, QueueAppender, ShardIngressParts } from "./ShardIngressParts.ts"
import { TokensElsewhere } from "./TokensElsewhere.ts"

export type { IngressCounts, QueueAppender, ShardIngressParts }

export class ShardIngress implements IngressShape {
  readonly counts: IngressCounts = {
    published: 0,
    stored: 0,
    queued: 0,
    forwarded: 0,
    refusedAccess: 0,
    refusedStorage: 0,
    unmatched: 0
  }
  pendingStream: TicketStream
  pendingTicket = 0
  pendingOwner: number
  pendingIsJournaled = false
  readonly #parts: ShardIngressParts
  readonly #forwards: Forwards
  /** Of messages whose topic and whose other state are committed apart, by lane. */
  readonly #joints: ReadonlyArray<JointTickets>
  readonly #received = new Message()
  /** Messages whose topic is being made. */
  readonly #held: HeldMessages
  /** Messages whose name may be another topic's in a moment. */
  readonly #bindings: BindingHold
  readonly #elsewhere: TokensElsewhere
  readonly #moves: RetainedMoves
  readonly #walks: RetainedWalks
  /** Names whose home the meta store is asked for, as `tenant/name`. */
  readonly #making = new Set<string>()

  constructor(parts: ShardIngressParts) {
    const { port } = parts
    this.#parts = parts
    this.pendingStream = parts.journal.tickets
    this.pendingOwner = port.shard
    this.#joints = Array.from({ length: LANES }, () => new JointTickets())
    const sequence = (message: Message): number =>
      message.token === "" ? this.#take(message) : this.#takeOnce(message)
    this.#forwards = new Forwards({ port, take: sequence, pending: this })
    port.handle(CHANNEL_DELIVER, (_from, reader) => {
      this.#received.decode(reader)
      const resolution = parts.resolutions.resolveUnsafe(this.#received)
      if (resolution !== undefined) parts.router.deliverLocalUnsafe(this.#received, resolution)
    })
    answerGiveBacks(port, parts.tokens)
    this.#elsewhere = new TokensElsewhere(port, parts.tokens)
    const ownerOf = (tenant: number, name: string): number => parts.resolutions.ownerOf(tenant, name)
    const retainedParts = { port, retained: parts.retained, ownerOf, clock: parts.clock }
    this.#moves = new RetainedMoves(retainedParts)
    this.#walks = new RetainedWalks(retainedParts)
    const soon = (task: () => void): void => void parts.clock.after(ROOM_INTERVAL_MS, task)
    this.#held = new HeldMessages({
      mustWait: (tenant, name) => this.#isMaking(tenant, name),
      sequence,
      pending: this,
      later: (task) => parts.clock.immediate(task),
      soon
    })
    const settling = (): (() => boolean) => this.#forwards.settling()
    const { clock } = parts
    this.#bindings = new BindingHold({ sequence, pending: this, soon, clock, opening: this.#held, settling })
    parts.topics.bindings.gate = this.#bindings
    parts.topics.onOpened(() => this.#held.reviewSoon())
    parts.topics.onChange((name) => {
      if (name !== "") this.#moves.review(name)
      this.#held.review()
    })
  }

  publishUnsafe(message: Message, principal: Principal): number {
    const resolution = this.#parts.resolutions.resolveUnsafe(message)
    if (resolution === undefined) return REFUSED_TOPIC_NAME
    if (this.#parts.access.checkUnsafe(principal, PUBLISH, resolution.name) !== ALLOW) {
      this.counts.refusedAccess += 1
      return REFUSED_NOT_AUTHORIZED
    }
    this.counts.published += 1
    if (message.token !== "" && this.#isStoredLater(message.token)) return ACCEPTED_PENDING
    const bindings = this.#bindings
    if (bindings.holds(message.tenant, resolution.name)) return this.#hold(message, resolution, bindings.held)
    const outcome = this.#sequence(message, resolution)
    // It comes again.
    if (outcome === HELD_UP) this.counts.published -= 1
    return outcome
  }

  /**
   * Whether a message is stored already, and its publisher did not hear of that: after it had waited on this shard, or by another shard in the last
   * run. Sets where to wait.
   */
  #isStoredLater(token: string): boolean {
    const { tokens, journal, port } = this.#parts
    const known = tokens.ticketOf(token)
    const holder = known === undefined ? this.#elsewhere.holderOf(token) : OWNER_LATER + port.shard
    if (holder === undefined) return false
    this.#pend(undefined, 0, known || journal.tickets.committed, 0)
    this.pendingOwner = holder
    this.pendingIsJournaled = false
    return true
  }

  giveBackToken(token: string, done: (outcome: number) => void): void {
    giveBackEverywhere(this.#parts.port, this.#parts.tokens, token, (outcome) => {
      if (outcome >= 0) this.#elsewhere.givenBack(token)
      done(outcome)
    })
  }

  walkRetained(tenant: number, filter: string): RetainedWalk {
    return this.#walks.open(tenant, filter)
  }

  replayRetained(tenant: number, filter: string, visit: RetainedVisitor, ended: () => void = () => {}): void {
    const walk = this.#walks.open(tenant, filter)
    const go = (): void => {
      if (walk.isDone) ended()
      else walk.next(ALL, visit, () => (walk.isDone ? ended() : this.#parts.clock.immediate(go)))
    }
    go()
  }

  /** At the start, when the shards know their topics: what was cut off in the midst of something is taken up again. Publishing begins afterwards. */
  async resume(): Promise<void> {
    this.#moves.review(undefined)
    await this.#elsewhere.read()
  }

  /** Called about once a second. */
  housekeep(): void {
    this.#moves.housekeep()
    this.#parts.resolutions.housekeep()
  }

  /** At the end: nothing is begun any more. */
  close(): void {
    this.#moves.close()
    this.#walks.close()
  }

  /** Binding, sequence, store, route: on the owner of what is stored, or right here for what is not. */
  #sequence(message: Message, resolution: Resolution): number {
    if (this.#held.holds(message.tenant, resolution.name)) return this.#hold(message, resolution)
    const { port, router, topics, journal } = this.#parts
    const stored = resolution.home !== undefined || resolution.creatable || resolution.queued
    // Once retained, a name's messages all go the way of the retained ones: none overtakes another of its publisher.
    if (message.retain) resolution.sequenced = true
    if (resolution.home === undefined && resolution.creatable && !topics.createsInMemory()) {
      return this.#makeHome(message, resolution)
    }
    if (resolution.owner !== port.shard && (stored || resolution.sequenced)) {
      return this.#forward(message, resolution)
    }
    if (resolution.home === undefined && resolution.creatable) {
      const created = topics.createForPublishUnsafe(message.tenant, resolution.name)
      if (created !== undefined) this.#parts.resolutions.refresh(resolution, message.tenant)
      if (resolution.owner !== port.shard) return this.#forward(message, resolution)
    }
    if (resolution.home !== undefined && resolution.isByClient) {
      resolution.partition = partitionOfClient(resolution.home, message.publisher)
      resolution.log = undefined
    }
    if (resolution.home !== undefined && (resolution.log === undefined || resolution.log.isClosed)) {
      resolution.log = topics.logUnsafe(resolution.home, resolution.partition)
      if (resolution.log === undefined) {
        if (topics.isOpening(resolution.home, resolution.partition)) return this.#hold(message, resolution)
        return this.#refuseStorage()
      }
    }
    const isQueued = resolution.queued && message.qos > 0
    const isRefused = message.retain && this.#parts.retained.refuses(message)
    // Looked at before anything is stored: what is refused has no effect.
    const isJournalClosed = (isQueued || message.retain) && journal.refusal !== 0 && journal.isHeldUp !== true
    if (isRefused || isJournalClosed || this.#hasNoRoom(message, isQueued)) return this.#refuseStorage()
    if (this.#isHeldUp(message, resolution, isQueued)) return this.#holdUp(message, resolution)
    const { log } = resolution
    // The queue log says which of its messages topics have, too.
    if (log !== undefined) message.partition = log.partition
    if (isQueued && this.#parts.queueLog.appendUnsafe(message) < 0) return this.#refuseStorage()
    if (log !== undefined) {
      const offset = log.takeUnsafe(message)
      if (offset < 0) return this.#refuseStorage()
      message.offset = offset
      this.counts.stored += 1
    }
    // Before anything is routed: what a subscriber does with it may store more in the same log.
    const tickets = message.qos > 0 ? log?.tickets : undefined
    const ticket = tickets?.issued ?? 0
    if (message.retain) this.#parts.retained.setUnsafe(message)
    const journalTicket = isQueued || message.retain ? journal.tickets.issued : 0
    if (isQueued) this.counts.queued += 1
    router.dispatchUnsafe(message, resolution)
    if (tickets !== undefined || journalTicket !== 0) {
      this.#pend(tickets, ticket, journalTicket, resolution.lane)
      this.pendingIsJournaled = tickets === undefined || log?.isJournaled === true
      return ACCEPTED_PENDING
    }
    if (log === undefined && resolution.deliveries.length === 0 && resolution.remoteShards.length === 0) {
      this.counts.unmatched += 1
      return ACCEPTED_UNMATCHED
    }
    return ACCEPTED
  }

  /** Whether the disk has no room for what the message adds beside its topic, which sees to itself; clearing a name adds nothing. */
  #hasNoRoom({ retain, payloadStart, payloadEnd }: Message, isQueued: boolean): boolean {
    if (!isQueued && (!retain || payloadStart === payloadEnd)) return false
    return (this.#parts.room?.refusal ?? 0) !== 0
  }

  /** Whether what keeps the message has no room just now. Asked last of all that may keep it from being stored. */
  #isHeldUp(message: Message, { log }: Resolution, isQueued: boolean): boolean {
    const { journal } = this.#parts
    if ((isQueued || message.retain) && journal.isHeldUp === true) return true
    return log !== undefined && !log.admits(message.sizeBytes)
  }

  /** Has the message wait for room: where it comes from, or else here. */
  #holdUp(message: Message, resolution: Resolution): number {
    if (message.canWait) return HELD_UP
    this.#held.awaitRoom()
    return this.#hold(message, resolution)
  }

  #refuseStorage(): number {
    this.counts.refusedStorage += 1
    return REFUSED_QUOTA
  }

  /**
   * Has the meta store agree on a home for the name; the message waits for that here, on whichever shard it is: the home's partition may
   * be another shard's than that which makes the topic, and a message on its way by the one would be overtaken by the next.
   */
  #makeHome(message: Message, resolution: Resolution): number {
    const { topics, resolutions } = this.#parts
    const { tenant } = message
    const { name } = resolution
    const key = `${tenant}/${name}`
    const ended = (): void => {
      this.#making.delete(key)
      if (resolutions.homeOf(tenant, name).home === undefined) this.#held.refuse(tenant, name)
      else this.#held.review()
    }
    if (!topics.agreeForPublishUnsafe(tenant, name, ended)) return this.#refuseStorage()
    this.#making.add(key)
    return this.#hold(message, resolution)
  }

  /** Has the message wait until its topic is there; it is stored in a later turn than that which took it. */
  #hold(message: Message, resolution: Resolution, held = this.#held): number {
    if (held.hold(message, resolution.name) !== ACCEPTED_PENDING) return this.#refuseStorage()
    this.pendingStream = held.stream
    this.pendingTicket = held.ticket
    this.pendingOwner = OWNER_LATER + this.#parts.port.shard
    this.pendingIsJournaled = false
    return ACCEPTED_PENDING
  }

  /** Whether a name's home is being agreed on, or its log is being opened, so that its messages wait. */
  #isMaking(tenant: number, name: string): boolean {
    const { topics, resolutions, port } = this.#parts
    const { home, owner, partition, isByClient } = resolutions.homeOf(tenant, name)
    // Where it was deleted while its log was opened nobody makes it: the next message sees to it.
    if (home === undefined) return this.#making.has(`${tenant}/${name}`)
    if (owner !== port.shard) return false
    // Of a topic that is partitioned by client its messages may wait for any of them.
    if (!isByClient) return topics.isOpening(home, partition)
    return Array.from({ length: home.partitions }, (_, each) => each).some((each) => topics.isOpening(home, each))
  }

  /** Sets what a message waits for: its partition's commit, the journal's, or both. */
  #pend(tickets: TicketStream | undefined, ticket: number, journalTicket: number, lane: number): void {
    this.pendingOwner = this.#parts.port.shard
    const { journal } = this.#parts
    if (tickets === undefined || journalTicket === 0) {
      this.pendingStream = tickets ?? journal.tickets
      this.pendingTicket = tickets === undefined ? journalTicket : ticket
      return
    }
    const joint = this.#joints[lane]
    assert(joint !== undefined, "a lane has its line of joint tickets")
    this.pendingStream = joint.stream
    this.pendingTicket = joint.join(tickets, ticket, journal.tickets, journalTicket)
  }

  #forward(message: Message, { owner, lane }: Resolution): number {
    const stream = this.#forwards.send(message, owner, lane)
    if (stream === undefined) return REFUSED_QUOTA
    this.counts.forwarded += 1
    this.pendingStream = stream
    this.pendingTicket = stream.issued
    this.pendingOwner = owner
    this.pendingIsJournaled = false
    return ACCEPTED_PENDING
  }

  #take(message: Message): number {
    const resolution = this.#parts.resolutions.resolveUnsafe(message)
    return resolution === undefined ? REFUSED_TOPIC_NAME : this.#sequence(message, resolution)
  }

  /** Takes a message that may have come before: its token stands in the entry that stores it. */
  #takeOnce(message: Message): number {
    const { tokens, journal } = this.#parts
    const known = tokens.ticketOf(message.token)
    if (known !== undefined) {
      if (known === 0) return ACCEPTED
      this.#pend(undefined, 0, known, 0)
      return ACCEPTED_PENDING
    }
    if (journal.isHeldUp === true) {
      const resolution = this.#parts.resolutions.resolveUnsafe(message)
      return resolution === undefined ? REFUSED_TOPIC_NAME : this.#holdUp(message, resolution)
    }
    if (journal.refusal !== 0) return REFUSED_QUOTA
    const outcome = this.#take(message)
    // One that waits for its topic, or for room, comes here again, and its token stands in the entry that then stores it.
    if (outcome < 0 || (outcome === ACCEPTED_PENDING && this.pendingStream === this.#held.stream)) return outcome
    // An engine that commits by itself may lose what the token would speak of.
    if (outcome === ACCEPTED_PENDING && !this.pendingIsJournaled) return outcome
    const ticket = tokens.take(message.token)
    if (outcome !== ACCEPTED_PENDING || this.pendingStream === journal.tickets) {
      this.#pend(undefined, 0, ticket, 0)
    } else if (this.pendingOwner === this.#parts.port.shard) {
      this.#pend(this.pendingStream, this.pendingTicket, ticket, LANES - 1)
    }
    return ACCEPTED_PENDING
  }
}

/** Between two looks whether storage has room again. */
const ROOM_INTERVAL_MS = 10
/** Added to the shard's own number where a message is stored later than it was taken, as another shard stores it later. */
const OWNER_LATER = 65_536
/** Of somebody who takes whatever comes. */
const ALL: RetainedRoom = { messages: 1_000, bytes: 1_048_576 }
