import assert from "node:assert/strict"
import { test } from "node:test"
import { subscribeManyFrame, unsubscribeFrame } from "./filter-frames.ts"
import { subscribeFrame } from "./frames.ts"

test("one filter makes the same bytes as the frame for one", () => {
  for (const level of [4, 5] as const) {
    assert.deepEqual(
      Uint8Array.from(subscribeManyFrame(level, 258, ["a/+/b"], 1)),
      Uint8Array.from(subscribeFrame(level, 258, "a/+/b", 1))
    )
  }
})

test("several filters stand behind each other, each with its options; UNSUBSCRIBE has none", () => {
  assert.equal(Buffer.from(subscribeManyFrame(4, 1, ["a", "b/#"], 2)).toString("hex"), "820c0001000161020003622f2302")
  assert.equal(Buffer.from(unsubscribeFrame(5, 7, ["a", "b"])).toString("hex"), "a209000700000161000162")
})

test("a long packet has a Remaining Length of two bytes", () => {
  const frame = subscribeManyFrame(
    4,
    1,
    Array.from({ length: 100 }, (_, index) => `bench/f/${index + 100}`),
    0
  )
  // 100 filters of 11 bytes, each with 3 more, and the identifier.
  assert.deepEqual([...frame.subarray(0, 3)], [0x82, (1402 & 127) | 128, 1402 >> 7])
  assert.equal(frame.length, 3 + 1402)
})
