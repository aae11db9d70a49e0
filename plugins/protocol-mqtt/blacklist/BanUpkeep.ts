/** Takes entries off the blacklist whose time is over; they hold no more already. For one shard, which acts for all. */
import { Effect } from "effect"
import type { MetaStoreShape, WheelTask } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"

const LOOK_EVERY_MS = 10_000
/** Where there were more than are taken off in one go. */
const LOOK_AGAIN_MS = 50
/** Entries that are taken off in one go. */
const ENDED_MAX = 100

export class BanUpkeep implements WheelTask {
  readonly #broker: Broker
  readonly #meta: MetaStoreShape
  #isBusy = false

  constructor(broker: Broker, meta: MetaStoreShape) {
    this.#broker = broker
    this.#meta = meta
    broker.services.wheel.set(this, broker.services.clock.monotonicMs() + LOOK_EVERY_MS)
  }

  timeout(nowMs: number): number {
    if (this.#isBusy) return nowMs + LOOK_AGAIN_MS
    const { blacklist, services } = this.#broker
    const ended = blacklist.endedBy(services.clock.nowMs(), ENDED_MAX)
    if (ended.length === 0) return nowMs + LOOK_EVERY_MS
    this.#isBusy = true
    // One that was put anew meanwhile stays. Where the meta store cannot now, a later look finds them again.
    const removals = ended.map(([name, revision]) => Effect.ignore(blacklist.rules.remove(this.#meta, name, revision)))
    Effect.runFork(
      Effect.all(removals, { concurrency: 10, discard: true }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            this.#isBusy = false
          })
        )
      )
    )
    return nowMs + (ended.length < ENDED_MAX ? LOOK_EVERY_MS : LOOK_AGAIN_MS)
  }
}
