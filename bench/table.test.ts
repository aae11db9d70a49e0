import assert from "node:assert/strict"
import { test } from "node:test"
import type { Report, Verdict } from "./driver/report.ts"
import { quick, SCENARIOS, type Scenario, scenarioNamed } from "./scenarios.ts"
import { type Row, tableOf } from "./table.ts"

const EXACT: Verdict = {
  sent: 10,
  delivered: 10,
  acknowledged: 0,
  lost: 0,
  duplicates: 0,
  reordered: 0,
  stray: 0,
  corrupt: 0,
  refused: 0,
  unexpectedAcknowledgements: 0,
  unacknowledged: 0,
  broken: 0,
  stalls: 0
}

function report(perSecond: number, verdict: Partial<Verdict> = {}): Report {
  return {
    scenario: "q0-pair",
    level: 4,
    qos: 0,
    payloadBytes: 64,
    publishers: 1,
    subscribers: 1,
    seconds: 1,
    perSecond,
    sentPerSecond: perSecond,
    acknowledgedPerSecond: 0,
    brokerMicrosPerMessage: 1,
    brokerShare: 1,
    driverShare: 0.5,
    brokerRssMiB: 10,
    brokerRssMiBBefore: 9,
    verdict: { ...EXACT, ...verdict }
  }
}

function linesOf(ours: readonly Report[], theirs: readonly Report[]): string[] {
  const scenario = SCENARIOS[0]
  assert.ok(scenario !== undefined)
  return tableOf(scenario, [
    { broker: "manifold", storage: "memory, memory", reports: [...ours], failures: [] },
    { broker: "mosquitto", storage: "none", reports: [...theirs], failures: [] }
  ]).split("\n")
}

test("median, spread and ratio come from the rounds", () => {
  const lines = linesOf([report(900), report(100), report(300)], [report(100), report(100), report(130)])
  assert.match(lines[2] ?? "", /^manifold +memory, memory +300 +267 % +3\.00x/)
  assert.match(lines[3] ?? "", /^mosquitto +none +100 +30 % +1\.00x/)
})

test("a row with a fault in any round is marked and says which", () => {
  const lines = linesOf([report(5), report(5, { lost: 3 }), report(5)], [report(5)])
  assert.match(lines[2] ?? "", /^x manifold/)
  assert.match(lines.join("\n"), /x manifold, round 2: lost 3 \(sent 10\)/)
  assert.doesNotMatch(lines[3] ?? "", /^x/)
})

test("a rate that the driver bounds is marked", () => {
  const bound = { ...report(5), driverShare: 0.99, brokerShare: 0.5 }
  assert.match(linesOf([bound], [report(5)])[2] ?? "", /^manifold \*/)
})

/** Head and cells of a markdown table with one row. */
function markdownLines(scenario: Scenario, row: Row): string[] {
  const lines = tableOf(scenario, [row], "markdown").split("\n")
  return lines.filter((line) => line.startsWith("| ") && !line.startsWith("| ---"))
}

const LATENCY = { count: 10, p50: 300, p99: 400, p999: 500, max: 600 }

test("durable publishing: the ratio is that of the medians to a sync in the same run, and promises stand below", () => {
  const scenario = scenarioNamed("durable-1k")
  assert.ok(scenario !== undefined)
  const timed = { ...report(1000), latency: LATENCY, lateness: LATENCY, sync: { ...LATENCY, p50: 200 }, behind: 7 }
  const row = { broker: "manifold", storage: "sqlite", promise: "synced", reports: [timed], failures: [] }
  const text = tableOf(scenario, [row])
  const [head = "", cells = ""] = markdownLines(scenario, row)
  const column = head.split(" | ").indexOf("p50 / sync p50")
  assert.equal(cells.split(" | ")[column], "1.50")
  assert.match(text, /manifold: when PUBACK comes, the message is synced/)
  assert.match(text, /round 1: too slow, 7 messages were never sent/)
})

test("a count that nobody made is a dash, not 0", () => {
  const scenario = scenarioNamed("journal-1")
  assert.ok(scenario !== undefined)
  const traced = { ...report(5), journal: { source: "strace", syncsPerSecond: 250 } as const }
  const row = { broker: "peer", storage: "file", reports: [traced], failures: [] }
  const [head = "", cells = ""] = markdownLines(scenario, row)
  const titles = head.split(" | ")
  const cell = (title: string) => cells.split(" | ")[titles.indexOf(title)]
  assert.deepEqual([cell("entries/s"), cell("syncs/s"), cell("counted by")], ["-", "250", "strace"])
})

test("a broker that was left out has no row but a reason; sessions that are missing are a fault", () => {
  const scenario = scenarioNamed("offline-kill")
  assert.ok(scenario !== undefined)
  const text = tableOf(scenario, [
    { broker: "one", storage: "none", reports: [], failures: [], leftOut: "its sessions end with the process" },
    { broker: "two", storage: "file", reports: [{ ...report(5), sessionsMissing: 3 }], failures: [] }
  ])
  assert.match(text, /one: left out, its sessions end with the process/)
  assert.match(text, /^x two/m)
  assert.match(text, /x two, round 1: sessions missing 3/)
})

test("the headroom is what is left of the driver's core", () => {
  const row = { broker: "one", storage: "none", reports: [{ ...report(5), driverShare: 0.2 }], failures: [] }
  assert.match(tableOf(SCENARIOS[0] as Scenario, [row]), / 5\.0x$/m)
})

test("every kind of scenario has a table, quick or not", () => {
  for (const scenario of SCENARIOS) {
    const text = tableOf(
      quick(scenario),
      [{ broker: "one", storage: "none", reports: [report(5)], failures: [] }],
      "markdown"
    )
    assert.match(text, /^\| one \|/m, scenario.name)
    assert.doesNotMatch(text, /NaN|undefined/, scenario.name)
  }
})
