/**
 * The alarm of a shard's storage: told when its journal takes nothing any more, at each interval while that lasts, and when it takes again.
 *
 * Source: EMQX, "System topics", alarms; RobustMQ, `$SYS/brokers/alarms/alert`.
 */
import { BACKLOG, DISK_FULL, type WheelTask } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { SystemTopics } from "./SystemTopics.ts"

/** How often it is looked, ms. */
const LOOK_MS = 500
const ALERT = "$SYS/brokers/alarms/alert"

/** What is the matter, since when, ms since 1970. */
interface Alarm {
  readonly name: "disk_full" | "storage_failed"
  readonly activate_at: number
  readonly deactivate_at?: number
}

const MESSAGES = {
  disk_full: "the disk is full: nothing can be stored until there is room",
  storage_failed: "nothing can be stored: the log of the broker says why"
} as const

export class StorageAlarm implements WheelTask {
  readonly #broker: Broker
  readonly #system: SystemTopics
  readonly #intervalMs: number
  #active: Alarm | undefined
  /** When it is told again, monotonic ms. */
  #againMs = 0

  constructor(broker: Broker, system: SystemTopics, intervalMs: number) {
    this.#broker = broker
    this.#system = system
    this.#intervalMs = intervalMs
    const { wheel, clock } = broker.services
    wheel.set(this, clock.monotonicMs() + LOOK_MS)
  }

  timeout(nowMs: number): number {
    const { refusal } = this.#broker.services.journal
    const name =
      refusal === 0 || refusal === BACKLOG ? undefined : refusal === DISK_FULL ? "disk_full" : "storage_failed"
    const before = this.#active
    if (before !== undefined && before.name !== name) {
      this.#tell("deactivate", { ...before, deactivate_at: this.#broker.services.clock.nowMs() })
      this.#active = undefined
    }
    if (name !== undefined && (this.#active === undefined || nowMs >= this.#againMs)) {
      this.#active ??= { name, activate_at: this.#broker.services.clock.nowMs() }
      this.#againMs = nowMs + this.#intervalMs
      this.#tell("activate", this.#active)
    }
    return nowMs + LOOK_MS
  }

  #tell(what: "activate" | "deactivate", alarm: Alarm): void {
    if (!this.#system.isHeard) return
    const details = { shard: this.#broker.services.shard.index }
    const facts = { ...alarm, message: MESSAGES[alarm.name], details }
    this.#system.tell(`${this.#system.prefix}/alarms/${what}`, facts, ALERT, { alarm: what })
  }
}
