/**
 * What one measurement says: plain data. The driver's own part is one JSON line on its stdout.
 *
 * Units: rates per second, CPU in microseconds per delivered message (per connection for idle and connect-rate),
 * memory in MiB, latencies in microseconds. Counts cover the whole run, warm-up and drain included; rates and CPU only
 * the measured seconds.
 */

import type { ChurnFigures, LoadFigures, RetainedFigures, SubscriptionFigures, TlsFigures } from "./scale-report.ts"

/** Percentiles in microseconds. */
export interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** How exact the delivery was. All but the first three are 0 with a broker that keeps its promises. */
export interface Verdict {
  readonly sent: number
  readonly delivered: number
  readonly acknowledged: number
  readonly lost: number
  readonly duplicates: number
  readonly reordered: number
  readonly stray: number
  readonly corrupt: number
  readonly refused: number
  readonly unexpectedAcknowledgements: number
  readonly unacknowledged: number
  /** Connections that the broker ended, or that sent what it must not send. */
  readonly broken: number
  /** Times that nothing arrived for the stall time while messages were open. */
  readonly stalls: number
}

/** What the journal did a second. */
export interface JournalRates {
  /** Where the figures are from: the broker's own counters, or its system calls (then no entries are known). */
  readonly source: "metrics" | "strace"
  readonly entriesPerSecond?: number
  readonly syncsPerSecond: number
}

/** One part of a run with its own pace. */
export interface Phase {
  readonly messages: number
  readonly seconds: number
  readonly perSecond: number
  readonly brokerMicrosPerMessage: number
  readonly brokerShare: number
  readonly driverShare: number
  readonly brokerRssMiB: number
}

/** A broker that was started again over what it had stored. */
export interface Restarted {
  readonly sessions: number
  /** Making the sessions took so long. */
  readonly populateSeconds: number
  /** From the start of the process until it was ready: over an empty folder, and over the sessions. */
  readonly emptyReadyMs: number
  readonly readyMs: number
  readonly emptyRssMiB: number
  readonly rssMiB: number
  readonly diskMiB: number
  /** Sessions that were looked at afterwards, and what was not there any more. */
  readonly sample: number
  readonly sessionsMissing: number
  readonly subscriptionsMissing: number
}

export interface Report {
  readonly scenario: string
  readonly level: number
  readonly qos: number
  readonly payloadBytes: number
  readonly publishers: number
  readonly subscribers: number
  /** Measured seconds, without warm-up and drain. */
  readonly seconds: number
  /** Delivered messages a second; connections a second for idle and connect-rate. */
  readonly perSecond: number
  readonly sentPerSecond: number
  readonly acknowledgedPerSecond: number
  readonly brokerMicrosPerMessage: number
  /** Share of one core that the broker and the driver had during the measured seconds. */
  readonly brokerShare: number
  readonly driverShare: number
  readonly brokerRssMiB: number
  /** Before the first connection. */
  readonly brokerRssMiBBefore: number
  readonly verdict: Verdict
  /** End to end by schedule (open loop), or connect to CONNACK (idle, connect-rate). */
  readonly latency?: Percentiles
  /** How late the driver itself sent: what it adds to the latency. */
  readonly lateness?: Percentiles
  /** An fdatasync after an append of 4 KiB on the file system of the broker's data, in the same run. */
  readonly sync?: Percentiles
  /** Messages of the schedule that were not even sent; their latency counts up to the end. */
  readonly behind?: number
  readonly journal?: JournalRates
  /** The measured seconds by the wall clock (milliseconds since 1970). */
  readonly window?: { readonly fromMs: number; readonly toMs: number }
  /** Sessions that the broker no longer knew when they came back. */
  readonly sessionsMissing?: number
  /** Shared subscriptions: deliveries of the member that got the fewest, by an even share (1: all got as many). */
  readonly fewestShare?: number
  readonly store?: Phase
  readonly drain?: Phase
  readonly restart?: Restarted
  readonly retained?: RetainedFigures
  readonly churn?: ChurnFigures
  readonly tls?: TlsFigures
  readonly load?: LoadFigures
  readonly subscriptions?: SubscriptionFigures
}

/** The verdict of a run that checks no messages, to which such a run adds what it does check. */
export const NO_FAULTS: Verdict = {
  sent: 0,
  delivered: 0,
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

/** True where every message that was sent arrived once, in order, unharmed, and every connection lived. */
export function isExact(verdict: Verdict): boolean {
  return faultsOf(verdict).length === 0
}

/** The faults of a run in words, empty where there are none. */
export function faultsOf(verdict: Verdict): string[] {
  const faults: string[] = []
  for (const name of FAULTS) if (verdict[name] !== 0) faults.push(`${name} ${verdict[name].toLocaleString("en-US")}`)
  return faults
}

const FAULTS = [
  "lost",
  "duplicates",
  "reordered",
  "stray",
  "corrupt",
  "refused",
  "unexpectedAcknowledgements",
  "unacknowledged",
  "broken",
  "stalls"
] as const satisfies readonly (keyof Verdict)[]

/** Percentiles of the first `count` values (milliseconds); sorts them in place. */
export function percentilesOf(valuesMs: Float64Array, count: number): Percentiles {
  const sorted = valuesMs.subarray(0, count).sort()
  const at = (share: number): number => {
    if (count === 0) return 0
    return (sorted[Math.min(count - 1, Math.ceil(count * share) - 1)] as number) * 1000
  }
  return { count, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) }
}
