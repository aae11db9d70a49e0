/** For tests: groups of one shard over a store in memory. */
import * as v from "valibot"
import { MemoryJournal } from "../../../core/journal/MemoryJournal.ts"
import type { ClockShape, JournalShape, RandomShape, ShardShape, TopicsShape, TurnShape } from "../../../core/mod.ts"
import { OrderedStore } from "../../../core/queue/fakes.ts"
import { options } from "../options.ts"
import { type CoordinatorSettings, GroupCoordinator } from "./GroupCoordinator.ts"
import { GroupLink } from "./GroupLink.ts"

export interface TestGroups {
  readonly coordinator: GroupCoordinator
  readonly link: GroupLink
  readonly store: OrderedStore
}

/** A shard without neighbours. */
const ALONE: Pick<ShardShape, "index" | "count" | "ownerOfGroup" | "mailbox"> = {
  index: 0,
  count: 1,
  ownerOfGroup: () => 0,
  mailbox: () => ({
    begin: () => {
      throw new Error("there is no other shard")
    },
    end: () => {}
  })
}

/** Chance that counts: ids differ, and a run is the same every time. */
export class CountingRandom implements RandomShape {
  #count: number
  constructor(seed = 0) {
    this.#count = seed * 1_000_000
  }
  uint32(): number {
    return ++this.#count
  }
  fill(target: Uint8Array, start: number, end: number): void {
    this.#count += 1
    for (let index = start; index < end; index++) target[index] = (this.#count >>> (8 * (end - 1 - index))) & 255
    if (end - start > 4) target.fill(0, start, end - 4)
  }
}

/** Groups over what `store` has; without a journal of one's own what is submitted is committed at the end of the turn. */
export function makeTestGroups(
  time: ClockShape & TurnShape,
  topics: Pick<TopicsShape, "find" | "findById">,
  changes: Partial<CoordinatorSettings> = {},
  store = new OrderedStore(),
  journal: Pick<JournalShape, "submit" | "tickets"> = new MemoryJournal(time, store),
  seed = 0
): TestGroups {
  const settings = { ...v.parse(options, {}), ...changes }
  const random = new CountingRandom(seed)
  const coordinator = new GroupCoordinator({ journal, store, clock: time, turn: time, random, topics }, settings)
  return { coordinator, link: new GroupLink(coordinator, ALONE), store }
}
