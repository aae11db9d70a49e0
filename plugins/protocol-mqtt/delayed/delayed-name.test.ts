import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { topicName } from "../../../core/router/topic-arbitraries.ts"
import {
  DELAY_INVALID,
  DELAY_SECONDS_MAX,
  delayedTopic,
  isDelayed,
  isDelayedWrong,
  parseDelayed
} from "./delayed-name.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const NOW_MS = 1_800_000_000_123

/** When a name's message is due, and the name to publish it on; undefined where it is refused. */
function read(name: string): readonly [dueAtMs: number, topic: string] | undefined {
  // Not at the beginning of its buffer.
  const bytes = encoder.encode(`..${name}..`)
  const end = bytes.length - 2
  assert.ok(isDelayed(bytes, 2, end))
  const dueAtMs = parseDelayed(bytes, 2, end, NOW_MS)
  const topic = decoder.decode(bytes.subarray(delayedTopic.start, end))
  assert.equal(isDelayedWrong(name, NOW_MS), dueAtMs === DELAY_INVALID)
  return dueAtMs === DELAY_INVALID ? undefined : [dueAtMs, topic]
}

test("a delay, a time, and what is at once", () => {
  assert.deepEqual(read("$delayed/1/t"), [NOW_MS + 1_000, "t"])
  assert.deepEqual(read("$delayed/007/a/b/c"), [NOW_MS + 7_000, "a/b/c"])
  assert.deepEqual(read("$delayed/5//t"), [NOW_MS + 5_000, "/t"])
  assert.deepEqual(read("$delayed/5/$own/t"), [NOW_MS + 5_000, "$own/t"])
  assert.deepEqual(read(`$delayed/${DELAY_SECONDS_MAX}/t`), [NOW_MS + DELAY_SECONDS_MAX * 1_000, "t"])
  assert.deepEqual(read("$delayed/1800000060/t"), [1_800_000_060_000, "t"])
  for (const past of ["0", "000", "1800000000", "1000000000", String(DELAY_SECONDS_MAX + 1)]) {
    assert.deepEqual(read(`$delayed/${past}/t`), [0, "t"])
  }
  assert.deepEqual(read(`$delayed/${1_800_000_000 + DELAY_SECONDS_MAX}/t`)?.[1], "t")
})

test("wrong forms, times too far away, and names that could not be published on", () => {
  for (const rest of [
    "",
    "5",
    "5/",
    "/t",
    "x/t",
    "-1/t",
    "+1/t",
    "1.5/t",
    "1e3/t",
    " 5/t",
    "0x10/t",
    "５/t",
    `${1_800_000_001 + DELAY_SECONDS_MAX}/t`,
    "9999999999999/t",
    `${"0".repeat(13)}1/t`,
    "5/a/+",
    "5/#",
    "5/a\u0000b",
    `5/${"a/".repeat(128)}b`,
    "5/$SYS/brokers",
    "5/$share/g/t",
    "5/$exclusive/t",
    "5/$delayed/5/t"
  ]) {
    assert.equal(read(`$delayed/${rest}`), undefined, rest)
  }
  for (const other of ["$delayed", "$delaye/5/t", "$Delayed/5/t", "delayed/5/t", "/$delayed/5/t"]) {
    const bytes = encoder.encode(other)
    assert.ok(!isDelayed(bytes, 0, bytes.length) && !isDelayedWrong(other, NOW_MS), other)
  }
})

test("any delay and name are read as they were written", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: DELAY_SECONDS_MAX }), topicName, (seconds, name) => {
      const isOwn = ["$SYS/", "$share/", "$exclusive/", "$delayed/"].some((prefix) => name.startsWith(prefix))
      assert.deepEqual(read(`$delayed/${seconds}/${name}`), isOwn ? undefined : [NOW_MS + seconds * 1_000, name])
    })
  )
})
