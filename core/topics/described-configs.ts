/**
 * The configurations of a topic as Kafka describes them: each with its value, where that comes from, and what stands behind it.
 *
 * Source: apache/kafka ConfigHelper.createTopicConfigEntry, DescribeConfigsResponse.ConfigSource; KIP-226.
 */
import type { ConfigType } from "./config-values.ts"
import type { TopicDefault, TopicInfo } from "./TopicInfo.ts"
import { configsOf, configsOfRule } from "./topic-alteration.ts"
import { TOPIC_CONFIGS, type TopicConfig } from "./topic-configs.ts"

/** Of the topic itself; of the manifest, as Kafka's static broker configuration; of Kafka's table. The numbers are Kafka's. */
export const DYNAMIC_TOPIC = 1
export const STATIC_BROKER = 4
export const DEFAULT_CONFIG = 5
export type ConfigSource = typeof DYNAMIC_TOPIC | typeof STATIC_BROKER | typeof DEFAULT_CONFIG

export interface ConfigSynonym {
  readonly name: string
  readonly value: string
  readonly source: ConfigSource
}

export interface DescribedConfig extends ConfigSynonym {
  readonly type: ConfigType
  readonly about: string
  /** What it is and would be, each where the one before it were not: the first has its value. */
  readonly synonyms: ReadonlyArray<ConfigSynonym>
}

/** All of a topic, in the order of their names. `rule`: what a topic of its name would be made with now. */
export function describedConfigs(info: TopicInfo, rule: TopicDefault): ReadonlyArray<DescribedConfig> {
  const own = configsOf(info)
  const ruled = configsOfRule(rule)
  return TOPIC_CONFIGS.map((config) => described(config, own[config.name], ruled[config.name]))
}

function described(config: TopicConfig, own: string | undefined, ruled: string | undefined): DescribedConfig {
  const { name, type, about } = config
  const broker = config.synonym ?? name
  const synonyms: Array<ConfigSynonym> = []
  // What a rule says now says nothing of a topic that was made before it.
  const effective = own ?? config.default
  if (effective !== (ruled ?? config.default)) synonyms.push({ name, value: effective, source: DYNAMIC_TOPIC })
  if (ruled !== undefined && ruled !== config.default) {
    synonyms.push({ name: broker, value: ruled, source: STATIC_BROKER })
  }
  if (config.synonym !== undefined) synonyms.push({ name: broker, value: config.default, source: DEFAULT_CONFIG })
  const { value, source } = synonyms[0] ?? { value: config.default, source: DEFAULT_CONFIG }
  return { name, type, about, value, source, synonyms }
}
