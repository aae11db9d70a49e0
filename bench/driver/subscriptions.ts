/**
 * Many subscriptions: clients with many filters each, half of them with a wildcard, while a pair beside keeps its schedule; then one
 * message to one filter of each client.
 *
 * Invariants
 *  - Every filter has to be granted; every message has to come once, to the client whose filter it is and to no other.
 *  - Memory is read with all clients connected, before the first SUBSCRIBE and after the last SUBACK.
 */
import type { Subscriptions } from "../scale-scenarios.ts"
import { connect, inParallel, sleep, withinSetUpTime } from "./connect.ts"
import { FilterClient } from "./FilterClient.ts"
import { disconnectFrame, targetBlock } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { Probe } from "./Probe.ts"
import { costsOf, UsageWatch, usageOf } from "./process-usage.ts"
import { Run } from "./Run.ts"
import type { Report } from "./report.ts"
import { TimedPublisher } from "./TimedPublisher.ts"

const CONNECTING_MAX = 50
const SUBSCRIBE_MS_MAX = 600_000
const SET_UP_MS_MAX = 120_000
/** The messages at the end have this long. */
const ARRIVE_MS_MAX = 10_000
/** The pair beside is watched this long while nothing else happens. */
const QUIET_WINDOW_MS = 1000
const LOOK_MS = 5

export async function runSubscriptions(scenario: Subscriptions, options: RunOptions): Promise<Report> {
  const { clients: count, filtersEach, inProgress, restSeconds } = scenario
  const { brokerPid, level, payloadBytes } = options
  const run = new Run(count, count)
  const clients = Array.from({ length: count }, (_, index) => new FilterClient(run, { level, index, payloadBytes }))
  const probe = await Probe.open(scenario.name, options, scenario.probeRate)
  const open = (index: number): Promise<void> =>
    connect(clients[index] as FilterClient, options.endpoint, `bench-f${index}`)
  await withinSetUpTime(inParallel(count, CONNECTING_MAX, open), SET_UP_MS_MAX)
  await sleep((options.warmUpSeconds + restSeconds) * 1000)
  const quiet = {
    fromMs: performance.now(),
    toMs: performance.now() + Math.min(QUIET_WINDOW_MS, options.seconds * 1000)
  }
  await sleep(quiet.toMs - quiet.fromMs)

  const watch = new UsageWatch(brokerPid)
  const fromMs = performance.now()
  const subscribeEach = async (index: number): Promise<void> => {
    for (let first = 0; first < filtersEach; first += scenario.filtersAPacket) {
      const length = Math.min(scenario.filtersAPacket, filtersEach - first)
      const filters = Array.from({ length }, (_, at) => filterOf(index, first + at))
      await (clients[index] as FilterClient).subscribeAll(filters, 1)
    }
  }
  await withinSetUpTime(inParallel(count, inProgress, subscribeEach), SUBSCRIBE_MS_MAX)
  const toMs = performance.now()
  const used = watch.end()
  const latency = probe.latency([{ fromMs, toMs }])
  const lateness = probe.lateness([{ fromMs, toMs }])
  await sleep(restSeconds * 1000)
  const rssMiB = usageOf(brokerPid).rssMiB
  const quietLatency = probe.latency([quiet])
  const pair = await probe.close()

  const publisher = await publishToEach(scenario, options, run)
  const sum = (value: (client: FilterClient) => number): number =>
    clients.reduce((total, client) => total + value(client), 0)
  const granted = sum((client) => client.granted)
  const peers = [publisher, ...clients]
  const broken = peers.filter(({ isBroken, malformed }) => isBroken || malformed > 0).length
  for (const peer of peers) peer.close(disconnectFrame())
  const seconds = (toMs - fromMs) / 1000
  return {
    scenario: scenario.name,
    level,
    qos: 1,
    payloadBytes,
    publishers: 1,
    subscribers: count,
    seconds,
    perSecond: granted / seconds,
    sentPerSecond: granted / seconds,
    acknowledgedPerSecond: granted / seconds,
    ...costsOf(used, granted, seconds),
    brokerRssMiB: rssMiB,
    brokerRssMiBBefore: watch.rssMiBBefore,
    verdict: {
      ...pair,
      sent: pair.sent + publisher.sent,
      delivered: pair.delivered + run.ledger.delivered,
      acknowledged: pair.acknowledged + publisher.acknowledged,
      lost: pair.lost + count - run.ledger.delivered,
      duplicates: pair.duplicates + run.ledger.duplicates,
      stray: pair.stray + run.ledger.stray,
      corrupt: pair.corrupt + run.corrupt,
      refused: pair.refused + publisher.refused + sum((client) => client.refused),
      unexpectedAcknowledgements:
        pair.unexpectedAcknowledgements + publisher.unexpected + sum((client) => client.unexpected),
      unacknowledged:
        pair.unacknowledged +
        (publisher.sent - publisher.acknowledged) +
        (count * filtersEach - granted - sum((client) => client.refused)),
      broken: pair.broken + broken
    },
    latency,
    lateness,
    subscriptions: {
      granted,
      bytesEach: ((rssMiB - watch.rssMiBBefore) * 1024 ** 2) / Math.max(1, granted),
      arrived: run.ledger.delivered,
      quiet: quietLatency
    }
  }
}

/** One message for each client, to a filter without a wildcard and to one with it in turn; all of them came, or time is up. */
async function publishToEach(
  { clients: count, filtersEach }: Subscriptions,
  options: RunOptions,
  run: Run
): Promise<TimedPublisher> {
  for (let index = 0; index < count; index++) run.ledger.expect(index, index)
  const targets = Array.from({ length: count }, (_, index) => {
    const filter = (index * 7 + (index % 2)) % filtersEach
    return { topicName: filterOf(index, filter).replace("+", "state"), publisher: index }
  })
  const publisher = new TimedPublisher(options.level, targetBlock({ ...options, targets, qos: 1 }), 100, () => {})
  await connect(publisher, options.endpoint, "bench-f")
  publisher.onRoom = () => publisher.send(count - publisher.sent)
  publisher.onRoom()
  const isDone = (): boolean => run.ledger.delivered >= count && publisher.acknowledged >= count
  const endMs = performance.now() + ARRIVE_MS_MAX
  while (!isDone() && performance.now() < endMs && !publisher.isBroken) await sleep(LOOK_MS)
  // What comes twice, or to another client, comes late.
  await sleep(100)
  return publisher
}

/** Filter `filter` of `client`: every second one has a wildcard. Names that match them all have one length. */
function filterOf(client: number, filter: number): string {
  const levels = `bench/f/${String(client).padStart(5, "0")}/${String(filter).padStart(5, "0")}`
  return filter % 2 === 0 ? `${levels}/state` : `${levels}/+`
}
