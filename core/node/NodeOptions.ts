/** What a node is built from: plain values, checked and resolved by the configuration. */
import type { BudgetLimits } from "../budget/StorageBudget.ts"
import type { CompactionLimits } from "../compaction/Compactions.ts"
import type { RetainedLimits } from "../ingress/retained-limits.ts"
import type { Compression } from "../log/BatchCompressor.ts"
import type { Mode } from "../log/Engines.ts"
import type { Plugin } from "../plugin/Plugin.ts"
import type { PartitionBy, Retention } from "../topics/TopicInfo.ts"
import type { TopicDefaults } from "../topics/Topics.ts"
import type { TopicConfigs } from "../topics/topic-settings.ts"

/** A topic that the manifest declares, bound to a topic filter. */
export interface DeclaredTopic {
  readonly topic: string
  readonly filter: string
  readonly partitions: number
  readonly engine: string
  readonly mode: Mode
  readonly retention?: Retention
  readonly compression?: Compression
  /** What the rule of its name says. */
  readonly configs?: TopicConfigs
  readonly partitionBy?: PartitionBy
}

export interface LoadedPlugin {
  readonly plugin: Plugin
  /** The output of the plugin's options schema. */
  readonly options: unknown
}

export interface NodeOptions {
  readonly id: string
  readonly version: string
  readonly dataDirectory: string
  /** Whether the data directory is made at start, before any plugin asks for it; true where it is left out. */
  readonly makesDataDirectory?: boolean
  readonly shards: number
  /** Of the whole node; each shard has its share. */
  readonly retained: RetainedLimits
  /** Of the whole node, where it keeps anything on disk. */
  readonly budget: BudgetLimits
  /** Of the whole node; absent = the defaults. */
  readonly compaction?: CompactionLimits
  readonly defaults: TopicDefaults
  /** For cluster/info and the ready line. */
  readonly defaultTopic: { readonly engine: string; readonly mode: Mode; readonly partitions: number }
  readonly declared: ReadonlyArray<DeclaredTopic>
  readonly plugins: ReadonlyArray<LoadedPlugin>
  /** Listeners that other machines reach are allowed though nobody has to log in. */
  readonly insecure: boolean
  /** Takes one finished line of the log. */
  readonly log: (line: string) => void
}
