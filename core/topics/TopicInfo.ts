/** What a topic is: plain data, the same on every shard, as JSON in the meta store. */
import type { Compression } from "../log/BatchCompressor.ts"
import type { Mode } from "../log/Engines.ts"
import type { TopicConfigs } from "./topic-settings.ts"

/**
 * What of a message on a topic name decides its partition: the name, as Kafka's producers do whose key it is; one of its levels, counted from 1, of
 * names that have so many; or its publisher's Client Identifier.
 */
export type PartitionBy = "name" | `level:${number}` | "client"

/** Where a topic came from; only "publish" ones may be evicted. */
export type TopicOrigin = "manifest" | "kafka" | "publish" | "admin"

/** How long and how much of a topic is kept, whichever is reached first. */
export interface Retention {
  /** Milliseconds since a batch was appended; 0 = for ever. */
  readonly ms: number
  /** Of each partition; 0 = any. */
  readonly bytes: number
}

/** That of topics of which nobody has said anything, and of those that were made before it could be said. */
export const DEFAULT_RETENTION: Retention = { ms: 604_800_000, bytes: 0 }

export interface TopicInfo {
  readonly tenant: number
  /** By Kafka's rules: [A-Za-z0-9._-], at most 249. */
  readonly name: string
  /** UUID text; a topic that is made anew under its old name has a new one. */
  readonly id: string
  /** The UUID under which its engine keeps its partitions, another one since it was moved ({@link logIdOf}). Absent = the topic's id. */
  readonly logId?: string
  readonly partitions: number
  readonly engine: string
  readonly mode: Mode
  readonly origin: TopicOrigin
  /** Absent = {@link DEFAULT_RETENTION}. */
  readonly retention?: Retention
  /** Of batches that are gathered from messages; what a producer sends is kept as it is. Absent = none. */
  readonly compression?: Compression
  /**
   * Kafka's configurations that its rule gave it, or that were set for it; {@link settingsOf} reads them. What retention.ms and
   * retention.bytes come to stands in `retention`. Absent = none.
   */
  readonly configs?: TopicConfigs
  /** Given once, when it is made: it says where its partitions are, too. Absent = by the name. */
  readonly partitionBy?: PartitionBy
  /** The topic filter of an explicit binding; undefined = the default binding of its name, if that has one. */
  readonly filter?: string
  /** The offset in each partition from which on that binding holds, since it was changed; absent, and of later partitions = from the beginning. */
  readonly boundFrom?: ReadonlyArray<number>
  /** What it was bound to before, the oldest first; absent = nothing else. */
  readonly formerly?: ReadonlyArray<FormerBinding>
}

/** What a topic was bound to from these offsets on, by partition. */
export interface FormerBinding {
  /** As {@link TopicInfo.filter}. */
  readonly filter?: string
  readonly from: ReadonlyArray<number>
}

/** What a created topic is where nobody says otherwise. */
export interface TopicDefault {
  readonly partitions: number
  readonly engine: string
  readonly mode: Mode
  readonly retention?: Retention
  readonly compression?: Compression
  /** Without retention.ms and retention.bytes, which `retention` says. */
  readonly configs?: TopicConfigs
}

/** What the topic's partitions are called where they are stored. */
export function logIdOf({ id, logId = id }: Pick<TopicInfo, "id" | "logId">): string {
  return logId
}
