/**
 * The alarms of a shard's storage: told when its journal takes nothing any more, and by the first shard when the data directory is nearly
 * full, or full; again at each interval while that lasts, and when it is over.
 *
 * Source: EMQX, "System topics", alarms; RobustMQ, `$SYS/brokers/alarms/alert`.
 */
import { BACKLOG, DISK_FULL, type WheelTask } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { SystemTopics } from "./SystemTopics.ts"

/** How often it is looked, ms. */
const LOOK_MS = 500
const ALERT = "$SYS/brokers/alarms/alert"

const MESSAGES = {
  disk_full: "the disk is full: nothing can be stored until there is room",
  storage_failed: "nothing can be stored: the log of the broker says why",
  data_high: "the data directory is nearly full",
  data_full: "the data directory is full: publishers are refused until there is room"
} as const

type AlarmName = keyof typeof MESSAGES

/** What is the matter, since when, ms since 1970. */
interface Alarm {
  readonly name: AlarmName
  readonly activate_at: number
  /** When it is told again, monotonic ms. */
  againMs: number
}

export class StorageAlarm implements WheelTask {
  readonly #broker: Broker
  readonly #system: SystemTopics
  readonly #intervalMs: number
  readonly #active = new Map<AlarmName, Alarm>()

  constructor(broker: Broker, system: SystemTopics, intervalMs: number) {
    this.#broker = broker
    this.#system = system
    this.#intervalMs = intervalMs
    const { wheel, clock } = broker.services
    wheel.set(this, clock.monotonicMs() + LOOK_MS)
  }

  timeout(nowMs: number): number {
    const now = this.#now()
    for (const alarm of [...this.#active.values()]) {
      if (now.has(alarm.name)) continue
      this.#active.delete(alarm.name)
      this.#tell("deactivate", alarm, { deactivate_at: this.#broker.services.clock.nowMs() })
    }
    for (const name of now) {
      const before = this.#active.get(name)
      if (before !== undefined && nowMs < before.againMs) continue
      const alarm = before ?? { name, activate_at: this.#broker.services.clock.nowMs(), againMs: 0 }
      alarm.againMs = nowMs + this.#intervalMs
      this.#active.set(name, alarm)
      this.#tell("activate", alarm, {})
    }
    return nowMs + LOOK_MS
  }

  /** What is the matter now. */
  #now(): ReadonlySet<AlarmName> {
    const { journal, room, shard } = this.#broker.services
    const names = new Set<AlarmName>()
    if (journal.refusal === DISK_FULL) names.add("disk_full")
    else if (journal.refusal !== 0 && journal.refusal !== BACKLOG) names.add("storage_failed")
    // The data directory is the node's.
    if (shard.index !== 0) return names
    if (room.pressure !== "ok") names.add("data_high")
    if (room.pressure === "full") names.add("data_full")
    return names
  }

  #tell(what: "activate" | "deactivate", { name, activate_at }: Alarm, more: object): void {
    if (!this.#system.isHeard) return
    const details = { shard: this.#broker.services.shard.index }
    const facts = { name, activate_at, ...more, message: MESSAGES[name], details }
    this.#system.tell(`${this.#system.prefix}/alarms/${what}`, facts, ALERT, { alarm: what })
  }
}
