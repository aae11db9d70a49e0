/** `topic`: the topics of the node, however they came to be; those that are created here last as long as the meta store does. */
import { Effect } from "effect"
import * as v from "valibot"
import type { NewTopic } from "../topics/AgreedTopics.ts"
import { isPartitionBy } from "../topics/partition-by.ts"
import { RETENTION_BYTES, RETENTION_MS, retentionConfigs } from "../topics/retention-configs.ts"
import type { TopicBindingsShape } from "../topics/TopicBindings.ts"
import type { TopicError } from "../topics/TopicError.ts"
import { DEFAULT_RETENTION, type TopicInfo } from "../topics/TopicInfo.ts"
import type { TopicMovesShape } from "../topics/TopicMoves.ts"
import type { TopicsShape } from "../topics/Topics.ts"
import { type ConfigOperation, PARTITIONS_MAX, type TopicAlteration } from "../topics/topic-alteration.ts"
import { type Resource, ResourceError } from "./Resources.ts"

/** Requests that name no tenant are those of this one. */
const TENANT = 0
const MIB = 1_048_576

const mode = v.picklist(["memory", "hybrid", "persistent"])

const compression = v.picklist(["none", "zstd"])

/** Configurations that one call may name. */
const CONFIGS_MAX = 100
const configs = v.pipe(
  v.record(v.string(), v.string()),
  v.check((given) => Object.keys(given).length <= CONFIGS_MAX, `at most ${CONFIGS_MAX} configurations`)
)

const schema = v.strictObject({
  name: v.pipe(v.string(), v.description("what Kafka clients call it")),
  partitions: v.pipe(v.number(), v.integer(), v.minValue(1)),
  engine: v.pipe(v.string(), v.description("where its partitions are kept")),
  mode: v.pipe(mode, v.description("what an acknowledgement promises")),
  retention_time: v.pipe(v.number(), v.minValue(0), v.description("seconds that its records are kept; 0 = for ever")),
  retention_bytes: v.pipe(
    v.number(),
    v.minValue(0),
    v.description("bytes of a partition above which its oldest records go; 0 = any")
  ),
  compression: v.pipe(compression, v.description("of batches made of messages")),
  configs: v.pipe(
    v.record(v.string(), v.string()),
    v.description("Kafka's configurations, by its names, that were set for it")
  ),
  filter: v.pipe(
    v.nullable(v.string()),
    v.description("the topic filter that is bound to it; null = the default binding")
  ),
  partition_by: v.pipe(v.string(), v.description("what of a message chooses its partition: name | level:N | client")),
  origin: v.pipe(v.picklist(["manifest", "kafka", "publish", "admin"]), v.description("who made it")),
  id: v.pipe(v.string(), v.description("a UUID; a topic that is made anew has a new one"))
})

const input = v.strictObject({
  name: v.pipe(v.string(), v.description("1 to 249 of A-Z a-z 0-9 . _ -")),
  partitions: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(PARTITIONS_MAX))),
    v.description("partitions; else as its rule or [topics] says")
  ),
  engine: v.pipe(
    v.optional(v.string()),
    v.description("where its partitions are kept; else as its rule or [topics] says")
  ),
  mode: v.pipe(v.optional(mode), v.description("what an acknowledgement promises; else as its rule or [topics] says")),
  retention_time: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(3_153_600_000))),
    v.description("seconds that its records are kept; 0 = for ever; else as its rule or [topics] says")
  ),
  retention_bytes: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
    v.description("bytes of a partition; 0 = any; else as its rule or [topics] says")
  ),
  compression: v.pipe(
    v.optional(compression),
    v.description("of batches made of messages; else as its rule or [topics] says")
  ),
  configs: v.pipe(
    v.optional(configs),
    v.description("Kafka's configurations, by its names; else as its rule says; they win over the keys above")
  ),
  filter: v.pipe(
    v.optional(v.string()),
    v.description("binds the MQTT topic names that match this topic filter to it")
  ),
  partition_by: v.pipe(
    v.optional(v.pipe(v.string(), v.check(isPartitionBy, "name | level:N | client"))),
    v.description("what of a message chooses its partition: name | level:N | client; else its name")
  )
})

const bindInput = v.strictObject({
  filter: v.pipe(v.string(), v.description("the MQTT topic names that match this topic filter, and no others, are its"))
})

