import assert from "node:assert/strict"
import { createRequire } from "node:module"
import { test } from "node:test"
import fc from "fast-check"
import { isPartitionBy, partitionOfClient, partitionOfName } from "./partition-by.ts"
import type { PartitionBy, TopicInfo } from "./TopicInfo.ts"

// What kafkajs's default partitioner does with a key is what the Java client's does.
const { Partitioners } = createRequire(import.meta.url)("kafkajs") as {
  Partitioners: { DefaultPartitioner: () => (message: object) => number }
}
const oracle = (key: string, partitions: number): number =>
  Partitioners.DefaultPartitioner()({
    topic: "t",
    partitionMetadata: Array.from({ length: partitions }, (_, partitionId) => ({ partitionId, leader: 1 })),
    message: { key: Buffer.from(key), value: null }
  })

function topic(partitions: number, partitionBy?: PartitionBy): TopicInfo {
  const kind = { tenant: 0, name: "t", id: "1", engine: "memory", mode: "memory", origin: "admin" } as const
  return { ...kind, partitions, ...(partitionBy === undefined ? {} : { partitionBy }) }
}

test("a name, a level and a client have the partition that a Kafka producer gives a record of that key", () => {
  const name = fc.array(fc.string({ unit: "grapheme", maxLength: 6 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(name, fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 5 }), (levels, partitions, level) => {
      const whole = levels.join("/")
      const parts = whole.split("/")
      assert.equal(partitionOfName(topic(partitions), whole), oracle(whole, partitions))
      const wanted = oracle(parts[level - 1] ?? whole, partitions)
      assert.equal(partitionOfName(topic(partitions, `level:${level}`), whole), wanted)
      assert.equal(partitionOfClient(topic(partitions, "client"), whole), oracle(whole, partitions))
      assert.equal(partitionOfName(topic(partitions, "client"), whole), 0)
    })
  )
})

test("what may be said", () => {
  for (const right of ["name", "client", "level:1", "level:42", "level:128"]) assert.ok(isPartitionBy(right), right)
  for (const wrong of [
    "",
    "level",
    "level:",
    "level:0",
    "level:-1",
    "level:1.5",
    "level:01",
    "level:129",
    "Name",
    "level:1 "
  ]) {
    assert.ok(!isPartitionBy(wrong), wrong)
  }
})
