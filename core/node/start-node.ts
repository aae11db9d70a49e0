/**
 * Starts a node: meta store, shards, protocols, administrator's face, in this order; closing the scope is the graceful stop, in the
 * reverse order. Either everything stands or nothing does.
 */
import { Context, Effect, Scope } from "effect"
import { StorageRoom } from "../budget/StorageBudget.ts"
import { InThreadLinks } from "../link/Link.ts"
import type { MetaStoreShape } from "../meta/MetaStore.ts"
import { Clock } from "../platform/Clock.ts"
import { type FileError, Files, type FilesShape } from "../platform/Files.ts"
import { Net } from "../platform/Net.ts"
import { Random, type RandomShape } from "../platform/Random.ts"
import {
  CONTRACT_VERSION,
  type ListenerFact,
  Listeners,
  MetaStores,
  NodeFacts,
  type PlatformServices
} from "../plugin/Plugin.ts"
import { clusterInfo } from "../resources/cluster-info.ts"
import { makeResources, Resources } from "../resources/Resources.ts"
import { resourceList } from "../resources/resource-list.ts"
import { topicResource } from "../resources/topic.ts"
import { topicMoveResource } from "../resources/topic-move.ts"
import { dealSlots } from "../shard/slots.ts"
import { LineLog, Log, type LogShape } from "../telemetry/Log.ts"
import { MetricsRegistry, Telemetry } from "../telemetry/Telemetry.ts"
import { settleMoves } from "../topics/agreed-moves.ts"
import { declareTopics } from "../topics/declared-topics.ts"
import type { MoveGate } from "../topics/TopicMover.ts"
import { buildPlugin, type PluginBuilder } from "./build-plugin.ts"
import { type BuiltShard, buildShard } from "./build-shard.ts"
import { type DataDirectory, openDataDirectory } from "./data-directory.ts"
import type { NodeOptions } from "./NodeOptions.ts"
import { type PreparedShard, prepareShard } from "./prepare-shard.ts"
import { registerBackups } from "./register-backups.ts"
import { makeListeners, makeMetaStores } from "./registries.ts"
import { SharedNet } from "./SharedNet.ts"
import { StartError } from "./StartError.ts"
import { startBudget } from "./start-budget.ts"

export interface ReadyInfo {
  readonly listeners: ReadonlyArray<ListenerFact>
}

