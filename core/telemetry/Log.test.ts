import assert from "node:assert/strict"
import { test } from "node:test"
import { KINDS_MAX, LINES_PER_KIND_MAX, LineLog, WINDOW_MS } from "./Log.ts"
import type { LogLevel } from "./log-line.ts"

/** A log whose clock stands still until it is moved. */
function makeLog(level: LogLevel = "info") {
  const lines: Array<string> = []
  const time = { ms: 0 }
  const clock = { nowMs: () => time.ms, monotonicMs: () => time.ms }
  const log = new LineLog({ level, clock, sink: (line) => lines.push(line.slice("1970-01-01T00:00:00.000Z ".length)) })
  return { log, lines, time }
}

test("each level writes its own word; what is below the level is not written", () => {
  const { log, lines } = makeLog("debug")
  log.debug("a", "one")
  log.info("a", "two", { n: 1 })
  log.warn("a", "three")
  log.error("a", "four")
  assert.deepEqual(lines, ["DEBUG a one", "INFO a two n=1", "WARN a three", "ERROR a four"])
  log.level = "warn"
  log.debug("a", "one")
  log.info("a", "two")
  log.warn("a", "five")
  assert.equal(log.level, "warn")
  assert.deepEqual(lines.slice(4), ["WARN a five"])
  assert.deepEqual([log.isEnabled("info"), log.isEnabled("warn"), log.isEnabled("error")], [false, true, true])
})

test("a line carries the wall clock's time", () => {
  const lines: Array<string> = []
  const clock = { nowMs: () => 1_000, monotonicMs: () => 5 }
  new LineLog({ level: "info", clock, sink: (line) => lines.push(line) }).info("a", "m")
  assert.deepEqual(lines, ["1970-01-01T00:00:01.000Z INFO a m"])
})

test("one kind gets its allowance a window; the next event after it says how many were left out", () => {
  const { log, lines, time } = makeLog()
  for (let index = 0; index < LINES_PER_KIND_MAX + 3; index++) log.warn("mqtt", "refused", { index })
  assert.equal(lines.length, LINES_PER_KIND_MAX)
  assert.deepEqual(log.counts, { written: LINES_PER_KIND_MAX, suppressed: 3, lost: 0 })
  time.ms = WINDOW_MS - 1
  log.warn("mqtt", "refused")
  assert.equal(lines.length, LINES_PER_KIND_MAX)
  time.ms = WINDOW_MS
  log.info("mqtt", "another")
  assert.deepEqual(lines.slice(LINES_PER_KIND_MAX), [
    `WARN mqtt refused suppressed=4 within_ms=${WINDOW_MS}`,
    "INFO mqtt another"
  ])
  log.warn("mqtt", "refused")
  assert.equal(lines.at(-1), "WARN mqtt refused")
})

test("kinds do not take from one another's allowance: area and message make a kind, fields and level do not", () => {
  const { log, lines } = makeLog()
  for (let index = 0; index < LINES_PER_KIND_MAX * 2; index++) log.warn("mqtt", "refused", { index })
  log.error("mqtt", "refused")
  assert.equal(lines.length, LINES_PER_KIND_MAX)
  log.warn("kafka", "refused")
  log.warn("mqtt", "closed")
  assert.equal(lines.length, LINES_PER_KIND_MAX + 2)
})

test("flush says at once what was left out, once", () => {
  const { log, lines } = makeLog()
  for (let index = 0; index < LINES_PER_KIND_MAX + 1; index++) log.info("a", "m")
  log.flush()
  log.flush()
  assert.deepEqual(lines.slice(LINES_PER_KIND_MAX), [`INFO a m suppressed=1 within_ms=${WINDOW_MS}`])
})

test("a summary of lines that are no longer wanted is not written", () => {
  const { log, lines } = makeLog()
  for (let index = 0; index < LINES_PER_KIND_MAX + 1; index++) log.info("a", "m")
  log.level = "error"
  log.flush()
  assert.equal(lines.length, LINES_PER_KIND_MAX)
})

test("the table of kinds is bounded: a flood of ever new kinds gets one allowance together", () => {
  const { log, lines, time } = makeLog()
  for (let index = 0; index < 10_000; index++) log.info("a", `message ${index}`)
  assert.equal(lines.length, KINDS_MAX + LINES_PER_KIND_MAX)
  assert.equal(log.counts.suppressed, 10_000 - KINDS_MAX - LINES_PER_KIND_MAX)
  log.info("a", "message 0")
  assert.equal(lines.at(-1), "INFO a message 0")
  time.ms = WINDOW_MS
  log.info("a", "after")
  const summary = `INFO log events of many kinds suppressed=${10_000 - KINDS_MAX - LINES_PER_KIND_MAX} within_ms=${WINDOW_MS}`
  assert.deepEqual(lines.slice(-2), [summary, "INFO a after"])
  lines.length = 0
  for (let index = 0; index < 10_000; index++) log.info("a", `message ${index}`)
  assert.equal(lines.length, KINDS_MAX - 1 + LINES_PER_KIND_MAX)
})

test("windows end one by one, each counted from the first line of its kind", () => {
  const { log, lines, time } = makeLog()
  const fill = (message: string) => {
    for (let index = 0; index < LINES_PER_KIND_MAX + 1; index++) log.info("a", message)
  }
  fill("early")
  time.ms = WINDOW_MS / 2
  fill("late")
  time.ms = WINDOW_MS
  log.info("a", "early")
  assert.deepEqual(lines.slice(-2), [`INFO a early suppressed=1 within_ms=${WINDOW_MS}`, "INFO a early"])
  const before = lines.length
  log.info("a", "late")
  assert.equal(lines.length, before)
})

test("a sink that throws costs its line, not the caller", () => {
  const clock = { nowMs: () => 0, monotonicMs: () => 0 }
  const sink = () => {
    throw new Error("disk full")
  }
  const log = new LineLog({ level: "info", clock, sink })
  log.error("a", "m")
  assert.deepEqual(log.counts, { written: 0, suppressed: 0, lost: 1 })
})

test("no value can bring a second line about", () => {
  const { log, lines } = makeLog()
  log.info("a", "connected", { client: "x\n2026 ERROR core broken\r\u2028\u0085" })
  assert.deepEqual(lines, ['INFO a connected client="x\\n2026 ERROR core broken\\r\\u2028\\u0085"'])
})
