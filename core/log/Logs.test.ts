import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "../platform/simulated.ts"
import { joinTopics } from "../topics/fakes.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { encodeTopic, topicKey } from "../topics/Topics.ts"
import { ShardLogs } from "./Logs.ts"

const topic: TopicInfo = {
  tenant: 0,
  name: "watched",
  id: "00000000-0000-4000-8000-000000000001",
  partitions: 2,
  engine: "memory",
  mode: "memory",
  origin: "manifest"
}

function make() {
  const simulation = new Simulation(1)
  const meta = [{ key: topicKey(topic), value: encodeTopic(topic), version: 1 }]
  const { joined, shards } = joinTopics(simulation, { meta })
  const logs = joined.all.map(({ port, turn }, index) => {
    const { topics } = shards[index] ?? assert.fail("there are as many")
    return new ShardLogs(port, turn, topics, () => assert.fail("nobody appends"))
  })
  return { simulation, logs, shards }
}

test("whoever waits for a log's next record is told when it is closed, and of one that is not there, here and elsewhere; once", async () => {
  const { simulation, logs, shards } = make()
  const told: Array<string> = []
  const takeBacks: Array<() => void> = []
  const watchAll = (): void => {
    for (const [shard, each] of logs.entries()) {
      for (let partition = 0; partition < 2; partition++) {
        const logAdvanced = (): void => void told.push(`${shard} ${partition}`)
        takeBacks.push(each.watch(topic, partition, 0, { logAdvanced }))
      }
    }
  }
  watchAll()
  await simulation.runAsync(10)
  assert.deepEqual(told, [])
  for (const { topics } of shards) topics.metaChanged({ key: topicKey(topic), value: undefined, revision: 2 })
  await simulation.runAsync(20)
  assert.deepEqual(told.toSorted(), ["0 0", "0 1", "1 0", "1 1"])
  watchAll()
  await simulation.runAsync(30)
  assert.equal(told.length, 8)
  // What was taken back is told of nothing.
  watchAll()
  for (const takeBack of takeBacks) takeBack()
  await simulation.runAsync(40)
  assert.equal(told.length, 8)
})
