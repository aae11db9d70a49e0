import assert from "node:assert"
import { createRequire } from "node:module"
import { test } from "node:test"
import fc from "fast-check"
import { murmur2, partitionForKey } from "./murmur2.ts"

/** From `org.apache.kafka.common.utils.UtilsTest.testMurmur2`. */
const golden: ReadonlyArray<readonly [key: string, hash: number]> = [
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107]
]
for (const [key, hash] of golden) {
  test(`murmur2 of ${key} at any position`, () => {
    const bytes = new TextEncoder().encode(`--${key}--`)
    assert.strictEqual(murmur2(bytes, 2, bytes.length - 2), hash)
    assert.strictEqual(partitionForKey(bytes, 2, bytes.length - 2, 7), (hash & 0x7fffffff) % 7)
  })
}

// kafkajs keeps its own murmur2, written for Java compatibility, beside its default partitioner.
const oracle = createRequire(import.meta.url)("kafkajs/src/producer/partitioners/default/murmur2") as (
  key: Uint8Array
) => number

test("any key hashes as kafkajs's Java-compatible partitioner hashes it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      assert.strictEqual(murmur2(bytes, 0, bytes.length), oracle(Buffer.from(bytes)))
    })
  )
})

test("any key has a partition that exists", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.integer({ min: 1, max: 1000 }), (bytes, partitions) => {
      const partition = partitionForKey(bytes, 0, bytes.length, partitions)
      assert.ok(Number.isInteger(partition) && partition >= 0 && partition < partitions)
    })
  )
})
