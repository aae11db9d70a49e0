/**
 * Builds one shard whose storage stands and whose journal has been replayed: what core adds (link, topics, router, queue log,
 * ingress), then the protocols. Its scope closes in the reverse order: clients are told while everything behind them still stands.
 */

import { Context, Effect, Scope } from "effect"
import { Access, allowAll } from "../access/Access.ts"
import { StorageBudget, type StorageRoom } from "../budget/StorageBudget.ts"
import { COMPACTION_LIMITS, Compactions, shareOfCompaction } from "../compaction/Compactions.ts"
import { registerCompactionMetrics } from "../compaction/compaction-metrics.ts"
import { History, ShardHistory } from "../ingress/History.ts"
import { Ingress } from "../ingress/Ingress.ts"
import { ProducedBatches } from "../ingress/ProducedBatches.ts"
import { Retained } from "../ingress/Retained.ts"
import { type RetainedOfShard, RetainedPages } from "../ingress/RetainedPages.ts"
import { RetainedRemovals } from "../ingress/RetainedRemovals.ts"
import { shareOf } from "../ingress/retained-limits.ts"
import { ShardIngress } from "../ingress/ShardIngress.ts"
import { Tokens } from "../ingress/Tokens.ts"
import { KeyValueStore } from "../kv/KeyValueStore.ts"
import { Connections } from "../link/Connections.ts"
import type { InThreadLinks } from "../link/Link.ts"
import { LinkPort } from "../link/LinkPort.ts"
import { Mailboxes } from "../link/Mailboxes.ts"
import { Engines } from "../log/Engines.ts"
import { Logs } from "../log/Logs.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import { ReservedOffsets } from "../log/ReservedOffsets.ts"
import { type LocalAppend, ShardLogs } from "../log/ShardLogs.ts"
import { MetaStore, type MetaStoreShape } from "../meta/MetaStore.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { Net } from "../platform/Net.ts"
import type { RandomShape } from "../platform/Random.ts"
import { Turn } from "../platform/Turn.ts"
import type { PlatformServices } from "../plugin/Plugin.ts"
import { ProducerIds, ShardProducerIds } from "../producers/ProducerIds.ts"
import { ShardProducers } from "../producers/ShardProducers.ts"
import { QUEUE_LOG_OPTIONS, QueueLog } from "../queue/QueueLog.ts"
import { QueueLogs } from "../queue/QueueLogs.ts"
import { ShardQueueLogs } from "../queue/ShardQueueLogs.ts"
import { type NodeResources, Resources } from "../resources/Resources.ts"
import { retainedResource } from "../resources/retained.ts"
import { Resolutions } from "../router/Resolutions.ts"
import { Router, ShardRouter } from "../router/Router.ts"
import { HostedClients, makeHostedClients } from "../shard/HostedClients.ts"
import { Shard, type ShardShape } from "../shard/Shard.ts"
import { SLOT_CLIENT, SLOT_GROUP, slotOf } from "../shard/slots.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { TelemetryShape } from "../telemetry/Telemetry.ts"
import { PUBLISHED_TOPICS_LIMITS } from "../topics/PublishedTopics.ts"
import { ShardTopics } from "../topics/ShardTopics.ts"
import type { MoveGate } from "../topics/TopicMover.ts"
import { Topics } from "../topics/Topics.ts"
import { buildPlugin } from "./build-plugin.ts"
import type { LoadedPlugin, NodeOptions } from "./NodeOptions.ts"
import type { PreparedShard } from "./prepare-shard.ts"
import type { SharedNet } from "./SharedNet.ts"
import { StartError } from "./StartError.ts"
import { registerShardMetrics } from "./shard-metrics.ts"

/** How often a shard looks after bounds that are not kept at every step. */
const HOUSEKEEPING_MS = 1_000

/** Whose the resources are that core has on every shard. */
const CORE = "core"

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
  /** Whether there is room for what producers bring. */
  readonly room: StorageRoom
  readonly gate: MoveGate
}

