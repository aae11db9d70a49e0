import assert from "node:assert/strict"
import { test } from "node:test"
import { floor } from "./brokers/floor.ts"
import type { ProtocolLevel } from "./driver/frames.ts"
import { faultsOf, type Report } from "./driver/report.ts"
import { measure } from "./measure.ts"
import { quick, scenarioNamed } from "./scenarios.ts"

const QUICK = { payloadBytes: 64, warmUpSeconds: 0.1, seconds: 0.4 }

async function run(name: string, level: ProtocolLevel, fault?: string): Promise<Report> {
  const scenario = scenarioNamed(name)
  assert.ok(scenario !== undefined, `there is a scenario ${name}`)
  return measure(floor(fault), quick(scenario), { ...QUICK, level })
}

function assertExact({ verdict, perSecond }: Report, acknowledged: number, fan = 1): void {
  assert.deepEqual(faultsOf(verdict), [])
  assert.ok(verdict.sent > 0 && perSecond > 0, "messages were sent and measured")
  assert.equal(verdict.delivered, verdict.sent * fan)
  assert.equal(verdict.acknowledged, acknowledged)
}

test("QoS 0: every message arrives once and in order", async () => {
  assertExact(await run("q0-pair", 4), 0)
})

test("QoS 1, MQTT 5.0: as many PUBACKs as messages", async () => {
  const report = await run("q1-pair", 5)
  assertExact(report, report.verdict.sent)
})

test("QoS 2: as many PUBCOMPs as messages", async () => {
  const report = await run("q2-pair", 4)
  assertExact(report, report.verdict.sent)
})

test("fan-out: every subscriber gets every message", async () => {
  assertExact(await run("fan-out", 4), 0, 100)
})

test("open loop: the schedule is kept and every latency is counted", async () => {
  const report = await run("latency-20k", 4)
  assertExact(report, report.verdict.sent)
  assert.ok((report.latency?.count ?? 0) > 1000, "latencies of the measured seconds")
  assert.ok((report.latency?.p50 ?? 0) > 0, "nothing arrives before it is due")
})

test("idle connections are all opened", async () => {
  const report = await run("idle", 4)
  assert.equal(report.subscribers, 500)
  assert.deepEqual(faultsOf(report.verdict), [])
})

// What a broker does wrong must be seen: every 1,000th PUBLISH of the floor server is treated badly.
test("a dropped message is reported as lost, nothing else", async () => {
  const { verdict } = await run("q0-pair", 4, "drop:1000")
  assert.equal(verdict.lost, Math.floor(verdict.sent / 1000))
  assert.equal(verdict.delivered, verdict.sent - verdict.lost)
  assert.equal(verdict.duplicates + verdict.reordered + verdict.stray, 0)
})

test("a message that comes twice is reported as duplicate, nothing else", async () => {
  const { verdict } = await run("q0-pair", 4, "duplicate:1000")
  assert.equal(verdict.duplicates, Math.floor(verdict.sent / 1000))
  assert.equal(verdict.lost + verdict.reordered + verdict.stray, 0)
})

test("a message that is overtaken is reported as reordered, nothing else", async () => {
  const { verdict } = await run("q0-pair", 4, "swap:1000")
  assert.ok(verdict.reordered > 0, "swaps were seen")
  assert.equal(verdict.duplicates + verdict.stray, 0)
  // A swap of the very last message of a name is never completed.
  assert.ok(verdict.lost <= 10 && verdict.reordered + verdict.lost <= Math.floor(verdict.sent / 1000))
})

test("a connection that the broker closes is reported", async () => {
  const { verdict } = await run("q0-pair", 4, "close:100000")
  assert.ok(verdict.broken > 0)
})
