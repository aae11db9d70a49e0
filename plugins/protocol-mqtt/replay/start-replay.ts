/**
 * A SUBSCRIBE that wants what is stored first: from its form to the subscription that reads it.
 *
 * Invariant: what is stored is looked for before the subscription is made, and nothing more is read from the connection meanwhile.
 */
import type { Connection } from "../Connection.ts"
import { exclusiveFilterOf } from "../exclusive/exclusive-filter.ts"
import { QUOTA_EXCEEDED } from "../reasons.ts"
import type { Wished } from "../rewrite/rewrite-filters.ts"
import type { Session } from "../Session.ts"
import type { Wish } from "../SubscribingSession.ts"
import type { GroupStart } from "../shared/group-contract.ts"
import { groupNameOf, isShared } from "../shared/Memberships.ts"
import { LIVE_GROUP, NO_GROUP, REPLAY_GROUP } from "../shared/share-frames.ts"
import { PAUSED } from "../wire/framing.ts"
import { IMPLEMENTATION_SPECIFIC_ERROR, TOPIC_FILTER_INVALID, UNSPECIFIED_ERROR } from "../wire/reason-codes.ts"
import type { SubscribePacket, Subscription } from "../wire/subscribe.ts"
import { findStart, PARTITIONS_MAX, type ReplayPlace } from "./find-start.ts"
import { findQueueStart, QUEUE } from "./queue-history.ts"
import { Replay } from "./Replay.ts"
import { Replays } from "./Replays.ts"
import { parseReplayFrom, type ReplayFrom, replayFilter, replayProperty } from "./replay-from.ts"

/** What a SUBSCRIBE asks for, without what says that it is a replay. */
export interface ReplayWishes {
  readonly wishes: ReadonlyArray<Subscription>
  /** Undefined = it is none, or none of its filters can be one. */
  readonly from: ReplayFrom | undefined
}

/** Takes the property and the prefix of a replay off. What cannot be one gets its Reason Code; other filters of its SUBSCRIBE hold. */
export function replayWishes({ subscriptions, userProperties }: SubscribePacket): ReplayWishes {
  const property = replayProperty(userProperties)
  if (property === undefined && !subscriptions.some(({ filter }) => isPrefixed(filter))) {
    return { wishes: subscriptions, from: undefined }
  }
  const [only] = subscriptions
  const prefix = only === undefined ? undefined : replayFilter(only.filter)
  const from = parseReplayFrom(prefix?.from ?? property ?? "")
  // A share name stands in front.
  const isNested =
    prefix !== undefined && (isPrefixed(prefix.filter) || isShared(prefix.filter) !== isShared(only?.filter ?? ""))
  const isOne = subscriptions.length === 1 && !isNested && (prefix === undefined || property === undefined)
  if (only === undefined || from === undefined || !isOne) {
    const wishes = subscriptions.map((wish) => refuse(wish, property !== undefined))
    return { wishes, from: undefined }
  }
  return { wishes: [prefix === undefined ? only : { ...only, filter: prefix.filter }], from }
}

/** The SUBSCRIBE says something of a replay that is wrong: of its property all filters have to do with it, of a prefix that one. */
function refuse(wish: Subscription, isProperty: boolean): Subscription {
  if (wish.reasonCode !== 0) return wish
  if (!isProperty && !isPrefixed(wish.filter)) return wish
  return { ...wish, reasonCode: isPrefixed(wish.filter) ? TOPIC_FILTER_INVALID : IMPLEMENTATION_SPECIFIC_ERROR }
}

function isPrefixed(filter: string): boolean {
  return replayFilter(filter) !== undefined
}

/** What was found: a wish that may be refused now, and where it begins. */
export interface Started {
  readonly wish: Wished
  readonly start: GroupStart
}

const NOWHERE: GroupStart = { places: [], queue: [] }

