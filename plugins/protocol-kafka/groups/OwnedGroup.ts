/**
 * A group at the shard that owns it: the machine, its committed offsets, the timer it hangs on, the rows that keep it.
 *
 * Invariant: memory says of offsets what the store says, as soon as the store says it; of members it may be ahead of the store, by what
 * no member has been told yet.
 */
import type { KeyValueWrite, TimerWheel, WheelTask } from "../../../core/mod.ts"
import { ClassicGroup } from "./ClassicGroup.ts"
import type { CommitLine } from "./CommitLine.ts"
import type { GroupCounts, GroupRefusal } from "./GroupCounts.ts"
import { type CommittedOffset, GroupOffsets, type OffsetPlace } from "./GroupOffsets.ts"
import type { GroupHost, GroupRules } from "./group-host.ts"
import {
  encodeGroup,
  encodeOffset,
  type GroupName,
  type GroupRow,
  groupKey,
  offsetKey,
  offsetKeys
} from "./group-rows.ts"
import { metadataOf } from "./Roster.ts"
import { CONSUMER, subscribedTopics } from "./subscription.ts"

/** A timer that comes so late means that nothing ran: the process or its machine was stopped. */
const PAUSE_MS = 2_000

/** What all groups of a shard share. */
export interface GroupShard {
  readonly rules: GroupRules
  readonly counts: GroupCounts
  readonly commits: CommitLine
  readonly wheel: Pick<TimerWheel, "set" | "cancel">
  /** Monotonic, and since 1970; ms. */
  readonly monotonicMs: () => number
  readonly nowMs: () => number
  readonly newMemberId: (prefix: string) => string
  /** Bytes of one group. */
  readonly groupBytesMax: number
  /** Whether all groups together may take so many bytes more. */
  readonly hasRoom: (bytes: number) => boolean
  /** Something about the group has changed: its bytes, whether it is needed. */
  readonly touched: (group: OwnedGroup) => void
}

/** One offset on its way. */
export interface OffsetWrite extends OffsetPlace {
  readonly committed: CommittedOffset
}

export class OwnedGroup implements GroupHost, WheelTask {
  readonly name: GroupName
  readonly machine: ClassicGroup
  readonly offsets = new GroupOffsets()
  /** When it became empty, milliseconds since 1970; 0 = it has members, or never had. */
  emptySinceMs: number
  /** Bytes that it counted for when the shard's sum was last told. */
  countedBytes = 0
  /** Bytes of offsets on their way, and how many writes of it are. */
  #reservedBytes = 0
  #writesOpen = 0
  readonly #shard: GroupShard
  #hangsAtMs = Number.POSITIVE_INFINITY
  #isGone = false

  constructor(name: GroupName, shard: GroupShard, row?: GroupRow) {
    this.name = name
    this.#shard = shard
    this.emptySinceMs = row?.emptySinceMs ?? 0
    this.machine = new ClassicGroup(name.id, this, row, shard.monotonicMs())
  }

  get rules(): GroupRules {
    return this.#shard.rules
  }
  get bytes(): number {
    return this.machine.bytes + this.offsets.bytes + this.#reservedBytes
  }
  /** It is deleted, or forgotten: whoever asks for its name gets another one. */
  get isGone(): boolean {
    return this.#isGone
  }
  /** Nothing is known of it that anybody could want, and nothing is on its way. */
  get isUnused(): boolean {
    return this.machine.isUnused && this.offsets.size === 0 && this.#writesOpen === 0
  }
  get hasWritesOpen(): boolean {
    return this.#writesOpen > 0
  }

  newMemberId(prefix: string): string {
    return this.#shard.newMemberId(prefix)
  }

  hasRoom(bytes: number): boolean {
    return this.boundOf(bytes) === undefined
  }

  /** The bound that so many bytes more would pass, counted as a refusal; undefined = there is room. */
  boundOf(bytes: number): GroupRefusal | undefined {
    const { counts, groupBytesMax, hasRoom } = this.#shard
    if (bytes <= 0) return undefined
    // With what it has taken since the sum was told: a new group has not been counted at all.
    const isWithin = hasRoom(this.bytes - this.countedBytes + bytes)
    const bound = this.bytes + bytes > groupBytesMax ? "group_bytes" : isWithin ? undefined : "total_bytes"
    if (bound !== undefined) counts.refuse(bound)
    return bound
  }