const alterInput = v.strictObject({
  partitions: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(PARTITIONS_MAX))),
    v.description("how many it is to have: more than it has; names and keys go by the new count from then on")
  ),
  retention_time: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(3_153_600_000))),
    v.description("seconds that its records are kept; 0 = for ever; else as it is")
  ),
  retention_bytes: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
    v.description("bytes of a partition; 0 = any; else as it is")
  ),
  configs: v.pipe(v.optional(configs), v.description("Kafka's configurations that are set, by its names")),
  reset: v.pipe(
    v.optional(v.pipe(v.array(v.string()), v.maxLength(CONFIGS_MAX))),
    v.description("names of configurations that go back to what its rule says, or to Kafka's default")
  )
})

const moveInput = v.strictObject({
  engine: v.pipe(v.optional(v.string()), v.description("where its partitions are to be kept; else where they are")),
  mode: v.pipe(v.optional(mode), v.description("what an acknowledgement is to promise; else what it does")),
  rate: v.pipe(
    v.optional(v.pipe(v.number(), v.minValue(0.001), v.maxValue(1_000_000))),
    v.description("MiB a second that are copied at most; else 32")
  )
})

/** How each refusal is told; the codes are stable. */
const REFUSALS = {
  "invalid-name": ["invalid", "invalid-topic-name"],
  "invalid-filter": ["invalid", "invalid-topic-filter"],
  "not-allowed": ["refused", "topic-creation-off"],
  rate: ["unavailable", "topic-creation-rate"],
  exists: ["conflict", "topic-exists"],
  "not-found": ["not-found", "topic-not-found"],
  "filter-conflict": ["conflict", "topic-filter-conflict"],
  "not-compactable": ["invalid", "topic-not-compactable"],
  "engine-missing": ["invalid", "engine-not-available"],
  "mode-missing": ["invalid", "mode-not-available"],
  "compaction-missing": ["invalid", "compaction-not-available"],
  busy: ["unavailable", "topic-busy"],
  moving: ["conflict", "topic-moving"],
  "not-moving": ["conflict", "topic-not-moving"],
  "move-refused": ["refused", "topic-move-refused"],
  "invalid-config": ["invalid", "topic-config-invalid"],
  "invalid-partitions": ["invalid", "topic-partitions-invalid"],
  "alter-refused": ["refused", "topic-alter-refused"],
  "meta-store": ["unavailable", "meta-store-unavailable"]
} as const satisfies Record<TopicError["reason"], readonly [ResourceError["reason"], string]>

type TopicsOfShard = Pick<TopicsShape, "find" | "page" | "create" | "alter" | "delete">

/** `topics`: those of any shard, for each knows all. */
export function topicResource(topics: TopicsOfShard, moves: TopicMovesShape, bindings: TopicBindingsShape): Resource {
  return {
    name: "topic",
    plural: "topics",
    description: "Topics: names under which records are kept",
    schema,
    idMember: "name",
    list: ({ limit, cursor, filter }) =>
      Effect.sync(() => {
        const found = topics.page(TENANT, cursor, filter, limit + 1)
        const items = found.slice(0, limit).map(itemOf)
        const last = items.at(-1)
        return found.length > limit && last !== undefined ? { items, cursor: last.name } : { items }
      }),
    get: (id) =>
      Effect.suspend(() => {
        const found = topics.find(TENANT, id)
        if (found !== undefined) return Effect.succeed(itemOf(found))
        const message = `there is no topic ${JSON.stringify(id)}`
        return Effect.fail(new ResourceError({ reason: "not-found", code: "topic-not-found", message }))
      }),
    verbs: [
      {
        name: "create",
        description: "Makes a topic",
        kind: "create",
        input,
        run: (_id, given) =>
          topics.create(TENANT, newTopic(v.parse(input, given))).pipe(Effect.map(itemOf), Effect.mapError(refusalOf))
      },
      {
        name: "alter",
        description: "Changes configurations of a topic, and adds partitions to it, while it is used",
        input: alterInput,
        run: (id, given) =>
          topics
            .alter(TENANT, id, alterationOf(v.parse(alterInput, given)))
            .pipe(Effect.map(itemOf), Effect.mapError(refusalOf))
      },
      {
        name: "bind",
        description: "Makes a topic the home of other topic names, while messages are published on them",
        input: bindInput,
        run: (id, given) =>
          bindings
            .bind(TENANT, id, v.parse(bindInput, given).filter)
            .pipe(Effect.map(itemOf), Effect.mapError(refusalOf))
      },
      {
        name: "unbind",
        description: "Takes its topic filter off a topic: it is the home of its own name, where that is a plain one",
        input: v.strictObject({}),
        run: (id) => bindings.bind(TENANT, id, undefined).pipe(Effect.map(itemOf), Effect.mapError(refusalOf))
      },
      {
        name: "move",
        description: "Begins to move a topic to another engine or mode while it is used; topic-move tells how it goes",
        input: moveInput,
        run: (id, given) => {
          const { engine, mode, rate } = v.parse(moveInput, given)
          const wish = { ...(engine === undefined ? {} : { engine }), ...(mode === undefined ? {} : { mode }) }
          const bounded = rate === undefined ? wish : { ...wish, bytesPerSecond: Math.ceil(rate * MIB) }
          return moves.move(TENANT, id, bounded).pipe(Effect.map(itemOf), Effect.mapError(refusalOf))
        }
      },
      {
        name: "cancel-move",
        description: "Gives the move of a topic up: it stays as it was",
        input: v.strictObject({}),
        run: (id) => moves.cancel(TENANT, id).pipe(Effect.map(itemOf), Effect.mapError(refusalOf))
      },
      {
        name: "delete",
        description: "Deletes a topic with all it holds; one that the manifest declares is made anew at the next start",
        kind: "delete",
        input: v.strictObject({}),
        run: (id) => topics.delete(TENANT, id).pipe(Effect.mapError(refusalOf))
      }
    ]
  }
}