/** Looks for what is stored and calls `go`, later; see {@link rewriteFilters} for what is returned. */
export function startReplay(
  connection: Connection,
  session: Session,
  [wish]: ReadonlyArray<Wished>,
  from: ReplayFrom,
  judge: (wish: Wished) => number,
  go: (started: Started) => void
): number {
  if (wish === undefined) return 0
  const refusal = wish.reasonCode || judge(wish) || refusalOf(wish)
  if (refusal !== 0) {
    go({ wish: { ...wish, reasonCode: refusal }, start: NOWHERE })
    return 0
  }
  const found = (start: GroupStart | number): void => {
    if (connection.session !== session) {
      if (typeof start !== "number") forgetClaim(session, wish)
      return
    }
    if (typeof start === "number") go({ wish: { ...wish, reasonCode: start }, start: NOWHERE })
    else go({ wish, start })
    connection.release()
  }
  connection.isHeld = true
  const looked = isShared(wish.filter) ? claimPlace(session, wish, from) : look(session, wish.filter, from)
  looked.then(found, () => found(UNSPECIFIED_ERROR))
  return PAUSED
}

/** Where a session's own replay begins, or the Reason Code of its refusal. */
async function look(session: Session, filter: string, from: ReplayFrom): Promise<GroupStart | number> {
  const { history, logs, queueLogs } = session.broker.services
  const places = await findStart(history, logs, session.tenant, filter, from)
  if (typeof places === "number") return places
  // Where it takes the place of one under the same filter, that ends.
  const others = session.replays?.partitionCountBut(filter) ?? 0
  const isOver = others + Math.max(places.length, 1) > PARTITIONS_MAX
  if (isOver) return QUOTA_EXCEEDED
  const queue = await findQueueStart(queueLogs, session.tenant, filter, from)
  const inQueue = queue.map((offset, partition) => ({ topic: QUEUE, partition, offset, incarnation: 0 }))
  return { places: [...places, ...inQueue], queue: [] }
}

/**
 * Has a place held in a group that replays, or tells the Reason Code of the refusal. One that is there and replays goes on where it is; one that is
 * there and does not has had its members told that they get what is published. While it is looked for where a new one begins another may be made:
 * what holds is what there is then.
 */
async function claimPlace(session: Session, { filter, qos }: Wished, from: ReplayFrom): Promise<GroupStart | number> {
  const { broker, tenant } = session
  const name = groupNameOf(filter)
  const claim = (start?: GroupStart): Promise<number> =>
    new Promise((told) => broker.shared.claim(tenant, name, qos, start, told))
  const kind = await claim()
  if (kind !== NO_GROUP) return claimed(kind)
  const { history, logs, queueLogs } = broker.services
  const plain = name.slice(name.indexOf("/") + 1)
  const places = await findStart(history, logs, tenant, plain, from)
  if (typeof places === "number") return places
  return claimed(await claim({ places, queue: await findQueueStart(queueLogs, tenant, plain, from) }))
}

/** The group has its places itself. */
function claimed(kind: number): GroupStart | number {
  if (kind === REPLAY_GROUP) return NOWHERE
  return kind === LIVE_GROUP ? IMPLEMENTATION_SPECIFIC_ERROR : QUOTA_EXCEEDED
}

/** A place was held in a group and nobody comes. */
export function forgetClaim({ broker, tenant }: Session, { filter, qos }: Wished): void {
  if (isShared(filter)) broker.shared.away(tenant, groupNameOf(filter), qos, -1)
}

/** What cannot be replayed, or not yet. */
function refusalOf({ filter, noLocal }: Wished): number {
  // What is stored does not say who published it.
  if (noLocal) return IMPLEMENTATION_SPECIFIC_ERROR
  return exclusiveFilterOf(filter) !== undefined ? IMPLEMENTATION_SPECIFIC_ERROR : 0
}

/** Puts in what rows say of a subscription; it reads when its session has a connection. */
export function restoreReplay(
  session: Session,
  wish: Wish,
  places: ReadonlyMap<string, ReadonlyArray<ReplayPlace>>
): Replay {
  const replay = new Replay(session, wish, places.get(wish.filter) ?? [])
  // They stand in rows as they are.
  replay.takeMoved()
  session.replays ??= new Replays(session.broker.services.router)
  session.replays.add(wish.filter, replay)
  return replay
}

/** Makes the subscription; it reads from {@link Replay.start} on. */
export function subscribeReplay(
  session: Session,
  wish: Wish,
  places: ReadonlyArray<ReplayPlace>
): { readonly ticket: number; readonly replay: Replay } {
  const replay = new Replay(session, wish, places)
  const { router } = session.broker.services
  const { ticket } = session.subscribe(wish, replay)
  session.replays ??= new Replays(router)
  session.replays.add(wish.filter, replay)
  return { ticket: Math.max(ticket, router.wantUnsafe(wish.filter, true)), replay }
}
