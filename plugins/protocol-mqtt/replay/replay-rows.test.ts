import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { compareKeys } from "../../../core/mod.ts"
import { decodeReplayPlace, dropReplay, encodeReplayPlace, ofReplayKey, replayKey } from "./replay-rows.ts"

test("the bytes of a row: where a replay is", () => {
  assert.equal(replayKey(3, "a/#", "t", 2).toHex(), "73630000000000000003612f2300742f32")
  assert.equal(encodeReplayPlace({ offset: 258, incarnation: undefined }).toHex(), "010000000000000102")
  assert.equal(encodeReplayPlace({ offset: 258, incarnation: 0 }).toHex(), "010000000000000102")
  assert.equal(encodeReplayPlace({ offset: 258, incarnation: 5 }).toHex(), "0100000000000001020000000000000005")
})

test("what is written is read, and the end of one replay ends all its places and no other's", () => {
  const filter = fc.string({ minLength: 1, maxLength: 6 }).filter((text) => !text.includes("\0"))
  const place = fc.record({
    filter,
    topic: fc.uuid(),
    partition: fc.nat(1_000),
    offset: fc.nat(Number.MAX_SAFE_INTEGER),
    incarnation: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { nil: undefined })
  })
  fc.assert(
    fc.property(place, filter, fc.nat(9), ({ filter: own, topic, partition, offset, incarnation }, other, number) => {
      const key = replayKey(number, own, topic, partition)
      assert.deepEqual(ofReplayKey(key), { filter: own, topicId: topic, partition })
      const kept = { offset, incarnation }
      assert.deepEqual(decodeReplayPlace(encodeReplayPlace(kept)), kept)
      const { key: start, end } = dropReplay(number, other)
      assert.ok(end !== undefined)
      const isEnded = compareKeys(key, start) >= 0 && compareKeys(key, end) < 0
      assert.equal(isEnded, own === other)
    })
  )
})
