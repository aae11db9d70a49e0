/**
 * SUBSCRIBE and UNSUBSCRIBE: per-filter codes, the wait until every shard knows a new filter, retained messages.
 *
 * Source: MQTT 5.0 sections 3.8 to 3.11, 3.3.1.3; MQTT 3.1.1 the same.
 */
import {
  SUBSCRIBE as ACTION_SUBSCRIBE,
  ALLOW,
  checkTopicFilter,
  parseShared,
  type RetainedSeam
} from "../../core/mod.ts"
import type { Broker } from "./Broker.ts"
import type { Connection } from "./Connection.ts"
import { claimFilters } from "./exclusive/claim-filters.ts"
import { exclusiveFilterOf } from "./exclusive/exclusive-filter.ts"
import { reasonStringOf } from "./reason-strings.ts"
import * as Reason from "./reasons.ts"
import type { Replay } from "./replay/Replay.ts"
import { withoutReplay } from "./replay/replay-from.ts"
import { forgetClaim, replayWishes, startReplay, subscribeReplay } from "./replay/start-replay.ts"
import { rewriteFilters, type Wished } from "./rewrite/rewrite-filters.ts"
import type { Session } from "./Session.ts"
import type { GroupStart } from "./shared/group-contract.ts"
import { isShared } from "./shared/Memberships.ts"
import { clientSubscribed, clientUnsubscribed } from "./system/client-events.ts"
import { NO_SUBSCRIPTION_EXISTED, PACKET_TOO_LARGE, TOPIC_FILTER_INVALID } from "./wire/reason-codes.ts"
import { Refusal } from "./wire/refusal.ts"
import { decodeSubscribe, type SubscribePacket, subackSize, writeSuback } from "./wire/subscribe.ts"
import { decodeUnsubscribe, unsubackSize, writeUnsuback } from "./wire/unsubscribe.ts"

/** No exclusive filter was refused. */
const NONE: ReadonlySet<string> = new Set()
/** The one failure that a SUBACK before version 5 knows. */
const FAILURE_BEFORE_5 = 0x80

const NO_FRAME = new Uint8Array(0)

/** A subscription whose retained messages are due. */
interface RetainedReplay {
  readonly filter: string
  readonly seam: RetainedSeam
}

/** Takes a SUBSCRIBE; 0 or the Reason Code that ends the connection. */
export function subscribe(
  connection: Connection,
  session: Session,
  bytes: Uint8Array,
  start: number,
  end: number
): number {
  const decoded = decodeSubscribe(bytes, start, end, connection.version)
  if (decoded instanceof Refusal) return decoded.reasonCode
  // An answer that its client does not take would leave it waiting for good.
  if (subackSize(connection.version, decoded.subscriptions.length) > connection.packetSizeMax) return PACKET_TOO_LARGE
  const { wishes, from } = replayWishes(decoded)
  return rewriteFilters(connection, session, wishes, (subscriptions) => {
    const packet = { ...decoded, subscriptions }
    if (from === undefined) return claimAndMake(connection, session, packet)
    const judged = (wish: Wished): number => judge(connection, session, wish)
    return startReplay(connection, session, subscriptions, from, judged, (started) => {
      make(connection, session, { ...packet, subscriptions: [started.wish] }, NONE, started.start)
    })
  })
}

/** A SUBSCRIBE by the filters that are to be had. */
type Rewritten = Omit<SubscribePacket, "subscriptions"> & { readonly subscriptions: ReadonlyArray<Wished> }

function claimAndMake(connection: Connection, session: Session, packet: Rewritten): number {
  const claims = claimsOf(connection, session, packet)
  if (claims.length > 0) {
    return claimFilters(connection, session, claims, (refused) => make(connection, session, packet, refused))
  }
  make(connection, session, packet, NONE)
  return 0
}

/** The exclusive filters that the session does not hold yet and may have, each once. */
function claimsOf(connection: Connection, session: Session, packet: Rewritten): ReadonlyArray<string> {
  const claims = new Set<string>()
  for (const wish of packet.subscriptions) {
    const inner = wish.reasonCode === 0 ? exclusiveFilterOf(wish.filter) : undefined
    if (inner === undefined || session.exclusive?.has(inner) === true) continue
    if (judge(connection, session, wish) === 0) claims.add(inner)
  }
  return [...claims]
}

