/**
 * A whole node on the simulated platform: the real `startNode` with the memory engine, the meta store and both protocols, and a
 * probe that reads its metrics and counts the timers that it has running.
 *
 * Invariant: nothing here changes what the node may do; the clock that it is given counts, and is busy at times.
 */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as v from "valibot"
import { RETAINED_LIMITS } from "../../core/ingress/retained-limits.ts"
import {
  Clock,
  type ClockShape,
  CONTRACT_VERSION,
  Files,
  type HttpPlugin,
  Net,
  type Plugin,
  type ProtocolPlugin,
  Random,
  Router,
  type RouterShape,
  Telemetry
} from "../../core/mod.ts"
import { startNode } from "../../core/node/mod.ts"
import type { Simulation } from "../../core/platform/simulated.ts"
import { ShardRouter } from "../../core/router/Router.ts"
import type { Retention } from "../../core/topics/TopicInfo.ts"
import { plugin as metaRaft } from "../../plugins/meta-raft/mod.ts"
import { plugin as protocolKafka } from "../../plugins/protocol-kafka/mod.ts"
import { plugin as protocolMqtt } from "../../plugins/protocol-mqtt/mod.ts"
import { plugin as storageMemory } from "../../plugins/storage-memory/mod.ts"
import { LATE_ENGINE, lateEngine } from "./LateEngine.ts"
import type { Scenario } from "./Scenario.ts"

/** What ages has a timer as long as it is there, so that timers would not say whether anybody was: `Ages.test.ts` tries that. */
const FOR_EVER: Retention = { ms: 0, bytes: 0 }

const NO_OPTIONS = v.strictObject({})

export class SimulatedNode {
  mqttAddress = ""
  kafkaAddress = ""
  /** What the node wrote for its operator. */
  readonly logLines: Array<string> = []
  readonly routers: Array<RouterShape> = []
  readonly #timers = new Map<object, number>()
  readonly #armed = new Map<number, number>()
  readonly #scope = Scope.makeUnsafe()
  readonly #simulation: Simulation
  #renderMetrics = (): string => ""

  constructor(simulation: Simulation) {
    this.#simulation = simulation
  }