function newTopic({ name, ...given }: v.InferOutput<typeof input>): NewTopic {
  const { partitions, engine, mode, compression, filter, partition_by: by } = given
  const { retention_time: seconds, retention_bytes: bytes } = given
  const retention = {
    ...(seconds === undefined ? {} : { ms: seconds * 1_000 }),
    ...(bytes === undefined ? {} : { bytes })
  }
  return {
    name,
    ...(seconds === undefined && bytes === undefined ? {} : { retention }),
    ...(partitions === undefined ? {} : { partitions }),
    ...(engine === undefined ? {} : { engine }),
    ...(mode === undefined ? {} : { mode }),
    ...(compression === undefined ? {} : { compression }),
    ...(given.configs === undefined ? {} : { configs: given.configs }),
    ...(filter === undefined ? {} : { filter }),
    ...(by === undefined || !isPartitionBy(by) ? {} : { partitionBy: by })
  }
}

/** The same as Kafka's configurations, which are what can be altered. */
function alterationOf(given: v.InferOutput<typeof alterInput>): TopicAlteration {
  const { partitions, retention_time: seconds, retention_bytes: bytes, configs = {}, reset = [] } = given
  const ms = seconds === undefined ? undefined : seconds * 1_000
  const { [RETENTION_MS]: time, [RETENTION_BYTES]: size } = retentionConfigs({ ms: ms ?? 0, bytes: bytes ?? 0 })
  const set = {
    ...(ms === undefined ? {} : { [RETENTION_MS]: time ?? "" }),
    ...(bytes === undefined ? {} : { [RETENTION_BYTES]: size ?? "" }),
    ...configs
  }
  const operations: Array<ConfigOperation> = [
    ...reset.map((name) => ({ name, operation: "delete", value: "" }) as const),
    ...Object.entries(set).map(([name, value]) => ({ name, operation: "set", value }) as const)
  ]
  return { ...(partitions === undefined ? {} : { partitions }), configs: operations }
}

function itemOf({ retention = DEFAULT_RETENTION, ...topic }: TopicInfo): v.InferOutput<typeof schema> {
  const { name, partitions, engine, mode, compression = "none", configs = {} } = topic
  const { filter = null, partitionBy = "name", origin, id } = topic
  const kept = { retention_time: Math.floor(retention.ms / 1_000), retention_bytes: retention.bytes }
  const bound = { filter, partition_by: partitionBy }
  return { name, partitions, engine, mode, ...kept, compression, configs, ...bound, origin, id }
}

function refusalOf({ reason, message }: TopicError): ResourceError {
  const [kind, code] = REFUSALS[reason]
  return new ResourceError({ reason: kind, code, message })
}
