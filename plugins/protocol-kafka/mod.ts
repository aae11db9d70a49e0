/** Kafka clients: produce, consume, and share the work in groups, over the same logs as every other protocol. */
import { Effect, Layer } from "effect"
import {
  Access,
  Clock,
  CONTRACT_VERSION,
  Files,
  Journal,
  KeyValueStore,
  Listeners,
  Log,
  Logs,
  MetaStore,
  Net,
  NodeFacts,
  PluginError,
  ProducerIds,
  type ProtocolPlugin,
  Random,
  Resources,
  Shard,
  Telemetry,
  type TopicInfo,
  Topics,
  Turn
} from "../../core/mod.ts"
import { makeAdministration, TOPIC_ERRORS } from "./Administration.ts"
import { advertisedOf, brokerIdOf } from "./advertised.ts"
import type { Advertised, Broker } from "./Broker.ts"
import { Connection } from "./Connection.ts"
import { Counts } from "./Counts.ts"
import { FetchSessions } from "./fetch-sessions/FetchSessions.ts"
import { GroupCoordinator } from "./groups/GroupCoordinator.ts"
import { GroupLink } from "./groups/GroupLink.ts"
import { registerGroupMetrics } from "./groups/group-metrics.ts"
import { groupResource } from "./groups/group-resource.ts"
import { registerMetrics } from "./metrics.ts"
import { options, type Settings } from "./options.ts"
import { ClientQuotas } from "./quotas/ClientQuotas.ts"
import { QUOTA_PREFIX } from "./quotas/quota-entity.ts"
import { ResponseWriter } from "./wire/ResponseWriter.ts"

const NAME = "protocol-kafka"
/** How often idle and stalled connections are looked for. */
const SWEEP_MS = 5_000
/** How long the graceful stop waits for clients to take their last answers. */
const STOP_MS_MAX = 2_000
const STOP_LOOK_MS = 5

const start = (settings: Settings) =>
  Effect.gen(function* () {
    const net = yield* Net
    const listeners = yield* Listeners
    const groups = yield* startGroups(settings)
    const broker = yield* makeBroker(settings, groups)
    yield* registerMetrics(yield* Telemetry, broker)
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

/** Takes up the groups of this shard, and opens the way to those of the others. */
const startGroups = (settings: Settings) =>
  Effect.gen(function* () {
    const topics = yield* Topics
    const services = {
      journal: yield* Journal,
      store: yield* KeyValueStore,
      clock: yield* Clock,
      turn: yield* Turn,
      random: yield* Random,
      topics
    }
    const coordinator = new GroupCoordinator(services, settings)
    yield* Effect.tryPromise({
      try: () => coordinator.start(),
      catch: (error) => new PluginError({ plugin: NAME, message: `cannot take up its consumer groups: ${error}` })
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => coordinator.stop()))
    yield* registerGroupMetrics(yield* Telemetry, coordinator)
    const resources = yield* Resources
    yield* resources.register(groupResource(coordinator, yield* Logs))
    const log = yield* Log
    return new GroupLink(coordinator, yield* Shard, (line) => log.warn("kafka", line))
  })

const makeBroker = (settings: Settings, groups: GroupLink) =>
  Effect.gen(function* () {
    const topics = yield* Topics
    const facts = yield* NodeFacts
    const services = yield* Effect.context<never>()
    const runPromise = Effect.runPromiseWith(services)
    const log = yield* Log
    const producerIds = yield* ProducerIds
    const clock = yield* Clock
    const files = yield* Files
    const meta = yield* MetaStore
    const quotas = new ClientQuotas((yield* Shard).count)
    yield* meta
      .watch(QUOTA_PREFIX, (change) => quotas.changed(change))
      .pipe(Effect.mapError(({ message }) => new PluginError({ plugin: NAME, message: `meta store: ${message}` })))
    const logDirectory = facts.dataDirectory
    const usableBytes = Effect.suspend(() => files.freeBytes(logDirectory)).pipe(
      Effect.map((bytes) => (Number.isFinite(bytes) ? bytes : -1)),
      Effect.catch(() => Effect.succeed(-1))
    )
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
      admin: makeAdministration({ topics, logDirectory, usableBytes, meta, quotas }),
      quotas,
      logs: yield* Logs,
      newProducerId: () => runPromise(producerIds.next.pipe(Effect.orElseSucceed(() => -1))),
      access: yield* Access,
      clock,
      turn: yield* Turn,
      groups,
      settings,
      counts: new Counts(),
      nodeId: brokerIdOf(facts.id),
      clusterId: `manifold-${facts.id}`,
      connections: new Set(),
      heldBytes: 0,
      fetchesHeldBytes: 0,
      fetchSessions: new FetchSessions({
        clock,
        random: yield* Random,
        sessionsMax: settings.fetch_sessions_max,
        partitionsMax: settings.fetch_session_partitions_max
      }),
      output: new ResponseWriter(),
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