  async start(scenario: Scenario): Promise<void> {
    const simulation = this.#simulation
    const services = Context.make(Net, simulation.net).pipe(
      Context.add(Clock, this.#nodeClock(simulation.clock, scenario)),
      Context.add(Random, simulation.random),
      Context.add(Files, simulation.files)
    )
    const load = (plugin: Plugin, given: unknown = {}, bounds: object = {}) => ({
      plugin,
      options: { ...(v.parse(plugin.options, given) as object), ...bounds }
    })
    const starting = startNode({
      id: "node-1",
      version: "0.0.0",
      dataDirectory: "/data",
      shards: scenario.shards,
      defaults: {
        autoCreate: true,
        autoCreateMqtt: "memory",
        forName: () => ({
          partitions: scenario.kafkaPartitions,
          engine: "memory",
          mode: "memory",
          retention: FOR_EVER
        })
      },
      retained: RETAINED_LIMITS,
      budget: { dataBytesMax: 0, tenantBytesMax: 0 },
      defaultTopic: { engine: "memory", mode: "memory", partitions: scenario.kafkaPartitions },
      declared: [
        scenario.commitMsMax === 0
          ? { ...scenario.binding, engine: "memory", mode: "memory", retention: FOR_EVER }
          : { ...scenario.binding, engine: LATE_ENGINE, mode: "persistent", retention: FOR_EVER }
      ],
      plugins: [
        load(storageMemory),
        load(lateEngine(scenario.chance, scenario.commitMsMax)),
        load(metaRaft),
        // Bounds below what the schema allows, so that little traffic reaches them.
        load(protocolMqtt, { tcp: "127.0.0.1:0", websocket: [] }, scenario.mqttBounds),
        load(protocolKafka, { tcp: "127.0.0.1:0" }),
        load(this.#shardProbe()),
        load(this.#nodeProbe())
      ],
      insecure: false,
      log: (line) => void this.logLines.push(line)
    })
    const { listeners } = await this.#toItsEnd(
      "the start",
      Effect.runPromise(starting.pipe(Scope.provide(this.#scope), Effect.provideContext(services)))
    )
    const addressOf = (name: string): string => listeners.find(({ plugin }) => plugin === name)?.address ?? ""
    this.mqttAddress = addressOf(protocolMqtt.name)
    this.kafkaAddress = addressOf(protocolKafka.name)
  }

  /** The graceful stop, run to its end in virtual time. */
  async stop(): Promise<void> {
    await this.#toItsEnd("the graceful stop", Effect.runPromise(Scope.close(this.#scope, Exit.void)))
  }

  async #toItsEnd<Result>(what: string, running: Promise<Result>): Promise<Result> {
    const state = { isOver: false }
    const over = (): void => {
      state.isOver = true
    }
    running.then(over, over)
    for (let turn = 0; turn < 500 && !state.isOver; turn++) {
      await this.#simulation.runAsync(this.#simulation.clock.monotonicMs() + 10)
    }
    if (!state.isOver) throw new Error(`${what} takes longer than 5 s`)
    return running
  }

  /** A metric without labels, added up over the shards. */
  metric(name: string): number {
    const line = this.#renderMetrics()
      .split("\n")
      .find((each) => each.startsWith(`${name} `))
    if (line === undefined) throw new Error(`there is no metric ${name}`)
    return Number(line.slice(name.length + 1))
  }

  /** Delays in ms of the timers that are set now, in order. */
  get timerDelays(): ReadonlyArray<number> {
    return [...this.#timers.values()].sort((left, right) => left - right)
  }

  /** Timers with this delay, ms, that were ever set. */
  armedCount(delayMs: number): number {
    return this.#armed.get(delayMs) ?? 0
  }

  /** Whether no shard knows any topic filter, its own or another shard's. */
  get hasNoRoutes(): boolean {
    return this.routers.every((router) => router instanceof ShardRouter && router.isEmpty)
  }

  /** Counts timers, and lets the loop be busy now and then. */
  #nodeClock(clock: ClockShape, { immediateMsMax, chance }: Scenario): ClockShape {
    const timers = this.#timers
    const armed = this.#armed
    let lastMs = 0
    return {
      ...clock,
      immediate: (task) => {
        const nowMs = clock.monotonicMs()
        const delayMs = immediateMsMax > 0 && chance.chance(1, 4) ? chance.below(immediateMsMax * 8 + 1) / 8 : 0
        lastMs = Math.max(lastMs, nowMs + delayMs)
        if (lastMs === nowMs) clock.immediate(task)
        else clock.after(lastMs - nowMs, task)
      },
      after: (delayMs, task) => {
        const key = {}
        timers.set(key, delayMs)
        armed.set(delayMs, (armed.get(delayMs) ?? 0) + 1)
        const timer = clock.after(delayMs, () => {
          timers.delete(key)
          task()
        })
        return {
          cancel: () => {
            timers.delete(key)
            timer.cancel()
          }
        }
      }
    }
  }

  #shardProbe(): ProtocolPlugin {
    const { routers } = this
    const layer = Layer.effectDiscard(
      Effect.gen(function* () {
        routers.push(yield* Router)
      })
    )
    const base = { version: "0.0.0", contractVersion: CONTRACT_VERSION, options: NO_OPTIONS }
    return { ...base, name: "shard-probe", kind: "protocol", runs: "shard", layer: () => layer }
  }

  #nodeProbe(): HttpPlugin {
    const found = (render: () => string): void => {
      this.#renderMetrics = render
    }
    const layer = Layer.effectDiscard(
      Effect.gen(function* () {
        const telemetry = yield* Telemetry
        found(telemetry.renderPrometheus)
      })
    )
    const base = { version: "0.0.0", contractVersion: CONTRACT_VERSION, options: NO_OPTIONS }
    return { ...base, name: "node-probe", kind: "http", runs: "node", layer: () => layer }
  }
}