/** Makes the subscriptions of a SUBSCRIBE and answers it; `refused` are exclusive filters that others hold. */
function make(
  connection: Connection,
  session: Session,
  packet: Rewritten,
  refused: ReadonlySet<string>,
  start?: GroupStart
): void {
  const { version } = connection
  const { subscriptions, subscriptionIdentifier, packetIdentifier } = packet
  const made = makeAll(connection, session, subscriptions, subscriptionIdentifier, refused, start)
  const { codes } = made
  const reason = reasonFor(connection, codes)
  const frame = new Uint8Array(subackSize(version, codes.length, reason))
  writeSuback(frame, 0, version, packetIdentifier, codes, reason)
  answerMade(connection, session, frame, made)
}

/** Subscribes without a SUBSCRIBE and its SUBACK; returns the codes that would stand in it. */
export function subscribeTo(
  connection: Connection,
  session: Session,
  wishes: ReadonlyArray<Wished>
): ReadonlyArray<number> {
  const made = makeAll(connection, session, wishes, 0, NONE)
  answerMade(connection, session, NO_FRAME, made)
  return made.codes
}

/** Has the retained messages of subscriptions that stand sent, as after a SUBSCRIBE. */
export function replayRetained(connection: Connection, session: Session, filters: ReadonlyArray<string>): void {
  const replays = filters.map((filter) => ({ filter, seam: session.openSeam() }))
  answerMade(connection, session, NO_FRAME, { codes: [], ticket: 0, joining: 0, replays, started: [] })
}

/** Sends the answer when what was made is committed and in force, and then the retained messages. */
function answerMade(
  connection: Connection,
  session: Session,
  frame: Uint8Array,
  { ticket, joining, replays, started }: Made
): void {
  waitForRows(connection, session)
  const stream = session.shares?.joins.stream
  if (stream !== undefined && joining > stream.committed) connection.answers.waitFirst(stream, joining)
  connection.answer(frame, ticket, () => {
    for (const { filter, seam } of replays) {
      session.replay(filter, seam)
      connection.broker.system?.replay(session, filter)
    }
    for (const replay of started) replay.start()
  })
}

/** Subscriptions that were made: their codes, what to wait for, and the retained messages that are due. */
interface Made {
  readonly codes: ReadonlyArray<number>
  readonly ticket: number
  readonly joining: number
  readonly replays: ReadonlyArray<RetainedReplay>
  /** Those that read what is stored. */
  readonly started: ReadonlyArray<Replay>
}

function makeAll(
  connection: Connection,
  session: Session,
  wishes: ReadonlyArray<Wished>,
  identifier: number,
  refused: ReadonlySet<string>,
  start?: GroupStart
): Made {
  const codes: Array<number> = []
  const replays: Array<RetainedReplay> = []
  const started: Array<Replay> = []
  let ticket = 0
  let joining = 0
  for (const wish of wishes) {
    const exclusive = exclusiveFilterOf(wish.filter)
    const isTaken = exclusive !== undefined && refused.has(exclusive)
    const judged = wish.reasonCode !== 0 ? wish.reasonCode : judge(connection, session, wish)
    const refusal = judged === 0 && isTaken ? Reason.QUOTA_EXCEEDED : judged
    if (refusal !== 0) {
      if (start !== undefined && wish.reasonCode === 0) forgetClaim(session, wish)
      connection.broker.counts.subscribesRefused += 1
      codes.push(connection.version === 5 ? refusal : FAILURE_BEFORE_5)
      continue
    }
    const { qos, noLocal, retainAsPublished } = wish
    const filter = exclusive ?? wish.filter
    session.ask(wish.asked ?? filter, filter)
    const asked = { filter, qos, noLocal, retainAsPublished, identifier, exclusive: exclusive !== undefined }
    clientSubscribed(connection, { ...wish, filter })
    if (isShared(filter)) {
      // No retained message for a shared subscription: section 4.8.2.
      joining = session.subscribeShared(asked, { isClaimed: start !== undefined })
      codes.push(qos)
      continue
    }
    if (start !== undefined) {
      const made = subscribeReplay(session, asked, start.places)
      ticket = Math.max(ticket, made.ticket)
      started.push(made.replay)
      codes.push(qos)
      continue
    }
    const made = session.subscribe(asked)
    ticket = Math.max(ticket, made.ticket)
    codes.push(qos)
    if (wantsRetained(wish, made.isNew)) replays.push({ filter, seam: session.openSeam() })
  }
  return { codes, ticket, joining, replays, started }
}

