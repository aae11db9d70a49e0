/** What a topic is: plain data, the same on every shard, as JSON in the meta store. */
import type { Mode } from "../log/Engines.ts"

/** Where a topic came from; only "publish" ones may be evicted. */
export type TopicOrigin = "manifest" | "kafka" | "publish" | "admin"

export interface TopicInfo {
  readonly tenant: number
  /** By Kafka's rules: [A-Za-z0-9._-], at most 249. */
  readonly name: string
  /** UUID text; a topic that is made anew under its old name has a new one. */
  readonly id: string
  readonly partitions: number
  readonly engine: string
  readonly mode: Mode
  readonly origin: TopicOrigin
  /** The topic filter of an explicit binding; undefined = the default binding of its name, if that has one. */
  readonly filter?: string
}
