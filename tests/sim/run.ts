/**
 * One run of the whole-broker simulation: from a seed to a trace hash, or to the promise that was broken.
 *
 * Phases: everybody acts until the steps are used up; everybody comes back and finishes what was begun, and what was promised must
 * have been kept; everybody leaves, and nothing may be left of them; some come back, and the broker stops under them.
 */
import { Simulation } from "../../core/platform/simulated.ts"
import type { KafkaActor } from "./KafkaActor.ts"
import { KafkaFetcher } from "./KafkaFetcher.ts"
import { KafkaProducer } from "./KafkaProducer.ts"
import { LogModel } from "./LogModel.ts"
import { MqttActor } from "./MqttActor.ts"
import { Peer } from "./Peer.ts"
import { RetainedModel } from "./RetainedModel.ts"
import { RetainedProbe } from "./RetainedProbe.ts"
import { drawScenario, LIVE_NAMES, RETAINED_NAMES } from "./Scenario.ts"
import { SimulatedNode } from "./SimulatedNode.ts"
import { type SimMessage, World } from "./World.ts"

/** Virtual time between two looks of the run at itself, ms. */
const SLICE_MS = 50
const ACTING_MS_MAX = 120_000
const SETTLING_MS_MAX = 1_800_000
/** Nothing comes for so long: everything has come. */
const QUIET_MS = 8_000
/** Longer than any session expiry or will delay of a persona that ends. */
const EXPIRED_MS = 60_000
/** How long a gathered batch waits where somebody reads at the end: `LINGER_MS` of the partition log. */
const LINGER_MS = 10

const GAUGES = [
  "manifold_mqtt_connections",
  "manifold_mqtt_sessions",
  "manifold_mqtt_queued_messages",
  "manifold_mqtt_output_bytes",
  "manifold_mqtt_wills_pending",
  "manifold_mqtt_subscriptions",
  "manifold_kafka_connections",
  "manifold_kafka_fetches_waiting",
  "manifold_forwarded_connections"
]

export interface RunOptions {
  readonly seed: number
  readonly shards: number
  readonly steps: number
}

export interface RunResult {
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  readonly counts: World["counts"]
  readonly failure: Error | undefined
  /** What happened last, for a failure. */
  readonly recent: (count: number, part?: string) => ReadonlyArray<string>
}

export async function run({ seed, shards, steps }: RunOptions): Promise<RunResult> {
  const scenario = drawScenario(seed, shards, steps)
  const simulation = new Simulation(seed, scenario.network)
  const node = new SimulatedNode(simulation)
  const world = new World(simulation, node, scenario, seed)
  const rejected: Array<unknown> = []
  const onRejection = (reason: unknown): void => void rejected.push(reason)
  process.on("unhandledRejection", onRejection)
  let failure: Error | undefined
  try {
    await new Run(world, rejected).story()
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
  } finally {
    process.off("unhandledRejection", onRejection)
  }
  return {
    hash: simulation.traceHash,
    events: simulation.eventCount,
    virtualMs: world.nowMs,
    counts: world.counts,
    failure,
    recent: (count, part) => world.recent(count, part)
  }
}

class Run {
  readonly #world: World
  readonly #rejected: ReadonlyArray<unknown>
  readonly #retained: RetainedModel
  readonly #log: LogModel
  readonly #actors: ReadonlyArray<MqttActor>
  readonly #producers: ReadonlyArray<KafkaProducer>
  readonly #fetchers: ReadonlyArray<KafkaFetcher>
  readonly #auditor: KafkaFetcher

