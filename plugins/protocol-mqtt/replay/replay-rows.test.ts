import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { compareKeys } from "../../../core/mod.ts"
import { decodeReplayPlace, dropReplay, encodeReplayPlace, ofReplayKey, replayKey } from "./replay-rows.ts"

test("the bytes of a row: where a replay is", () => {
  assert.equal(replayKey(3, "a/#", "t", 2).toHex(), "73630000000000000003612f2300742f32")
  assert.equal(encodeReplayPlace(258).toHex(), "010000000000000102")
})

test("what is written is read, and the end of one replay ends all its places and no other's", () => {
  const filter = fc.string({ minLength: 1, maxLength: 6 }).filter((text) => !text.includes("\0"))
  const place = fc.record({ filter, topic: fc.uuid(), partition: fc.nat(1_000), next: fc.nat(Number.MAX_SAFE_INTEGER) })
  fc.assert(
    fc.property(place, filter, fc.nat(9), ({ filter: own, topic, partition, next }, other, number) => {
      const key = replayKey(number, own, topic, partition)
      assert.deepEqual(ofReplayKey(key), { filter: own, topicId: topic, partition })
      assert.equal(decodeReplayPlace(encodeReplayPlace(next)), next)
      const { key: start, end } = dropReplay(number, other)
      assert.ok(end !== undefined)
      const isEnded = compareKeys(key, start) >= 0 && compareKeys(key, end) < 0
      assert.equal(isEnded, own === other)
    })
  )
})
