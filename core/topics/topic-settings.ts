/**
 * What Kafka's topic configurations mean here: those that change what is done with records, read once for every set of them.
 *
 * The names, meanings and defaults are those of Apache Kafka 4.3 (org.apache.kafka.common.config.TopicConfig). What this page does not
 * know is kept with the topic and has no effect.
 */
import type { TopicInfo } from "./TopicInfo.ts"

/** Configurations as they were given, by Kafka's names: all values are text there. */
export type TopicConfigs = Readonly<Record<string, string>>

export interface TopicSettings {
  /** Whether of each key the last record is kept ("compact" in cleanup.policy). */
  readonly isCompacted: boolean
  /** Whether retention takes old records ("delete" in cleanup.policy). */
  readonly isTrimmed: boolean
  /** Bytes of a record batch as it is sent (max.message.bytes). */
  readonly messageBytesMax: number
  /** Whose time a record has: its producer's, or that of its append (message.timestamp.type). */
  readonly timestampType: "create" | "append"
  /** Milliseconds that a producer's time may lie before and after that of the append (message.timestamp.before.max.ms, .after.max.ms). */
  readonly timestampBeforeMsMax: number
  readonly timestampAfterMsMax: number
  /** Milliseconds that a record without a value outlives what it deletes (delete.retention.ms). */
  readonly tombstoneMs: number
  /** Milliseconds within which a record is not compacted, and after which it is, however little there is to do (min. and max.compaction.lag.ms). */
  readonly compactionLagMsMin: number
  readonly compactionLagMsMax: number
  /** The share of a log that must be new since it was compacted last, 0 to 1 (min.cleanable.dirty.ratio). */
  readonly dirtyRatioMin: number
  /** Milliseconds and bytes after which a segment is sealed (segment.ms, segment.bytes); undefined = as the engine's options say. */
  readonly segmentMs: number | undefined
  readonly segmentBytes: number | undefined
}

const DAY_MS = 86_400_000
const NONE: TopicConfigs = {}
const bySource = new WeakMap<TopicConfigs, TopicSettings>()

/** The settings of a topic; the same object for the same `configs` object. */
export function settingsOf({ configs = NONE }: Pick<TopicInfo, "configs">): TopicSettings {
  let settings = bySource.get(configs)
  if (settings === undefined) {
    settings = readSettings(configs)
    bySource.set(configs, settings)
  }
  return settings
}

function readSettings(configs: TopicConfigs): TopicSettings {
  const number = (name: string, absent: number): number => {
    const text = configs[name]
    return text === undefined ? absent : Number(text)
  }
  const set = (name: string): number | undefined => (configs[name] === undefined ? undefined : Number(configs[name]))
  const policies = (configs["cleanup.policy"] ?? "delete").split(",").map((policy) => policy.trim())
  return {
    isCompacted: policies.includes("compact"),
    isTrimmed: policies.includes("delete"),
    messageBytesMax: number("max.message.bytes", 1_048_588),
    timestampType: configs["message.timestamp.type"] === "LogAppendTime" ? "append" : "create",
    timestampBeforeMsMax: number("message.timestamp.before.max.ms", Number.MAX_SAFE_INTEGER),
    timestampAfterMsMax: number("message.timestamp.after.max.ms", DAY_MS / 24),
    tombstoneMs: number("delete.retention.ms", DAY_MS),
    compactionLagMsMin: number("min.compaction.lag.ms", 0),
    compactionLagMsMax: number("max.compaction.lag.ms", Number.MAX_SAFE_INTEGER),
    dirtyRatioMin: number("min.cleanable.dirty.ratio", 0.5),
    segmentMs: set("segment.ms"),
    segmentBytes: set("segment.bytes")
  }
}
