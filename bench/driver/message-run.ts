/**
 * The common part of closed and open loop: connect everyone, watch for stalls, drain, pass the verdict.
 *
 * Invariant: subscribers are all acknowledged before the first PUBLISH leaves, so that every loss is the broker's.
 */

import type { Topics } from "../scenarios.ts"
import { connect, type Endpoint, inParallel, sleep, subscribe, withinSetUpTime } from "./connect.ts"
import { disconnectFrame, type ProtocolLevel, publishBlock, type QualityOfService } from "./frames.ts"
import { GroupLedger } from "./GroupLedger.ts"
import { Publisher } from "./Publisher.ts"
import { costsOf, type SpanUsage, UsageWatch, usageOf } from "./process-usage.ts"
import { Run } from "./Run.ts"
import type { Report, Verdict } from "./report.ts"
import { Subscriber } from "./Subscriber.ts"

export interface RunOptions {
  readonly endpoint: Endpoint
  readonly level: ProtocolLevel
  readonly payloadBytes: number
  /** Process id of the broker; 0 where it is unknown. */
  readonly brokerPid: number
  readonly warmUpSeconds: number
  readonly seconds: number
  /** A folder on the file system where the broker keeps its data. */
  readonly folder: string
  /** The broker's /metrics, where it has them. */
  readonly metricsUrl?: string
  /** True where nothing is stored that nobody wants: a session that is away then wants all. */
  readonly isSubscriberNeeded: boolean
}

/** Who talks to whom. */
export interface Topology {
  readonly name: string
  readonly qos: QualityOfService
  readonly topics: Topics
  readonly publishers: number
  readonly subscribers: number
  readonly window: number
}

/** So many connections are set up at a time. */
const CONNECTING_MAX = 50
/** Nothing arrived for so long while messages are open: they are written off and the run goes on. */
const STALL_MS = 1000
/** After the last PUBLISH the broker has at most this long, as long as something still arrives. */
const DRAIN_MS_MAX = 15_000
const LOOK_MS = 20

export class MessageRun {
  readonly run: Run
  readonly topology: Topology
  readonly options: RunOptions
  readonly #group: GroupLedger | undefined
  readonly #subscribers: Subscriber[] = []
  #stalls = 0
  #rssMiBBefore = 0

