/**
 * What an administrator changes of a topic that is there: its configurations, and how many partitions it has. Plain functions from a topic
 * to what it is afterwards; `AgreedTopics` makes them one transaction.
 *
 * Source: apache/kafka ConfigurationControlManager (what each operation means, in which order), KIP-339.
 */
import { partsOfList } from "./config-values.ts"
import { RETENTION_BYTES, RETENTION_MS, retentionConfigs, withRetentionConfigs } from "./retention-configs.ts"
import { DEFAULT_RETENTION, type TopicDefault, type TopicInfo } from "./TopicInfo.ts"
import { checkTopicConfigs, topicConfigOf } from "./topic-configs.ts"
import type { TopicConfigs } from "./topic-settings.ts"

/** "append" and "subtract" are for lists. */
export interface ConfigOperation {
  readonly name: string
  readonly operation: "set" | "delete" | "append" | "subtract"
  /** Not looked at where it is deleted. */
  readonly value: string
}

export interface TopicAlteration {
  /** Each name once. */
  readonly configs?: ReadonlyArray<ConfigOperation>
  /** What `configs` does not name goes back to what its rule says, as if it were deleted. */
  readonly isWhole?: boolean
  /** How many it is to have: more than it has. */
  readonly partitions?: number
  /** Nothing is changed: what would come of it is answered. */
  readonly isTrial?: boolean
}

/** Partitions of one topic. */
export const PARTITIONS_MAX = 10_000

/** All configurations that a rule gives topics, those of its retention too. */
export function configsOfRule({ configs, retention = DEFAULT_RETENTION }: TopicDefault): TopicConfigs {
  return { ...configs, ...retentionConfigs(retention) }
}

/** The configurations of a topic that are its own or its rule's, those of its retention too. */
export function configsOf({ configs, retention = DEFAULT_RETENTION }: TopicInfo): TopicConfigs {
  return { ...retentionConfigs(retention), ...configs }
}

/** The topic with its configurations changed; else what is wrong, for a person. */
export function withConfigs(info: TopicInfo, alteration: TopicAlteration, rule: TopicDefault): TopicInfo | string {
  const { configs: operations = [], isWhole = false } = alteration
  const ruled = configsOfRule(rule)
  const before = isWhole ? ruled : configsOf(info)
  const wanted: Record<string, string> = { ...(isWhole ? rule.configs : info.configs) }
  const touched: Record<string, string> = {}
  for (const { name, operation, value } of operations) {
    const config = topicConfigOf(name)
    if (config === undefined) return `there is no topic configuration ${JSON.stringify(name.slice(0, 100))}`
    const now = before[name] ?? config.default
    let next: string | undefined = value
    if (operation === "delete") next = ruled[name]
    else if (operation !== "set") {
      if (config.type !== "list") return `${name} is no list: nothing can be added to it or taken from it`
      const parts = partsOfList(value)
      const kept = partsOfList(now).filter((part) => !parts.includes(part))
      next = (operation === "append" ? [...kept, ...parts] : kept).join(",")
    }
    const isRetention = name === RETENTION_MS || name === RETENTION_BYTES
    if (isRetention) touched[name] = next ?? config.default
    if (next === undefined || (isRetention && operation === "delete")) delete wanted[name]
    else wanted[name] = next
  }
  const configs = checkTopicConfigs(wanted)
  if (typeof configs === "string") return configs
  const from = isWhole ? (rule.retention ?? DEFAULT_RETENTION) : (info.retention ?? DEFAULT_RETENTION)
  const retention = withRetentionConfigs(from, touched)
  const { configs: _, ...rest } = info
  return { ...rest, retention, ...(Object.keys(configs).length === 0 ? {} : { configs }) }
}

/** The topic with more partitions; else what is wrong, for a person. */
export function withPartitions(info: TopicInfo, partitions: number): TopicInfo | string {
  if (partitions === info.partitions) return `it has ${partitions} partitions already`
  if (partitions < info.partitions) {
    return `it has ${info.partitions} partitions, which is more than the ${partitions} that are asked for: there is no way back`
  }
  if (partitions > PARTITIONS_MAX) return `a topic has at most ${PARTITIONS_MAX} partitions`
  return { ...info, partitions }
}

/** Whether two states of a topic differ in what can be altered. */
export function isAltered(one: TopicInfo, other: TopicInfo): boolean {
  if (one.partitions !== other.partitions || one.compression !== other.compression) return true
  const [{ ms, bytes }, after] = [one.retention ?? DEFAULT_RETENTION, other.retention ?? DEFAULT_RETENTION]
  if (ms !== after.ms || bytes !== after.bytes) return true
  const [left, right] = [one.configs ?? {}, other.configs ?? {}]
  const names = Object.keys(left)
  return names.length !== Object.keys(right).length || names.some((name) => left[name] !== right[name])
}
