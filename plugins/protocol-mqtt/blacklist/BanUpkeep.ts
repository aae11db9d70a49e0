/** Takes entries off the blacklist whose time is over; they hold no more already. For one shard, which acts for all. */
import { Effect } from "effect"
import type { MetaStoreShape, WheelTask } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"

const LOOK_EVERY_MS = 10_000
/** Entries that are taken off in one go. */
const ENDED_MAX = 500

export class BanUpkeep implements WheelTask {
  readonly #broker: Broker
  readonly #meta: MetaStoreShape

  constructor(broker: Broker, meta: MetaStoreShape) {
    this.#broker = broker
    this.#meta = meta
    broker.services.wheel.set(this, broker.services.clock.monotonicMs() + LOOK_EVERY_MS)
  }

  timeout(nowMs: number): number {
    const { blacklist, services } = this.#broker
    const names = blacklist.endedBy(services.clock.nowMs(), ENDED_MAX)
    // Where the meta store cannot now, the next look finds them again.
    if (names.length > 0) Effect.runFork(Effect.ignore(blacklist.rules.remove(this.#meta, names)))
    return nowMs + LOOK_EVERY_MS
  }
}
