/** Moves as the meta store agrees on them. Keys: `topic-moves/<id>`, from before a copy begins until its leavings are listed as removed. */
import { Effect } from "effect"
import type { MetaEntry, MetaStoreError, MetaStoreShape } from "../meta/MetaStore.ts"
import { StartError } from "../node/StartError.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { AgreedTopic } from "./agreed-alteration.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"
import {
  type AgreedMove,
  decodeMove,
  decodeTopic,
  encodeMove,
  encodeRemoved,
  encodeTopic,
  MOVES_PREFIX,
  moveKey,
  removedKey,
  topicKey
} from "./topic-codec.ts"

/** Between two questions to a meta store that does not answer. */
const RETRY_MS = 500
/** Moves that are read at a time. */
const PAGE = 100

/** Notes what is about to be written for a move; false where the topic is not there as it was, or a move of it is noted already. */
export function noteMove(meta: MetaStoreShape, move: AgreedMove): Effect.Effect<boolean, MetaStoreError> {
  return Effect.gen(function* () {
    const { from } = move
    const entry = yield* meta.get(topicKey(from))
    if (entry === undefined || !isSame(decodeEntry(entry), from)) return false
    const compare = [
      { key: entry.key, version: entry.version },
      { key: moveKey(from), version: 0 }
    ]
    const writes = [{ key: moveKey(from), value: encodeMove(move) }]
    return (yield* meta.transact({ compare, writes })).committed
  })
}

/**
 * Makes the topic what `to` says of its log, engine and mode; returns it, or undefined where it is not there as it was. Answered when the
 * meta store has said which, however often it must be asked, or `isOver`.
 */
export function agreeMove(
  meta: MetaStoreShape,
  clock: Pick<ClockShape, "after">,
  { from, to }: AgreedMove,
  canBe: (info: TopicInfo) => boolean,
  isOver: () => boolean
): Effect.Effect<AgreedTopic | undefined> {
  const attempt = Effect.gen(function* () {
    const entry = yield* meta.get(topicKey(from))
    if (entry === undefined) return undefined
    const now = decodeEntry(entry)
    // An attempt whose answer was lost.
    if (isSame(now, to)) return { info: now, revision: entry.version }
    if (!isSame(now, from)) return undefined
    const { engine, mode, logId } = to
    const changed: TopicInfo = { ...now, engine, mode, ...(logId === undefined ? {} : { logId }) }
    // What was altered meanwhile may be nothing for where it goes.
    if (!canBe(changed)) return undefined
    const compare = [{ key: entry.key, version: entry.version }]
    const writes = [{ key: entry.key, value: encodeTopic(changed) }]
    const { committed, revision } = yield* meta.transact({ compare, writes })
    return committed ? { info: changed, revision } : yield* Effect.fail(undefined)
  })
  const later = Effect.callback<void>((resume) => void clock.after(RETRY_MS, () => resume(Effect.void)))
  return attempt.pipe(
    Effect.catch(() =>
      isOver()
        ? Effect.succeed(undefined)
        : Effect.andThen(
            later,
            Effect.suspend(() => agreeMove(meta, clock, { from, to }, canBe, isOver))
          )
    )
  )
}

/** Lists the log of `info`, which nobody uses any more, among those to be forgotten, instead of the move. */
export function leaveMove(
  meta: MetaStoreShape,
  move: AgreedMove,
  info: TopicInfo
): Effect.Effect<void, MetaStoreError> {
  const writes = [
    { key: moveKey(move.from), value: undefined },
    { key: removedKey(info), value: encodeRemoved(info) }
  ]
  return Effect.asVoid(meta.transact({ compare: [], writes }))
}

/**
 * What a crash has cut off, before any shard follows the meta store: the log that is not the topic's is listed to be forgotten.
 */
export function settleMoves(meta: MetaStoreShape, log: Pick<LogShape, "warn">): Effect.Effect<void, StartError> {
  return Effect.gen(function* () {
    for (;;) {
      const page = yield* meta.range(MOVES_PREFIX, "", PAGE)
      for (const { key, value, version } of page) {
        const { from, to } = decodeMove(value)
        const entry = yield* meta.get(topicKey(from))
        const now = entry === undefined ? undefined : decodeEntry(entry)
        const gone = [from, to].filter((info) => now?.id !== info.id || logIdOf(now) !== logIdOf(info))
        const removed = gone.map((info) => ({ key: removedKey(info), value: encodeRemoved(info) }))
        yield* meta.transact({ compare: [{ key, version }], writes: [{ key, value: undefined }, ...removed] })
        if (now === undefined || logIdOf(now) !== logIdOf(from)) continue
        const words = `topic "${from.name}" was being moved to engine "${to.engine}" when the node ended`
        log.warn("topics", `${words}: it stays with engine "${from.engine}"; what was copied is removed`)
      }
      if (page.length < PAGE) return
    }
  }).pipe(Effect.mapError((error) => new StartError({ message: `meta store: ${error.message}` })))
}

/** Whether a move has of the one what it was begun with of the other: partitions that came meanwhile would be left behind. */
function isSame(one: TopicInfo, other: TopicInfo): boolean {
  if (one.id !== other.id || logIdOf(one) !== logIdOf(other) || one.partitions !== other.partitions) return false
  return one.engine === other.engine && one.mode === other.mode
}

function decodeEntry({ key, value }: MetaEntry): TopicInfo {
  return decodeTopic(key, value)
}