  constructor(topology: Topology, options: RunOptions) {
    this.topology = topology
    this.options = options
    const { publishers, subscribers } = topology
    this.#group = topology.topics === "group" ? new GroupLedger(publishers, subscribers) : undefined
    this.run = new Run(publishers, subscribers, this.#group)
  }

  get publishers(): readonly Publisher[] {
    return this.run.publishers
  }

  /** Connects subscribers, then publishers. */
  open(): Promise<void> {
    return withinSetUpTime(this.#connectAll())
  }

  /** Runs warm-up and measured seconds; resolves with what was measured. Sending is the caller's business. */
  async measure(): Promise<Measured> {
    const { warmUpSeconds, seconds } = this.options
    await this.watch(warmUpSeconds * 1000)
    return this.segment(seconds)
  }

  /** What happens within the next `seconds`. */
  async segment(seconds: number): Promise<Measured> {
    const { brokerPid } = this.options
    const before = this.run.snapshot()
    const watch = new UsageWatch(brokerPid)
    await this.watch(seconds * 1000)
    const after = this.run.snapshot()
    const used = watch.end()
    return {
      seconds: (after.atMs - before.atMs) / 1000,
      delivered: after.delivered - before.delivered,
      sent: after.sent - before.sent,
      acknowledged: after.acknowledged - before.acknowledged,
      used
    }
  }

  /** Stops sending, waits until all has arrived or nothing does any more, says goodbye. */
  async close(): Promise<Verdict> {
    const { run } = this
    run.maySend = false
    let progress = -1
    let progressAtMs = performance.now()
    const endMs = progressAtMs + DRAIN_MS_MAX
    for (let now = progressAtMs; !run.isSettled() && now < endMs; now = performance.now()) {
      const seen = run.ledger.delivered + run.acknowledged
      if (seen !== progress) {
        progress = seen
        progressAtMs = now
      } else if (now - progressAtMs > STALL_MS * 2) {
        break
      }
      await sleep(LOOK_MS)
    }
    // What comes twice comes late: leave it a moment before counting.
    await sleep(LOOK_MS * 5)
    const verdict = this.#verdict()
    for (const peer of [...run.publishers, ...this.#subscribers]) peer.close(disconnectFrame())
    return verdict
  }

  /** The report of a finished run. */
  report(measured: Measured, verdict: Verdict): Report {
    const { topology, options } = this
    return {
      scenario: topology.name,
      level: options.level,
      qos: topology.qos,
      payloadBytes: options.payloadBytes,
      publishers: topology.publishers,
      subscribers: topology.subscribers,
      seconds: measured.seconds,
      perSecond: measured.delivered / measured.seconds,
      sentPerSecond: measured.sent / measured.seconds,
      acknowledgedPerSecond: measured.acknowledged / measured.seconds,
      ...costsOf(measured.used, measured.delivered, measured.seconds),
      brokerRssMiB: measured.used.rssMiB,
      brokerRssMiBBefore: this.#rssMiBBefore,
      verdict,
      ...(this.#group === undefined ? {} : { fewestShare: fewestShareOf(this.#group.deliveredTo) })
    }
  }

  async #connectAll(): Promise<void> {
    const { topology, options, run } = this
    const { level, payloadBytes, endpoint } = options
    this.#rssMiBBefore = usageOf(options.brokerPid).rssMiB
    await inParallel(topology.subscribers, CONNECTING_MAX, async (index) => {
      const subscriber = new Subscriber(run, { level, index, payloadBytes })
      this.#subscribers.push(subscriber)
      await connect(subscriber, endpoint, `bench-s${index}`)
      await subscribe(subscriber, this.#filter(index), topology.qos)
      for (let publisher = 0; publisher < topology.publishers; publisher++) {
        if (this.#topicName(publisher) === this.#topicName(index)) run.ledger.expect(index, publisher)
      }
    })
    await inParallel(topology.publishers, CONNECTING_MAX, async (index) => {
      const { qos, window } = topology
      const topicName = this.#topicName(index)
      const block = publishBlock({ level, topicName, qos, payloadBytes, publisher: index, count: window })
      const publisher = new Publisher(run, { level, index, qos, window, block })
      run.publishers[index] = publisher
      await connect(publisher, endpoint, `bench-p${index}`)
      publisher.respectReceiveMaximum()
    })
  }

  #topicName(index: number): string {
    return this.topology.topics === "shared" ? "bench/shared" : `bench/p${index}`
  }

  #filter(index: number): string {
    return this.topology.topics === "group" ? "$share/bench/bench/+" : this.#topicName(index)
  }

  /** Sleeps for `ms` and writes off what a broker has dropped, so that a lossy one is measured on. */
  async watch(ms: number): Promise<void> {
    const endMs = performance.now() + ms
    let delivered = this.run.ledger.delivered
    let progressAtMs = performance.now()
    for (let now = performance.now(); now < endMs; now = performance.now()) {
      await sleep(Math.min(LOOK_MS, endMs - now))
      if (this.run.ledger.delivered !== delivered) {
        delivered = this.run.ledger.delivered
        progressAtMs = performance.now()
      } else if (performance.now() - progressAtMs > STALL_MS) {
        progressAtMs = performance.now()
        if (!this.run.isSettled()) {
          this.#stalls++
          for (const publisher of this.publishers) publisher.writeOff()
        }
      }
    }
  }

  #verdict(): Verdict {
    const { run } = this
    const peers = [...run.publishers, ...this.#subscribers]
    return {
      sent: run.sent,
      delivered: run.ledger.delivered,
      acknowledged: run.acknowledged,
      lost: run.ledger.lost(run.publishers.map((publisher) => publisher.sent)),
      duplicates: run.ledger.duplicates,
      reordered: run.ledger.reordered,
      stray: run.ledger.stray,
      corrupt: run.corrupt,
      refused: run.refused,
      unexpectedAcknowledgements: run.unexpectedAcknowledgements,
      unacknowledged: this.topology.qos === 0 ? 0 : run.sent - run.acknowledged,
      broken: peers.filter((peer) => peer.isBroken || peer.malformed > 0).length,
      stalls: this.#stalls
    }
  }
}

/** Deliveries of the member that got the fewest, by an even share; 0 where nothing came. */
function fewestShareOf(deliveredTo: Float64Array): number {
  const sum = deliveredTo.reduce((total, count) => total + count, 0)
  return sum === 0 ? 0 : (Math.min(...deliveredTo) * deliveredTo.length) / sum
}

/** Differences over the measured seconds. */
export interface Measured {
  readonly seconds: number
  readonly delivered: number
  readonly sent: number
  readonly acknowledged: number
  readonly used: SpanUsage
}
