import assert from "node:assert/strict"
import { test } from "node:test"
import type { Report, Verdict } from "./driver/report.ts"
import { SCENARIOS } from "./scenarios.ts"
import { tableOf } from "./table.ts"

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
