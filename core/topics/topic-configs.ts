/**
 * The table of Kafka's topic configurations: what each may be, what it is where nobody has set it, and whether it means anything here.
 * docs/kafka-admin.md shows it, and is tested against it.
 *
 * Names, types, defaults and ranges are those of Apache Kafka 4.3 (org.apache.kafka.storage.internals.log.LogConfig), the names of a
 * broker's own settings those of org.apache.kafka.server.config.ServerTopicConfigSynonyms.
 */
import { type ConfigRange, type ConfigType, LONG_MAX, parseConfigValue, rangeText } from "./config-values.ts"
import type { TopicConfigs } from "./topic-settings.ts"

export interface TopicConfig {
  readonly name: string
  readonly type: ConfigType
  readonly default: string
  readonly range: ConfigRange
  /** What Kafka calls the setting of a broker that stands behind it; undefined = there is none. */
  readonly synonym: string | undefined
  /** Whether it changes what is done here; false: it is kept and shown. */
  readonly isApplied: boolean
  /** What it means here, for a person. */
  readonly about: string
}

/** Characters of all configurations of one topic, names and values, and of one value: no longer text fits into an answer to a Kafka client. */
export const CONFIGS_LENGTH_MAX = 65_536
export const CONFIG_VALUE_LENGTH_MAX = 32_767

const KEPT = "Kept and shown; nothing here depends on it."
const TIERED = "Kept and shown; there is no tiered storage here."
const REPLICAS: ConfigRange = { pattern: /^\d+:\d+$/, words: "* or partition:broker, ..." }

function applied(
  name: string,
  type: ConfigType,
  value: string,
  range: ConfigRange,
  synonym: string,
  about: string
): TopicConfig {
  return { name, type, default: value, range, synonym, isApplied: true, about }
}

function kept(
  name: string,
  type: ConfigType,
  value: string,
  range: ConfigRange,
  synonym: string | undefined,
  about = KEPT
): TopicConfig {
  return { name, type, default: value, range, synonym, isApplied: false, about }
}