/** Starts the node in the surrounding scope. */
export function startNode(
  wished: NodeOptions
): Effect.Effect<ReadyInfo, StartError, Scope.Scope | Net | Clock | Random | Files> {
  return Effect.gen(function* () {
    const scope = yield* Effect.scope
    const clock = yield* Clock
    const random = yield* Random
    const files = yield* Files
    const net = new SharedNet(yield* Net, wished.insecure, scope)
    yield* checkContracts(wished)
    const log = new LineLog({ level: "info", clock, sink: wished.log })
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => log.flush())
    )
    const directory = yield* openDirectory(wished, { files, random, log })
    // What a directory was made with decides: what lies in it is dealt to as many.
    const options = directory === undefined ? wished : { ...wished, shards: directory.stores }
    let state: "starting" | "ready" | "stopping" = "starting"
    const shards: Array<BuiltShard> = []
    const listeners = makeListeners()
    const telemetry = new MetricsRegistry()
    const facts: typeof NodeFacts.Service = {
      id: options.id,
      version: options.version,
      dataDirectory: options.dataDirectory,
      shards: options.shards,
      startedAtMs: clock.nowMs(),
      state: () => state,
      plugins: () => options.plugins.map(({ plugin: { name, version, kind } }) => ({ name, version, kind })),
      topicDefaults: options.defaultTopic,
      topicCount: () => shards[0]?.topics.size ?? 0
    }
    const resources = makeResources()
    yield* resources.register(clusterInfo(facts, listeners, clock))
    yield* resources.register(resourceList(resources))
    yield* telemetry.gauge("manifold_topics", "Topics", facts.topicCount)
    const platform = Context.make(Net, net.forPlugin("node")).pipe(
      Context.add(Clock, clock),
      Context.add(Random, random),
      Context.add(Files, files),
      Context.add(Telemetry, telemetry),
      Context.add(Log, log),
      Context.add(Resources, resources),
      Context.add(Listeners, listeners),
      Context.add(NodeFacts, facts)
    )
    const room = new StorageRoom()
    const gate: MoveGate = { moves: 0, backups: 0 }
    const links = new InThreadLinks(options.shards, clock)
    const slotOwners = dealSlots(options.shards)
    const common = {
      options,
      links,
      slotOwners,
      platform,
      clock,
      random,
      files,
      net,
      resources,
      telemetry,
      log,
      room,
      gate
    }
    const prepared: Array<PreparedShard> = []
    for (let index = 0; index < options.shards; index++) {
      // Asked when something was deleted, which is after the start.
      const topicName = (id: string): string | undefined => shards[0]?.topics.directory.findByLog(id)?.name
      const own = { ...common, index, topicName, directory: directory?.storeDirectory(index) }
      prepared.push(yield* prepareShard(own, scope))
    }
    const meta = yield* startMeta(options, platform, prepared, { scope, clock, log })
    for (const shard of prepared) yield* shard.recover
    yield* settleMoves(meta, log)
    yield* declareTopics({ declared: options.declared, meta, random, log })
    for (const shard of prepared) {
      shards.push(yield* buildShard({ ...common, index: shard.index, meta }, shard, scope))
    }
    for (const shard of shards) yield* shard.topics.settled()
    const [first] = shards
    if (first !== undefined) {
      yield* resources.register(topicResource(first.topics, first.topics.moves, first.topics.bindings))
      yield* resources.register(topicMoveResource(first.topics.moves))
    }
    yield* registerBackups({ options, shards: prepared, files, clock, log, resources, gate })
    yield* startBudget({ options, shards: prepared, room, files, clock, log, telemetry })
    for (const shard of shards) yield* shard.startProtocols
    for (const { plugin, options: settings } of options.plugins) {
      if (plugin.kind !== "http") continue
      const own = Context.add(platform, Net, net.forPlugin(plugin.name))
      yield* buildPlugin(plugin, () => plugin.layer(settings), own, { scope, clock, log })
    }
    net.open()
    state = "ready"
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => {
        state = "stopping"
      })
    )
    return { listeners: listeners.all() }
  })
}

/** The data directory: opened and locked where something is kept in it, just made where plugins may ask for it. */
function openDirectory(
  { dataDirectory: directory, makesDataDirectory, plugins, shards, version, id }: NodeOptions,
  { files, random, log }: { readonly files: FilesShape; readonly random: RandomShape; readonly log: LogShape }
): Effect.Effect<DataDirectory | undefined, StartError, Scope.Scope> {
  if (makesDataDirectory === false) return Effect.succeed(undefined)
  const isDurable = plugins.some(({ plugin }) => plugin.kind === "storage" && plugin.keyValueStore === "durable")
  if (isDurable) return openDataDirectory({ directory, files, random, shards, version, log, holder: id })
  const failed = ({ reason }: FileError) =>
    new StartError({ message: `node.data: cannot use "${directory}": ${reason}` })
  return files.ensureWritableDirectory(directory).pipe(Effect.mapError(failed), Effect.as(undefined))
}

function checkContracts(options: NodeOptions): Effect.Effect<void, StartError> {
  for (const { plugin } of options.plugins) {
    if (plugin.contractVersion === CONTRACT_VERSION) continue
    const message = `plugin ${plugin.name}: written for contract version ${plugin.contractVersion}, this is ${CONTRACT_VERSION}`
    return Effect.fail(new StartError({ message }))
  }
  return Effect.void
}

function startMeta(
  options: NodeOptions,
  platform: Context.Context<PlatformServices>,
  prepared: ReadonlyArray<PreparedShard>,
  builder: PluginBuilder
): Effect.Effect<MetaStoreShape, StartError> {
  return Effect.gen(function* () {
    const stores = makeMetaStores()
    const first = prepared[0]
    if (first === undefined) return yield* new StartError({ message: "a node has one shard or more" })
    const services = Context.merge(platform, first.services).pipe(Context.add(MetaStores, stores))
    for (const { plugin, options: settings } of options.plugins) {
      if (plugin.kind === "meta") yield* buildPlugin(plugin, () => plugin.layer(settings), services, builder)
    }
    const store = stores.get(stores.names()[0] ?? "")
    if (store !== undefined) return store
    return yield* new StartError({ message: "no plugin brings a meta store; meta-raft does" })
  })
}