/** What to say of the first filter that was refused, where the client wants to know and takes a packet of that size. */
function reasonFor(connection: Connection, codes: ReadonlyArray<number>): string | undefined {
  const refused = codes.find((code) => code >= 0x80)
  if (refused === undefined || connection.version !== 5 || !connection.client.requestProblemInformation)
    return undefined
  const reason = reasonStringOf(refused)
  return subackSize(5, codes.length, reason) <= connection.packetSizeMax ? reason : undefined
}

/** What a durable session keeps of its subscriptions is committed before the client is told. */
function waitForRows({ answers, broker }: Connection, session: Session): void {
  const { tickets } = broker.services.journal
  const { subscribing } = session
  if (subscribing !== undefined && subscribing.issued > subscribing.committed) {
    answers.waitFirst(subscribing, subscribing.issued)
  }
  if (session.isDurable && tickets.issued > tickets.committed) answers.waitFirst(tickets, tickets.issued)
}

function wantsRetained(wish: Wished, isNew: boolean): boolean {
  return wish.retainHandling === 0 || (wish.retainHandling === 1 && isNew)
}

/** Whether a filter may be had at all: 0 or the Reason Code of its refusal. Leaves out what depends on the session, and access. */
export function judgeFilter(broker: Broker, wanted: string): number {
  if (checkTopicFilter(wanted) !== 0) return TOPIC_FILTER_INVALID
  const exclusive = exclusiveFilterOf(wanted)
  if (exclusive === "" || (exclusive !== undefined && !broker.settings.exclusive_subscriptions)) {
    return TOPIC_FILTER_INVALID
  }
  const filter = exclusive ?? wanted
  const shared = parseShared(filter)
  if (typeof shared === "number") return TOPIC_FILTER_INVALID
  if (broker.topicBounds.isTextOver(shared?.filter ?? filter)) return TOPIC_FILTER_INVALID
  if (shared !== undefined && !broker.settings.shared_subscriptions) return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
  return broker.refusals.isSubscribeRefused(shared?.filter ?? filter) ? Reason.NOT_AUTHORIZED : 0
}

function judge(connection: Connection, session: Session, { filter: wanted, asked }: Wished): number {
  const { broker } = connection
  const refusal = judgeFilter(broker, wanted)
  if (refusal !== 0) return refusal
  const filter = exclusiveFilterOf(wanted) ?? wanted
  const { subscriptions_max, subscription_bytes_max } = broker.settings
  const size = filter.length + (asked?.length ?? 0)
  // Names that rules made others of count as subscriptions do; the filter itself may become one of them.
  const names = asked === undefined ? 0 : (session.asked?.count ?? 0) + 1
  const isOver =
    Math.max(session.subscriptionCount, names) >= subscriptions_max ||
    session.filterSize + size > subscription_bytes_max
  if (isOver && (!session.hasSubscription(filter) || isNewName(session, asked ?? filter))) return Reason.QUOTA_EXCEEDED
  const shared = parseShared(filter)
  const plain = typeof shared === "object" ? shared.filter : filter
  const allowed = broker.services.access.checkUnsafe(connection.client, ACTION_SUBSCRIBE, plain)
  return allowed === ALLOW ? 0 : Reason.NOT_AUTHORIZED
}

/** A filter as its session has it: without what says how it is to be had. */
function nameOf(filter: string): string {
  const plain = withoutReplay(filter)
  return exclusiveFilterOf(plain) ?? plain
}

/** Whether a session has, or its client asked for, nothing by this name. */
function isNewName(session: Session, name: string): boolean {
  return !session.hasSubscription(name) && session.asked?.filterOf(name) === undefined
}

/** Takes an UNSUBSCRIBE; 0 or the Reason Code that ends the connection. */
export function unsubscribe(
  connection: Connection,
  session: Session,
  bytes: Uint8Array,
  start: number,
  end: number
): number {
  const packet = decodeUnsubscribe(bytes, start, end, connection.version)
  if (packet instanceof Refusal) return packet.reasonCode
  const { version } = connection
  if (unsubackSize(version, packet.filters.length) > connection.packetSizeMax) return PACKET_TOO_LARGE
  const codes = packet.filters.map(({ filter, reasonCode }) => {
    if (reasonCode !== 0) return reasonCode
    const name = nameOf(filter)
    if (!session.unsubscribeAsked(name)) return NO_SUBSCRIPTION_EXISTED
    clientUnsubscribed(connection, name)
    return 0
  })
  const frame = new Uint8Array(unsubackSize(version, codes.length))
  waitForRows(connection, session)
  writeUnsuback(frame, 0, version, packet.packetIdentifier, codes)
  connection.answer(frame, 0, undefined)
  return 0
}
