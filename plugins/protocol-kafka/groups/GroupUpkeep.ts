/**
 * Forgets what nobody needs: offsets that nobody has used for `offsets_retention_ms`, offsets of topics that are gone, groups that have
 * had neither members nor offsets for a while. A part of the groups at a time.
 *
 * Offsets of a group that is in use never go by age but for topics that none of its members reads.
 *
 * Source: KIP-211; apache/kafka OffsetMetadataManager.cleanupExpiredOffsets, ClassicGroup.offsetExpirationCondition.
 */
import type { TimerWheel, WheelTask } from "../../../core/mod.ts"
import type { GroupCoordinator } from "./GroupCoordinator.ts"
import type { CommittedOffset } from "./GroupOffsets.ts"
import type { OwnedGroup } from "./OwnedGroup.ts"

/** From the end of one round to the beginning of the next. */
const ROUND_MS = 60_000
/** Groups that are looked at in one go. */
const GROUPS_AT_ONCE = 500
/** How long a group without members and offsets is still known. */
export const EMPTY_GROUP_MS = 600_000

export class GroupUpkeep implements WheelTask {
  readonly #coordinator: GroupCoordinator
  readonly #wheel: TimerWheel
  #round: Iterator<OwnedGroup> | undefined
  /** Topics that were not found: in this round, and in the one before. Another shard may know of a new one first. */
  #missing = new Set<string>()
  #missingBefore = new Set<string>()

  constructor(coordinator: GroupCoordinator, wheel: TimerWheel) {
    this.#coordinator = coordinator
    this.#wheel = wheel
  }

  start(): void {
    this.#wheel.set(this, this.#coordinator.services.clock.monotonicMs() + ROUND_MS)
  }

  timeout(nowMs: number): number {
    this.#round ??= this.#coordinator.all()[Symbol.iterator]()
    for (let count = 0; count < GROUPS_AT_ONCE; count++) {
      const next = this.#round.next()
      if (next.done === true) {
        this.#round = undefined
        this.#missingBefore = this.#missing
        this.#missing = new Set()
        return nowMs + ROUND_MS
      }
      this.#lookAt(next.value)
    }
    return nowMs + 1
  }

  #lookAt(group: OwnedGroup): void {
    if (group.isGone || group.hasWritesOpen) return
    const { counts, services } = this.#coordinator
    const now = services.clock.nowMs()
    const isOld = this.#ageOf(group, now)
    for (const topicId of group.offsets.topicIds()) {
      if (services.topics.findById(topicId) === undefined) this.#missing.add(topicId)
    }
    const over = group.offsets.where((topicId, committed) => {
      const isLost = this.#missing.has(topicId) && this.#missingBefore.has(topicId)
      return isLost || isOld(topicId, committed)
    })
    if (over.length > 0) {
      group.forget(over, (outcome) => {
        if (outcome === 0) counts.offsetsExpired += over.length
      })
      return
    }
    const { machine, offsets, emptySinceMs } = group
    if (machine.state !== "Empty" || offsets.size > 0 || now - emptySinceMs < EMPTY_GROUP_MS) return
    counts.groupsExpired += 1
    this.#coordinator.delete(group, () => {})
  }

  /** Whether an offset of this group is not needed any more. */
  #ageOf(group: OwnedGroup, now: number): (topicId: string, committed: CommittedOffset) => boolean {
    const { services, settings } = this.#coordinator
    const retentionMs = settings.offsets_retention_ms
    const { machine, emptySinceMs } = group
    if (machine.state === "Empty") {
      return (_, { committedAtMs, expiresAtMs }) => {
        if (expiresAtMs > 0) return expiresAtMs <= now
        return Math.max(committedAtMs, emptySinceMs) + retentionMs <= now
      }
    }
    const subscribed = machine.state === "Stable" ? group.subscribed() : undefined
    if (subscribed === undefined) return () => false
    return (topicId, { committedAtMs, expiresAtMs }) => {
      const topic = services.topics.findById(topicId)
      if (topic === undefined || subscribed.has(topic.name)) return false
      return (expiresAtMs > 0 ? expiresAtMs : committedAtMs + retentionMs) <= now
    }
  }
}
