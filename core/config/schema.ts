/** The shape of `manifold.toml`: its keys are a contract that scripts rely on; more may be added, none renamed. */
import * as v from "valibot"
import { COMPACTION_LIMITS } from "../compaction/Compactions.ts"
import { RETAINED_LIMITS } from "../ingress/retained-limits.ts"
import { DIGEST_FORM } from "../plugin/plugin-digest.ts"

const PARTITIONS_MAX = 10_000
const SHARDS_MAX = 64
/** As Kafka limits the name of a topic. */
const NAME_LENGTH_MAX = 249

/** What a topic or a filter may be is judged by `check-topics.ts`; these patterns tell editors. */
const TOPIC_PATTERN = "^(?!\\.{1,2}$)[A-Za-z0-9._-]+$"
const FILTER_PATTERN = "^(?!\\$share/)(?:(?:\\+|[^+#/\\u0000]*)/)*(?:\\+|#|[^+#/\\u0000]*)$"

const partitions = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(PARTITIONS_MAX))
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(NAME_LENGTH_MAX))
/** Engines and their modes are what the plugins bring: `check-topics.ts` judges them. */
const engine = v.string()
const mode = v.string()

/** What `partition-by.ts` takes. */
const PARTITION_BY = /^(?:name|client|level:(?:[1-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))$/

const retentionTime = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(3_153_600_000))
const retentionBytes = v.pipe(v.number(), v.integer(), v.minValue(0))
const compression = v.picklist(["none", "zstd"])

export const rule = v.strictObject({
  match: v.pipe(name, v.description("a topic's name, in which * stands for any characters, dots too")),
  engine: v.pipe(v.optional(engine), v.description("where partitions are kept; else as in [topics]")),
  mode: v.pipe(
    v.optional(mode),
    v.description("what an acknowledgement promises; else as in [topics], or what its engine has at most")
  ),
  partitions: v.pipe(v.optional(partitions), v.description("partitions of such a topic; else as in [topics]")),
  retention_time: v.pipe(
    v.optional(retentionTime),
    v.description("seconds that its records are kept; 0 = for ever; else as in [topics]")
  ),
  retention_bytes: v.pipe(
    v.optional(retentionBytes),
    v.description("bytes of each of its partitions; 0 = any; else as in [topics]")
  ),
  compression: v.pipe(
    v.optional(compression),
    v.description("of batches made of messages: none | zstd; else as in [topics]")
  ),
  configs: v.pipe(
    v.optional(v.record(v.string(), v.string())),
    v.description("Kafka's topic configurations, by its names: such a topic is made with them; else none")
  )
})

export const binding = v.strictObject({
  topic: v.pipe(
    name,
    v.metadata({ pattern: TOPIC_PATTERN }),
    v.description("the topic that is the home of the topic names, made if it is not there")
  ),
  filter: v.pipe(
    v.string(),
    v.minLength(1),
    v.metadata({ pattern: FILTER_PATTERN }),
    v.description("an MQTT topic filter: + for one level, # at the end for all below")
  ),
  partitions: v.pipe(
    v.optional(partitions),
    v.description("partitions of the topic; else as its rule or [topics] says")
  ),
  engine: v.pipe(v.optional(engine), v.description("where its partitions are kept; else as its rule or [topics] says")),
  mode: v.pipe(
    v.optional(mode),
    v.description("what an acknowledgement promises; else as its rule or [topics] says, or what its engine has at most")
  ),
  retention_time: v.pipe(
    v.optional(retentionTime),
    v.description("seconds that its records are kept; 0 = for ever; else as its rule or [topics] says")
  ),
  retention_bytes: v.pipe(
    v.optional(retentionBytes),
    v.description("bytes of each of its partitions; 0 = any; else as its rule or [topics] says")
  ),
  compression: v.pipe(
    v.optional(compression),
    v.description("of batches made of messages: none | zstd; else as its rule or [topics] says")
  ),
  partition_by: v.pipe(
    v.optional(v.pipe(v.string(), v.regex(PARTITION_BY, "name | level:N | client")), "name"),
    v.description("what of a message chooses its partition: name | level:N, from 1 | client")
  )
})

export const pluginEntry = v.strictObject({
  use: v.pipe(
    v.string(),
    v.minLength(1),
    v.description("a built-in plugin, a package in the node_modules beside the manifest, or a path from it")
  ),
  enabled: v.pipe(v.optional(v.boolean(), true), v.description("false leaves the plugin out")),
  digest: v.pipe(
    v.optional(v.pipe(v.string(), v.regex(DIGEST_FORM, '"sha256-" and 64 of 0-9 a-f, as plugin check prints it'))),
    v.description("of a plugin from disk: what its code has to be, as plugin check prints it")
  ),
  options: v.pipe(v.optional(v.record(v.string(), v.unknown()), {}), v.description("what the plugin itself defines"))
})

