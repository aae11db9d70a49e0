import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import type { LogShape } from "../telemetry/Log.ts"
import { MetricsRegistry } from "../telemetry/Telemetry.ts"
import {
  addRange,
  type DeletedRange,
  LINES_PER_CHECKPOINT,
  type RetentionReason,
  RetentionTally,
  registerRetention
} from "./RetentionTally.ts"

function tallyWith(isEnabled = true): { readonly tally: RetentionTally; readonly lines: Array<string> } {
  const lines: Array<string> = []
  const keep = (area: string, message: string, fields: object = {}): void =>
    void lines.push(`${area}: ${message} ${JSON.stringify(fields)}`)
  const log: LogShape = { debug: keep, info: keep, warn: keep, error: keep, isEnabled: () => isEnabled }
  const topicName = (id: string): string | undefined => (id === "id-1" ? "orders" : undefined)
  return { tally: new RetentionTally({ engine: "sqlite", log, topicName }), lines }
}

const range = (topicId: string, reason: RetentionReason, from: number, to: number, bytes: number): DeletedRange => ({
  key: { tenant: 0, topicId, partition: 3 },
  ...{ reason, from, to, bytes }
})

test("what went is told with its topic's name, and with its id where the name is gone", () => {
  const { tally, lines } = tallyWith()
  tally.add([range("id-1", "time", 5, 25, 900), range("id-2", "budget", 0, 1, 70)])
  assert.deepEqual(lines, [
    'retention: records were deleted {"topic":"orders","partition":3,"from":5,"to":25,"bytes":900,"reason":"time","engine":"sqlite"}',
    'retention: records were deleted {"topic":"id-2","partition":3,"from":0,"to":1,"bytes":70,"reason":"budget","engine":"sqlite"}'
  ])
  assert.deepEqual([tally.bytes.time, tally.records.time, tally.bytes.budget, tally.records.budget], [900, 20, 70, 1])
})

test("of many partitions the largest are told, and the others in one line", () => {
  const { tally, lines } = tallyWith()
  const ranges = Array.from({ length: 1_000 }, (_, at) => range(`id-${at}`, "bytes", 0, 1, at))
  tally.add(ranges)
  assert.equal(lines.length, LINES_PER_CHECKPOINT + 1)
  assert.ok(lines[0]?.includes('"topic":"id-999"'))
  const rest = ((1_000 - LINES_PER_CHECKPOINT) * (999 - LINES_PER_CHECKPOINT)) / 2
  assert.ok(lines.at(-1)?.includes(`"ranges":${1_000 - LINES_PER_CHECKPOINT},"bytes":${rest}`), lines.at(-1) ?? "")
  assert.equal(tally.bytes.bytes, (1_000 * 999) / 2)
})

test("where nobody reads them no lines are made, and all is counted", () => {
  const { tally, lines } = tallyWith(false)
  tally.add([range("id-1", "tenant", 0, 10, 100)])
  assert.deepEqual([lines, tally.bytes.tenant, tally.records.tenant], [[], 100, 10])
})

test("ranges that follow each other for one reason are one", () => {
  const ranges: Array<DeletedRange> = []
  for (const [reason, from, to] of [
    ["time", 0, 5],
    ["time", 5, 9],
    ["bytes", 9, 12],
    ["bytes", 13, 14]
  ] as const) {
    addRange(ranges, range("id-1", reason, from, to, 10))
  }
  assert.deepEqual(
    ranges.map(({ reason, from, to, bytes }) => [reason, from, to, bytes]),
    [
      ["time", 0, 9, 20],
      ["bytes", 9, 12, 10],
      ["bytes", 13, 14, 10]
    ]
  )
})

test("metrics have the engine and the reason as labels", async () => {
  const { tally } = tallyWith()
  const telemetry = new MetricsRegistry()
  const scope = Scope.makeUnsafe()
  const registered = registerRetention(telemetry, tally, { store: "0", engine: "sqlite" })
  await Effect.runPromise(Scope.provide(registered, scope))
  tally.add([range("id-1", "records", 0, 10, 100)])
  const text = telemetry.renderPrometheus()
  assert.match(text, /manifold_storage_retention_bytes_total\{engine="sqlite",reason="records",store="0"\} 100\n/)
  assert.match(text, /manifold_storage_retention_records_total\{engine="sqlite",reason="records",store="0"\} 10\n/)
  assert.match(text, /manifold_storage_retention_bytes_total\{engine="sqlite",reason="tenant",store="0"\} 0\n/)
  await Effect.runPromise(Scope.close(scope, Exit.void))
})
