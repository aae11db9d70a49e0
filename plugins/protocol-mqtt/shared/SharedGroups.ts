/**
 * The shared subscriptions of one shard, from both sides: the groups that it owns, and the memberships of its sessions, whose groups may be
 * another shard's.
 *
 * Invariant: what a session here tells a group, and a group a session, goes by a call where both are of this shard, else as a frame: in order.
 */
import { ByteReader, type Mailbox, Message, type WheelTask } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { readPages } from "../stored-sessions.ts"
import { GroupAsks } from "./GroupAsks.ts"
import { GroupMember } from "./GroupMember.ts"
import type { Group, GroupStart, GroupVoice } from "./group-contract.ts"
import * as rows from "./group-rows.ts"
import type { Assignment, Membership } from "./Memberships.ts"
import { OwnedGroups } from "./OwnedGroups.ts"
import type { SharedGroup } from "./SharedGroup.ts"
import * as Frame from "./share-frames.ts"
import { hashOf } from "./strategies.ts"
import { TakenTokens } from "./TakenTokens.ts"

/** How often groups look how far the logs are, ms. */
const REFRESH_MS = 10_000
/** How often it is looked whether all shards have started, ms. */
const OPEN_MS = 250

/** A member, by the shard of its session, with its group. */
interface Known {
  readonly group: SharedGroup
  readonly member: GroupMember
}

export class SharedGroups implements GroupVoice, WheelTask {
  /** Whether all shards have told who their members are. */
  isOpen = false
  /** Partitions that the groups of this shard replay, together. */
  readonly replayed = { count: 0 }
  readonly #broker: Broker
  readonly #self: number
  readonly #mailbox: Mailbox
  readonly #taken: TakenTokens
  readonly #owned: OwnedGroups
  /** Members of those groups, by shard and number. */
  readonly #known = new Map<string, Known>()
  /** Memberships of this shard's connected sessions, by number. */
  readonly #memberships = new Map<number, Membership>()
  readonly #asks = new GroupAsks()
  #lastNumber = 0
  /** What other shards have said before this one was ready. */
  #early: Array<readonly [from: number, bytes: Uint8Array]> | undefined = []
  readonly #scratch = new Message()