export const node = v.strictObject({
  id: v.pipe(
    v.optional(v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/, "1 to 64 of A-Z a-z 0-9 . _ -")), "node-1"),
    v.description("what the node calls itself")
  ),
  data: v.pipe(
    v.optional(v.pipe(v.string(), v.minLength(1)), "./data"),
    v.description("the data directory; --data DIR")
  ),
  shards: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(SHARDS_MAX)), 1),
    v.description("event loops that share the work; all in one thread for now")
  ),
  retained_messages_max: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100_000_000)), RETAINED_LIMITS.messagesMax),
    v.description("retained messages; one more is refused, one that takes the place of another is not")
  ),
  retained_bytes_max: v.pipe(
    v.optional(
      v.pipe(v.number(), v.integer(), v.minValue(1_048_576), v.maxValue(1_099_511_627_776)),
      RETAINED_LIMITS.bytesMax
    ),
    v.description("bytes of retained messages")
  ),
  data_bytes_max: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
    v.description(
      "bytes of the data directory; near them the oldest records go; 0 = as many as the disk has, and none go"
    )
  ),
  tenant_bytes_max: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
    v.description("bytes of one tenant's stored topics, above which its oldest records go; 0 = any")
  ),
  compaction_map_bytes: v.pipe(
    v.optional(
      v.pipe(v.number(), v.integer(), v.minValue(1_048_576), v.maxValue(17_179_869_184)),
      COMPACTION_LIMITS.offsetMapBytes
    ),
    v.description("bytes of memory for the keys of a round of compaction; what has more keys takes more rounds")
  ),
  compaction_rate: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(65_536)), COMPACTION_LIMITS.bytesPerSecond),
    v.description("bytes a second that compaction reads and writes, at most")
  ),
  compaction_interval: v.pipe(
    v.optional(
      v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(86_400)),
      COMPACTION_LIMITS.intervalMs / 1_000
    ),
    v.description("seconds between two looks at whether a compacted topic is due")
  )
})

/** Engine and mode of created topics that nobody has spoken of. */
export const TOPIC_DEFAULTS = { engine: "segment", mode: "persistent" } as const

export const topics = v.strictObject({
  auto_create: v.pipe(
    v.optional(v.boolean(), true),
    v.description("topics are made for a Kafka client that asks for an unknown one")
  ),
  auto_create_mqtt: v.pipe(
    v.optional(v.picklist(["memory", "default", "off"]), "memory"),
    v.description("topics are made by a PUBLISH: memory (1 MiB or 1,000 records each) | default | off")
  ),
  partitions: v.pipe(v.optional(partitions, 1), v.description("partitions of a created topic")),
  engine: v.pipe(
    v.optional(engine, TOPIC_DEFAULTS.engine),
    v.description("where partitions are kept: segment (append-only files) | sqlite (one database) | memory")
  ),
  mode: v.pipe(
    v.optional(mode, TOPIC_DEFAULTS.mode),
    v.description("what an acknowledgement promises: persistent (synced) | hybrid (the system has it) | memory")
  ),
  retention_time: v.pipe(
    v.optional(retentionTime, 604_800),
    v.description("seconds that records are kept; 0 = for ever")
  ),
  retention_bytes: v.pipe(
    v.optional(retentionBytes, 0),
    v.description("bytes of a partition above which its oldest records go; 0 = any")
  ),
  compression: v.pipe(
    v.optional(compression, "none"),
    v.description("of batches made of messages: none | zstd; what Kafka clients produce is kept as it is sent")
  ),
  rule: v.pipe(
    v.optional(v.array(rule), []),
    v.description("the first rule that matches a topic's name wins over what stands above")
  )
})

/** The sections of a manifest. */
export const SECTIONS: ReadonlyArray<string> = ["node", "topics", "binding", "plugin"]

/** A manifest as a person writes it, but for its plugins, whose options are their own. */
export interface ManifestInput {
  readonly node?: v.InferInput<typeof node>
  readonly topics?: v.InferInput<typeof topics>
  readonly binding?: ReadonlyArray<v.InferInput<typeof binding>>
}

export type Node = Readonly<v.InferOutput<typeof node>>
export type Topics = v.InferOutput<typeof topics>
/** Entries by their place in the file; those with faults are left out. */
export type Bindings = ReadonlyMap<number, v.InferOutput<typeof binding>>
export type PluginEntries = ReadonlyMap<number, v.InferOutput<typeof pluginEntry>>
