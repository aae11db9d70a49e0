/**
 * Retained or stored messages: publishes a device tree, then clients in turn ask for all of it, while a pair beside keeps its schedule.
 *
 * Invariants
 *  - Every client has to get each message exactly once, with the RETAIN flag where it is retained, on its own topic name.
 *  - The broker's growth is read over publishing alone: code that runs first runs before.
 */
import type { Retained } from "../scale-scenarios.ts"
import { medianOf } from "../statistics.ts"
import { connect, inParallel, sleep, subscribe, withinSetUpTime } from "./connect.ts"
import { disconnectFrame, type FrameBlock, targetBlock } from "./frames.ts"
import type { RunOptions } from "./message-run.ts"
import { Probe, type Window } from "./Probe.ts"
import { costsOf, UsageWatch, usageOf } from "./process-usage.ts"
import { RetainedSubscriber } from "./RetainedSubscriber.ts"
import type { Report, Verdict } from "./report.ts"
import { TimedPublisher } from "./TimedPublisher.ts"

const FILTER = "bench/r/#"
const REPLAY_FILTER = `$replay/earliest/${FILTER}`
const LOOK_MS = 1
const PUBLISH_MS_MAX = 300_000
/** The pair beside is watched this long while nothing else happens. */
const QUIET_WINDOW_MS = 1000

export async function runRetained(scenario: Retained, options: RunOptions): Promise<Report> {
  const { messages, repeats, restSeconds, isReplay } = scenario
  const { brokerPid, level, payloadBytes } = options
  const names = Array.from({ length: messages }, (_, index) => topicNameOf(index, scenario.devicesEach))
  const probe = await Probe.open(scenario.name, options, scenario.probeRate)
  await sleep((options.warmUpSeconds + restSeconds) * 1000)
  const rssMiBBefore = usageOf(brokerPid).rssMiB
  const published = await publishAll(scenario, options, names)
  await sleep(restSeconds * 1000)
  const rssMiB = usageOf(brokerPid).rssMiB

  const quietFromMs = performance.now()
  await sleep(Math.min(QUIET_WINDOW_MS, options.seconds * 1000))
  const quiet = { fromMs: quietFromMs, toMs: performance.now() }
  const windows: Window[] = []
  const clients: RetainedSubscriber[] = []
  const watch = new UsageWatch(brokerPid)
  const startMs = performance.now()
  for (let repeat = 0; repeat < repeats; repeat++) {
    const topicNameOfIndex = (index: number): string => names[index] as string
    const client = new RetainedSubscriber(level, {
      messages,
      payloadBytes,
      topicNameOf: topicNameOfIndex,
      isRetained: !isReplay
    })
    clients.push(client)
    await withinSetUpTime(connect(client, options.endpoint, `bench-r${repeat}`))
    const fromMs = performance.now()
    await withinSetUpTime(subscribe(client, isReplay ? REPLAY_FILTER : FILTER, 1))
    while (client.delivered < messages && !client.isBroken) {
      if (performance.now() - Math.max(client.lastMs, fromMs) > scenario.quietSeconds * 1000) break
      await sleep(LOOK_MS)
    }
    windows.push({ fromMs, toMs: Math.max(client.lastMs, fromMs) })
    // What comes twice comes late: it is waited for before the client leaves.
    await sleep(100)
    client.close(disconnectFrame())
  }
  const seconds = (performance.now() - startMs) / 1000
  const used = watch.end()
  const latency = probe.latency(windows)
  const lateness = probe.lateness(windows)
  const quietLatency = probe.latency([quiet])
  const verdict = merged(await probe.close(), published, clients, messages)

  const firsts = clients.map((client, index) => client.firstMs - (windows[index] as Window).fromMs)
  const allMs = medianOf(windows.map(({ fromMs, toMs }) => toMs - fromMs))
  const delivered = clients.reduce((sum, client) => sum + client.delivered, 0)
  return {
    scenario: scenario.name,
    level,
    qos: 1,
    payloadBytes,
    publishers: scenario.publishers,
    subscribers: repeats,
    seconds,
    perSecond: allMs === 0 ? 0 : (messages / allMs) * 1000,
    sentPerSecond: published.perSecond,
    acknowledgedPerSecond: published.perSecond,
    ...costsOf(used, delivered, seconds),
    brokerRssMiB: rssMiB,
    brokerRssMiBBefore: rssMiBBefore,
    verdict,
    latency,
    lateness,
    retained: {
      messages,
      dataMiB: names.reduce((sum, name) => sum + name.length + payloadBytes, 0) / 1024 ** 2,
      growthMiB: rssMiB - rssMiBBefore,
      publishedPerSecond: published.perSecond,
      firstMs: medianOf(firsts),
      firstMsMax: Math.max(...firsts),
      allMs,
      quiet: quietLatency
    }
  }
}

