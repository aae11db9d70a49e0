/**
 * The groups that one shard owns: takes them up at the start, finds or makes the one that is asked for, forgets those that nobody needs.
 *
 * Requests come as messages of the newest version (group-requests.ts says how), from connections of this shard or of another.
 *
 * Invariants
 *  - There is one group of a name at a time; its rows are in this shard's store.
 *  - All groups together take at most `groups_bytes_max`, about; what would be more is refused and counted.
 *
 * Source: apache/kafka GroupCoordinatorService (checks of group ids and timeouts), GroupMetadataManager.
 */
import {
  type ClockShape,
  type JournalShape,
  type KeyValueStoreShape,
  type RandomShape,
  randomUuid,
  TimerWheel,
  type TopicsShape,
  type TurnShape
} from "../../../core/mod.ts"
import { CommitLine } from "./CommitLine.ts"
import type { GroupState } from "./Generations.ts"
import { GroupCounts } from "./GroupCounts.ts"
import { GroupUpkeep } from "./GroupUpkeep.ts"
import {
  decodeGroup,
  decodeOffset,
  GROUP_ROWS,
  type GroupName,
  OFFSET_ROWS,
  ofGroupKey,
  ofOffsetKey
} from "./group-rows.ts"
import { type GroupShard, OwnedGroup } from "./OwnedGroup.ts"

/** Characters of a client id or an instance id that a member id begins with. */
const MEMBER_PREFIX_MAX = 255
/** Rows of one reading at the start. */
const PAGE_ROWS = 1_000
const PAGE_BYTES = 1_048_576

export interface CoordinatorServices {
  readonly journal: Pick<JournalShape, "submit" | "tickets">
  readonly store: Pick<KeyValueStoreShape, "rangeLater">
  readonly clock: ClockShape
  readonly turn: Pick<TurnShape, "deferWork">
  readonly random: RandomShape
  readonly topics: Pick<TopicsShape, "find" | "findById">
}

/** The options of groups. */
export interface CoordinatorSettings {
  readonly group_initial_rebalance_delay_ms: number
  readonly group_session_timeout_min_ms: number
  readonly group_session_timeout_max_ms: number
  readonly group_size_max: number
  readonly group_bytes_max: number
  readonly groups_bytes_max: number
  readonly offsets_retention_ms: number
}

export class GroupCoordinator {
  readonly counts = new GroupCounts()
  readonly settings: CoordinatorSettings
  readonly services: CoordinatorServices
  readonly #groups = new Map<string, OwnedGroup>()
  readonly #wheel: TimerWheel
  readonly #shard: GroupShard
  readonly #upkeep: GroupUpkeep
  #bytes = 0

  constructor(services: CoordinatorServices, settings: CoordinatorSettings) {
    const { clock, journal, turn, random } = services
    this.services = services
    this.settings = settings
    this.#wheel = new TimerWheel(clock)
    this.#upkeep = new GroupUpkeep(this, this.#wheel)
    this.#shard = {
      rules: {
        sizeMax: settings.group_size_max,
        initialRebalanceDelayMs: settings.group_initial_rebalance_delay_ms
      },
      counts: this.counts,
      commits: new CommitLine(journal, turn),
      wheel: this.#wheel,
      monotonicMs: () => clock.monotonicMs(),
      nowMs: () => clock.nowMs(),
      newMemberId: (prefix) => `${prefix.slice(0, MEMBER_PREFIX_MAX).toWellFormed()}-${randomUuid(random)}`,
      groupBytesMax: settings.group_bytes_max,
      hasRoom: (bytes) => this.#bytes + bytes <= settings.groups_bytes_max,
      touched: (group) => this.#touched(group)
    }
  }

  /** What all groups take, about. */
  get bytes(): number {
    return this.#bytes
  }
  get size(): number {
    return this.#groups.size
  }
  /** In no order. */
  all(): Iterable<OwnedGroup> {
    return this.#groups.values()
  }
  /** How many groups are in each state, and how many members they have. */
  census(): { readonly states: ReadonlyMap<GroupState, number>; readonly members: number } {
    const states = new Map<GroupState, number>([
      ["Empty", 0],
      ["PreparingRebalance", 0],
      ["CompletingRebalance", 0],
      ["Stable", 0]
    ])
    let members = 0
    for (const { machine } of this.#groups.values()) {
      states.set(machine.state, (states.get(machine.state) ?? 0) + 1)
      members += machine.size
    }
    return { states, members }
  }

  /** Takes up what the last run left. Rejects where the store cannot be read, or a row has a format of a later release. */
  async start(): Promise<void> {
    const { store } = this.services
    for (let { start } = GROUP_ROWS; ; ) {
      const page = await store.rangeLater(start, GROUP_ROWS.end, PAGE_ROWS, PAGE_BYTES)
      for (const { key, value } of page) {
        const name = ofGroupKey(key)
        this.#groups.set(keyOf(name), new OwnedGroup(name, this.#shard, decodeGroup(value)))
      }
      const last = page.at(-1)
      if (last === undefined) break
      start = Uint8Array.of(...last.key, 0)
    }
    for (let { start } = OFFSET_ROWS; ; ) {
      const page = await store.rangeLater(start, OFFSET_ROWS.end, PAGE_ROWS, PAGE_BYTES)
      for (const { key, value } of page) {
        const { group, place } = ofOffsetKey(key)
        this.findOrMake(group).offsets.set(place, decodeOffset(value))
      }
      const last = page.at(-1)
      if (last === undefined) break
      start = Uint8Array.of(...last.key, 0)
    }
    for (const group of this.#groups.values()) group.settle()
    this.#upkeep.start()
  }

  stop(): void {
    this.#wheel.clear()
  }

  find(name: GroupName): OwnedGroup | undefined {
    return this.#groups.get(keyOf(name))
  }

  /** What is asked of a new one must be asked at once: one that is not used is forgotten with its next {@link OwnedGroup.settle}. */
  findOrMake(name: GroupName): OwnedGroup {
    const key = keyOf(name)
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = new OwnedGroup(name, this.#shard)
      this.#groups.set(key, group)
    }
    return group
  }

  /** Forgets a group that has no members, and what it committed. */
  delete(group: OwnedGroup, done: (outcome: number) => void): void {
    this.#drop(group)
    group.delete(done)
  }

  #touched(group: OwnedGroup): void {
    if (this.find(group.name) !== group) return
    const { bytes } = group
    this.#bytes += bytes - group.countedBytes
    group.countedBytes = bytes
    if (!group.isUnused) return
    this.#drop(group)
    group.vanish()
  }

  #drop(group: OwnedGroup): void {
    this.#bytes -= group.countedBytes
    group.countedBytes = 0
    this.#groups.delete(keyOf(group.name))
  }
}

function keyOf({ tenant, id }: GroupName): string {
  return `${tenant}/${id}`
}
