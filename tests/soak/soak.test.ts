/**
 * Half a minute of clients that come and go, and what is left of them: `main.ts` does the same for as long as one likes. SOAK_SEED=n
 * repeats the plan. In so short a time the heap has not found its size: what memory may grow by is wider than there.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type Broker, IS_EXTERNAL, RUNS_ON_DENO, startBroker } from "../support/broker.ts"
import { Client } from "./Client.ts"
import { Faults } from "./Faults.ts"
import { Ledger } from "./Ledger.ts"
import { Pair, subscriberOf } from "./Pair.ts"
import { Recess } from "./Recess.ts"
import { judgeMemory, SOAK_CONFIG, SOAK_SETTINGS, soak } from "./run.ts"
import { emptied, type Idle, leftOver, lookAt, readTables } from "./tables.ts"

const MIB = 1_048_576
const SHARDS = 2
const SHORT = {
  seed: Number(process.env["SOAK_SEED"] ?? Math.floor(Math.random() * 2 ** 31)),
  clients: 200,
  shards: SHARDS,
  rate: 200,
  warmMs: 2_000,
  loadMs: 4_000,
  restMs: 1_000,
  growth: { share: 0.1, bytes: 96 * MIB }
}

describe.skipIf(IS_EXTERNAL || RUNS_ON_DENO)("soak", () => {
  let broker: Broker
  let before: Idle
  beforeAll(async () => {
    broker = await startBroker({ shards: SHARDS, config: SOAK_CONFIG, set: SOAK_SETTINGS })
    before = await lookAt(broker, SHARDS)
  }, 30_000)
  afterAll(() => broker.stop())

  test("clients that come and go leave nothing, and are not felt by those that stay", async () => {
    const told: Array<string> = [`SOAK_SEED=${SHORT.seed}`]
    const { faults } = await soak(broker, { ...SHORT, progress: (line) => told.push(line) })
    expect(faults, told.join("\n")).toEqual([])
  }, 180_000)

  test("a client that is still there is found in the tables", async () => {
    const faults = new Faults()
    const place = { mqtt: broker.mqtt, websocket: broker.websocket, faults }
    const client = await Client.connect(place, { clientId: "left", version: 5, isWeb: false, keepAlive: 60 })
    await client?.subscribe([{ filter: "left/+" }, { filter: "$share/g/left/+", qos: 1 }])
    client?.publish({ topic: "left/a", payload: "a", alias: 1, retain: true })
    await client?.ping()
    await emptied(broker, before, 300, faults)
    const names = faults.lines.map((line) => /: (\w+) is/.exec(line)?.[1])
    const expected = ["mqtt_connections", "mqtt_sessions", "mqtt_sessions_in_memory", "mqtt_subscriptions"]
    expect(names).toEqual(expect.arrayContaining(expected))
    const wrong = leftOver(await readTables(broker), before).join()
    for (const name of ["topic_aliases", "shared_groups", "retained_messages", "timers"]) expect(wrong).toContain(name)
    client?.publish({ topic: "left/a", retain: true })
    await client?.disconnect()
    const after = new Faults()
    await emptied(broker, before, 30_000, after)
    expect(after.lines).toEqual([])
  }, 60_000)

  test("a connection that ends and should not is told", async () => {
    const faults = new Faults()
    const place = { mqtt: broker.mqtt, websocket: broker.websocket, faults }
    const recess = new Recess()
    const pair = await Pair.open(place, 4, [])
    const talk = pair?.talk(recess)
    await Bun.sleep(300)
    const other = await Client.connect(place, { clientId: subscriberOf(4), version: 5, isWeb: false })
    await talk
    await other?.disconnect()
    expect(faults.lines).toContain(`a connection ended: ${subscriberOf(4)}, DISCONNECT 0x8e`)
  }, 60_000)
})

test("messages that are missing, come again or never, and memory that grows, are told", () => {
  const faults = new Faults()
  const ledger = new Ledger("p", faults, [])
  const sent = Array.from({ length: 6 }, () => ledger.send(0))
  for (const place of [0, 1, 3, 2, 4, 4]) ledger.received(sent[place] ?? "", 1)
  ledger.close()
  judgeMemory(100 * MIB, 130 * MIB, { share: 0.1, bytes: 20 * MIB }, faults)
  judgeMemory(100 * MIB, 131 * MIB, { share: 0.1, bytes: 20 * MIB }, faults)
  expect(faults.lines).toEqual([
    "messages are missing: p, 2 to 2",
    "a message came again, or too late: p, 2",
    "a message came again, or too late: p, 4",
    "messages were lost: p, 5 to 5",
    "memory has grown: from 100.0 to 131.0 MiB"
  ])
})