interface Published {
  readonly sent: number
  readonly acknowledged: number
  readonly refused: number
  readonly unexpected: number
  readonly broken: number
  readonly perSecond: number
}

/** Publishes each message once, QoS 1, and waits for the PUBACKs. */
async function publishAll(
  { publishers: count, window, isReplay }: Retained,
  options: RunOptions,
  names: readonly string[]
): Promise<Published> {
  const publishers: TimedPublisher[] = []
  await withinSetUpTime(
    inParallel(count, count, async (index) => {
      const block = deviceBlock(options, names, index, count, !isReplay)
      const publisher = new TimedPublisher(options.level, block, window, () => {})
      publishers[index] = publisher
      await connect(publisher, options.endpoint, `bench-t${index}`)
      publisher.onRoom = () => publisher.send(block.count - publisher.sent)
    })
  )
  const startMs = performance.now()
  for (const publisher of publishers) publisher.onRoom()
  const sum = (value: (publisher: TimedPublisher) => number): number =>
    publishers.reduce((total, publisher) => total + value(publisher), 0)
  while (sum(({ acknowledged }) => acknowledged) < names.length && performance.now() - startMs < PUBLISH_MS_MAX) {
    if (publishers.some(({ isBroken }) => isBroken)) break
    await sleep(LOOK_MS)
  }
  const acknowledged = sum((publisher) => publisher.acknowledged)
  for (const publisher of publishers) publisher.close(disconnectFrame())
  return {
    sent: sum(({ sent }) => sent),
    acknowledged,
    refused: sum(({ refused }) => refused),
    unexpected: sum(({ unexpected }) => unexpected),
    broken: publishers.filter(({ isBroken, malformed }) => isBroken || malformed > 0).length,
    perSecond: (acknowledged / (performance.now() - startMs)) * 1000
  }
}

/** Every `count`-th message from `index` on, with the RETAIN flag or without; the payload names the message. */
function deviceBlock(
  options: RunOptions,
  names: readonly string[],
  index: number,
  count: number,
  isRetained: boolean
): FrameBlock {
  const targets = names
    .map((topicName, publisher) => ({ topicName, publisher }))
    .filter(({ publisher }) => publisher % count === index)
  const block = targetBlock({ ...options, targets, qos: 1 })
  if (!isRetained) return block
  for (let at = 0; at < block.bytes.length; at += block.frameBytes) block.bytes[at] = (block.bytes[at] as number) | 1
  return block
}

/** The pair beside, publishing, and every client in one verdict; `sent` is what publishers sent, `delivered` what clients got. */
function merged(
  pair: Verdict,
  published: Published,
  clients: readonly RetainedSubscriber[],
  messages: number
): Verdict {
  const sum = (value: (client: RetainedSubscriber) => number): number =>
    clients.reduce((total, client) => total + value(client), 0)
  return {
    ...pair,
    sent: pair.sent + published.sent,
    acknowledged: pair.acknowledged + published.acknowledged,
    delivered: pair.delivered + sum(({ delivered }) => delivered),
    lost: pair.lost + sum(({ delivered }) => messages - delivered),
    duplicates: pair.duplicates + sum(({ duplicates }) => duplicates),
    stray: pair.stray + sum(({ stray }) => stray),
    corrupt: pair.corrupt + sum(({ corrupt }) => corrupt),
    refused: pair.refused + published.refused,
    unexpectedAcknowledgements: pair.unexpectedAcknowledgements + published.unexpected,
    unacknowledged: pair.unacknowledged + published.sent - published.acknowledged,
    broken: pair.broken + published.broken + sum(({ isBroken, malformed }) => (isBroken || malformed > 0 ? 1 : 0))
  }
}

/** The tree `bench/r/<area>/<device>/state`; all names have one length. */
function topicNameOf(index: number, devicesEach: number): string {
  const area = String(Math.floor(index / devicesEach)).padStart(5, "0")
  return `bench/r/${area}/${String(index % devicesEach).padStart(5, "0")}/state`
}