/** In the order of their names. */
export const TOPIC_CONFIGS: ReadonlyArray<TopicConfig> = [
  applied(
    "cleanup.policy",
    "list",
    "delete",
    { oneOf: ["compact", "delete"] },
    "log.cleanup.policy",
    "delete: retention takes old records. compact: of each key the last record is kept. Both may be set, or none."
  ),
  kept("compression.gzip.level", "int", "-1", { min: 1, max: 9, or: -1 }, "compression.gzip.level"),
  kept("compression.lz4.level", "int", "9", { min: 1, max: 17 }, "compression.lz4.level"),
  kept(
    "compression.type",
    "string",
    "producer",
    { oneOf: ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"] },
    "compression.type",
    "Kept and shown. What producers send is stored as they compressed it; batches of MQTT messages are compressed as the topic's own setting `compression` says."
  ),
  kept("compression.zstd.level", "int", "3", { min: -131_072, max: 22 }, "compression.zstd.level"),
  applied(
    "delete.retention.ms",
    "long",
    "86400000",
    { min: 0 },
    "log.cleaner.delete.retention.ms",
    "Milliseconds that a record without a value outlives what it deletes, in a compacted topic."
  ),
  kept("file.delete.delay.ms", "long", "60000", { min: 0 }, "log.segment.delete.delay.ms"),
  kept(
    "flush.messages",
    "long",
    LONG_MAX,
    { min: 1 },
    "log.flush.interval.messages",
    "Kept and shown. What is synced, and when, the topic's mode says."
  ),
  kept(
    "flush.ms",
    "long",
    LONG_MAX,
    { min: 0 },
    "log.flush.interval.ms",
    "Kept and shown. What is synced, and when, the topic's mode says."
  ),
  kept("follower.replication.throttled.replicas", "list", "", REPLICAS, undefined),
  kept("index.interval.bytes", "int", "4096", { min: 0 }, "log.index.interval.bytes"),
  kept("leader.replication.throttled.replicas", "list", "", REPLICAS, undefined),
  kept("local.retention.bytes", "long", "-2", { min: -2 }, "log.local.retention.bytes", TIERED),
  kept("local.retention.ms", "long", "-2", { min: -2 }, "log.local.retention.ms", TIERED),
  applied(
    "max.compaction.lag.ms",
    "long",
    LONG_MAX,
    { min: 1 },
    "log.cleaner.max.compaction.lag.ms",
    "Milliseconds after which a record is compacted, however little there is to do."
  ),
  applied(
    "max.message.bytes",
    "int",
    "1048588",
    { min: 0 },
    "message.max.bytes",
    "Bytes of the largest record batch that a Kafka producer may send. The broker's own bound, `message_size_max`, holds too."
  ),
  applied(
    "message.timestamp.after.max.ms",
    "long",
    "3600000",
    { min: 0 },
    "log.message.timestamp.after.max.ms",
    "Milliseconds that a producer's timestamp may lie ahead of the broker's clock."
  ),
  applied(
    "message.timestamp.before.max.ms",
    "long",
    LONG_MAX,
    { min: 0 },
    "log.message.timestamp.before.max.ms",
    "Milliseconds that a producer's timestamp may lie behind the broker's clock."
  ),
  applied(
    "message.timestamp.type",
    "string",
    "CreateTime",
    { oneOf: ["CreateTime", "LogAppendTime"] },
    "log.message.timestamp.type",
    "Whose time a record has: its producer's, or that of its append."
  ),
  applied(
    "min.cleanable.dirty.ratio",
    "double",
    "0.5",
    { min: 0, max: 1 },
    "log.cleaner.min.cleanable.ratio",
    "The share of a log that must be new before it is compacted again."
  ),
  applied(
    "min.compaction.lag.ms",
    "long",
    "0",
    { min: 0 },
    "log.cleaner.min.compaction.lag.ms",
    "Milliseconds within which a record is not compacted."
  ),
  kept(
    "min.insync.replicas",
    "int",
    "1",
    { min: 1 },
    "min.insync.replicas",
    "Kept and shown. Each partition has one replica here, and its mode says what an acknowledgement promises."
  ),
  kept("preallocate", "boolean", "false", {}, "log.preallocate"),
  kept("remote.log.copy.disable", "boolean", "false", {}, undefined, TIERED),
  kept("remote.log.delete.on.disable", "boolean", "false", {}, undefined, TIERED),
  kept("remote.storage.enable", "boolean", "false", { oneOf: ["false"], words: "false" }, undefined, TIERED),
  applied(
    "retention.bytes",
    "long",
    "-1",
    {},
    "log.retention.bytes",
    "Bytes of a partition above which its oldest records go; any negative number = no bound. Also `retention_bytes`."
  ),
  applied(
    "retention.ms",
    "long",
    "604800000",
    { min: -1 },
    "log.retention.ms",
    "Milliseconds since their append that records are kept; -1 = for ever. Also `retention_time`."
  ),
  applied(
    "segment.bytes",
    "int",
    "1073741824",
    { min: 1_048_576 },
    "log.segment.bytes",
    "Bytes after which a segment is sealed; else as the engine's options say."
  ),
  kept("segment.index.bytes", "int", "10485760", { min: 4 }, "log.index.size.max.bytes"),
  kept("segment.jitter.ms", "long", "0", { min: 0 }, "log.roll.jitter.ms"),
  applied(
    "segment.ms",
    "long",
    "604800000",
    { min: 1 },
    "log.roll.ms",
    "Milliseconds after which a segment is sealed; else as the engine's options say."
  ),
  kept("unclean.leader.election.enable", "boolean", "false", {}, "unclean.leader.election.enable")
]

const byName = new Map(TOPIC_CONFIGS.map((config) => [config.name, config]))

/** The configuration of this name; undefined where Kafka has none. */
export function topicConfigOf(name: string): TopicConfig | undefined {
  return byName.get(name)
}

/** Its row in docs/kafka-admin.md. */
export function configRow({ name, type, default: value, range, isApplied, about }: TopicConfig): string {
  const allowed = rangeText(type, range).replaceAll("|", "\\|")
  const shown = value === "" ? "" : `\`${value}\``
  return `| \`${name}\` | ${type} | ${shown} | ${allowed} | ${isApplied ? "in effect" : "kept"} | ${about} |`
}

/** The configurations as they are kept, each value as Kafka shows it; else what is wrong, for a person. */
export function checkTopicConfigs(configs: TopicConfigs): TopicConfigs | string {
  const checked: Record<string, string> = {}
  let length = 0
  for (const name of Object.keys(configs).toSorted()) {
    const config = byName.get(name)
    if (config === undefined) return `there is no topic configuration ${JSON.stringify(name.slice(0, 100))}`
    const text = configs[name] ?? ""
    length += name.length + text.length
    if (text.length > CONFIG_VALUE_LENGTH_MAX) return `${name} has more than ${CONFIG_VALUE_LENGTH_MAX} characters`
    if (length > CONFIGS_LENGTH_MAX)
      return `the configurations of a topic have at most ${CONFIGS_LENGTH_MAX} characters`
    const value = parseConfigValue(config.type, config.range, text)
    if (value === undefined) {
      return `${name} cannot be ${JSON.stringify(text.slice(0, 100))}: ${config.type}, ${rangeText(config.type, config.range)}`
    }
    checked[name] = value
  }
  const lag = (name: string): number => Number(checked[name] ?? byName.get(name)?.default)
  if (lag("min.compaction.lag.ms") > lag("max.compaction.lag.ms")) {
    return "min.compaction.lag.ms cannot be more than max.compaction.lag.ms"
  }
  return checked
}
