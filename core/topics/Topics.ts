/**
 * Topics of one shard: which there are, which of their partitions this shard owns, and how new ones come to be.
 *
 * The owner of partition 0 of a topic's name is the topic's coordinator: all creations of that name pass through it, so that a
 * name never stands for two topics. Created topics are agreed in the meta store; topics that a PUBLISH creates in memory are
 * the coordinator's own and told to the other shards.
 *
 * Invariants
 *  - A shard hears of a topic before any message that is stored in it reaches the shard from its owner.
 *  - A partition's log is open on its owner from the moment the topic is known there, or its name refuses storage.
 */
import { Context, Effect, Schema } from "effect"
import { CHANNEL_TOPIC, type LinkPort } from "../link/LinkPort.ts"
import type { Mode, PartitionLimits } from "../log/Engines.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import type { MetaChange, MetaStoreShape } from "../meta/MetaStore.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { type RandomShape, randomUuid } from "../platform/Random.ts"
import { SLOT_NAME, SLOT_TOPIC, slotOf } from "../shard/slots.ts"
import { isKafkaTopicName, topicOfName } from "./default-binding.ts"
import { OpenPartitions, type OpenPartitionsOptions } from "./OpenPartitions.ts"
import { PublishedTopics, type PublishedTopicsLimits } from "./PublishedTopics.ts"
import { TopicDirectory } from "./TopicDirectory.ts"
import type { TopicInfo } from "./TopicInfo.ts"

/** What new topics are made of: `[topics]` and its rules, resolved by the configuration. */
export interface TopicDefaults {
  readonly autoCreate: boolean
  readonly autoCreateMqtt: "memory" | "default" | "off"
  /** Partitions, engine and mode for a created topic of this name. */
  readonly forName: (name: string) => { readonly partitions: number; readonly engine: string; readonly mode: Mode }
}

export class TopicError extends Schema.TaggedError<TopicError>()("TopicError", {
  topic: Schema.String,
  reason: Schema.Literals(["invalid-name", "not-allowed", "engine-missing", "meta-store"]),
  message: Schema.String
}) {}

/** What a change makes stale: one topic name, or all (`undefined`). */
export type TopicsListener = (topicName: string | undefined) => void

export interface TopicsShape {
  find(tenant: number, name: string): TopicInfo | undefined
  findById(id: string): TopicInfo | undefined
  list(tenant: number): ReadonlyArray<TopicInfo>
  /** The topic of this name, created by the rules for Kafka clients where it is missing and that is allowed. */
  ensure(tenant: number, name: string): Effect.Effect<TopicInfo, TopicError>
  /** Whether an unknown topic may be created because a Kafka client asks for it. */
  readonly autoCreate: boolean
}

export class Topics extends Context.Service<Topics, TopicsShape>()("manifold/core/topics/Topics") {}

/** Where topics stand in the meta store: `topics/<tenant>/<name>`. */
export const META_PREFIX = "topics/"
/** Retention of a created topic: 7 days. */
const RETENTION_MS = 7 * 24 * 3_600_000

/** A partition that gathered something and then nothing for so long gives its buffer back. */
const IDLE_SEAL_MS = 1_000

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export interface ShardTopicsOptions extends OpenPartitionsOptions {
  readonly port: LinkPort
  readonly slotOwners: Uint16Array
  readonly meta: MetaStoreShape
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly defaults: TopicDefaults
  readonly published: PublishedTopicsLimits
}

export class ShardTopics implements TopicsShape {
  readonly directory = new TopicDirectory()
  readonly published: PublishedTopics
  /** Rises with every change that can move the home of names other than the one it names. */
  version = 0
  readonly #options: ShardTopicsOptions
  readonly #open: OpenPartitions
  readonly #listeners: Array<TopicsListener> = []
  /** `tenant/name` of creations that wait for the meta store. */
  readonly #creating = new Set<string>()

