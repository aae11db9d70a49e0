/**
 * What a plugin is: one exported value that names itself, says what it needs and builds its part of the broker as a layer.
 *
 * Invariants
 *  - A plugin imports core's public entry and itself, no other plugin; ours and a third party's see the same.
 *  - Closing the scope of its layer is its graceful stop; there is no second shutdown path.
 *  - A plugin that fails to start fails with {@link PluginError}; what was already started is closed again.
 */
import { Context, type Effect, type Layer, Schema, type Scope } from "effect"
import type { GenericSchema } from "valibot"
import type { Access } from "../access/Access.ts"
import type { StorageAccount } from "../budget/StorageAccount.ts"
import type { StorageBudget } from "../budget/StorageBudget.ts"
import type { History } from "../ingress/History.ts"
import type { Ingress } from "../ingress/Ingress.ts"
import type { Journal } from "../journal/Journal.ts"
import type { KeyValueStore, KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import type { Engines, Mode } from "../log/Engines.ts"
import type { Logs } from "../log/Logs.ts"
import type { MetaStore, MetaStoreShape } from "../meta/MetaStore.ts"
import type { Clock } from "../platform/Clock.ts"
import type { Files } from "../platform/Files.ts"
import type { Net } from "../platform/Net.ts"
import type { Random } from "../platform/Random.ts"
import type { Turn } from "../platform/Turn.ts"
import type { ProducerIds } from "../producers/ProducerIds.ts"
import type { QueueLogs } from "../queue/QueueLogs.ts"
import type { Resources } from "../resources/Resources.ts"
import type { Router } from "../router/Router.ts"
import type { HostedClients } from "../shard/HostedClients.ts"
import type { Shard } from "../shard/Shard.ts"
import type { Log } from "../telemetry/Log.ts"
import type { Telemetry } from "../telemetry/Telemetry.ts"
import type { Topics } from "../topics/Topics.ts"
import type { Dump, Inspect, Repair, StoredPart } from "./Inspection.ts"

/** Raised by one when a service contract of the core changes shape. */
export const CONTRACT_VERSION = 1

/** One line for a person: which plugin, what went wrong. */
export class PluginError extends Schema.TaggedError<PluginError>()("PluginError", {
  plugin: Schema.String,
  message: Schema.String
}) {}

/** What stands before any plugin of a node is built. */
export type PlatformServices = Net | Clock | Random | Files | Telemetry | Log | Resources | Listeners | NodeFacts

/** What a plugin may use that runs once a node; the journal and the store are those of its first shard. */
export type NodeServices = PlatformServices | MetaStores | Journal | Store

/** What a storage plugin may use: it is built before the rest of its shard, and before its journal is replayed. */
export type StorageServices = PlatformServices | Engines | KeyValueStores | Journal | Store | Turn

/** What a protocol may use: everything of its shard. */
export type ShardServices =
  | PlatformServices
  | Engines
  | KeyValueStore
  | MetaStore
  | Journal
  | Store
  | StorageBudget
  | ProducerIds
  | QueueLogs
  | Topics
  | Logs
  | History
  | Router
  | Ingress
  | Access
  | Shard
  | HostedClients
  | Turn

interface PluginBase {
  /** As the manifest names it: `protocol-mqtt`. */
  readonly name: string
  readonly version: string
  readonly contractVersion: number
  /** The schema of `[plugin.options]`, strict; its output is what `layer` gets. */
  readonly options: GenericSchema
  /**
   * Loads what the schema judges these options by and is not loaded otherwise; whether it did, so that they are judged once more. Options
   * come as the schema puts them out.
   */
  readonly prepareOptions?: (options: unknown) => Promise<boolean>
}

/** An engine by name, with its modes. */
export interface EngineFact {
  readonly name: string
  readonly modes: ReadonlyArray<Mode>
}

/** Keeps partitions, key-value state or both; one layer a shard. */
export interface StoragePlugin extends PluginBase {
  readonly kind: "storage"
  readonly runs: "shard"
  /** The engines that its layer registers, and the modes each can promise: what the configuration may name. */
  readonly engines: ReadonlyArray<EngineFact>
  /**
   * Whether its layer registers a key-value store, and what that survives: nothing, or everything that the journal committed. A node
   * needs one; where there are several the first durable one is taken. With a durable one the node keeps its journal on disk.
   */
  readonly keyValueStore?: "memory" | "durable"
  /** Its engines are fed from the journal: they are there only where that lies on disk, with a durable key-value store. */
  readonly needsJournal?: true
  /** Looks at its files, of a node that runs or of one that does not. Absent = it keeps none that it could tell of. */
  readonly inspect?: Inspect
  /** Makes right what can be made right of its files. Absent = a backup is all that helps. */
  readonly repair?: Repair
  /** Says what one of its files holds. Absent = none of them is for people to read. */
  readonly dump?: Dump
  readonly layer: (options: unknown) => Layer.Layer<never, PluginError, StorageServices>
}

/** Brings a meta store; one layer a node. */
export interface MetaPlugin extends PluginBase {
  readonly kind: "meta"
  readonly runs: "node"
  /** As a storage plugin's; of the first store, whose journal it uses. */
  readonly inspect?: Inspect
  readonly layer: (options: unknown) => Layer.Layer<never, PluginError, NodeServices>
}

/** Speaks a protocol; one layer a shard, or one on the node's first shard. */
export interface ProtocolPlugin extends PluginBase {
  readonly kind: "protocol"
  readonly runs: "shard" | "node"
  readonly layer: (options: unknown) => Layer.Layer<never, PluginError, ShardServices>
}

/** Gives the administrator a face; one layer a node. */
export interface HttpPlugin extends PluginBase {
  readonly kind: "http"
  readonly runs: "node"
  readonly layer: (options: unknown) => Layer.Layer<never, PluginError, PlatformServices>
}

export type Plugin = StoragePlugin | MetaPlugin | ProtocolPlugin | HttpPlugin

/** A listener that stands: what the `ready` line and cluster/info say of it. */
export interface ListenerFact {
  readonly plugin: string
  /** The option that asked for it: `tcp`, `websocket`. */
  readonly listener: string
  /** "host:port", the real one. */
  readonly address: string
}

/** Every listener of the node, told by the plugins that open them. */
export class Listeners extends Context.Service<
  Listeners,
  {
    /** Makes a listener known for the life of the surrounding scope. Telling the same one from two shards counts once. */
    announce(fact: ListenerFact): Effect.Effect<void, never, Scope.Scope>
    readonly all: () => ReadonlyArray<ListenerFact>
  }
>()("manifold/core/plugin/Listeners") {}

/** What a node is and whether it serves; read by health checks and cluster/info. */
export class NodeFacts extends Context.Service<
  NodeFacts,
  {
    readonly id: string
    readonly version: string
    /** The data directory; a plugin keeps its files in a folder of its own name there. */
    readonly dataDirectory: string
    readonly shards: number
    readonly startedAtMs: number
    /** "starting" until every listener accepts, "stopping" from the first moment of the graceful stop. */
    readonly state: () => "starting" | "ready" | "stopping"
    readonly plugins: () => ReadonlyArray<{ readonly name: string; readonly version: string; readonly kind: string }>
    readonly topicDefaults: { readonly engine: string; readonly mode: string; readonly partitions: number }
    readonly topicCount: () => number
  }
>()("manifold/core/plugin/NodeFacts") {}

/** Where a shard's durable state lies. */
export class Store extends Context.Service<
  Store,
  {
    /** The number of the store; its files lie in a directory of that number, whichever shard opens it. */
    readonly number: number
    /** That directory, made and writable; undefined on a node that keeps nothing on disk. */
    readonly directory: string | undefined
    /** Tells how a plugin's files in the directory are copied, for the life of the surrounding scope; without it no backup has them. */
    keeps(part: StoredPart): Effect.Effect<void, never, Scope.Scope>
    /**
     * Tells what a plugin's files in the directory take and which of it may go, for the life of the surrounding scope; without it they count
     * for nothing, and are left as they are where there is too little room.
     */
    account(account: StorageAccount): Effect.Effect<void, never, Scope.Scope>
    /** What the directory, or one tenant's topics in it, may take where somebody has said so, whichever is less; else infinite. */
    readonly bytesMax: number
    /** The name of a topic by its id, for the log; undefined where it is not known, or not yet. */
    topicName(id: string): string | undefined
  }
>()("manifold/core/plugin/Store") {}

/** Key-value stores by the name of the plugin that brings them. */
export class KeyValueStores extends Context.Service<
  KeyValueStores,
  {
    register(name: string, store: KeyValueStoreShape): Effect.Effect<void, never, Scope.Scope>
    readonly get: (name: string) => KeyValueStoreShape | undefined
  }
>()("manifold/core/plugin/KeyValueStores") {}

/** Meta stores by the name of the plugin that brings them. */
export class MetaStores extends Context.Service<
  MetaStores,
  {
    register(name: string, store: MetaStoreShape): Effect.Effect<void, never, Scope.Scope>
    readonly get: (name: string) => MetaStoreShape | undefined
  }
>()("manifold/core/plugin/MetaStores") {}
