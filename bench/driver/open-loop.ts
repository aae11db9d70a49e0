/**
 * Open loop: message k of N pairs is due at start + k / rate, whatever the broker does; latency counts from that moment.
 *
 * Invariants
 *  - A stall of the broker or the driver makes every message late that was due meanwhile (no coordinated omission);
 *    the driver's own share is reported as lateness.
 *  - The due time follows from publisher and sequence number, so nothing is stored per message in flight.
 *  - The driver spins (its core is its own): a sleeping one would add its timer's millisecond to every latency.
 */
import type { OpenLoop } from "../scenarios.ts"
import { MessageRun, type RunOptions } from "./message-run.ts"
import { percentilesOf, type Report } from "./report.ts"

export async function runOpenLoop(scenario: OpenLoop, options: RunOptions): Promise<Report> {
  const { pairs, rate } = scenario
  const messages = new MessageRun(
    { ...scenario, topics: "pair", publishers: pairs, subscribers: pairs, window: 1 },
    options
  )
  await messages.open()
  // run.maySend stays false: publishers send by schedule here, not when a delivery opens a window.
  const { run, publishers } = messages
  const intervalMs = 1000 / rate
  const startMs = performance.now() + 10
  const measuredFromMs = startMs + options.warmUpSeconds * 1000
  const total = Math.floor(rate * (options.warmUpSeconds + options.seconds))
  const latencies = new Float64Array(total)
  const lateness = new Float64Array(total)
  let latencyCount = 0
  let latenessCount = 0
  run.onDelivery = (publisher, sequence, atMs) => {
    const dueMs = startMs + (sequence * pairs + publisher) * intervalMs
    if (dueMs >= measuredFromMs && latencyCount < total) latencies[latencyCount++] = atMs - dueMs
  }

  let next = 0
  let isOver = false
  const turn = (): void => {
    if (isOver) return
    const now = performance.now()
    while (next < total && startMs + next * intervalMs <= now) {
      const publisher = publishers[next % pairs]
      // A socket that takes no more makes this and all later messages late; they are sent when it drains.
      if (publisher === undefined || publisher.isBroken || publisher.blocked) break
      const dueMs = startMs + next * intervalMs
      publisher.send(1)
      if (dueMs >= measuredFromMs) lateness[latenessCount++] = performance.now() - dueMs
      next++
    }
    setImmediate(turn)
  }
  turn()
  const measured = await messages.measure()
  isOver = true
  const report = messages.report(measured, await messages.close())
  return {
    ...report,
    latency: percentilesOf(latencies, latencyCount),
    lateness: percentilesOf(lateness, latenessCount)
  }
}