  constructor(broker: Broker) {
    this.#broker = broker
    const { shard } = broker.services
    this.#self = shard.index
    this.#owned = new OwnedGroups(broker, this)
    this.#mailbox = shard.mailbox("protocol-mqtt.shared", (from, reader) => {
      if (this.#early === undefined) this.#receive(from, reader)
      else this.#early.push([from, reader.bytes.slice(reader.position, reader.end)])
    })
    this.#taken = new TakenTokens(broker, (token) => this.tellTaken(token, true))
  }

  /** Groups that this shard owns. */
  get groupCount(): number {
    return this.#owned.count
  }

  /** Shared subscriptions of clients that are connected here. */
  get membershipCount(): number {
    return this.#memberships.size
  }

  /** Numbers of members and memberships that are known here. */
  get memberCount(): number {
    return this.#known.size + this.#memberships.size
  }

  /** Takes up the groups that the last run left, and tells those of other shards what members here have taken from them. */
  async start(): Promise<void> {
    const { store, wheel, clock } = this.#broker.services
    await readPages(store, rows.groupRange, (page) => {
      for (const { key } of page) {
        const { tenant, name } = rows.ofGroupKey(key)
        this.#owned.take(tenant, name)
      }
    })
    await readPages(store, rows.tokenRange, (page) => {
      for (const { key } of page) this.#taken.add(rows.ofTokenKey(key))
    })
    this.#taken.tellAll()
    const early = this.#early ?? []
    this.#early = undefined
    for (const [from, bytes] of early) this.#receive(from, new ByteReader().reset(bytes, 0, bytes.length))
    wheel.set(this, clock.monotonicMs() + OPEN_MS)
  }

  /** A queue log has lost messages. */
  lost(): void {
    this.#owned.lost()
  }

  /** What groups know and have not written is written. */
  flush(): void {
    this.#owned.flush()
  }

  /** Lowers what is needed of each queue log to where groups stand. */
  lowerNeeds(lows: Array<number>): void {
    this.#owned.lowerNeeds(lows)
  }

  timeout(nowMs: number): number {
    if (!this.isOpen) {
      if (!this.#broker.services.isServing()) return nowMs + OPEN_MS
      // All have told who their members are: groups that have none end.
      this.isOpen = true
      this.#owned.settle()
    }
    this.#owned.refresh()
    return nowMs + REFRESH_MS
  }

  // What sessions of this shard say.

  takeNumber(): number {
    this.#lastNumber += 1
    return this.#lastNumber
  }

  /**
   * Has a place held in a group that replays, with `start` also where there was none until now; tells which kind of group there is under the name:
   * {@link Frame.NO_GROUP} and so on. Of a {@link Frame.REPLAY_GROUP} the member is away: it attaches so, or is told of as gone.
   */
  claim(tenant: number, name: string, qos: number, start: GroupStart | undefined, told: (kind: number) => void): void {
    const owner = this.#broker.services.shard.ownerOfGroup(tenant, name)
    const claim = { ask: this.#asks.add(told), tenant, name, qos, start }
    if (owner === this.#self) this.#asks.answer(claim.ask, this.#owned.claim(claim))
    else this.#send(owner, (writer) => Frame.writeClaim(writer, claim))
  }

  /** A member is connected, or may be given another number of messages; `joined` is told when its group has it for good. */
  attach(membership: Membership, limit: number, wasAway: boolean, joined?: (outcome: number) => void): void {
    const { session, owner, number, name, wish } = membership
    this.#memberships.set(number, membership)
    const ask = this.#asks.add(joined)
    const facts = {
      shard: this.#self,
      number,
      clientIdentifier: session.clientIdentifier,
      isDurable: session.isDurable,
      qos: wish.qos,
      limit
    }
    const attach = { tenant: session.tenant, name, facts, wasAway, ask }
    if (owner === this.#self) this.#attached(attach)
    else this.#send(owner, (writer) => Frame.writeAttach(writer, attach))
  }

  detach({ owner, number }: Membership, staysAway: boolean): void {
    this.#memberships.delete(number)
    if (owner === this.#self) this.#detached(this.#self, number, staysAway)
    else this.#send(owner, (writer) => Frame.writeDetach(writer, number, staysAway))
  }

  /** Durable members of a group that are not connected are more or fewer than was told. */
  away(tenant: number, name: string, qos: number, change: 1 | -1): void {
    const owner = this.#broker.services.shard.ownerOfGroup(tenant, name)
    if (owner === this.#self) this.#owned.changeAway(tenant, name, qos, change)
    else this.#send(owner, (writer) => Frame.writeAway(writer, tenant, name, qos, change))
  }

  /** The client has acknowledged a message, or cannot get it. */
  acknowledged(assignment: Assignment): void {
    if (assignment.token === undefined) this.#settle(assignment, Frame.DONE)
    else this.tellTaken(assignment.token, true)
  }

  /** The session keeps a QoS 2 message from now on, in the rows of this turn where it is durable. */
  kept({ token, ...assignment }: Assignment): void {
    if (token === undefined) this.#settle({ token, ...assignment }, Frame.DONE)
    else this.#taken.take(token)
  }

  /** The message is given back: it was not sent, or not acknowledged. */
  returned(assignment: Assignment): void {
    if (assignment.token === undefined) this.#settle(assignment, Frame.RETURNED)
    else this.tellTaken(assignment.token, false)
  }

  #settle({ membership, log, offset }: Assignment, kind: number): void {
    const { owner, number } = membership
    if (owner === this.#self) this.#settled(this.#self, number, { log, offset }, kind)
    else this.#send(owner, (writer) => Frame.writeSettled(writer, kind, number, log, offset))
  }

  /** Tells the owner of a message whether a session here keeps it. */
  tellTaken(token: rows.Token, isKept: boolean): void {
    if (token.shard === this.#self) this.#told(token, this.#self, isKept)
    else this.#send(token.shard, (writer) => Frame.writeToken(writer, isKept ? Frame.KEPT : Frame.NOT_KEPT, token))
  }

  // What groups of this shard say.

  assign(
    { shard, number }: GroupMember,
    message: Message,
    qos: number,
    place: rows.Place,
    token: rows.Token | undefined
  ): void {
    if (shard === this.#self) this.#assigned(shard, number, message, qos, place, token)
    else this.#send(shard, (writer) => Frame.writeAssign(writer, number, message, qos, place, token))
  }

  joined(shard: number, ask: number, outcome: number): void {
    if (shard === this.#self) this.#asks.answer(ask, outcome)
    else this.#send(shard, (writer) => Frame.writeJoined(writer, ask, outcome))
  }

  ask(token: rows.Token, shard: number): void {
    if (shard !== this.#self) this.#send(shard, (writer) => Frame.writeToken(writer, Frame.ASK, token))
  }

  forget(token: rows.Token, shard: number): void {
    if (shard === this.#self) this.#taken.forget(token)
    else this.#send(shard, (writer) => Frame.writeToken(writer, Frame.FORGET, token))
  }

  left({ shard, number }: GroupMember): void {
    this.#known.delete(`${shard}/${number}`)
  }

  ended(group: Group): void {
    this.#owned.ended(group)
  }

  // What has come, from here or another shard.

  #attached({ tenant, name, facts, wasAway, ask }: Frame.Attach): void {
    const key = `${facts.shard}/${facts.number}`
    const group = this.#owned.take(tenant, name)
    const known = this.#known.get(key)
    const member = known?.member ?? new GroupMember(facts, facts.shard === this.#self, hashOf(facts.clientIdentifier))
    member.qos = facts.qos
    member.limit = facts.limit
    member.isAttached = true
    this.#known.set(key, { group, member })
    group.attach(member, wasAway, ask)
  }

  #detached(shard: number, number: number, staysAway: boolean): void {
    const key = `${shard}/${number}`
    const known = this.#known.get(key)
    if (known === undefined) return
    known.group.detach(known.member, staysAway)
    // What is on its way to it comes back: until then it is known.
    if (known.member.inflight === 0) this.#known.delete(key)
  }

  #settled(shard: number, number: number, place: rows.Place, kind: number): void {
    const known = this.#known.get(`${shard}/${number}`)
    if (kind === Frame.DONE) known?.group.done(known.member, place)
    else known?.group.returned(known.member, place)
  }

  #told(token: rows.Token, shard: number, isKept: boolean): void {
    const group = this.#owned.ofNumber(token.number)
    if (group !== undefined) group.told(token, shard, isKept)
    else if (isKept) this.forget(token, shard)
  }

  #assigned(
    from: number,
    number: number,
    message: Message,
    qos: number,
    { log, offset }: rows.Place,
    token: rows.Token | undefined
  ): void {
    const membership = this.#memberships.get(number)
    const connection = membership?.session.connection
    if (membership === undefined || connection === undefined) {
      // The member has left while it was on its way.
      if (token !== undefined) this.tellTaken(token, false)
      else if (log >= 0 && from === this.#self) this.#settled(from, number, { log, offset }, Frame.RETURNED)
      else if (log >= 0) this.#send(from, (writer) => Frame.writeSettled(writer, Frame.RETURNED, number, log, offset))
      return
    }
    const shares = membership.session.shares
    const retain = message.retain && membership.wish.retainAsPublished
    if (qos === 0 && log < 0) shares?.send(connection, membership, message)
    else shares?.take({ membership, log, offset, message: message.owned(), qos, retain, token })
  }

  #send(target: number, write: (writer: ReturnType<Mailbox["begin"]>) => void): void {
    const writer = this.#mailbox.begin(target)
    write(writer)
    this.#mailbox.end(writer)
  }

  #receive(from: number, reader: ByteReader): void {
    const kind = reader.uint8()
    switch (kind) {
      case Frame.ATTACH:
        this.#attached(Frame.readAttach(reader, from))
        return
      case Frame.CLAIM: {
        const claim = Frame.readClaim(reader, this.#broker.services.topics)
        const kind = this.#owned.claim(claim)
        this.#send(from, (writer) => Frame.writeClaimed(writer, claim.ask, kind))
        return
      }
      case Frame.CLAIMED:
        this.#asks.answer(reader.uint53(), reader.uint8())
        return
      case Frame.DETACH:
        this.#detached(from, reader.uint53(), reader.uint8() === 1)
        return
      case Frame.AWAY: {
        const { tenant, name, qos, change } = Frame.readAway(reader)
        this.#owned.changeAway(tenant, name, qos, change)
        return
      }
      case Frame.DONE:
      case Frame.RETURNED:
        this.#settled(from, reader.uint53(), { log: reader.uint32(), offset: reader.uint53() }, kind)
        return
      case Frame.ASSIGN: {
        const { number, qos, place, token } = Frame.readAssign(reader, from, this.#scratch)
        this.#assigned(from, number, this.#scratch, qos, place, token)
        return
      }
      case Frame.JOINED: {
        const { ask, outcome } = Frame.readJoined(reader)
        this.#asks.answer(ask, outcome)
        return
      }
      case Frame.KEPT:
      case Frame.NOT_KEPT:
        this.#told(Frame.readToken(reader), from, kind === Frame.KEPT)
        return
      case Frame.ASK: {
        const token = Frame.readToken(reader)
        this.tellTaken(token, this.#taken.has(token))
        return
      }
      case Frame.FORGET:
        this.#taken.forget(Frame.readToken(reader))
        return
      default:
        throw new RangeError(`a frame about shared subscriptions is of kind ${kind}`)
    }
  }
}