export interface BuiltShard {
  readonly topics: ShardTopics
  /** Starts the protocols; called when every shard is built, so that none meets a half-built neighbour. */
  readonly startProtocols: Effect.Effect<void, StartError>
}

/** Builds a prepared shard up to its protocols, in `scope`. */
export function buildShard(
  parts: ShardParts,
  prepared: PreparedShard,
  scope: Scope.Scope
): Effect.Effect<BuiltShard, StartError> {
  return Effect.gen(function* () {
    const { index, options, clock, random, slotOwners, room } = parts
    const { engines, store, turn, journal } = prepared
    const builder = { scope, clock, log: parts.log }
    // Where the journal is in memory nothing could say after a restart which offsets were given out.
    const offsets = prepared.disk === undefined ? undefined : new ReservedOffsets({ journal, store, clock })
    const rows = prepared.disk === undefined ? undefined : { journal, store }
    const producers = new ShardProducers({ clock, rows, log: (message) => parts.log.warn("producers", message) })
    const port = new LinkPort(index, parts.links.linkOf(index), turn)
    const topics = new ShardTopics({
      port,
      slotOwners,
      engines,
      meta: parts.meta,
      clock,
      turn,
      engineLabel: (engine) => labelOf(engine, options),
      offsets,
      producers,
      random,
      defaults: options.defaults,
      published: PUBLISHED_TOPICS_LIMITS,
      room,
      synced: prepared.disk === undefined ? undefined : () => journal.whenSynced(journal.nextIndex - 1),
      gate: parts.gate,
      log: (message) => parts.log.warn("topics", message),
      tell: (message) => parts.log.info("topics", message)
    })
    const resolutions = new Resolutions(topics, random.uint32())
    /** Of all tables of the filters that clients choose. */
    const filterSeed = random.uint32()
    const router = new ShardRouter(port, filterSeed, (name) => resolutions.invalidate(name))
    resolutions.join(router)
    const retained = new Retained(journal, store, random.uint32(), shareOf(options.retained, options.shards))
    const queueLog = new QueueLog({
      number: index,
      journal,
      store,
      clock,
      turn,
      seed: filterSeed,
      room,
      options: { ...QUEUE_LOG_OPTIONS, bytesMax: QUEUE_LOG_OPTIONS.bytesMax / options.shards }
    })
    const queueLogs = new ShardQueueLogs(port, queueLog)
    const tokens = new Tokens(journal, store)
    const ingress = new ShardIngress({
      port,
      router,
      resolutions,
      topics,
      retained,
      queueLog,
      tokens,
      journal,
      room,
      access: allowAll,
      clock
    })
    const ownerOf = (tenant: number, name: string): number => resolutions.ownerOf(tenant, name)
    const retainedParts: RetainedOfShard = { port, retained, store, journal, ownerOf, clock }
    const removals = new RetainedRemovals(retainedParts)
    const produced = new ProducedBatches(topics, router, resolutions, queueLog, journal, clock)
    const append: LocalAppend = Object.assign(
      (log: PartitionLog, bytes: Uint8Array, start: number, end: number, records: number) =>
        produced.appendUnsafe(log, bytes, start, end, records),
      { queued: produced.queued }
    )
    const logs = new ShardLogs(port, turn, topics, append, clock)
    const connections = new Connections(port)
    const mailboxes = new Mailboxes(port, clock)
    const shard: ShardShape = {
      index,
      count: options.shards,
      ownerOfClient: (tenant, client) => slotOwners[slotOf(tenant, SLOT_CLIENT, client)] ?? 0,
      ownerOfGroup: (tenant, group) => slotOwners[slotOf(tenant, SLOT_GROUP, group)] ?? 0,
      mailbox: (service, receive) => mailboxes.open(service, receive),
      acceptForwarded: (service, accept) => connections.accept(service, accept),
      forward: (target, service, socket, received) => connections.forward(target, service, socket, received)
    }
    yield* Scope.addFinalizer(scope, topics.closeAll())
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => {
        ingress.close()
        removals.close()
      })
    )
    parts.links.setReceiver(index, (from, bytes) => port.receive(from, bytes))
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => parts.links.setReceiver(index, undefined))
    )
    yield* topics.follow().pipe(
      Scope.provide(scope),
      Effect.mapError((error) => new StartError({ message: `meta store: ${error.message}` }))
    )
    yield* Effect.tryPromise({
      try: () => retained.start(),
      catch: (error) => new StartError({ message: `the retained messages of shard ${index} cannot be read: ${error}` })
    })
    yield* queueLog.open().pipe(Effect.mapError(({ message }) => new StartError({ message: `queue log: ${message}` })))
    const compactions = new Compactions({
      engines,
      topics: () => topics.directory.all(),
      findById: (id) => topics.findById(id),
      isOwned: (info, partition) => topics.ownerOf(info, partition) === index,
      clock,
      random,
      log: parts.log,
      limits: shareOfCompaction(options.compaction ?? COMPACTION_LIMITS, options.shards)
    })
    const labels = { shard: String(index) }
    yield* registerCompactionMetrics(parts.telemetry, compactions, clock, labels).pipe(Scope.provide(scope))
    yield* Scope.addFinalizer(
      scope,
      Effect.promise(() => compactions.close())
    )
    yield* housekeeping([topics, ingress, queueLog, producers, compactions], () => queueLog.close(), clock, scope)
    const { disk } = prepared
    const producerIds = new ShardProducerIds({ meta: parts.meta, random, isKept: disk !== undefined })
    const history = new ShardHistory(logs, topics.directory, clock)
    const facts = {
      history,
      ingress,
      produced,
      retained,
      topics,
      queueLog,
      router,
      resolutions,
      journal: disk,
      offsets,
      producers,
      port,
      connections
    }
    yield* registerShardMetrics(parts.telemetry, facts).pipe(Scope.provide(scope))
    const listed = retainedResource({ ingress, pages: new RetainedPages(retainedParts), removals })
    yield* parts.resources.forPlugin(CORE, index).register(listed).pipe(Scope.provide(scope))
    const services = parts.platform.pipe(
      Context.add(Engines, engines),
      Context.add(KeyValueStore, store),
      Context.add(MetaStore, parts.meta),
      Context.merge(prepared.services),
      Context.add(QueueLogs, queueLogs),
      Context.add(Topics, topics),
      Context.add(Logs, logs),
      Context.add(ProducerIds, producerIds),
      Context.add(History, history),
      Context.add(Router, router),
      Context.add(Ingress, ingress),
      Context.add(Access, allowAll),
      Context.add(StorageBudget, room),
      Context.add(Shard, shard),
      Context.add(HostedClients, makeHostedClients()),
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
    const startProtocols = Effect.forEach(options.plugins, start, { discard: true })
    return {
      topics,
      startProtocols: Effect.andThen(
        Effect.tryPromise({
          try: () => ingress.resume(),
          catch: (error) => new StartError({ message: `the tokens of other shards cannot be read: ${error}` })
        }),
        startProtocols
      )
    }
  })
}

/** An engine with the plugin that brings it, for the log. */
function labelOf(engine: string, { plugins }: NodeOptions): string {
  const brings = plugins.find(
    ({ plugin }) => plugin.kind === "storage" && plugin.engines.some((e) => e.name === engine)
  )
  return `plugin ${brings?.plugin.name ?? "?"}, engine ${engine}`
}

function housekeeping(
  kept: ReadonlyArray<{ housekeep(): void }>,
  close: () => void,
  clock: ClockShape,
  scope: Scope.Scope
): Effect.Effect<void> {
  const turn = (): void => {
    for (const each of kept) each.housekeep()
    timer = clock.after(HOUSEKEEPING_MS, turn)
  }
  let timer = clock.after(HOUSEKEEPING_MS, turn)
  return Scope.addFinalizer(
    scope,
    Effect.sync(() => {
      timer.cancel()
      close()
    })
  )
}
