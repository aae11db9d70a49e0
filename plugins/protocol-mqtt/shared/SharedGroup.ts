/**
 * A shared subscription at the shard that owns it: who its members are, and which of them gets which message.
 *
 * Source: MQTT 5.0 section 4.8.2.
 * Invariants
 *  - A message of QoS 1 or 2 is in one place: still to be read, waiting here, or with one member. It is done with when that member has
 *    acknowledged it, with whatever Reason Code [MQTT-4.8.2-6], or QoS 2: when the member's session keeps it [MQTT-4.8.2-4].
 *  - A QoS 2 message leaves for a member whose session is not in this shard's journal when a row says so: after a crash it is asked who
 *    has it, and never given to a second one [MQTT-4.8.2-5].
 *  - While nobody is connected and somebody may come back, messages wait in the queue logs.
 */
import type { Delivery, Message, Subscriber, Subscription } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { everything, type FeedHost } from "./GroupFeed.ts"
import { GroupKeep } from "./GroupKeep.ts"
import type { GroupMember } from "./GroupMember.ts"
import { GroupPlaces, goneOf } from "./GroupPlaces.ts"
import { GroupRecord } from "./GroupRecord.ts"
import { GroupReplay } from "./GroupReplay.ts"
import { GroupRoster } from "./GroupRoster.ts"
import type { Group, GroupStart, GroupVoice, Held } from "./group-contract.ts"
import { type GroupRow, type Handed, keyOfPlace, NOWHERE, type Place, type Token } from "./group-rows.ts"
import { JoinAsks } from "./JoinAsks.ts"
import { Chooser } from "./strategies.ts"
import { WaitingLine } from "./WaitingLine.ts"

/** Messages that wait here for members with room, at most. */
const WAITING_MAX = 1_024
/** Messages that are read and not done with, at most: each row of the group names all of them. */
const HELD_MAX = 65_536
/** Below this many that have room nothing is read for the members of a group that is behind, unless it has nothing at all. */
const READ_FROM = 32

export class SharedGroup implements Group, Subscriber, FeedHost {
  readonly tenant: number
  readonly name: string
  readonly number: number
  readonly #broker: Broker
  readonly #voice: GroupVoice
  readonly #filter: string
  readonly #chooser: Chooser<GroupMember>
  readonly #subscription: Subscription
  readonly #record: GroupRecord
  readonly #places: GroupPlaces
  readonly #keep: GroupKeep
  readonly #held = new Map<string, Held>()
  /** Held messages that no member has, in order. */
  readonly #waiting = new WaitingLine()
  /** QoS 2 messages with members on other shards, which have not said that they keep them. */
  readonly #handed = new Map<string, Handed>()
  readonly #roster = new GroupRoster()
  readonly #asks: JoinAsks
  /** The sum of its positions at the last {@link SharedGroup.refresh}. */
  #refreshedAt = 0
  #isEnded = false
  #isDispatching = false