  constructor(options: ShardTopicsOptions) {
    this.#options = options
    this.#open = new OpenPartitions(options, (info) => this.#changed(info))
    this.published = new PublishedTopics(options.published, options.port.shards, options.clock)
    options.port.handle(CHANNEL_TOPIC, (_from, reader) => {
      const added = reader.uint8() === 1
      const text = reader.text()
      if (added) this.#add(JSON.parse(text) as TopicInfo)
      else this.#remove(text)
    })
    options.port.answer("topics.ensure", async (_from, { facts }) => {
      const { tenant, name } = facts as { tenant: number; name: string }
      return { facts: await Effect.runPromise(this.#create(tenant, name)) }
    })
  }

  get autoCreate(): boolean {
    return this.#options.defaults.autoCreate
  }

  get size(): number {
    return this.directory.size
  }

  find(tenant: number, name: string): TopicInfo | undefined {
    return this.directory.find(tenant, name)
  }

  findById(id: string): TopicInfo | undefined {
    return this.directory.findById(id)
  }

  list(tenant: number): ReadonlyArray<TopicInfo> {
    return this.directory.list(tenant)
  }

  onChange(listener: TopicsListener): void {
    this.#listeners.push(listener)
  }

  /** The shard that owns a partition. */
  ownerOf(topic: TopicInfo, partition: number): number {
    return this.#owner(slotOf(topic.tenant, SLOT_TOPIC, topic.name, partition))
  }

  /** The shard that sequences a topic name that has no home; for a plain name, where its default topic would live. */
  ownerOfName(tenant: number, name: string): number {
    const topic = topicOfName(name)
    if (topic !== undefined) return this.#owner(slotOf(tenant, SLOT_TOPIC, topic, 0))
    return this.#owner(slotOf(tenant, SLOT_NAME, name))
  }

  /** Whether a PUBLISH on this name may create its home. */
  creatable(name: string): boolean {
    return this.#options.defaults.autoCreateMqtt !== "off" && topicOfName(name) !== undefined
  }

  /** Whether a topic that a PUBLISH on this name creates is acknowledged at once. */
  createsInMemory(name: string): boolean {
    const { autoCreateMqtt, forName } = this.#options.defaults
    return autoCreateMqtt !== "default" || forName(topicOfName(name) ?? name).mode === "memory"
  }

  /** The open log of a partition that this shard owns. */
  logUnsafe(topic: TopicInfo, partition: number): PartitionLog | undefined {
    return this.#open.logUnsafe(topic, partition)
  }

  /** All open logs, for metrics and for a graceful stop. */
  logs(): Iterable<PartitionLog> {
    return this.#open.logs()
  }

  /** Done when every partition that is being opened now is open, or will not be for a while. */
  settled(): Effect.Effect<void> {
    return this.#open.settled()
  }

  /**
   * Creates the home of a plain topic name because of a PUBLISH, on its coordinator. Returns it, or undefined where a bound or
   * the rate says no: the message is then routed and not stored.
   */
  createForPublishUnsafe(tenant: number, name: string): TopicInfo | undefined {
    const topicName = topicOfName(name)
    if (topicName === undefined || this.find(tenant, topicName) !== undefined) return undefined
    // A Kafka client's creation is under way: two topics of one name would cost the records of one.
    if (this.#creating.has(`${tenant}/${topicName}`)) return undefined
    if (!this.published.admit()) return undefined
    const defaults = this.#options.defaults
    const durable = defaults.autoCreateMqtt === "default"
    const made = defaults.forName(topicName)
    const info: TopicInfo = {
      tenant,
      name: topicName,
      id: randomUuid(this.#options.random),
      partitions: durable ? made.partitions : 1,
      engine: durable ? made.engine : "memory",
      mode: durable ? made.mode : "memory",
      origin: "publish"
    }
    const log = this.#publish(info)
    if (log === undefined) return undefined
    if (durable) {
      const write = { key: topicKey(info), value: encodeTopic(info) }
      Effect.runFork(
        Effect.ignore(this.#options.meta.transact({ compare: [{ key: write.key, version: 0 }], writes: [write] }))
      )
    } else this.#evict(this.published.add(info, log))
    return info
  }

  /** Seals what lies gathered, and looks after the byte bound of topics made by PUBLISH; called about once a second. */
  housekeep(): void {
    const before = this.#options.clock.monotonicMs() - IDLE_SEAL_MS
    for (const log of this.logs()) if (log.lastWriteMs < before) log.seal()
    this.#evict(this.published.census())
  }

  #evict(evicted: ReadonlyArray<TopicInfo>): void {
    const first = evicted[0]
    if (first === undefined) return
    this.#options.log(
      `${evicted.length} topic(s) made by PUBLISH evicted, "${first.name}" among them: their bounds are reached`
    )
    for (const old of evicted) {
      this.#tell(0, old.id)
      this.#remove(old.id)
    }
  }

  ensure(tenant: number, name: string): Effect.Effect<TopicInfo, TopicError> {
    const known = this.find(tenant, name)
    if (known !== undefined) return Effect.succeed(known)
    if (!isKafkaTopicName(name)) {
      return Effect.fail(new TopicError({ topic: name, reason: "invalid-name", message: "not a valid topic name" }))
    }
    if (!this.autoCreate) {
      return Effect.fail(new TopicError({ topic: name, reason: "not-allowed", message: "topics.auto_create is off" }))
    }
    const coordinator = this.#owner(slotOf(tenant, SLOT_TOPIC, name, 0))
    if (coordinator === this.#options.port.shard) return this.#create(tenant, name)
    return Effect.tryPromise({
      try: async () => {
        const answer = await this.#options.port.call(coordinator, "topics.ensure", { facts: { tenant, name } })
        const info = answer.facts as TopicInfo
        this.#add(info)
        return info
      },
      catch: (error) => new TopicError({ topic: name, reason: "meta-store", message: String(error) })
    })
  }

  /** Takes over what the meta store says. */
  metaChanged(change: MetaChange): void {
    const [, tenant = "", ...rest] = change.key.split("/")
    if (change.value === undefined) {
      const topic = this.find(Number(tenant), rest.join("/"))
      if (topic !== undefined) this.#remove(topic.id)
    } else this.#add(JSON.parse(decoder.decode(change.value)) as TopicInfo)
  }

  /** Closes every partition; for the end of the shard. */
  closeAll(): Effect.Effect<void> {
    return this.#open.closeAll()
  }

  #owner(slot: number): number {
    return this.#options.slotOwners[slot] ?? 0
  }

  #create(tenant: number, name: string): Effect.Effect<TopicInfo, TopicError> {
    const known = this.find(tenant, name)
    if (known !== undefined) return Effect.succeed(known)
    const made = this.#options.defaults.forName(name)
    if (this.#options.engines.get(made.engine) === undefined) {
      const message = `no engine "${made.engine}" is loaded`
      return Effect.fail(new TopicError({ topic: name, reason: "engine-missing", message }))
    }
    const info: TopicInfo = { tenant, name, id: randomUuid(this.#options.random), ...made, origin: "kafka" }
    const key = topicKey(info)
    const stored = this.#options.meta.transact({
      compare: [{ key, version: 0 }],
      writes: [{ key, value: encodeTopic(info) }]
    })
    const creation = `${tenant}/${name}`
    const begun = Effect.sync(() => this.#creating.add(creation))
    return begun.pipe(
      Effect.andThen(stored),
      Effect.flatMap(({ committed }) => (committed ? Effect.succeed(info) : this.#fromMeta(key))),
      Effect.tap((agreed) => Effect.sync(() => this.#add(agreed))),
      Effect.mapError((error) => new TopicError({ topic: name, reason: "meta-store", message: error.message })),
      Effect.ensuring(Effect.sync(() => this.#creating.delete(creation)))
    )
  }

  #fromMeta(key: string) {
    return this.#options.meta
      .get(key)
      .pipe(
        Effect.flatMap((entry) =>
          entry === undefined
            ? Effect.fail({ message: "created and removed at the same time" })
            : Effect.succeed(decodeTopic(entry.value))
        )
      )
  }

  /** Makes a topic known here first, then elsewhere; undefined where its engine refuses at once. */
  #publish(info: TopicInfo): PartitionLog | undefined {
    this.#add(info)
    const log = this.logUnsafe(info, 0)
    if (log === undefined) {
      this.#remove(info.id)
      return undefined
    }
    this.#tell(1, JSON.stringify(info))
    return log
  }

  #tell(added: number, text: string): void {
    const port = this.#options.port
    for (let shard = 0; shard < port.shards; shard++) {
      if (shard === port.shard) continue
      const outbox = port.begin(shard, CHANNEL_TOPIC)
      outbox.uint8(added)
      outbox.text(text)
      port.end(outbox)
    }
  }

  #add(info: TopicInfo): void {
    const before = this.find(info.tenant, info.name)
    if (before?.id === info.id) return
    if (before !== undefined) this.#remove(before.id)
    this.directory.add(info)
    const isOwned = (partition: number): boolean => this.ownerOf(info, partition) === this.#options.port.shard
    this.#open.open(info, isOwned, this.#limits(info))
    this.#changed(info)
  }

  #limits(info: TopicInfo): PartitionLimits {
    if (info.origin === "publish" && info.mode === "memory") return this.published.partitionLimits
    return {
      sizeBytesMax: Number.POSITIVE_INFINITY,
      recordsMax: Number.POSITIVE_INFINITY,
      ageMsMax: RETENTION_MS
    }
  }

  #remove(id: string): void {
    const info = this.directory.remove(id)
    if (info === undefined) return
    this.published.remove(id)
    this.#open.remove(info)
    this.#changed(info)
  }

  #changed(info: TopicInfo): void {
    const name = info.filter === undefined ? this.directory.ownName(info) : undefined
    if (info.filter !== undefined) this.version += 1
    for (const listener of this.#listeners) listener(info.filter === undefined ? (name ?? "") : undefined)
  }
}

export function topicKey(topic: { readonly tenant: number; readonly name: string }): string {
  return `${META_PREFIX}${topic.tenant}/${topic.name}`
}

export function encodeTopic(topic: TopicInfo): Uint8Array {
  return encoder.encode(JSON.stringify(topic))
}

export function decodeTopic(value: Uint8Array): TopicInfo {
  return JSON.parse(decoder.decode(value)) as TopicInfo
}
