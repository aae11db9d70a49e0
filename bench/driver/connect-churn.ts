/**
 * Clients that come and go on a schedule: visit k is due at start + k / rate, whatever the broker does; its latency counts from that
 * moment to its CONNACK.
 *
 * Invariants
 *  - No coordinated omission: what broker or driver hold up is late by all the time since it was due; a visit that never came counts
 *    with the time until the end, and as `behind`.
 *  - The broker closes first: after DISCONNECT the client waits for the end of the connection, so that TIME_WAIT is on the broker's
 *    side and the client's port is free again. One that is not closed by then is closed here and counted as left open.
 */
import type { ConnectChurn } from "../scale-scenarios.ts"
import { connect, sleep } from "./connect.ts"
import { disconnectFrame } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { costsOf, UsageWatch, usageOf } from "./process-usage.ts"
import { NO_FAULTS, percentilesOf, type Report } from "./report.ts"
import { fromSource } from "./sources.ts"
import { Waiting } from "./Waiting.ts"

/** A broker that has not closed by then after a DISCONNECT leaves that to the client. */
const LEAVE_MS_MAX = 2000
/** Visits that are still on their way when the schedule has ended have this long. */
const DRAIN_MS_MAX = 10_000
const LOOK_MS = 20
const NOT_THERE = -1

export async function runConnectChurn(scenario: ConnectChurn, options: RunOptions): Promise<Report> {
  const { brokerPid, seconds } = options
  const warmUp = new Churn(scenario, options, Math.ceil(scenario.rate * options.warmUpSeconds), "w")
  await warmUp.run()
  await sleep(scenario.restSeconds * 1000)
  const watch = new UsageWatch(brokerPid)
  const churn = new Churn(scenario, options, Math.ceil(scenario.rate * seconds), "c")
  const elapsedSeconds = await churn.run()
  const used = watch.end()
  await sleep(scenario.restSeconds * 1000)
  const rssMiB = usageOf(brokerPid).rssMiB
  return {
    scenario: scenario.name,
    level: options.level,
    qos: 0,
    payloadBytes: 0,
    publishers: 0,
    subscribers: churn.connected,
    seconds: elapsedSeconds,
    perSecond: churn.connected / elapsedSeconds,
    sentPerSecond: scenario.rate,
    acknowledgedPerSecond: churn.connected / elapsedSeconds,
    ...costsOf(used, churn.connected, elapsedSeconds),
    brokerRssMiB: rssMiB,
    brokerRssMiBBefore: watch.rssMiBBefore,
    verdict: {
      ...NO_FAULTS,
      refused: warmUp.refused + churn.refused,
      broken: warmUp.broken + churn.broken,
      unacknowledged: warmUp.unanswered + churn.unanswered
    },
    latency: percentilesOf(churn.latencies, churn.latencies.length),
    lateness: percentilesOf(churn.lateness, churn.started),
    behind: churn.latencies.length - churn.started,
    churn: { growthMiB: rssMiB - watch.rssMiBBefore, leftOpen: churn.leftOpen }
  }
}

class Churn {
  /** From due to CONNACK in milliseconds, by visit. */
  readonly latencies: Float64Array
  /** From due until the driver began it, by visit. */
  readonly lateness: Float64Array
  started = 0
  connected = 0
  refused = 0
  broken = 0
  leftOpen = 0
  readonly #options: RunOptions
  readonly #intervalMs: number
  readonly #inProgressMax: number
  readonly #prefix: string
  #inProgress = 0
  #startMs = 0
  #lastMs = 0
  /** Those that have said goodbye, the earliest first, and when. */
  readonly #leaving = new Map<Waiting, number>()

  constructor({ rate, inProgressMax }: ConnectChurn, options: RunOptions, visits: number, prefix: string) {
    this.#options = options
    this.#intervalMs = 1000 / rate
    this.#inProgressMax = inProgressMax
    this.#prefix = prefix
    this.latencies = new Float64Array(visits).fill(NOT_THERE)
    this.lateness = new Float64Array(visits)
  }

  /** Visits that were begun and had neither CONNACK nor end. */
  get unanswered(): number {
    return this.started - this.connected - this.refused - this.broken
  }

  /** Runs the schedule to its end; the seconds from its start to the last CONNACK, at least as long as the schedule is. */
  async run(): Promise<number> {
    const scheduleMs = this.latencies.length * this.#intervalMs
    this.#startMs = performance.now()
    let isOver = false
    const turn = (): void => {
      if (isOver) return
      this.#startDue()
      setImmediate(turn)
    }
    turn()
    const endMs = this.#startMs + scheduleMs
    for (let now = performance.now(); now < endMs + DRAIN_MS_MAX; now = performance.now()) {
      if (now >= endMs && this.started === this.latencies.length && this.#inProgress === 0) break
      this.#closeLate(now)
      await sleep(LOOK_MS)
    }
    isOver = true
    const lastMs = performance.now()
    this.latencies.forEach((latency, visit) => {
      if (latency === NOT_THERE) this.latencies[visit] = lastMs - this.#dueMs(visit)
    })
    return Math.max(scheduleMs, this.#lastMs - this.#startMs) / 1000
  }

  #dueMs(visit: number): number {
    return this.#startMs + visit * this.#intervalMs
  }

  #startDue(): void {
    for (let now = performance.now(); this.started < this.latencies.length; now = performance.now()) {
      const dueMs = this.#dueMs(this.started)
      if (dueMs > now || this.#inProgress >= this.#inProgressMax) return
      this.lateness[this.started] = now - dueMs
      this.#inProgress++
      void this.#visit(this.started++, dueMs)
    }
  }

  async #visit(visit: number, dueMs: number): Promise<void> {
    const { level, endpoint } = this.#options
    const visitor = new Waiting(level)
    try {
      await connect(visitor, fromSource(endpoint, visit), `bench-${this.#prefix}${visit}`)
    } catch {
      if (visitor.connectCode > 0) this.refused++
      else this.broken++
      visitor.close()
      this.#inProgress--
      return
    }
    this.#lastMs = performance.now()
    this.latencies[visit] = this.#lastMs - dueMs
    this.connected++
    const words = disconnectFrame()
    visitor.isClosing = true
    visitor.write(words, 0, words.length)
    this.#leaving.set(visitor, this.#lastMs)
    visitor.onChange = () => {
      if (visitor.isGone && this.#leaving.delete(visitor)) this.#inProgress--
    }
    visitor.onChange()
  }

  #closeLate(now: number): void {
    for (const [visitor, sinceMs] of this.#leaving) {
      if (now - sinceMs < LEAVE_MS_MAX) return
      this.leftOpen++
      this.#leaving.delete(visitor)
      this.#inProgress--
      visitor.close()
    }
  }
}
