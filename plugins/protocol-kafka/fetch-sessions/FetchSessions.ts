/**
 * The fetch sessions of one shard: what clients said once that they want, so that they need not say it again, nor be told what has not
 * changed. A session belongs to no connection: whoever names its id and its next epoch goes on with it.
 *
 * Invariants
 *  - There are at most `sessionsMax`, and of those that stay at most `partitionsMax` partitions in all; a client that gets none, or whose
 *    session is gone, says all of it with every request, and loses nothing but time.
 *  - Where all places are taken a new session takes that of one that nobody used for {@link EVICTION_MS}; else that of the smallest one
 *    that has lived so long, where that is smaller than the new one.
 *
 * Source: KIP-227; apache/kafka FetchSession.FetchSessionCacheShard (maybeCreateSession, tryEvict, touch).
 */
import type { ClockShape, RandomShape } from "../../../core/mod.ts"
import type { FetchList } from "./FetchList.ts"

/** Apache's min.incremental.fetch.session.eviction.ms. */
export const EVICTION_MS = 120_000
/** No session. */
export const SESSION_NONE = 0
/** Session epochs that ask for everything: the first request of a new session, and one that wants none. */
export const EPOCH_INITIAL = 0
export const EPOCH_FINAL = -1
const INT32_MAX = 0x7fff_ffff

export class FetchSession {
  readonly id: number
  readonly tenant: number
  readonly list: FetchList
  /** What the next request must name. */
  epoch = nextEpoch(EPOCH_INITIAL)
  readonly createdMs: number
  lastUsedMs: number
  /** It had lived for {@link EVICTION_MS} when it was last used. */
  isOld = false
  /** Of its list, as they were counted last. */
  partitions = 0

  constructor(id: number, tenant: number, list: FetchList, nowMs: number) {
    this.id = id
    this.tenant = tenant
    this.list = list
    this.createdMs = nowMs
    this.lastUsedMs = nowMs
  }
}

/** The epoch after `epoch`: never 0 again. */
export function nextEpoch(epoch: number): number {
  if (epoch < 0) return EPOCH_FINAL
  return epoch === INT32_MAX ? 1 : epoch + 1
}

export interface FetchSessionsParts {
  readonly clock: Pick<ClockShape, "monotonicMs">
  readonly random: Pick<RandomShape, "uint32">
  readonly sessionsMax: number
  readonly partitionsMax: number
}

export class FetchSessions {
  /** Sessions that had to make place. */
  evictions = 0
  /** Partitions of all sessions. */
  partitions = 0
  readonly #parts: FetchSessionsParts
  /** In the order of their last use. */
  readonly #sessions = new Map<number, FetchSession>()

  constructor(parts: FetchSessionsParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#sessions.size
  }

  /** The session of an id, of that tenant. */
  get(id: number, tenant: number): FetchSession | undefined {
    const session = this.#sessions.get(id)
    return session?.tenant === tenant ? session : undefined
  }

  /** Makes a session of `list`, which is its own from now on; its id, or {@link SESSION_NONE} where there is no place for it. */
  create(tenant: number, list: FetchList): number {
    const { clock, sessionsMax, partitionsMax } = this.#parts
    const nowMs = clock.monotonicMs()
    const size = list.partitions.size
    if (size > partitionsMax) return SESSION_NONE
    while (this.#sessions.size >= sessionsMax || this.partitions + size > partitionsMax) {
      const evicted = this.#evictable(size, nowMs)
      if (evicted === undefined) return SESSION_NONE
      this.remove(evicted)
      this.evictions += 1
    }
    const session = new FetchSession(this.#freeId(), tenant, list, nowMs)
    this.#sessions.set(session.id, session)
    this.#count(session)
    return session.id
  }

  /** The session was used, and its list may have changed; false where it outgrew the bound of all, and is gone. */
  touch(session: FetchSession): boolean {
    const nowMs = this.#parts.clock.monotonicMs()
    session.lastUsedMs = nowMs
    session.isOld = nowMs - session.createdMs > EVICTION_MS
    this.#sessions.delete(session.id)
    this.#sessions.set(session.id, session)
    this.#count(session)
    if (this.partitions <= this.#parts.partitionsMax) return true
    this.remove(session)
    return false
  }

  remove(session: FetchSession): void {
    if (this.#sessions.delete(session.id)) this.partitions -= session.partitions
  }

  #count(session: FetchSession): void {
    this.partitions += session.list.partitions.size - session.partitions
    session.partitions = session.list.partitions.size
  }

  /** Which session has to make place for one of `size` partitions. */
  #evictable(size: number, nowMs: number): FetchSession | undefined {
    const [oldest] = this.#sessions.values()
    if (oldest === undefined) return undefined
    if (nowMs - oldest.lastUsedMs > EVICTION_MS) return oldest
    let smallest: FetchSession | undefined
    for (const session of this.#sessions.values()) {
      if (!session.isOld || session.partitions >= size) continue
      if (smallest === undefined || isBefore(session, smallest)) smallest = session
    }
    return smallest
  }

  /** An id that nobody can guess from another one. */
  #freeId(): number {
    for (;;) {
      const id = this.#parts.random.uint32() & INT32_MAX
      if (id !== SESSION_NONE && !this.#sessions.has(id)) return id
    }
  }
}

function isBefore(one: FetchSession, other: FetchSession): boolean {
  return one.partitions === other.partitions ? one.id < other.id : one.partitions < other.partitions
}
