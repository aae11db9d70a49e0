import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { TopicInfo } from "./TopicInfo.ts"
import { decodeTopic, encodeRemoved, encodeTopic, removedKey, topicKey } from "./topic-codec.ts"

const topic = fc.record(
  {
    tenant: fc.nat(2 ** 31),
    name: fc.stringMatching(/^[A-Za-z0-9._-]{1,30}$/),
    id: fc.oneof(fc.uuid(), fc.constantFrom("no-uuid", "00000000-0000-4000-8000-00000000000G")),
    partitions: fc.integer({ min: 1, max: 10_000 }),
    engine: fc.constantFrom("sqlite", "segment", "memory", "of a third party"),
    mode: fc.constantFrom("memory", "hybrid", "persistent"),
    origin: fc.constantFrom("manifest", "kafka", "publish", "admin"),
    retention: fc.record({ ms: fc.nat(), bytes: fc.nat() }, { noNullPrototype: true }),
    compression: fc.constantFrom("none", "zstd"),
    configs: fc.dictionary(fc.constantFrom("cleanup.policy", "segment.ms"), fc.string(), { noNullPrototype: true }),
    filter: fc.constantFrom("a/+/#", "é/ü", "+")
  },
  { requiredKeys: ["tenant", "name", "id", "partitions", "engine", "mode", "origin"], noNullPrototype: true }
) as fc.Arbitrary<TopicInfo>

test("a topic reads back from its key and value, a removed one from its value, and so does what older releases wrote", () =>
  fc.assert(
    fc.property(topic, (info) => {
      assert.deepEqual(decodeTopic(topicKey(info), encodeTopic(info)), info)
      assert.deepEqual(decodeTopic(removedKey(info), encodeRemoved(info)), info)
      assert.deepEqual(decodeTopic(topicKey(info), new TextEncoder().encode(JSON.stringify(info))), info)
    })
  ))

test("a topic's value has these bytes", () => {
  const info: TopicInfo = {
    tenant: 0,
    name: "t",
    id: "01234567-89ab-4def-8123-456789abcdef",
    partitions: 3,
    engine: "sqlite",
    mode: "persistent",
    origin: "admin"
  }
  const text = '{"partitions":3,"engine":"sqlite","mode":"persistent","origin":"admin"}'
  assert.equal(
    Buffer.from(encodeTopic(info)).toString("latin1"),
    `\x01${Buffer.from("0123456789ab4def8123456789abcdef", "hex").toString("latin1")}${text}`
  )
})

test("what topics have alike is one object in memory", () => {
  const decoded = ["a", "b"].map((name) => {
    const info: TopicInfo = {
      tenant: 0,
      name,
      id: `01234567-89ab-4def-8123-45678900000${name}`,
      partitions: 1,
      engine: "sqlite",
      mode: "persistent",
      origin: "admin",
      retention: { ms: 1, bytes: 2 }
    }
    return decodeTopic(topicKey(info), encodeTopic(info))
  })
  assert.equal(decoded[0]?.retention, decoded[1]?.retention)
})
