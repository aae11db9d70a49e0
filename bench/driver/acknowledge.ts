/**
 * Open loop to the PUBACK: message k of P publishers is due at start + k / rate, whatever the broker does; its latency counts
 * from that moment to its PUBACK.
 *
 * Invariants
 *  - No coordinated omission: what the broker or the driver holds up is late by all the time since it was due. What was never
 *    acknowledged, or not even sent, counts with the time until the end, and is reported as `behind`.
 *  - A publisher that waits (socket or window full) holds up no other.
 *  - The sync that latencies are compared with is measured before and after, while the broker rests: not under the load.
 */
import type { Acknowledge } from "../scenarios.ts"
import { connect, inParallel, leave, sleep, subscribe, withinSetUpTime } from "./connect.ts"
import { disconnectFrame, type Target, targetBlock } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { journalCounts } from "./metrics.ts"
import { costsOf, UsageWatch, usageOf } from "./process-usage.ts"
import { type JournalRates, percentilesOf, type Report } from "./report.ts"
import { SyncProbe } from "./sync-probe.ts"
import { TimedPublisher, WINDOW_MAX } from "./TimedPublisher.ts"
import { Waiting } from "./Waiting.ts"

const SYNC_SAMPLES = 300
const SYNC_SECONDS_MAX = 2
/** After the last PUBLISH the broker has this long for its PUBACKs. */
const DRAIN_MS_MAX = 5000
const LOOK_MS = 5
/** Frames a publisher can write in one go; a block has at least so many. */
const BURST_MIN = 64