  /** Goes on from a row, or with `start` replays from there. */
  constructor(broker: Broker, voice: GroupVoice, tenant: number, name: string, row?: GroupRow, start?: GroupStart) {
    this.#broker = broker
    this.#voice = voice
    this.tenant = tenant
    this.name = name
    this.#filter = name.slice(name.indexOf("/") + 1)
    this.number = row?.number ?? broker.sessions.takeNumber()
    const { random, router } = broker.services
    this.#chooser = new Chooser(broker.settings.shared_subscription_strategy, () => random.uint32() / 4_294_967_296)
    this.#record = new GroupRecord(broker, tenant, name, row !== undefined, {
      encoded: () => this.#state(),
      handOver: (held) => this.#handOver(held),
      forget: ({ token, shard }) => this.#voice.forget(token, shard),
      committed: () => this.#asks.answerWhenKnown(),
      lost: (outcome) => this.#asks.answer(outcome)
    })
    const isReplay = (row === undefined ? start : row.replay) !== undefined
    this.#places = new GroupPlaces(isReplay ? new GroupReplay(broker, this, tenant, this.#filter) : undefined)
    this.#keep = new GroupKeep(broker, this.#places, this, tenant, this.#filter, start?.queue ?? [])
    this.#asks = new JoinAsks(broker, voice, () => !(this.#keep.isWanted || isReplay) || this.#record.isCommitted)
    this.#subscription = everything(this, this.#filter)
    this.#asks.waitFor(router.subscribeUnsafe(this.#subscription))
    if (row !== undefined) this.#resume(row)
    else if (start !== undefined) this.#places.replay?.begin(start.places)
    if (start !== undefined) this.moved()
  }

  /** Whether it replays what is stored. */
  get isReplay(): boolean {
    return this.#places.replay !== undefined
  }

  get room(): number {
    const { slots } = this.#roster
    if (this.#broker.held.isFull || slots <= 0) return 0
    // Of a keyed strategy some wait for their member while others have room.
    const most = this.#chooser.isKeyed ? WAITING_MAX : Math.min(WAITING_MAX, slots)
    return Math.min(most - this.#waiting.length, HELD_MAX - this.#held.size)
  }

  /** A member is connected, new or back, or wants something else now; `ask` is answered when nothing published is missed any more. */
  attach(member: GroupMember, wasAway: boolean, ask: number): void {
    member.isPaced = this.isReplay
    this.#roster.attach(member)
    if (wasAway) this.changeAway(member.qos, -1)
    if (ask !== 0) this.#asks.add(member.shard, ask)
    this.#wish()
    if (this.#roster.members.length === 1) {
      this.#rewind()
      this.#keep.feed?.bound()
    }
    this.#dispatch()
    this.#asks.answerWhenKnown()
  }

  /** A member is not connected any more; what it was sent and has not acknowledged was given back before. */
  detach(member: GroupMember, staysAway: boolean): void {
    if (!this.#roster.detach(member)) return
    if (staysAway) this.changeAway(member.qos, 1)
    for (const held of this.#record.takeBack(member)) this.#giveBack(held)
    this.settle()
  }

  changeAway(qos: number, change: number): void {
    this.#roster.changeAway(qos, change)
  }

  /** After a member has gone: messages find others, or wait in the queue logs; a group without members ends. */
  settle(): void {
    // While shards start it is not known yet who its members are.
    if (this.#roster.isEmpty && this.#voice.isOpen) {
      this.#end()
      return
    }
    this.#dispatch()
    this.#wish()
    this.#asks.answerWhenKnown()
  }

  /** A queue log has lost messages that were not committed: what is waited for may be among them. */
  lost(): void {
    this.#rewind()
    this.#goOn()
  }

  /** Where it replays is another place without a message. */
  moved(): void {
    this.#record.changed(true)
  }

  #rewind(): void {
    this.#keep.feed?.rewind()
    this.#places.replay?.rewind()
  }

  /** Lowers what is needed of each queue log to where it stands. Its row may say less, or is not there yet. */
  lowerNeeds(lows: Array<number>): void {
    this.#keep.lowerNeeds(lows)
  }

  /** The row is written now, if it has anything to say. */
  flush(): void {
    this.#record.flush()
  }

  /** Looks how far the logs are, so that they need not keep what the group has passed; call it now and then. */
  refresh(): void {
    this.#places.replay?.passOn()
    const { sum } = this.#places
    if (sum !== this.#refreshedAt) this.#record.changed(false)
    this.#refreshedAt = sum
    this.#keep.feed?.rewind()
    this.#goOn()
  }

  deliverUnsafe(message: Message, _delivery: Delivery): void {
    const { members } = this.#roster
    const isStored = this.#places.replay !== undefined && message.partition >= 0
    if (isStored && this.#places.replay?.deliver(message) === true) return
    if (members.length === 0) return
    if (message.qos > 0 && this.#keep.isWanted && !isStored) {
      if (message.queue >= 0) this.#keep.feed?.deliver(message)
      return
    }
    const member = this.#chooser.choose(members, message, false)
    if (member !== undefined) this.#voice.assign(member, message, 0, NOWHERE, undefined)
  }

  take(message: Message, log: number, offset: number): void {
    const held = { log, offset, message, member: undefined, qos: 0, isGone: false, awaits: undefined, awaitsSince: 0 }
    this.#places.acquire(held)
    this.#broker.held.hold(message)
    this.#held.set(keyOfPlace(held), held)
    this.#waiting.push(held)
    this.#dispatch()
  }

  /** A member is done with a message: it has acknowledged it, or cannot get it at all, or its session keeps it from now on. */
  done(member: GroupMember, place: Place): void {
    const held = this.#held.get(keyOfPlace(place))
    if (held?.member !== member) return
    this.#release(held, member)
    // A session's row that says it has the message and the group's that it is done with stand in one entry.
    this.#finish(held, held.qos === 2 && member.isDurable)
    this.#dispatch()
  }

  /** A member gives back a message that it has not acknowledged. */
  returned(member: GroupMember, place: Place): void {
    const held = this.#held.get(keyOfPlace(place))
    if (held?.member !== member) return
    this.#giveBack(held)
    this.#dispatch()
  }

  /** A message that was handed to `shard`, before a restart perhaps, is kept there, or it is not and will not be. */
  told(token: Token, shard: number, isKept: boolean): void {
    const key = keyOfPlace(token)
    if (!this.#handed.delete(key)) {
      if (isKept) this.#voice.forget(token, shard)
      return
    }
    const held = this.#held.get(key)
    if (isKept) {
      if (held?.member !== undefined) this.#release(held, held.member)
      if (held !== undefined) this.#finish(held, true)
      else this.#places.acknowledge(token)
      this.#record.forgetWithRow({ token, shard })
      this.#dispatch()
    } else if (held !== undefined) {
      this.#giveBack(held)
      this.#dispatch()
    } else {
      this.#places.release(token)
      this.#rewind()
      this.#goOn()
    }
  }

  /** Gives what waits to members that have room. */
  #dispatch(): void {
    if (this.#isDispatching) return
    this.#isDispatching = true
    try {
      if (this.#roster.members.length === 0) this.#putBack()
      else this.#waiting.handOut(this.#roster, this.#chooser, (member, held) => this.#hand(member, held))
    } finally {
      this.#isDispatching = false
    }
    this.#goOn()
  }

  /** Nobody is connected: what waits here is read again when somebody is. */
  #putBack(): void {
    const waiting = this.#waiting.takeAll()
    for (const held of waiting) {
      this.#held.delete(keyOfPlace(held))
      this.#broker.held.release(held.message)
      this.#places.release(held)
    }
    if (waiting.length > 0) this.#rewind()
  }

  #hand(member: GroupMember, held: Held): void {
    const { message } = held
    if (this.#broker.dropsExpired(message)) {
      this.#finish(held, false)
      return
    }
    const qos = Math.min(message.qos, member.qos)
    // What is replayed comes as fast as each of them takes it, at QoS 0 too: they say when it has left.
    if (qos === 0 && !this.isReplay) {
      this.#voice.assign(member, message, 0, NOWHERE, undefined)
      this.#finish(held, false)
      return
    }
    held.member = member
    held.qos = qos
    this.#roster.given(member)
    // The session of a durable member here is in the same journal: one entry says that it has the message, and that the group has not.
    if (qos === 2 && !(member.isDurable && member.isLocal)) this.#record.handWithRow(held)
    else this.#voice.assign(member, message, qos, held, undefined)
  }

  /** The row is committed that says where a QoS 2 message goes. */
  #handOver(held: Held): void {
    const { member, message } = held
    if (member === undefined) return
    if (this.#broker.dropsExpired(message)) {
      this.#handed.delete(keyOfPlace(held))
      this.#release(held, member)
      this.#finish(held, true)
      return
    }
    this.#voice.assign(member, message, 2, held, member.isDurable ? this.#tokenOf(held) : undefined)
  }

  #tokenOf({ log, offset }: Place): Token {
    return { shard: this.#broker.services.shard.index, number: this.number, log, offset }
  }

  #giveBack(held: Held): void {
    if (held.member !== undefined) this.#release(held, held.member)
    this.#handed.delete(keyOfPlace(held))
    // Its row says that it is done with.
    if (held.isGone) this.#record.changed(true)
    held.isGone = false
    this.#broker.counts.sharedReturned += 1
    this.#waiting.putBack(held)
  }

  #release(held: Held, member: GroupMember): void {
    held.member = undefined
    if (this.#roster.takenBack(member)) this.#voice.left(member)
  }

  #finish(held: Held, isUrgent: boolean): void {
    this.#held.delete(keyOfPlace(held))
    this.#broker.held.release(held.message)
    this.#places.acknowledge(held)
    this.#record.changed(isUrgent)
  }

  /** Reads on where there is room for more than a few. */
  #goOn(): void {
    if (this.#isDispatching || this.#roster.members.length === 0) return
    const { room } = this
    if (room < Math.min(READ_FROM, this.#roster.slots) && (room <= 0 || this.#waiting.length > 0)) return
    this.#keep.feed?.drain()
    this.#places.replay?.drain()
  }

  /** Has messages kept for the group while a member wants QoS 1 or 2. */
  #wish(): void {
    const keep = this.#keep
    // What is replayed is kept at QoS 0, too.
    const isWanted = this.#roster.wantsKept || this.isReplay
    if (isWanted) {
      if (keep.isWanted) return
      const ticket = keep.want(() => {
        this.#record.changed(true)
        this.#goOn()
      })
      this.#asks.waitFor(ticket)
      // What a row of an earlier run began is not wanted any more.
    } else if (this.#voice.isOpen && (keep.isWanted || keep.feed !== undefined)) this.#drop()
  }

  /** Nothing is kept for the group any more. */
  #drop(): void {
    this.#keep.unwant()
    for (const held of this.#held.values()) {
      this.#broker.held.release(held.message)
      if (held.member !== undefined) this.#release(held, held.member)
    }
    this.#held.clear()
    this.#handed.clear()
    this.#waiting.takeAll()
    this.#roster.recount()
    this.#record.drop()
  }

  #end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    const { router } = this.#broker.services
    router.unsubscribeUnsafe(this.#subscription)
    this.#places.replay?.end()
    this.#drop()
    this.#record.retire()
    this.#asks.answer(0)
    this.#voice.ended(this)
  }

  /** Goes on from a row: QoS 2 messages that were on their way are somewhere. */
  #resume({ positions, handed, replay }: GroupRow): void {
    if (positions.length > 0) this.#keep.begin(positions)
    if (replay !== undefined) this.#places.replay?.resume(replay)
    for (const each of handed) {
      this.#handed.set(keyOfPlace(each), each)
      this.#places.hold(each)
      this.#voice.ask(this.#tokenOf(each), each.shard)
    }
  }

  /** What the row says, with what leaves for members when it is committed. */
  #state(): GroupRow | undefined {
    for (const held of this.#record.handing) {
      const { log, offset, member } = held
      if (member?.isDurable === true) this.#handed.set(keyOfPlace(held), { log, offset, shard: member.shard })
      else held.isGone = true
    }
    return this.#places.state(this.number, this.#handed.values(), goneOf(this.#held))
  }
}
