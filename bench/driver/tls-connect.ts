/**
 * TLS: what an idle connection costs, then how fast connections are made with a full handshake each.
 *
 * Invariants
 *  - A connection counts when its handshake was a full one of TLS 1.3 and its CONNACK with code 0 has come; any other ends the run.
 *  - Client and server share the handshake's work: where the driver's core is full the row says so, and the CPU time a connect is
 *    the broker's alone.
 */
import type { TlsConnect } from "../scale-scenarios.ts"
import { inParallel, leave, sleep, withinSetUpTime } from "./connect.ts"
import { Attempt, unanswered, type Visitor } from "./connections.ts"
import { disconnectFrame } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { usageOf } from "./process-usage.ts"
import type { Report } from "./report.ts"

/** Of one run; nothing does more. */
const CYCLES_MAX = 200_000
const IDLE_MS_MAX = 120_000

export async function runTlsConnect(scenario: TlsConnect, options: RunOptions): Promise<Report> {
  const attempt = new Attempt(options, CYCLES_MAX)
  await attempt.warmUp(scenario.inProgress, scenario.warmUpConnects)
  const tls = await holdIdle(scenario, options)
  const rssMiBBefore = usageOf(options.brokerPid).rssMiB
  attempt.start()
  const untilMs = performance.now() + options.seconds * 1000
  const cycle = async (index: number): Promise<void> => {
    if (performance.now() >= untilMs) return
    await leave(await attempt.connect(`bench-t${index}`))
  }
  await withinSetUpTime(inParallel(CYCLES_MAX, scenario.inProgress, cycle), options.seconds * 1000 + IDLE_MS_MAX)
  const report = attempt.report(scenario.name, attempt.end(), rssMiBBefore, tls.broken)
  return {
    ...report,
    verdict: { ...report.verdict, unacknowledged: tls.unacknowledged },
    tls: { idle: scenario.connections, kibEach: tls.kibEach }
  }
}

interface Held {
  readonly kibEach: number
  readonly broken: number
  /** Connections that gave no sign of life at the end. */
  readonly unacknowledged: number
}

/** Connections that stay; before any others than the warm-up's, whose memory they would use again. */
async function holdIdle(scenario: TlsConnect, options: RunOptions): Promise<Held> {
  const { connections, inProgress, restSeconds } = scenario
  await sleep(restSeconds * 1000)
  const emptyMiB = usageOf(options.brokerPid).rssMiB
  const attempt = new Attempt(options, connections)
  const visitors: Visitor[] = []
  const open = async (index: number): Promise<void> => {
    visitors.push(await attempt.connect(`bench-u${index}`))
  }
  await withinSetUpTime(inParallel(connections, inProgress, open), IDLE_MS_MAX)
  await sleep(restSeconds * 1000)
  const fullMiB = usageOf(options.brokerPid).rssMiB
  const unacknowledged = await unanswered(visitors)
  const broken = visitors.filter(({ isBroken, malformed }) => isBroken || malformed > 0).length
  for (const visitor of visitors) visitor.close(disconnectFrame())
  return { kibEach: ((fullMiB - emptyMiB) * 1024) / connections, broken, unacknowledged }
}
