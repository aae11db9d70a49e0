/**
 * Connections without messages: how fast they are made (both scenarios) and what an idle one costs (idle).
 *
 * Invariant: a connection counts when its CONNACK with code 0 has come.
 */
import type { ConnectRate, Idle } from "../scenarios.ts"
import { connect, inParallel, sleep, withinSetUpTime } from "./connect.ts"
import { disconnectFrame, type ProtocolLevel } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { Peer } from "./Peer.ts"
import { costsOf, type SpanUsage, UsageWatch, usageOf } from "./process-usage.ts"
import { NO_FAULTS, percentilesOf, type Report } from "./report.ts"
import { fromSource } from "./sources.ts"

/** Tens of thousands may take a while on a busy machine. */
const IDLE_MS_MAX = 120_000
/** Idle connections have so long to answer when all are asked for a sign of life. */
const PING_MS_MAX = 10_000
const LOOK_MS = 5
const PINGRESP = 13

/** A client that only connects, and can ask whether the broker still knows it. */
export class Visitor extends Peer {
  answers = 0

  ping(): void {
    const frame = Uint8Array.of(0xc0, 0)
    if (!this.isBroken) this.write(frame, 0, frame.length)
  }

  protected override receive(bytes: Uint8Array, start: number): void {
    if ((bytes[start] as number) >> 4 === PINGRESP) this.answers++
    else this.malformed++
  }
  protected override afterChunk(): void {}
}

export async function runIdle(scenario: Idle, options: RunOptions): Promise<Report> {
  const visitors: Visitor[] = []
  const attempt = new Attempt(options, scenario.connections)
  await attempt.warmUp(scenario.inProgress)
  await sleep(scenario.restSeconds * 1000)
  const rssMiBBefore = usageOf(options.brokerPid).rssMiB
  attempt.start()
  const open = async (index: number): Promise<void> => {
    visitors.push(await attempt.connect(`bench-i${index}`))
  }
  await withinSetUpTime(inParallel(scenario.connections, scenario.inProgress, open), IDLE_MS_MAX)
  const end = attempt.end()
  await sleep(scenario.restSeconds * 1000)
  const idle = attempt.report(scenario.name, end, rssMiBBefore, 0)
  const unacknowledged = await unanswered(visitors)
  const broken = visitors.filter((visitor) => visitor.isBroken || visitor.malformed > 0).length
  const report = { ...idle, verdict: { ...idle.verdict, broken, unacknowledged } }
  for (const visitor of visitors) visitor.close(disconnectFrame())
  return report
}

/** Asks every connection for a sign of life; how many gave none. */
export async function unanswered(visitors: readonly Visitor[]): Promise<number> {
  for (const visitor of visitors) visitor.ping()
  const endMs = performance.now() + PING_MS_MAX
  const isSilent = ({ answers }: Visitor): boolean => answers === 0
  while (visitors.some((visitor) => isSilent(visitor) && !visitor.isBroken) && performance.now() < endMs) {
    await sleep(LOOK_MS)
  }
  return visitors.filter(isSilent).length
}

export async function runConnectRate(scenario: ConnectRate, options: RunOptions): Promise<Report> {
  const attempt = new Attempt(options, scenario.cyclesMax)
  await attempt.warmUp(scenario.inProgress)
  const rssMiBBefore = usageOf(options.brokerPid).rssMiB
  attempt.start()
  const untilMs = performance.now() + options.seconds * 1000
  let broken = 0
  const cycle = async (index: number): Promise<void> => {
    if (performance.now() >= untilMs) return
    const visitor = await attempt.connect(`bench-c${index}`)
    if (visitor.isBroken) broken++
    visitor.close(disconnectFrame())
  }
  await withinSetUpTime(inParallel(scenario.cyclesMax, scenario.inProgress, cycle))
  return attempt.report(scenario.name, attempt.end(), rssMiBBefore, broken)
}

interface End {
  readonly seconds: number
  readonly used: SpanUsage
}

/** Counts and times connections. */
export class Attempt {
  readonly #options: RunOptions
  readonly #latencies: Float64Array
  readonly #level: ProtocolLevel
  #begun = 0
  #count = 0
  #startMs = 0
  #watch: UsageWatch

  constructor(options: RunOptions, connectionsMax: number) {
    this.#options = options
    this.#level = options.level
    this.#latencies = new Float64Array(connectionsMax)
    this.#watch = new UsageWatch(options.brokerPid)
  }

  /** A few hundred connections that do not count: both sides have compiled their code then. */
  async warmUp(inProgress: number, connects = 500): Promise<void> {
    const visit = async (index: number): Promise<void> => {
      const visitor = new Visitor(this.#level)
      await connect(visitor, fromSource(this.#options.endpoint, index), `bench-w${index}`)
      visitor.close(disconnectFrame())
    }
    await withinSetUpTime(inParallel(connects, inProgress, visit))
  }

  start(): void {
    this.#watch = new UsageWatch(this.#options.brokerPid)
    this.#startMs = performance.now()
  }

  async connect(clientIdentifier: string): Promise<Visitor> {
    const visitor = new Visitor(this.#level)
    const startMs = performance.now()
    await connect(visitor, fromSource(this.#options.endpoint, this.#begun++), clientIdentifier)
    this.#latencies[this.#count++] = performance.now() - startMs
    return visitor
  }

  end(): End {
    return {
      seconds: (performance.now() - this.#startMs) / 1000,
      used: this.#watch.end()
    }
  }

  report(scenario: string, end: End, rssMiBBefore: number, broken: number): Report {
    return {
      scenario,
      level: this.#level,
      qos: 0,
      payloadBytes: 0,
      publishers: 0,
      subscribers: this.#count,
      seconds: end.seconds,
      perSecond: this.#count / end.seconds,
      sentPerSecond: 0,
      acknowledgedPerSecond: 0,
      ...costsOf(end.used, this.#count, end.seconds),
      brokerRssMiB: usageOf(this.#options.brokerPid).rssMiB,
      brokerRssMiBBefore: rssMiBBefore,
      verdict: { ...NO_FAULTS, broken },
      latency: percentilesOf(this.#latencies, this.#count)
    }
  }
}
