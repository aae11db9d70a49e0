/**
 * What a Fetch is part of: a session that it begins, goes on with or ends, or none. It says which partitions are read, and which of them
 * are told.
 *
 * Source: KIP-227; apache/kafka FetchManager.newContext, FullFetchContext, IncrementalFetchContext, CachedPartition.
 */
import type { fetch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { FetchList, type FetchPartition } from "./FetchList.ts"
import {
  EPOCH_FINAL,
  EPOCH_INITIAL,
  type FetchSession,
  type FetchSessions,
  nextEpoch,
  SESSION_NONE
} from "./FetchSessions.ts"

type Request = RequestOf<typeof fetch>

/** The answer's head, and which partitions it holds. */
export interface FetchOutcome {
  readonly errorCode: number
  readonly sessionId: number
  readonly partitions: ReadonlyArray<FetchPartition>
}

export interface FetchContext {
  /** What is to be read, in this order. */
  readonly list: FetchList
  /** What of the partitions that were read is told; called once, when the answer is made. */
  finish(read: ReadonlyArray<FetchPartition>): FetchOutcome
}

/** The context of a request, or the error code that is all of its answer. `isById`: its version names topics by id. */
export function contextOf(
  request: Request,
  isById: boolean,
  tenant: number,
  sessions: FetchSessions
): FetchContext | number {
  const { sessionId, sessionEpoch, topics, forgottenTopicsData } = request
  const session = sessions.get(sessionId, tenant)
  if (sessionEpoch === EPOCH_INITIAL || sessionEpoch === EPOCH_FINAL) {
    // Whoever asks for everything is done with the session that he names.
    if (session !== undefined) sessions.remove(session)
    const list = new FetchList(isById)
    list.update(topics)
    return sessionEpoch === EPOCH_FINAL ? alone(list) : beginning(list, tenant, sessions)
  }
  if (session === undefined) return ErrorCode.FETCH_SESSION_ID_NOT_FOUND
  if (session.epoch !== sessionEpoch) return ErrorCode.INVALID_FETCH_SESSION_EPOCH
  if (session.list.isById !== isById) return ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR
  session.list.update(topics)
  session.list.forget(forgottenTopicsData)
  if (session.list.partitions.size === 0) {
    sessions.remove(session)
    const list = new FetchList(isById)
    list.update(topics)
    return alone(list)
  }
  if (!sessions.touch(session)) return ErrorCode.FETCH_SESSION_ID_NOT_FOUND
  session.epoch = nextEpoch(session.epoch)
  return goingOn(session)
}

/** Without a session: everything is told. */
function alone(list: FetchList): FetchContext {
  return { list, finish: (partitions) => ({ errorCode: ErrorCode.NONE, sessionId: SESSION_NONE, partitions }) }
}

/** The first request of a session, which is made when it is answered. */
function beginning(list: FetchList, tenant: number, sessions: FetchSessions): FetchContext {
  const finish = (partitions: ReadonlyArray<FetchPartition>): FetchOutcome => {
    for (const partition of partitions) {
      list.moveToEnd(partition)
      remember(partition)
    }
    return { errorCode: ErrorCode.NONE, sessionId: sessions.create(tenant, list), partitions }
  }
  return { list, finish }
}

/** A session's next request: what has not changed is left out, and who was given records comes last the next time. */
function goingOn(session: FetchSession): FetchContext {
  const { list, epoch } = session
  const finish = (read: ReadonlyArray<FetchPartition>): FetchOutcome => {
    // A later request has gone on from here: what is told now would be lost to it.
    if (session.epoch !== epoch) {
      return { errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH, sessionId: session.id, partitions: [] }
    }
    const partitions: Array<FetchPartition> = []
    for (const partition of read) {
      if (!isNews(partition)) continue
      partitions.push(partition)
      if (partition.views.length > 0) list.moveToEnd(partition)
      remember(partition)
    }
    return { errorCode: ErrorCode.NONE, sessionId: session.id, partitions }
  }
  return { list, finish }
}

/** Whether the client has to be told of what was found. */
function isNews(partition: FetchPartition): boolean {
  const { errorCode, views, diverging, state, toldHighWatermark, toldLogStartOffset } = partition
  if (errorCode !== 0 || views.length > 0 || diverging !== undefined) return true
  return state?.highWatermark !== toldHighWatermark || state.logStartOffset !== toldLogStartOffset
}

/** Keeps what was told; after an error the partition is told of again in any case. */
function remember(partition: FetchPartition): void {
  const { errorCode, state } = partition
  const isTold = errorCode === 0 && state !== undefined
  partition.toldHighWatermark = isTold ? state.highWatermark : -1
  partition.toldLogStartOffset = isTold ? state.logStartOffset : -1
}
