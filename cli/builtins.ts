/**
 * The plugins that are part of this build, in the order in which a person reads of them. From source these are all of ours;
 * `compile` and `bundle` put a module in this one's place that holds what their manifest names (scripts/packaging/contents.ts).
 *
 * Invariant: the plugin that is called X lies in plugins/X/mod.ts.
 */
import type { Plugin } from "../core/mod.ts"
import { plugin as adminHttp } from "../plugins/admin-http/mod.ts"
import { plugin as bridgeMqtt } from "../plugins/bridge-mqtt/mod.ts"
import { plugin as metaRaft } from "../plugins/meta-raft/mod.ts"
import { plugin as protocolKafka } from "../plugins/protocol-kafka/mod.ts"
import { plugin as protocolMqtt } from "../plugins/protocol-mqtt/mod.ts"
import { plugin as storageMemory } from "../plugins/storage-memory/mod.ts"
import { plugin as storageSegment } from "../plugins/storage-segment/mod.ts"
import { plugin as storageSqlite } from "../plugins/storage-sqlite/mod.ts"

export const builtins: ReadonlyArray<Plugin> = [
  storageMemory,
  storageSqlite,
  storageSegment,
  metaRaft,
  protocolMqtt,
  protocolKafka,
  bridgeMqtt,
  adminHttp
]

/** Third parties' plugins that were compiled in, by what a manifest calls them (`use`); they win over what lies on disk. */
export const included: ReadonlyMap<string, Plugin> = new Map()

/** Names of ours that were left out: a manifest that asks for one is told so. */
export const leftOut: ReadonlyArray<string> = []
