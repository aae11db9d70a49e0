import assert from "node:assert/strict"
import { test } from "node:test"
import { floor } from "./brokers/floor.ts"
import { manifold, manifoldDurable } from "./brokers/manifold.ts"
import type { ProtocolLevel } from "./driver/frames.ts"
import { faultsOf, type Report } from "./driver/report.ts"
import { measure } from "./measure.ts"
import { quick, type Restart, scenarioNamed } from "./scenarios.ts"

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

test("QoS 0: every message arrives once and in order", { timeout: 20_000 }, async () => {
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

test("shared subscription: each message goes to exactly one member, acknowledged or not", async () => {
  for (const name of ["shared-q0", "shared-q1"]) {
    const report = await run(name, 4)
    assertExact(report, name === "shared-q1" ? report.verdict.sent : 0)
    assert.ok((report.fewestShare ?? 0) > 0.2, "every member has its part")
  }
})

test("retained: every client gets each message once and flagged, beside a pair that keeps its schedule", async () => {
  const { verdict, retained, latency } = await run("retained", 5)
  assert.deepEqual(faultsOf(verdict), [])
  // 2,000 messages, 2 clients; the pair's messages count in both.
  assert.equal(verdict.delivered, verdict.sent - 2000 + 2 * 2000)
  assert.equal(verdict.acknowledged, verdict.sent)
  assert.ok((retained?.firstMs ?? 0) > 0 && (retained?.firstMsMax ?? 0) >= (retained?.firstMs ?? 0))
  assert.ok((retained?.allMs ?? 0) >= (retained?.firstMs ?? 0) && (retained?.quiet.count ?? 0) > 100)
  assert.ok((latency?.count ?? 0) > 0, "the pair was watched during the deliveries")
})

test("connect-churn: visits keep their schedule, and the broker closes them", async () => {
  const { verdict, latency, behind, churn, subscribers } = await run("connect-churn", 4)
  assert.deepEqual(faultsOf(verdict), [])
  // 0.4 s of 500 a second.
  assert.deepEqual([subscribers, latency?.count, behind, churn?.leftOpen], [200, 200, 0, 0])
})

test("many subscriptions: each is granted, and a message to one of each client comes to that client alone", async () => {
  const { verdict, subscriptions, latency } = await run("subscriptions-1m", 5)
  assert.deepEqual(faultsOf(verdict), [])
  assert.deepEqual([subscriptions?.granted, subscriptions?.arrived], [20_000, 20])
  assert.ok((latency?.count ?? 0) > 0 && (subscriptions?.quiet.count ?? 0) > 100)
})

test("subscribe-load: the pairs go on exactly while others subscribe and unsubscribe, and all of that is answered", async () => {
  const { verdict, load, perSecond } = await run("subscribe-load", 5)
  assert.deepEqual(faultsOf(verdict), [])
  assert.equal(verdict.delivered, verdict.sent)
  assert.ok(perSecond > 0 && (load?.perSecondWithout ?? 0) > 0 && (load?.subscribesPerSecond ?? 0) > 100)
})

test("tls-connect: full handshakes of TLS 1.3, and connections that stay and answer", async () => {
  const { verdict, tls, perSecond, latency } = await run("tls-connect", 5)
  assert.deepEqual(faultsOf(verdict), [])
  assert.equal(tls?.idle, 100)
  assert.ok(perSecond > 0 && (latency?.count ?? 0) > 10)
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
  const { verdict } = await run("q0-pair", 4, "close:1000")
  assert.ok(verdict.broken > 0)
})

test("shared subscription: what two members get is reported as duplicate", async () => {
  const { verdict } = await run("shared-q0", 4, "duplicate:1000")
  assert.equal(verdict.duplicates, Math.floor(verdict.sent / 1000))
  assert.equal(verdict.lost + verdict.reordered + verdict.stray, 0)
})

test("retained: what comes without its flag is reported, and has not come", async () => {
  const { verdict } = await run("retained", 4, "unflagged:1000")
  assert.ok(verdict.corrupt > 0)
  assert.deepEqual([verdict.lost, verdict.duplicates], [verdict.corrupt, 0])
})

test("connect-churn: what was refused is counted, and what was held up is late since it was due", async () => {
  const refused = (await run("connect-churn", 5, "refuse:50")).verdict.refused
  assert.equal(refused, 5, "of 50 visits to warm up and 200 more")
  const { verdict, latency } = await run("connect-churn", 4, "pause:120")
  assert.deepEqual(faultsOf(verdict), [])
  // Two pauses of 200 ms fall among the 200 visits: of those that were due meanwhile half wait for more than 100 ms.
  assert.ok((latency?.max ?? 0) > 190_000, `the longest wait: ${latency?.max} us`)
  assert.ok((latency?.p99 ?? 0) > 100_000, `p99: ${latency?.p99} us`)
})

test("many subscriptions: what holds others up is seen", async () => {
  const { latency, subscriptions } = await run("subscriptions-1m", 4, "pause:100")
  assert.ok((latency?.max ?? 0) > 190_000, `the longest pause: ${latency?.max} us`)
  assert.equal(subscriptions?.arrived, 20)
})

test("subscribe-load: a subscription that is refused is reported", async () => {
  const { verdict } = await run("subscribe-load", 4, "refuse:50")
  assert.ok(verdict.refused > 0)
  assert.equal(verdict.lost + verdict.unacknowledged, 0)
})

test("tls-connect: a CONNECT that is refused ends the run", async () => {
  await assert.rejects(run("tls-connect", 4, "refuse:60"), /refused with code 3/)
})

test("to the PUBACK: the schedule is kept, every PUBACK is timed, and a sync of the same disk is measured beside it", async () => {
  const report = await run("durable-50k", 4)
  assert.deepEqual(faultsOf(report.verdict), [])
  assert.equal(report.verdict.acknowledged, report.verdict.sent)
  assert.equal(report.behind, 0)
  // 0.4 s of 5,000 a second, whatever the machine did meanwhile.
  assert.ok(Math.abs((report.latency?.count ?? 0) - 2000) <= 500, `${report.latency?.count} latencies`)
  assert.ok((report.latency?.p50 ?? 0) > 0, "no PUBACK comes before its message is due")
  assert.ok((report.sync?.count ?? 0) > 0 && (report.sync?.p50 ?? 0) > 0)
})

test("to the PUBACK: one that never comes is counted, and its latency runs to the end", {
  timeout: 20_000
}, async () => {
  const report = await run("durable-1k", 4, "mute:100")
  assert.equal(report.verdict.unacknowledged, Math.floor(report.verdict.sent / 100))
  assert.ok((report.latency?.max ?? 0) > 4_000_000, "as long as was waited")
})

test("offline: a broker without sessions has lost every message that it acknowledged", {
  timeout: 20_000
}, async () => {
  const report = await run("offline", 4)
  assert.equal(report.store?.messages, 1000)
  assert.equal(report.verdict.lost, 1000)
  assert.equal(report.sessionsMissing, 50)
})

test("offline: this broker gives each session all of its messages, once and in order", {
  timeout: 20_000
}, async () => {
  const scenario = scenarioNamed("offline")
  assert.ok(scenario !== undefined)
  const report = await measure(manifold("source"), quick(scenario), { ...QUICK, level: 5 })
  assert.deepEqual(faultsOf(report.verdict), [])
  assert.deepEqual([report.store?.messages, report.drain?.messages, report.sessionsMissing], [1000, 1000, 0])
})

test("restart: a broker without sessions has lost them; time and memory are those of the second process", {
  timeout: 30_000
}, async () => {
  const scenario = scenarioNamed("restart-kill")
  assert.ok(scenario !== undefined)
  const report = await measure(floor(), { ...quick(scenario), sessions: 20, sample: 10 } as Restart, {
    ...QUICK,
    level: 4
  })
  assert.equal(report.sessionsMissing, 10)
  assert.equal(report.restart?.subscriptionsMissing, 10)
  assert.ok((report.restart?.readyMs ?? 0) > 0 && (report.restart?.rssMiB ?? 0) > 0)
})

test("replay: every client gets each stored message once, and no other", { timeout: 60_000 }, async () => {
  const scenario = scenarioNamed("replay")
  assert.ok(scenario !== undefined)
  const { verdict, retained } = await measure(manifoldDurable("source"), quick(scenario), { ...QUICK, level: 4 })
  assert.deepEqual(faultsOf(verdict), [])
  assert.ok((retained?.allMs ?? 0) > 0)
})
