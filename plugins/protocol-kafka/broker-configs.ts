/**
 * The settings of this broker by the names that Kafka's tools know: what the manifest says, to be read and not changed.
 *
 * Names, types and defaults are those of Apache Kafka 4.3 (org.apache.kafka.server.config, kafka.server.KafkaConfig); settings that stand
 * for nothing here are left out.
 */
import { type ConfigType, TOPIC_CONFIGS, type TopicDefault } from "../../core/mod.ts"
import type { Settings } from "./options.ts"

export interface BrokerConfig {
  readonly name: string
  readonly type: ConfigType
  readonly value: string
  /** What Kafka has where nobody sets it; undefined = it must be set. */
  readonly default: string | undefined
  readonly about: string
}

export interface BrokerConfigParts {
  readonly nodeId: number
  readonly settings: Settings
  readonly host: string
  readonly port: number
  readonly logDirectory: string
  readonly autoCreate: boolean
  /** What topics are made with that no rule names. */
  readonly defaults: TopicDefault
  /** The same as configurations of a topic. */
  readonly topicConfigs: Readonly<Record<string, string>>
}

/** In the order of their names. */
export function brokerConfigs(parts: BrokerConfigParts): ReadonlyArray<BrokerConfig> {
  const { nodeId, settings, host, port, logDirectory, autoCreate, defaults, topicConfigs } = parts
  const id = String(nodeId)
  const own: ReadonlyArray<BrokerConfig> = [
    row("advertised.listeners", "list", `PLAINTEXT://${host}:${port}`, undefined, "Where clients find this broker."),
    row("auto.create.topics.enable", "boolean", String(autoCreate), "true", "`auto_create` of [topics]."),
    row("broker.id", "int", id, "-1", "The number of this broker: the one that the node's id ends with."),
    row("connections.max.idle.ms", "long", String(settings.idle_timeout_ms), "600000", "`idle_timeout_ms`."),
    row("default.replication.factor", "int", "1", "1", "Each partition has one replica."),
    row("delete.topic.enable", "boolean", "true", "true", "Topics can be deleted."),
    row("fetch.max.bytes", "int", String(settings.fetch_size_max), "57671680", "`fetch_size_max`."),
    row("listeners", "list", settings.tcp.map((each) => `PLAINTEXT://${each}`).join(","), undefined, "`tcp`."),
    row("log.dirs", "list", logDirectory, undefined, "The data directory."),
    row("node.id", "int", id, undefined, "The same as broker.id."),
    row("num.partitions", "int", String(defaults.partitions), "1", "`partitions` of [topics]."),
    row("socket.request.max.bytes", "int", String(settings.request_size_max), "104857600", "`request_size_max`.")
  ]
  const known = new Set(own.map(({ name }) => name))
  const ofTopics = TOPIC_CONFIGS.flatMap(({ name, synonym, type, default: fallback, about }) => {
    if (synonym === undefined || known.has(synonym)) return []
    const isSize = name === "max.message.bytes"
    const value = isSize ? String(settings.message_size_max) : (topicConfigs[name] ?? fallback)
    return [row(synonym, type, value, fallback, isSize ? "`message_size_max`." : about)]
  })
  return [...own, ...ofTopics].toSorted((one, other) => (one.name < other.name ? -1 : 1))
}

function row(name: string, type: ConfigType, value: string, fallback: string | undefined, about: string): BrokerConfig {
  return { name, type, value, default: fallback, about }
}
