/** MQTT 3.1, 3.1.1 and 5.0 over TCP, WebSocket, both with TLS, and unix sockets. */
import { Effect, Layer } from "effect"
import {
  Access,
  type AccessShape,
  Clock,
  CONTRACT_VERSION,
  Files,
  History,
  HostedClients,
  Ingress,
  Journal,
  KeyValueStore,
  Listeners,
  Log,
  Logs,
  MetaStore,
  type MetaStoreError,
  Net,
  NodeFacts,
  PluginError,
  type ProtocolPlugin,
  QueueLogs,
  Random,
  Resources,
  Router,
  Shard,
  StorageBudget,
  Store,
  Telemetry,
  TimerWheel,
  Topics,
  Turn
} from "../../core/mod.ts"
import { Broker } from "./Broker.ts"
import { keepOut } from "./blacklist/keep-out.ts"
import { Connection } from "./Connection.ts"
import { delayedResource } from "./delayed/delayed-resource.ts"
import { openListeners } from "./listeners.ts"
import { registerMetrics } from "./metrics.ts"
import { clientResource } from "./operations/client-resource.ts"
import { sessionResource } from "./operations/session-resource.ts"
import { subscriptionResource } from "./operations/subscription-resource.ts"
import * as Reason from "./reasons.ts"
import { rewriteResource } from "./rewrite/rewrite-resource.ts"
import { areExpressionsLoaded, loadExpressions } from "./rules/expressions.ts"
import { ScramUsers, scramSecret } from "./ScramUsers.ts"
import { options, type Settings } from "./Settings.ts"
import { slowResource } from "./slow/slow-resource.ts"
import { StorageAlarm } from "./system/StorageAlarm.ts"
import { SystemTopics } from "./system/SystemTopics.ts"

/** How long a graceful stop waits for clients to read their DISCONNECT. */
const STOP_GRACE_MS = 200

export const plugin = {
  name: "protocol-mqtt",
  version: "0.1.0",
  contractVersion: CONTRACT_VERSION,
  kind: "protocol",
  runs: "shard",
  options,
  prepareOptions: async (given) => {
    const { topic_rewrite, blacklist } = given as Settings
    if (topic_rewrite.length + blacklist.length === 0 || areExpressionsLoaded()) return false
    await loadExpressions()
    return true
  },
  layer: (given) =>
    Layer.effectDiscard(
      Effect.gen(function* () {
        const settings = given as Settings
        const clock = yield* Clock
        const shard = yield* Shard
        const net = yield* Net
        const listeners = yield* Listeners
        const telemetry = yield* Telemetry
        const facts = yield* NodeFacts
        const access: AccessShape = yield* Access
        const wheel = new TimerWheel(clock)
        const broker = new Broker(settings, {
          ingress: yield* Ingress,
          router: yield* Router,
          access,
          shard,
          turn: yield* Turn,
          clock,
          random: yield* Random,
          wheel,
          journal: yield* Journal,
          room: yield* StorageBudget,
          store: yield* KeyValueStore,
          queueLogs: yield* QueueLogs,
          history: yield* History,
          logs: yield* Logs,
          topics: yield* Topics,
          hosted: yield* HostedClients,
          isServing: () => facts.state() !== "starting"
        })
        if (settings.scram_credentials.length > 0) {
          const secret = yield* scramSecret(yield* MetaStore, broker.services.random).pipe(Effect.mapError(noMetaStore))
          broker.scram = new ScramUsers(settings.scram_credentials, secret, broker.services.random)
        }
        if (settings.sys_interval > 0) {
          const { id: node, version, startedAtMs, topicCount } = facts
          const address = settings.tcp[0]?.replace(/:\d+$/, "") ?? ""
          const system = { node, version, address, startedAtMs, topicCount }
          const intervalMs = settings.sys_interval * 1_000
          broker.system = new SystemTopics(broker, system, intervalMs)
          new StorageAlarm(broker, broker.system, intervalMs)
        }
        const store = yield* Store
        yield* registerMetrics(telemetry, broker)
        const resources = yield* Resources
        const meta = yield* MetaStore
        yield* resources.register(delayedResource(broker))
        yield* resources.register(slowResource(broker))
        yield* resources.register(clientResource(broker))
        yield* resources.register(sessionResource(broker))
        yield* resources.register(subscriptionResource(broker))
        yield* keepOut(broker, meta, resources).pipe(Effect.mapError(noMetaStore))
        for (const rules of [broker.autoSubscriptions, broker.rewrite.rules, broker.refusals.rules]) {
          yield* rules.watch(meta).pipe(Effect.mapError(noMetaStore))
        }
        yield* Effect.tryPromise({
          try: () => Promise.all([broker.rewrite.ready(), broker.blacklist.ready()]),
          catch: (error) =>
            new PluginError({
              plugin: "protocol-mqtt",
              message: error instanceof Error ? error.message : String(error)
            })
        })
        // Every shard has the same rules: one speaks for all.
        if (shard.index === 0) {
          yield* resources.register(broker.autoSubscriptions.resource(meta))
          yield* resources.register(rewriteResource(broker, meta))
          yield* resources.register(broker.refusals.rules.resource(meta))
          yield* resources.register(broker.blacklist.rules.resource(meta))
        }
        yield* Effect.addFinalizer(() => stop(broker, store.directory !== undefined))
        yield* Effect.tryPromise({
          try: () => broker.start(),
          catch: (error) =>
            new PluginError({ plugin: "protocol-mqtt", message: `cannot take up its sessions: ${error}` })
        })
        const { common, own, hosted } = broker.listeners
        for (const listener of [common, ...own, hosted]) {
          shard.acceptForwarded(listener.service, (socket) => new Connection(broker, socket, listener))
        }
        yield* openListeners(settings, {
          net,
          files: yield* Files,
          clock,
          log: yield* Log,
          listeners: broker.listeners,
          accept: (listener) => (socket) => new Connection(broker, socket, listener),
          announce: (listener, address) => listeners.announce({ plugin: "protocol-mqtt", listener, address })
        })
      })
    )
} satisfies ProtocolPlugin

function noMetaStore({ message }: MetaStoreError): PluginError {
  return new PluginError({ plugin: "protocol-mqtt", message })
}

/** Tells every client, gives them a moment to read it, and lets go of everything. */
function stop(broker: Broker, isDurable: boolean): Effect.Effect<void> {
  return Effect.gen(function* () {
    const connections = [...broker.connections]
    const isElsewhere = broker.settings.server_reference !== ""
    const reason = isElsewhere ? Reason.USE_ANOTHER_SERVER : Reason.SERVER_SHUTTING_DOWN
    for (const connection of connections) connection.close(reason)
    // Where nothing is kept all sessions end here, and with them the delays of their wills.
    if (!isDurable) broker.wills.publishAll()
    broker.shared.flush()
    broker.services.wheel.clear()
    if (connections.length === 0) return
    yield* Effect.callback<void>((resume) => {
      broker.services.clock.after(STOP_GRACE_MS, () => resume(Effect.void))
    })
  })
}