  rebalanced(): void {
    this.#shard.counts.rebalances += 1
  }

  store(ticket: number): void {
    this.emptySinceMs = this.machine.state === "Empty" ? this.#shard.nowMs() : 0
    const value = encodeGroup({ ...this.machine.kept(), emptySinceMs: this.emptySinceMs })
    this.#submit([{ key: groupKey(this.name), value }], (outcome) => {
      this.machine.stored(ticket, outcome === 0, this.#shard.monotonicMs())
    })
  }

  /** Has these offsets kept; `done` is told when they are and can be seen, with 0 or the journal's refusal. */
  commit(offsets: ReadonlyArray<OffsetWrite>, done: (outcome: number) => void): void {
    const bytes = Math.max(0, this.offsets.growthOf(offsets))
    this.#reservedBytes += bytes
    const writes = offsets.map((each): KeyValueWrite => {
      return { key: offsetKey(this.name, each), value: encodeOffset(each.committed) }
    })
    this.#submit(writes, (outcome) => {
      this.#reservedBytes -= bytes
      if (outcome === 0) {
        for (const each of offsets) this.offsets.set(each, each.committed)
        this.#shard.counts.offsetCommits += offsets.length
      }
      done(outcome)
    })
  }

  /** Has these offsets forgotten. */
  forget(places: ReadonlyArray<OffsetPlace>, done: (outcome: number) => void): void {
    const writes = places.map((place): KeyValueWrite => ({ key: offsetKey(this.name, place), value: undefined }))
    this.#submit(writes, (outcome) => {
      if (outcome === 0) for (const place of places) this.offsets.delete(place)
      done(outcome)
    })
  }

  /** Has the group forgotten with all that it committed; it must be empty and is gone at once. Where that fails its rows come back with the next start. */
  delete(done: (outcome: number) => void): void {
    this.vanish()
    this.#submit(
      [
        { key: groupKey(this.name), value: undefined },
        { ...offsetKeys(this.name), value: undefined }
      ],
      done
    )
  }

  /** It takes part in nothing any more. */
  vanish(): void {
    this.#isGone = true
    this.machine.end()
    this.#shard.wheel.cancel(this)
  }

  /** After every event: hangs it on the wheel for what is due next, and tells the shard. */
  settle(): void {
    if (this.#isGone) return
    const { dueMs } = this.machine
    if (dueMs < this.#hangsAtMs) {
      this.#hangsAtMs = dueMs
      this.#shard.wheel.set(this, dueMs)
    }
    this.#shard.touched(this)
  }

  timeout(nowMs: number): number {
    const lateMs = nowMs - this.#hangsAtMs
    this.#hangsAtMs = Number.POSITIVE_INFINITY
    if (lateMs > PAUSE_MS) this.machine.paused(lateMs)
    this.machine.tick(nowMs)
    this.#shard.touched(this)
    const { dueMs } = this.machine
    if (this.#isGone || dueMs === Number.POSITIVE_INFINITY) return 0
    this.#hangsAtMs = dueMs
    return dueMs
  }

  /** The topics that its members read; undefined where that cannot be told. */
  subscribed(): ReadonlySet<string> | undefined {
    const { protocolType, protocolName } = this.machine
    if (protocolType !== CONSUMER) return undefined
    const all = new Set<string>()
    for (const member of this.machine.members()) {
      // Before the first vote every protocol counts: a client says the same in each.
      const said = subscribedTopics(metadataOf(member, protocolName ?? member.protocols[0]?.name))
      if (said === undefined) return undefined
      for (const topic of said) all.add(topic)
    }
    return all
  }

  #submit(writes: ReadonlyArray<KeyValueWrite>, done: (outcome: number) => void): void {
    this.#writesOpen += 1
    this.#shard.commits.submit(writes, (outcome) => {
      this.#writesOpen -= 1
      done(outcome)
      this.settle()
    })
  }
}