export async function runAcknowledge(scenario: Acknowledge, options: RunOptions): Promise<Report> {
  const { publishers: count, rate, topics } = scenario
  const intervalMs = 1000 / rate
  const total = Math.floor(rate * (options.warmUpSeconds + options.seconds))
  const latencies = new Float64Array(total)
  let latencyCount = 0
  let startMs = 0
  let measuredFromMs = Number.POSITIVE_INFINITY
  const dueMs = (publisher: number, message: number): number => startMs + (message * count + publisher) * intervalMs
  const book = (publisher: number, message: number, atMs: number): void => {
    const due = dueMs(publisher, message)
    if (due >= measuredFromMs && latencyCount < total) latencies[latencyCount++] = atMs - due
  }

  const probe = new SyncProbe(options.folder, SYNC_SAMPLES * 2)
  await probe.run(SYNC_SAMPLES, SYNC_SECONDS_MAX)
  const rssMiBBefore = usageOf(options.brokerPid).rssMiB
  if (options.isSubscriberNeeded) await keepInterested(options)
  const publishers: TimedPublisher[] = []
  const open = async (index: number): Promise<void> => {
    const block = targetBlock({ ...options, targets: targetsOf(index, count, topics), qos: 1 })
    const publisher = new TimedPublisher(options.level, block, WINDOW_MAX, (message, atMs) =>
      book(index, message, atMs)
    )
    publishers[index] = publisher
    await connect(publisher, options.endpoint, `bench-p${index}`)
  }
  await withinSetUpTime(inParallel(count, 50, open))

  startMs = performance.now() + 10
  measuredFromMs = startMs + options.warmUpSeconds * 1000
  const lateness = new Float64Array(total)
  let latenessCount = 0
  let isOver = false
  /** Messages of the schedule, over all publishers; those due after the measured seconds are taken off. */
  let planned = total
  const turn = (): void => {
    if (isOver) return
    const now = performance.now()
    // The messages that are due by now, over all publishers; publisher p has every count-th of them.
    const due = Math.min(planned, Math.floor((now - startMs) / intervalMs) + 1)
    for (let index = 0; index < count; index++) {
      const publisher = publishers[index] as TimedPublisher
      const wanted = Math.ceil((due - index) / count) - publisher.sent
      if (wanted <= 0) continue
      const first = dueMs(index, publisher.sent)
      publisher.send(wanted)
      if (first >= measuredFromMs && latenessCount < total) lateness[latenessCount++] = performance.now() - first
    }
    setImmediate(turn)
  }
  turn()

  const counted = (): number => publishers.reduce((sum, publisher) => sum + publisher.acknowledged, 0)
  const journal = scenario.journal && options.metricsUrl !== undefined ? options.metricsUrl : undefined
  await sleep(options.warmUpSeconds * 1000)
  const journalBefore = journal === undefined ? undefined : await journalCounts(journal)
  const before = { atMs: performance.now(), clockMs: Date.now(), acknowledged: counted() }
  const watch = new UsageWatch(options.brokerPid)
  await sleep(options.seconds * 1000)
  const after = { atMs: performance.now(), clockMs: Date.now(), acknowledged: counted() }
  const used = watch.end()
  const journalAfter = journal === undefined ? undefined : await journalCounts(journal)
  const journalAtMs = performance.now()

  // What was due by now is still sent; what is not acknowledged when the time for that is over counts up to that moment.
  planned = Math.min(total, Math.floor((after.atMs - startMs) / intervalMs))
  const planOf = (index: number): number => Math.ceil((planned - index) / count)
  const endMs = performance.now() + DRAIN_MS_MAX
  // One that fell due just before the end was cut may have been sent beyond the plan.
  const isOpen = (): boolean =>
    publishers.some(
      (publisher, index) => publisher.acknowledged < Math.max(publisher.sent, planOf(index)) && !publisher.isBroken
    )
  while (isOpen() && performance.now() < endMs) await sleep(LOOK_MS)
  isOver = true
  const lastMs = performance.now()
  let behind = 0
  publishers.forEach((publisher, index) => {
    for (const message of publisher.openMessages()) book(index, message, lastMs)
    for (let message = publisher.sent; message < planOf(index); message++) {
      behind++
      book(index, message, lastMs)
    }
  })
  const sent = publishers.reduce((sum, publisher) => sum + publisher.sent, 0)
  const acknowledged = counted()
  const broken = publishers.filter((publisher) => publisher.isBroken || publisher.malformed > 0).length
  for (const publisher of publishers) publisher.close(disconnectFrame())
  await sleep(LOOK_MS * 20)
  await probe.run(SYNC_SAMPLES, SYNC_SECONDS_MAX)

  const seconds = (after.atMs - before.atMs) / 1000
  const rates: JournalRates | undefined =
    journalBefore === undefined || journalAfter === undefined
      ? undefined
      : {
          source: "metrics",
          entriesPerSecond: (journalAfter.entries - journalBefore.entries) / ((journalAtMs - before.atMs) / 1000),
          syncsPerSecond: (journalAfter.syncs - journalBefore.syncs) / ((journalAtMs - before.atMs) / 1000)
        }
  return {
    scenario: scenario.name,
    level: options.level,
    qos: 1,
    payloadBytes: options.payloadBytes,
    publishers: count,
    subscribers: 0,
    seconds,
    perSecond: (after.acknowledged - before.acknowledged) / seconds,
    sentPerSecond: rate,
    acknowledgedPerSecond: (after.acknowledged - before.acknowledged) / seconds,
    ...costsOf(used, after.acknowledged - before.acknowledged, seconds),
    brokerRssMiB: used.rssMiB,
    brokerRssMiBBefore: rssMiBBefore,
    verdict: {
      sent,
      delivered: 0,
      acknowledged,
      lost: 0,
      duplicates: 0,
      reordered: 0,
      stray: 0,
      corrupt: 0,
      refused: publishers.reduce((sum, publisher) => sum + publisher.refused, 0),
      unexpectedAcknowledgements: publishers.reduce((sum, publisher) => sum + publisher.unexpected, 0),
      unacknowledged: sent - acknowledged,
      broken,
      stalls: 0
    },
    latency: percentilesOf(latencies, latencyCount),
    lateness: percentilesOf(lateness, latenessCount),
    sync: probe.percentiles(),
    behind,
    window: { fromMs: before.clockMs, toMs: after.clockMs },
    ...(rates === undefined ? {} : { journal: rates })
  }
}

/**
 * The topic names of publisher `index` of `count`, so often that a block is long enough: all names where there are fewer than
 * publishers, else its share of them.
 */
export function targetsOf(index: number, count: number, topics: number): Target[] {
  const own: number[] = []
  if (topics < count) own.push(index % topics)
  else for (let topic = index; topic < topics; topic += count) own.push(topic)
  const often = Math.ceil(BURST_MIN / own.length)
  const names = own.map((topic) => ({ topicName: topicNameOf(topic), publisher: index }))
  return Array.from({ length: often }, () => names).flat()
}

/** All topic names of a scenario with so many. */
export function topicNamesOf(topics: number): string[] {
  return Array.from({ length: topics }, (_, topic) => topicNameOf(topic))
}

/** All of one length, so that the frames of a block have one. */
function topicNameOf(topic: number): string {
  return `bench/t${String(topic).padStart(6, "0")}`
}

/** A session that is away and wants everything: without it some brokers have no reason to store what is published. */
async function keepInterested({ level, endpoint }: RunOptions): Promise<void> {
  const session = new Waiting(level)
  await connect(session, endpoint, "bench-away", "kept")
  await subscribe(session, "bench/#", 1)
  await leave(session)
}