  constructor(world: World, rejected: ReadonlyArray<unknown>) {
    this.#world = world
    this.#rejected = rejected
    const { personas, producers, fetchers, binding } = world.scenario
    this.#retained = new RetainedModel(world)
    this.#log = new LogModel(world)
    this.#log.learned(binding.topic, binding.partitions)
    const taken = (message: SimMessage, since: number): void => this.#taken(message, since)
    this.#actors = personas.map((persona, index) => {
      const names = RETAINED_NAMES.filter((_, place) => place % personas.length === index)
      return new MqttActor(world, this.#retained, persona, names, taken)
    })
    this.#producers = Array.from(
      { length: producers },
      (_, index) => new KafkaProducer(world, this.#log, `producer-${index}`, taken)
    )
    this.#fetchers = Array.from(
      { length: fetchers },
      (_, index) => new KafkaFetcher(world, this.#log, `fetcher-${index}`)
    )
    this.#auditor = new KafkaFetcher(world, this.#log, "auditor")
  }

  get #kafkaActors(): ReadonlyArray<KafkaActor> {
    return [...this.#producers, ...this.#fetchers, this.#auditor].map(({ actor }) => actor)
  }

  async story(): Promise<void> {
    const world = this.#world
    await world.node.start(world.scenario)
    const timers = world.node.timerDelays
    await this.#act()
    await this.#settle()
    await this.#leave(timers)
    await this.#stop()
  }

  /** A message is in the broker's hands: its PUBACK, PUBREC or produce response came, or its will is due. */
  #taken(message: SimMessage, since: number): void {
    if (message.acknowledgedAt === 0) message.acknowledgedAt = this.#world.moment()
    for (const { sessions } of this.#actors) for (const session of sessions) session.taken(message, since)
    if (message.source !== "kafka") this.#log.acknowledged(message)
    if (message.source === "mqtt" && this.#world.chance.chance(1, 4)) this.#audit(message)
  }

  /** Somebody looks for a message the moment it is acknowledged. */
  #audit({ topic }: SimMessage): void {
    const [home, partition] = this.#log.homeOf(topic)?.split("/") ?? []
    if (home !== undefined) this.#auditor.look({ topic: home, partition: Number(partition) })
  }

  async #act(): Promise<void> {
    const world = this.#world
    for (const actor of [...this.#actors, ...this.#producers, ...this.#fetchers]) actor.live()
    let probes = 0
    for (let slice = 0; world.stepsLeft > 0 && slice * SLICE_MS < ACTING_MS_MAX; slice++) {
      await this.#pass(SLICE_MS)
      const fate = world.chance.below(64)
      if (fate === 0) world.simulation.stall(world.chance.below(200))
      else if (fate < 3 && probes < 4) new RetainedProbe(world, this.#retained, `probe-${probes++}`, false)
    }
    world.isSettling = true
    world.note("settling")
  }

  /** Everybody comes back, once; what was begun comes to its end; then the promises are checked. */
  async #settle(): Promise<void> {
    const world = this.#world
    const { node } = world
    const returned = new Set<MqttActor>()
    let delivered = -1
    let quietMs = 0
    for (
      let waitedMs = 0;
      quietMs < QUIET_MS || !this.#actors.every((actor) => actor.isSettled);
      waitedMs += SLICE_MS
    ) {
      for (const actor of this.#actors) {
        if (!actor.isIdle || returned.has(actor)) continue
        returned.add(actor)
        actor.connect(false)
      }
      await this.#pass(SLICE_MS)
      quietMs = delivered === world.counts.delivered ? quietMs + SLICE_MS : 0
      delivered = world.counts.delivered
      world.check(waitedMs < SETTLING_MS_MAX, () => this.#actors.map(({ pending }) => pending).join("; "))
    }
    if (node.metric("manifold_mqtt_dropped_queue_full_total") === 0) {
      for (const { sessions } of this.#actors) for (const session of sessions) session.checkSettled()
    } else world.check(world.scenario.isQueueTight, () => "messages were dropped though no queue is tight")
    const probe = new RetainedProbe(world, this.#retained, "probe-last", true)
    await this.#until(() => probe.isDone, "the last look at what is retained")
    await this.#readLogs()
  }

  async #readLogs(): Promise<void> {
    const reader = new KafkaFetcher(this.#world, this.#log, "reader")
    reader.learn()
    await this.#until(() => reader.actor.dueCount === 0, "the list of topics")
    await this.#until(() => !reader.readOn() && reader.actor.dueCount === 0, "all partitions")
    for (let round = 0; round < 2; round++) await this.#wakeUp(reader)
    await this.#until(() => !reader.readOn() && reader.actor.dueCount === 0, "the ends of all partitions")
    reader.actor.leave("finish")
    this.#log.checkSettled(this.#actors.flatMap(({ sessions }) => sessions))
  }

  /** Somebody waits at the end of a partition, alone, and is woken; that it is in time is the reader's to check. */
  async #wakeUp(reader: KafkaFetcher): Promise<void> {
    const name = this.#world.pick(LIVE_NAMES)
    const [topic, partition] = this.#log.homeOf(name)?.split("/") ?? []
    if (topic === undefined) return
    reader.wait({ topic, partition: Number(partition) })
    await this.#pass(500)
    this.#world.pick(this.#actors).publishTo(name)
    await this.#until(() => reader.actor.dueCount === 0, "the answer to a waiting fetch")
    await this.#until(() => this.#actors.every(({ isSettled }) => isSettled), "the end of what was published")
  }

  /** Everybody leaves for good; nothing may be left of them. */
  async #leave(timers: ReadonlyArray<number>): Promise<void> {
    const world = this.#world
    const { node } = world
    for (const actor of this.#kafkaActors) actor.leave("finish")
    for (const actor of this.#actors) actor.disconnect()
    await this.#until(() => this.#actors.every(({ isIdle }) => isIdle), "the end of all connections")
    for (const actor of this.#actors) if (actor.needsClearing) actor.connectLast()
    await this.#until(() => this.#actors.every((each) => each.isIdle || each.isSettled), "the last connections")
    const lingers = node.armedCount(LINGER_MS)
    for (const actor of this.#actors) actor.publishEverywhere()
    for (const actor of this.#actors) actor.disconnect()
    await this.#until(() => this.#actors.every(({ isIdle }) => isIdle), "the end of all connections")
    for (const { halfOpen } of [...this.#actors, ...this.#kafkaActors]) Peer.leftOpen(halfOpen)
    await this.#pass(EXPIRED_MS)
    for (const gauge of GAUGES)
      world.check(node.metric(gauge) === 0, () => `everybody left, and ${gauge} is ${node.metric(gauge)}`)
    world.check(node.hasNoRoutes, () => "everybody left, and a shard still knows a route")
    world.check(
      // A tick of the wheel comes at its own time, and is as long as is left to that.
      node.timerDelays.map((delay) => Math.ceil(delay / 50)).join(" ") ===
        timers.map((delay) => Math.ceil(delay / 50)).join(" "),
      () => `everybody left, and the timers [${node.timerDelays.join(" ")}] run, at the start [${timers.join(" ")}]`
    )
    world.check(node.armedCount(LINGER_MS) === lingers, () => "everybody left, and a partition is still watched")
  }

  /** The broker stops, with nobody there or under those that come back. */
  async #stop(): Promise<void> {
    const world = this.#world
    if (world.chance.chance(1, 3)) {
      // Nobody is there: nobody is waited for.
      const begunMs = world.nowMs
      await world.node.stop()
      world.check(world.nowMs - begunMs < 100, () => `nobody was there, and the stop took ${world.nowMs - begunMs} ms`)
      return
    }
    for (const actor of this.#actors) actor.connectLast()
    await this.#until(() => this.#actors.every(({ isSettled }) => isSettled), "connections before the stop")
    for (const actor of this.#actors) actor.expectStop()
    await world.node.stop()
    await this.#pass(5_000)
    for (const actor of this.#actors) actor.checkStopped()
    world.check(
      world.node.timerDelays.length === 0,
      () => `stopped, and the timers [${world.node.timerDelays.join(" ")}] run`
    )
  }

  async #until(isDone: () => boolean, what: string): Promise<void> {
    for (let waitedMs = 0; !isDone(); waitedMs += SLICE_MS) {
      await this.#pass(SLICE_MS)
      this.#world.check(
        waitedMs < SETTLING_MS_MAX,
        () => `${what} never came: ${this.#actors.map(({ pending }) => pending).join("; ")}`
      )
    }
  }

  async #pass(ms: number): Promise<void> {
    const { simulation } = this.#world
    await simulation.runAsync(simulation.clock.monotonicMs() + ms)
    if (this.#rejected.length > 0) throw this.#rejected[0]
  }
}
