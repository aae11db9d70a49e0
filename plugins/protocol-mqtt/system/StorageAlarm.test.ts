import assert from "node:assert/strict"
import { test } from "node:test"
import { encode } from "../../../tests/support/mqtt-packets.ts"
import { TestClient } from "../fakes.ts"
import { TestNode } from "../testing.ts"
import { StorageAlarm } from "./StorageAlarm.ts"
import { SystemTopics } from "./SystemTopics.ts"

const DISK_FULL = -3
const FAILED = -7
const INTERVAL_MS = 10_000

test("an alarm is told when storage takes nothing, at each interval while that lasts, and when it takes again", async () => {
  const node = new TestNode()
  await node.start()
  const watcher = new TestClient(node, "watcher", 4)
  watcher.connect()
  await node.settle()
  watcher.answer()
  watcher.send(encode.subscribe(4, 1, [{ filter: "$SYS/#", qos: 0 }]))
  await node.settle()
  const { broker } = node.of("watcher")
  const facts = { node: "n1", version: "1", address: "here", startedAtMs: 0, topicCount: () => 0 }
  broker.system = new SystemTopics(broker, facts, 3_600_000)
  new StorageAlarm(broker, broker.system, INTERVAL_MS)
  const told = async (ms: number): Promise<ReadonlyArray<string>> => {
    await node.advance(ms)
    watcher.answer()
    const got = watcher.got.splice(0).filter(({ topic }) => topic.includes("alarm"))
    return got.map(({ topic, payload }) => {
      const said = JSON.parse(String(payload))
      const value = said.value ?? said
      assert.equal(Number.isInteger(value.activate_at), true)
      assert.deepEqual(value.details, { shard: broker.services.shard.index })
      return `${topic} ${value.alarm ?? ""} ${value.name}`
    })
  }
  const lines = (what: string, name: string): ReadonlyArray<string> => [
    `$SYS/brokers/n1/alarms/${what}  ${name}`,
    `$SYS/brokers/alarms/alert ${what} ${name}`
  ]
  assert.deepEqual(await told(2_000), [])
  const { journal } = node.of("watcher")
  journal.refusal = DISK_FULL
  assert.deepEqual(await told(1_000), lines("activate", "disk_full"))
  assert.deepEqual(await told(INTERVAL_MS - 2_000), [])
  assert.deepEqual(await told(2_000), lines("activate", "disk_full"))
  journal.refusal = FAILED
  assert.deepEqual(await told(1_000), [...lines("deactivate", "disk_full"), ...lines("activate", "storage_failed")])
  journal.refusal = 0
  assert.deepEqual(await told(1_000), lines("deactivate", "storage_failed"))
  assert.deepEqual(await told(3 * INTERVAL_MS), [])
})

test("the first shard tells when the data directory is nearly full, and when it is full, beside what else is the matter", async () => {
  const node = new TestNode()
  await node.start()
  const watcher = new TestClient(node, "watcher", 5)
  watcher.connect()
  await node.settle()
  watcher.answer()
  watcher.send(encode.subscribe(5, 1, [{ filter: "$SYS/brokers/alarms/alert", qos: 0 }]))
  await node.settle()
  const facts = { node: "n1", version: "1", address: "here", startedAtMs: 0, topicCount: () => 0 }
  for (const { broker } of node.shards) {
    broker.system = new SystemTopics(broker, facts, 3_600_000)
    new StorageAlarm(broker, broker.system, INTERVAL_MS)
  }
  const told = async (ms: number): Promise<ReadonlyArray<string>> => {
    await node.advance(ms)
    watcher.answer()
    const got = watcher.got.splice(0).map(({ payload }) => JSON.parse(String(payload)).value)
    return got.map(({ alarm, name, details }) => `${alarm} ${name} ${details.shard}`)
  }
  const press = (pressure: "ok" | "high" | "full"): void => {
    for (const { room } of node.shards) room.pressure = pressure
  }
  press("high")
  assert.deepEqual(await told(1_000), ["activate data_high 0"])
  press("full")
  assert.deepEqual(await told(1_000), ["activate data_full 0"])
  for (const { journal } of node.shards) journal.refusal = DISK_FULL
  assert.deepEqual((await told(1_000)).toSorted(), ["activate disk_full 0", "activate disk_full 1"])
  for (const { journal } of node.shards) journal.refusal = 0
  press("high")
  assert.deepEqual((await told(1_000)).toSorted(), [
    "deactivate data_full 0",
    "deactivate disk_full 0",
    "deactivate disk_full 1"
  ])
  press("ok")
  assert.deepEqual(await told(1_000), ["deactivate data_high 0"])
  assert.deepEqual(await told(3 * INTERVAL_MS), [])
})
