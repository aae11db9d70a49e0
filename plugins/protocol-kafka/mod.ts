/** Kafka clients: produce and consume without groups, over the same logs as every other protocol. */
import { Effect, Layer } from "effect"
import {
  Access,
  Clock,
  CONTRACT_VERSION,
  Listeners,
  Log,
  Logs,
  Net,
  NodeFacts,
  PluginError,
  type ProtocolPlugin,
  Telemetry,
  type TopicError,
  type TopicInfo,
  Topics,
  Turn
} from "../../core/mod.ts"
import { advertisedOf, brokerIdOf } from "./advertised.ts"
import type { Advertised, Broker } from "./Broker.ts"
import { Connection } from "./Connection.ts"
import { Counts } from "./Counts.ts"
import { registerMetrics } from "./metrics.ts"
import { options, type Settings } from "./options.ts"
import { ErrorCode } from "./wire/error-codes.ts"
import { Writer } from "./wire/writer.ts"

const NAME = "protocol-kafka"
/** How often idle and stalled connections are looked for. */
const SWEEP_MS = 5_000
/** How long the graceful stop waits for clients to take their last answers. */
const STOP_MS_MAX = 2_000
const STOP_LOOK_MS = 5

const TOPIC_ERRORS: Readonly<Record<TopicError["reason"], number>> = {
  "invalid-name": ErrorCode.INVALID_TOPIC_EXCEPTION,
  "invalid-filter": ErrorCode.INVALID_CONFIG,
  "not-allowed": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  rate: ErrorCode.THROTTLING_QUOTA_EXCEEDED,
  exists: ErrorCode.TOPIC_ALREADY_EXISTS,
  "not-found": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  "filter-conflict": ErrorCode.INVALID_CONFIG,
  "not-compactable": ErrorCode.INVALID_CONFIG,
  "engine-missing": ErrorCode.INVALID_CONFIG,
  "mode-missing": ErrorCode.INVALID_CONFIG,
  busy: ErrorCode.REQUEST_TIMED_OUT,
  moving: ErrorCode.INVALID_REQUEST,
  "not-moving": ErrorCode.INVALID_REQUEST,
  "move-refused": ErrorCode.INVALID_REQUEST,
  // Clients ask again: the meta store may be there by then.
  "meta-store": ErrorCode.LEADER_NOT_AVAILABLE
}

const start = (settings: Settings) =>
  Effect.gen(function* () {
    const net = yield* Net
    const listeners = yield* Listeners
    const broker = yield* makeBroker(settings)
    yield* registerMetrics(yield* Telemetry, broker.counts)
    // Before the listeners, so that it runs after they are gone: nobody comes while the last ones leave.
    yield* Effect.addFinalizer(() => stopConnections(broker))
    yield* sweepForEver(broker)
    for (const [index, address] of settings.tcp.entries()) {
      let advertised: Advertised | undefined
      const listening = yield* net
        .listenTcp(address, (socket) => new Connection(socket, broker, advertised ?? { host: "", port: -1 }))
        .pipe(
          Effect.mapError(
            (error) => new PluginError({ plugin: NAME, message: `tcp ${error.address}: ${error.reason}` })
          )
        )
      advertised = advertisedOf(listening.address, settings.advertised?.[index])
      if (advertised === undefined) {
        const message = `tcp ${listening.address} is no address that a client could use: set ${NAME}.advertised`
        return yield* new PluginError({ plugin: NAME, message })
      }
      yield* listeners.announce({ plugin: NAME, listener: "tcp", address: listening.address })
    }
  })

const makeBroker = (settings: Settings) =>
  Effect.gen(function* () {
    const topics = yield* Topics
    const facts = yield* NodeFacts
    const services = yield* Effect.context<never>()
    const runPromise = Effect.runPromiseWith(services)
    const log = yield* Log
    const broker: Broker = {
      topics,
      createTopic: (tenant, name) =>
        runPromise(
          topics
            .ensure(tenant, name)
            .pipe(
              Effect.catchTag(
                "TopicError",
                (error): Effect.Effect<TopicInfo | number> => Effect.succeed(TOPIC_ERRORS[error.reason])
              )
            )
        ),
      logs: yield* Logs,
      access: yield* Access,
      clock: yield* Clock,
      turn: yield* Turn,
      settings,
      counts: new Counts(),
      nodeId: brokerIdOf(facts.id),
      clusterId: `manifold-${facts.id}`,
      connections: new Set(),
      heldBytes: 0,
      output: new Writer(),
      log: (message) => log.warn("kafka", message)
    }
    return broker
  })

/** Ends connections that are idle, or take nothing, for too long. */
const sweepForEver = (broker: Broker) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const sweep = (): void => {
        const now = broker.clock.monotonicMs()
        for (const connection of [...broker.connections]) connection.sweep(now)
        state.timer = broker.clock.after(SWEEP_MS, sweep)
      }
      const state = { timer: broker.clock.after(SWEEP_MS, sweep) }
      return state
    }),
    (state) => Effect.sync(() => state.timer.cancel())
  )

/** Answers what waits with what there is, lets every client take its answers, then ends what is left. */
const stopConnections = (broker: Broker) =>
  Effect.promise(() => {
    const { clock, connections } = broker
    const deadline = clock.monotonicMs() + STOP_MS_MAX
    for (const connection of [...connections]) connection.stop()
    return new Promise<void>((done) => {
      const look = (): void => {
        if (connections.size > 0 && clock.monotonicMs() < deadline) {
          clock.after(STOP_LOOK_MS, look)
          return
        }
        for (const connection of [...connections]) connection.cut()
        done()
      }
      look()
    })
  })

export const plugin = {
  name: NAME,
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "protocol",
  runs: "shard",
  options,
  layer: (settings) => Layer.effectDiscard(start(settings as Settings))
} satisfies ProtocolPlugin
