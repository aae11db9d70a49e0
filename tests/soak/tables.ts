/** The broker's tables as /metrics tells them, and what must be left of them when every client has gone for good. */
import type { Broker } from "../support/broker.ts"
import type { Faults } from "./Faults.ts"

/** Empty again. */
export const EMPTY: ReadonlyArray<string> = [
  "mqtt_connections",
  "mqtt_sessions",
  "mqtt_sessions_in_memory",
  "mqtt_sessions_ending",
  "mqtt_subscriptions",
  "wanted_filters",
  "resolved_subscribers",
  "mqtt_received_identifiers",
  "mqtt_inflight_messages",
  "mqtt_queued_messages",
  "mqtt_topic_aliases",
  "mqtt_held_bytes",
  "mqtt_output_bytes",
  "mqtt_wills_pending",
  "mqtt_wills_unsettled",
  "mqtt_shared_groups",
  "mqtt_shared_members",
  "retained_messages",
  "queue_log_messages",
  "queue_log_bytes",
  "forwarded_connections"
]

const KEYS = "storage_sqlite_keys"

/** As before any client came, or so much more on each shard: what a broker has of its own. The row more says which numbers were given. */
const OWN: ReadonlyArray<readonly [name: string, more: number]> = [
  ["mqtt_timers", 0],
  [KEYS, 1]
]

/** Empty when names have not moved for a while, as they do at a start. */
const EMPTY_LATER: ReadonlyArray<string> = ["retained_bytes", "retained_cleared"]
const LATER_MS = 60_000

export type Tables = ReadonlyMap<string, number>

/** A broker that has had no client yet. */
export interface Idle {
  readonly tables: Tables
  readonly shards: number
  /** When it was looked at, monotonic ms. */
  readonly atMs: number
}

export async function lookAt(broker: Broker, shards: number): Promise<Idle> {
  // Gauges of this moment, and what its own start has still to write.
  await Bun.sleep(500)
  return { tables: await readTables(broker), shards, atMs: performance.now() }
}

/** Every series that is a plain number, those of different labels added up. */
export async function readTables(broker: Broker): Promise<Tables> {
  const tables = new Map<string, number>()
  for (const [, name = "", value] of (await broker.metrics()).matchAll(/^manifold_(\w+)(?:\{[^}]*\})? (\S+)$/gm)) {
    tables.set(name, (tables.get(name) ?? 0) + Number(value))
  }
  return tables
}

/** What is not as it should be: name, value, and what it should be at most. */
export function leftOver(tables: Tables, before: Idle): ReadonlyArray<string> {
  const wrong: Array<string> = []
  const isLater = performance.now() - before.atMs > LATER_MS
  for (const name of isLater ? [...EMPTY, ...EMPTY_LATER] : EMPTY) {
    const value = tables.get(name)
    if (value !== 0) wrong.push(`${name} is ${value ?? "not told"}, not 0`)
  }
  const noted = tables.get("retained_cleared") ?? 0
  for (const [name, more] of OWN) {
    const value = tables.get(name) ?? Number.NaN
    const most = (before.tables.get(name) ?? Number.NaN) + more * before.shards + (name === KEYS ? noted : 0)
    if (!(value <= most)) wrong.push(`${name} is ${value}, not ${most}`)
  }
  return wrong
}

/** Waits until every table is as it was; what is not by then is a fault each. */
export async function emptied(broker: Broker, before: Idle, withinMs: number, faults: Faults): Promise<void> {
  const end = performance.now() + withinMs
  for (;;) {
    const wrong = leftOver(await readTables(broker), before)
    if (wrong.length === 0) return
    if (performance.now() > end) {
      for (const each of wrong) faults.add("something is left", each)
      return
    }
    await Bun.sleep(200)
  }
}
