/**
 * From what a person wrote to what a node is built from: file, then environment, then `--set`; every fault is found before
 * anything starts, and all of them are told.
 */
import type * as v from "valibot"
import type { BudgetLimits } from "../budget/StorageBudget.ts"
import type { CompactionLimits } from "../compaction/Compactions.ts"
import type { RetainedLimits } from "../ingress/retained-limits.ts"
import type { Mode } from "../log/Engines.ts"
import type { DeclaredTopic, LoadedPlugin } from "../node/NodeOptions.ts"
import type { PluginFile } from "../plugin/load-plugin.ts"
import type { Plugin } from "../plugin/Plugin.ts"
import { isPartitionBy } from "../topics/partition-by.ts"
import { DEFAULT_RETENTION } from "../topics/TopicInfo.ts"
import type { TopicDefaults } from "../topics/Topics.ts"
import { checkBudget } from "./check-budget.ts"
import { checkBindings, checkTopics } from "./check-topics.ts"
import { checkValue, type Place, rightPart, unknownKey } from "./check-value.ts"
import { loadPlugins } from "./choose-plugins.ts"
import { enginesOf } from "./engines.ts"
import { type Fault, show } from "./faults.ts"
import { readLayers } from "./layers.ts"
import * as schemas from "./schema.ts"
import { modeOf, topicDefaults } from "./topic-defaults.ts"

export interface ConfigSource {
  /** The file's text; undefined = no file, the defaults. */
  readonly text: string | undefined
  /** What a program gives instead of a file: the same words as a plain object. */
  readonly values?: Readonly<Record<string, unknown>>
  /** Its name, for faults. */
  readonly file: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The `--set` arguments, in order. */
  readonly sets: ReadonlyArray<string>
  readonly builtins: ReadonlyArray<Plugin>
  /** Names of built-in plugins that this executable was built without. */
  readonly leftOut?: ReadonlyArray<string>
  /** The plugins that the file names and that are not built in, already loaded, by what it calls them. */
  readonly external?: ReadonlyMap<string, PluginFile>
}

/** A configuration without a fault. */
export interface Config {
  readonly node: schemas.Node
  /** Of a created topic that no rule speaks of. */
  readonly topics: { readonly partitions: number; readonly engine: string; readonly mode: Mode }
  readonly defaults: TopicDefaults
  readonly retained: RetainedLimits
  readonly budget: BudgetLimits
  readonly compaction: CompactionLimits
  readonly declared: ReadonlyArray<DeclaredTopic>
  readonly plugins: ReadonlyArray<LoadedPlugin>
}

export type Loaded =
  | { readonly config: Config; readonly faults: readonly [] }
  | { readonly config: undefined; readonly faults: ReadonlyArray<Fault> }

export function loadConfig(source: ConfigSource): Loaded {
  const faults: Array<Fault> = []
  const layers = readLayers(source, faults)
  if (layers === undefined) return { config: undefined, faults }
  const { raw, available, overrides, place } = layers
  for (const key of Object.keys(raw)) {
    if (!schemas.SECTIONS.includes(key)) faults.push(unknownKey([key], place([key]), schemas.SECTIONS))
  }
  const node = checkValue(schemas.node, raw["node"] ?? {}, ["node"], place, faults)
  const topics = checkValue(schemas.topics, raw["topics"] ?? {}, ["topics"], place, faults)
  const bindings = checkList(schemas.binding, raw["binding"], "binding", place, faults)
  const entries = checkList(schemas.pluginEntry, raw["plugin"], "plugin", place, faults)
  const plugins = loadPlugins(raw["plugin"] === undefined ? undefined : entries, available, overrides, place, faults)
  const engines = enginesOf(plugins.map(({ plugin }) => plugin))
  const judged = topics ?? rightPart(schemas.topics, raw["topics"])
  if (judged !== undefined) {
    checkTopics(judged, engines, place, faults)
    checkBindings(bindings, judged, engines, place, faults)
  }
  checkBudget(node, judged, bindings, place, faults)
  if (faults.length > 0 || node === undefined || topics === undefined) return { config: undefined, faults }
  const defaults = topicDefaults(topics)
  const declared = [...bindings.values()].map(
    ({ topic, filter, partitions, engine, mode, compression, partition_by, ...kept }) => {
      const byName = defaults.forName(topic)
      const { retention = DEFAULT_RETENTION } = byName
      const packed = compression ?? byName.compression
      const ms = kept.retention_time === undefined ? retention.ms : kept.retention_time * 1_000
      return {
        topic,
        filter,
        partitions: partitions ?? byName.partitions,
        engine: engine ?? byName.engine,
        mode: mode === undefined ? byName.mode : modeOf(mode),
        retention: { ms, bytes: kept.retention_bytes ?? retention.bytes },
        ...(packed === undefined ? {} : { compression: packed }),
        ...(byName.configs === undefined ? {} : { configs: byName.configs }),
        ...(partition_by === "name" || !isPartitionBy(partition_by) ? {} : { partitionBy: partition_by })
      }
    }
  )
  const { partitions, engine, mode } = topics
  const config: Config = {
    node,
    topics: { partitions, engine, mode: modeOf(mode) },
    defaults,
    retained: { messagesMax: node.retained_messages_max, bytesMax: node.retained_bytes_max },
    budget: { dataBytesMax: node.data_bytes_max, tenantBytesMax: node.tenant_bytes_max },
    compaction: {
      offsetMapBytes: node.compaction_map_bytes,
      bytesPerSecond: node.compaction_rate,
      intervalMs: node.compaction_interval * 1_000
    },
    declared,
    plugins
  }
  return { config, faults: [] }
}

/** The same where options may be judged by what is loaded for them alone. */
export async function loadConfigPrepared(source: ConfigSource): Promise<Loaded> {
  const loaded = loadConfig(source)
  const prepared = (loaded.config?.plugins ?? []).map(async ({ plugin, options }) => plugin.prepareOptions?.(options))
  // One that cannot be prepared says so when it is started.
  const outcomes = await Promise.allSettled(prepared)
  const isOther = outcomes.some((outcome) => outcome.status === "fulfilled" && outcome.value === true)
  return isOther ? loadConfig(source) : loaded
}

/** The entries of a list of tables that are right, by their place in the file. */
function checkList<Schema extends v.GenericSchema>(
  schema: Schema,
  list: unknown,
  name: string,
  place: Place,
  faults: Array<Fault>
): ReadonlyMap<number, v.InferOutput<Schema>> {
  const right = new Map<number, v.InferOutput<Schema>>()
  if (list !== undefined && !Array.isArray(list)) {
    faults.push({ key: name, source: place([name]), found: show(list), allowed: `a list: [[${name}]]` })
  }
  for (const [index, entry] of (Array.isArray(list) ? list : []).entries()) {
    const checked = checkValue(schema, entry, [name, String(index)], place, faults)
    if (checked !== undefined) right.set(index, checked)
  }
  return right
}
