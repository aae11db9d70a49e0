import assert from "node:assert/strict"
import { test } from "node:test"
import { parseReplayFrom, replayFilter, replayProperty, withoutReplay } from "./replay-from.ts"

test("from where on: a word, an offset, a time", () => {
  assert.deepEqual(parseReplayFrom("earliest"), { kind: "earliest" })
  assert.deepEqual(parseReplayFrom("latest"), { kind: "latest" })
  assert.deepEqual(parseReplayFrom("0"), { kind: "offset", offset: 0 })
  assert.deepEqual(parseReplayFrom("9007199254740991"), { kind: "offset", offset: Number.MAX_SAFE_INTEGER })
  const atMs = Date.UTC(2026, 0, 31, 12)
  for (const text of ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00.000Z"]) {
    assert.deepEqual(parseReplayFrom(text), { kind: "time", atMs }, text)
  }
  for (const text of ["", "Earliest", "-1", "+1", "01", "1.5", "1e3", "9007199254740993", "99999999999999999", "now"]) {
    assert.equal(parseReplayFrom(text), undefined, text)
  }
  for (const text of [
    "2026-01-31",
    "2026-13-01T00:00:00Z",
    "2026-02-31T00:00:00Z",
    "2026-02-29T00:00:00Z",
    "2026-01-31T25:00:00Z"
  ]) {
    assert.equal(parseReplayFrom(text), undefined, text)
  }
})

test("the form of a filter and of a property", () => {
  assert.deepEqual(replayFilter("$replay/earliest/a/#"), { from: "earliest", filter: "a/#" })
  assert.deepEqual(replayFilter("$replay/5/"), { from: "5", filter: "" })
  assert.deepEqual(replayFilter("$replay/5"), { from: "5", filter: "" })
  assert.deepEqual(replayFilter("$replay//a"), { from: "", filter: "a" })
  assert.equal(replayFilter("a/$replay/5/a"), undefined)
  assert.deepEqual(replayFilter("$share/g/$replay/5/a/#"), { from: "5", filter: "$share/g/a/#" })
  assert.deepEqual(replayFilter("$share/g/$replay/5"), { from: "5", filter: "$share/g/" })
  assert.deepEqual([replayFilter("$share/g/a/$replay/5/a"), replayFilter("$share/g")], [undefined, undefined])
  assert.equal(withoutReplay("$share/g/$replay/5/a/#"), "$share/g/a/#")
  assert.deepEqual([withoutReplay("$replay/5/a/b"), withoutReplay("a/b")], ["a/b", "a/b"])
  assert.equal(replayProperty([["other", "x"]]), undefined)
  assert.equal(
    replayProperty([
      ["manifold-from", "1"],
      ["x", "y"],
      ["manifold-from", "2"]
    ]),
    "2"
  )
})
