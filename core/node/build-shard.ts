/**
 * Builds one shard: its storage plugins first, then what core adds (turn, link, journal, topics, router, ingress), then the
 * protocols. Its scope closes in the reverse order: clients are told while everything behind them still stands.
 */
import { Context, Effect, Scope } from "effect"
import { Access, allowAll } from "../access/Access.ts"
import { Ingress } from "../ingress/Ingress.ts"
import { ProducedBatches } from "../ingress/ProducedBatches.ts"
import { RETAINED_LIMITS, Retained } from "../ingress/Retained.ts"
import { ShardIngress } from "../ingress/ShardIngress.ts"
import { Journal } from "../journal/Journal.ts"
import { MemoryJournal } from "../journal/MemoryJournal.ts"
import { KeyValueStore, type KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { Connections } from "../link/Connections.ts"
import type { InThreadLinks } from "../link/Link.ts"
import { LinkPort } from "../link/LinkPort.ts"
import { Engines } from "../log/Engines.ts"
import { Logs, ShardLogs } from "../log/Logs.ts"
import { MetaStore, type MetaStoreShape } from "../meta/MetaStore.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { Net } from "../platform/Net.ts"
import type { RandomShape } from "../platform/Random.ts"
import { Turn, TurnLoop } from "../platform/Turn.ts"
import { KeyValueStores, type PlatformServices, Store } from "../plugin/Plugin.ts"
import { type NodeResources, Resources } from "../resources/Resources.ts"
import { Resolutions } from "../router/Resolutions.ts"
import { Router, ShardRouter } from "../router/Router.ts"
import { Shard, type ShardShape } from "../shard/Shard.ts"
import { SLOT_CLIENT, slotOf } from "../shard/slots.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { TelemetryShape } from "../telemetry/Telemetry.ts"
import { PUBLISHED_TOPICS_LIMITS } from "../topics/PublishedTopics.ts"
import { META_PREFIX, ShardTopics, Topics } from "../topics/Topics.ts"
import { buildPlugin } from "./build-plugin.ts"
import type { LoadedPlugin, NodeOptions } from "./NodeOptions.ts"
import { makeEngines, makeKeyValueStores, makeStore } from "./registries.ts"
import type { SharedNet } from "./SharedNet.ts"
import { StartError } from "./StartError.ts"
import { registerShardMetrics } from "./shard-metrics.ts"

/** How often a shard looks after bounds that are not kept at every step. */
const HOUSEKEEPING_MS = 1_000

export interface ShardParts {
  readonly index: number
  readonly options: NodeOptions
  readonly links: InThreadLinks
  readonly slotOwners: Uint16Array
  readonly platform: Context.Context<PlatformServices>
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly meta: MetaStoreShape
  readonly net: SharedNet
  readonly resources: NodeResources
  readonly telemetry: TelemetryShape
  readonly log: LogShape
}

/** A shard whose storage stands and whose journal has not been replayed yet. */
export interface PreparedShard {
  readonly index: number
  readonly engines: typeof Engines.Service
  readonly store: KeyValueStoreShape
  readonly turn: TurnLoop
  readonly journal: MemoryJournal
  /** For a meta store, which keeps its log in the journal of the first shard. */
  readonly services: Context.Context<Journal | Store>
}

export interface BuiltShard {
  readonly topics: ShardTopics
  /** Starts the protocols; called when every shard is built, so that none meets a half-built neighbour. */
  readonly startProtocols: Effect.Effect<void, StartError>
}

/** Builds a shard's journal and its storage plugins, in `scope`. */
export function prepareShard(
  parts: Omit<ShardParts, "meta">,
  scope: Scope.Scope
): Effect.Effect<PreparedShard, StartError> {
  return Effect.gen(function* () {
    const { index, options, clock } = parts
    const engines = makeEngines()
    const stores = makeKeyValueStores()
    const turn = new TurnLoop(clock)
    const journal = new MemoryJournal(turn)
    const services = Context.make(Journal, journal).pipe(Context.add(Store, makeStore(index, undefined)))
    const storage = Context.merge(parts.platform, services).pipe(
      Context.add(Engines, engines),
      Context.add(KeyValueStores, stores),
      Context.add(Turn, turn)
    )
    const builder = { scope, clock, log: parts.log }
    for (const { plugin, options: settings } of options.plugins) {
      if (plugin.kind !== "storage") continue
      const own = Context.add(storage, Resources, parts.resources.forPlugin(plugin.name, index))
      yield* buildPlugin(plugin, () => plugin.layer(settings), own, builder)
    }
    const store = stores.get(stores.names()[0] ?? "")
    if (store === undefined) {
      return yield* new StartError({ message: "no storage plugin brings a key-value store; storage-memory does" })
    }
    journal.bind(store)
    return { index, engines, store, turn, journal, services }
  })
}

/** Builds a prepared shard up to its protocols, in `scope`. */
export function buildShard(
  parts: ShardParts,
  prepared: PreparedShard,
  scope: Scope.Scope
): Effect.Effect<BuiltShard, StartError> {
  return Effect.gen(function* () {
    const { index, options, clock, random, slotOwners } = parts
    const { engines, store, turn, journal } = prepared
    const builder = { scope, clock, log: parts.log }
    const port = new LinkPort(index, parts.links.linkOf(index), turn)
    const topics = new ShardTopics({
      port,
      slotOwners,
      engines,
      meta: parts.meta,
      clock,
      turn,
      engineLabel: (engine) => labelOf(engine, options),
      random,
      defaults: options.defaults,
      published: PUBLISHED_TOPICS_LIMITS,
      log: (message) => parts.log.warn("topics", message)
    })
    const resolutions = new Resolutions(topics, random.uint32())
    const router = new ShardRouter(port, random.uint32(), (name) => resolutions.invalidate(name))
    resolutions.join(router)
    const retained = new Retained(journal, store, random.uint32(), {
      messagesMax: Math.max(1, Math.floor(RETAINED_LIMITS.messagesMax / options.shards)),
      bytesMax: RETAINED_LIMITS.bytesMax / options.shards
    })
    const ingress = new ShardIngress({
      port,
      router,
      resolutions,
      topics,
      retained,
      journal,
      access: allowAll,
      clock
    })
    const produced = new ProducedBatches(topics, router, resolutions, clock)
    const logs = new ShardLogs(port, turn, topics, (log, bytes, start, end, records) =>
      produced.appendUnsafe(log, bytes, start, end, records)
    )
    const connections = new Connections(port)
    const shard: ShardShape = {
      index,
      count: options.shards,
      ownerOfClient: (tenant, client) => slotOwners[slotOf(tenant, SLOT_CLIENT, client)] ?? 0,
      acceptForwarded: (service, accept) => connections.accept(service, accept),
      forward: (target, service, socket, received) => connections.forward(target, service, socket, received)
    }
    yield* Scope.addFinalizer(scope, topics.closeAll())
    parts.links.setReceiver(index, (from, bytes) => port.receive(from, bytes))
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => parts.links.setReceiver(index, undefined))
    )
    yield* parts.meta
      .watch(META_PREFIX, (change) => topics.metaChanged(change))
      .pipe(
        Scope.provide(scope),
        Effect.mapError((error) => new StartError({ message: `meta store: ${error.message}` }))
      )
    yield* housekeeping(topics, clock, scope)
    const facts = { ingress, produced, retained, resolutions, topics, port, connections }
    yield* registerShardMetrics(parts.telemetry, facts).pipe(Scope.provide(scope))
    const services = parts.platform.pipe(
      Context.add(Engines, engines),
      Context.add(KeyValueStore, store),
      Context.add(MetaStore, parts.meta),
      Context.add(Journal, journal),
      Context.add(Topics, topics),
      Context.add(Logs, logs),
      Context.add(Router, router),
      Context.add(Ingress, ingress),
      Context.add(Access, allowAll),
      Context.add(Shard, shard),
      Context.add(Turn, turn)
    )
    const start = ({ plugin, options: settings }: LoadedPlugin): Effect.Effect<void, StartError> => {
      if (plugin.kind !== "protocol" || (plugin.runs === "node" && index !== 0)) return Effect.void
      const own = services.pipe(
        Context.add(Net, parts.net.forPlugin(plugin.name)),
        Context.add(Resources, parts.resources.forPlugin(plugin.name, index))
      )
      return buildPlugin(plugin, () => plugin.layer(settings), own, builder)
    }
    return { topics, startProtocols: Effect.forEach(options.plugins, start, { discard: true }) }
  })
}

/** An engine with the plugin that brings it, for the log. */
function labelOf(engine: string, { plugins }: NodeOptions): string {
  const brings = plugins.find(
    ({ plugin }) => plugin.kind === "storage" && plugin.engines.some((e) => e.name === engine)
  )
  return `plugin ${brings?.plugin.name ?? "?"}, engine ${engine}`
}

function housekeeping(topics: ShardTopics, clock: ClockShape, scope: Scope.Scope): Effect.Effect<void> {
  const turn = (): void => {
    topics.housekeep()
    timer = clock.after(HOUSEKEEPING_MS, turn)
  }
  let timer = clock.after(HOUSEKEEPING_MS, turn)
  return Scope.addFinalizer(
    scope,
    Effect.sync(() => timer.cancel())
  )
}
