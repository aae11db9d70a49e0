import assert from "node:assert/strict"
import { test } from "node:test"
import { settingsOf } from "./topic-settings.ts"

test("a topic of which nothing was said is trimmed by retention and has its producers' times", () => {
  const { isCompacted, isTrimmed, timestampType, messageBytesMax, segmentMs } = settingsOf({})
  assert.deepEqual(
    { isCompacted, isTrimmed, timestampType, messageBytesMax, segmentMs },
    { isCompacted: false, isTrimmed: true, timestampType: "create", messageBytesMax: 1_048_588, segmentMs: undefined }
  )
})

test("both policies may stand in one list, with blanks", () => {
  const policies = (text: string) => {
    const { isCompacted, isTrimmed } = settingsOf({ configs: { "cleanup.policy": text } })
    return [isCompacted, isTrimmed]
  }
  assert.deepEqual(policies("compact"), [true, false])
  assert.deepEqual(policies("delete"), [false, true])
  assert.deepEqual(policies("compact, delete"), [true, true])
})

test("numbers are read from their text", () => {
  const configs = {
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "message.timestamp.type": "LogAppendTime"
  }
  const { segmentMs, dirtyRatioMin, timestampType } = settingsOf({ configs })
  assert.deepEqual(
    { segmentMs, dirtyRatioMin, timestampType },
    { segmentMs: 100, dirtyRatioMin: 0.01, timestampType: "append" }
  )
})

test("the same configurations are read once", () => {
  const configs = { "cleanup.policy": "compact" }
  assert.equal(settingsOf({ configs }), settingsOf({ configs }))
})
