/**
 * Topics of one shard: which there are, which of their partitions this shard owns, and how new ones come to be.
 *
 * The owner of partition 0 of a topic's name is the topic's coordinator: all creations of that name pass through it, so that a
 * name never stands for two topics. Created topics are agreed in the meta store; topics that a PUBLISH creates in memory are
 * the coordinator's own and told to the other shards.
 *
 * Invariants
 *  - A shard hears of a topic before any message that is stored in it reaches the shard from its owner.
 *  - A partition's log can be had on its owner from the moment the topic is known there, or its name refuses storage.
 */
import { Effect, type Scope } from "effect"
import { RecentSet } from "../collections/RecentSet.ts"
import type { CompressionCounts } from "../log/BatchCompressor.ts"
import type { PartitionLimits } from "../log/Engines.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import type { MetaChange, MetaStoreError } from "../meta/MetaStore.ts"
import { AgreedTopics, type NewTopic, taken } from "./AgreedTopics.ts"
import type { AgreedTopic } from "./agreed-alteration.ts"
import { ClosedTopics } from "./ClosedTopics.ts"
import { topicOfName } from "./default-binding.ts"
import { isBoundOtherwise } from "./former-bindings.ts"
import { loadTopics } from "./load-topics.ts"
import { type LogCounts, OpenPartitions } from "./OpenPartitions.ts"
import { PublishCreations } from "./PublishCreations.ts"
import { PublishedTopics } from "./PublishedTopics.ts"
import { Removals } from "./Removals.ts"
import { retentionLimits } from "./retention-limits.ts"
import type { ShardTopicsOptions } from "./shard-topics-options.ts"
import { TopicBindings } from "./TopicBindings.ts"
import { TopicCoordinator, type TopicRequest } from "./TopicCoordinator.ts"
import { TopicDirectory } from "./TopicDirectory.ts"
import type { TopicError } from "./TopicError.ts"
import { logIdOf, type TopicDefault, type TopicInfo } from "./TopicInfo.ts"
import { TopicMoves } from "./TopicMoves.ts"
import { TopicNews } from "./TopicNews.ts"
import { TopicOwners } from "./TopicOwners.ts"
import { TopicRevisions } from "./TopicRevisions.ts"
import type { TopicsListener, TopicsShape } from "./Topics.ts"
import { TopicTurns } from "./TopicTurns.ts"
import { isAltered, type TopicAlteration } from "./topic-alteration.ts"
import { decodeTopic, META_PREFIX, REMOVED_PREFIX, topicOfKey } from "./topic-codec.ts"

/** Topics that were removed and are remembered. */
const REMOVED_MAX = 1_000

export type { ShardTopicsOptions } from "./shard-topics-options.ts"

export class ShardTopics implements TopicsShape {
  readonly directory = new TopicDirectory()
  readonly published: PublishedTopics
  readonly moves: TopicMoves
  readonly bindings: TopicBindings
  /** Rises with every change that can move the home of names other than the one it names. */
  version = 0
  readonly #options: ShardTopicsOptions
  readonly #open: OpenPartitions
  readonly #closed: ClosedTopics
  readonly #coordinator: TopicCoordinator
  readonly #removals: Removals
  readonly #news: TopicNews
  readonly #creations: PublishCreations
  readonly #agreed: AgreedTopics
  readonly #revisions = new TopicRevisions()
  readonly #owners: TopicOwners
  readonly #listeners: Array<TopicsListener> = []
  readonly #openedListeners: Array<() => void> = []
  /** Ids of topics that were removed lately, in their order: answers about them may be on their way. */
  readonly #removed = new RecentSet<string>(REMOVED_MAX)

  constructor(options: ShardTopicsOptions) {
    this.#options = options
    const { shard } = options.port
    const isOwned = (info: TopicInfo, partition: number): boolean => this.ownerOf(info, partition) === shard
    this.#open = new OpenPartitions({
      ...options,
      isOwned,
      limitsOf: (info) => this.#limits(info),
      current: (id) => this.directory.findById(id),
      opened: () => {
        for (const listener of this.#openedListeners) listener()
      }
    })
    this.#closed = new ClosedTopics({
      engines: options.engines,
      size: () => this.size,
      topics: () => this.directory.all(),
      isClosed: (info, partition) => isOwned(info, partition) && this.isClosed(info, partition),
      limitsOf: (info) => this.#limits(info)
    })
    this.#owners = new TopicOwners(options.slotOwners)
    const agreed = new AgreedTopics({
      ...options,
      isKept: options.synced !== undefined,
      forName: (name) => options.defaults.forName(name),
      conflicting: (tenant, filter, exceptId) => this.directory.conflicting(tenant, filter, exceptId)
    })
    this.#agreed = agreed
    const turns = new TopicTurns()
    const ask = (request: TopicRequest) => this.#coordinator.ask(request)
    const changing = { ...options, agreed, isOwned, open: this.#open, turns, ask }
    this.moves = new TopicMoves({ ...changing, switchTo: (changed) => this.#altered(changed) })
    this.bindings = new TopicBindings({
      ...changing,
      findById: (id) => this.findById(id),
      isRemoved: (id) => this.#removed.has(id)
    })
    this.#coordinator = new TopicCoordinator({
      port: options.port,
      agreed,
      mover: this.moves.mover,
      bindings: this.bindings,
      autoCreate: options.defaults.autoCreate,
      admit: () => this.published.admit(),
      coordinatorOf: (tenant, name) => this.#owners.coordinatorOf(tenant, name),
      find: (tenant, name) => this.find(tenant, name),
      add: (info) => this.#learn(info),
      turns,
      altered: (changed) => this.#altered(changed),
      remove: (id) => this.#remove(id),
      removeOwn: (info) => this.#removeOwn(info)
    })
    this.#removals = new Removals({
      port: options.port,
      open: this.#open,
      agreed,
      isCoordinated: ({ tenant, name }) => this.#owners.coordinatorOf(tenant, name) === shard
    })
    this.published = new PublishedTopics(options.published, options.port.shards, options.clock)
    this.#news = new TopicNews(options.port, {
      added: (info) => this.#add(info, false),
      removed: (id) => this.#remove(id)
    })
    this.#creations = new PublishCreations({
      ...options,
      coordinator: this.#coordinator,
      published: this.published,
      find: (tenant, name) => this.find(tenant, name),
      publish: (info) => this.#publish(info),
      removeOwn: (info) => this.#removeOwn(info)
    })
  }

  /** Takes over what the meta store says, now and for the life of the scope. */
  follow(): Effect.Effect<void, MetaStoreError, Scope.Scope> {
    const { meta, engines } = this.#options
    const changed = (change: MetaChange): void => this.metaChanged(change)
    const loaded = Effect.sync(() => {
      this.version += 1
      for (const listener of this.#listeners) listener(undefined)
    })
    const removed = meta.watch(REMOVED_PREFIX, (change) => this.#removals.metaChanged(change))
    const found = loadTopics({ directory: this.directory, engines, changed })
    return meta.watch(META_PREFIX, changed, found).pipe(Effect.andThen(loaded), Effect.andThen(removed))
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

  page(tenant: number, cursor: string, part: string, limit: number): ReadonlyArray<TopicInfo> {
    return this.directory.page(tenant, cursor, part, limit)
  }

  onChange(listener: TopicsListener): void {
    this.#listeners.push(listener)
  }

  /** Told when a log that was asked for before is open, or will not be for a while. */
  onOpened(listener: () => void): void {
    this.#openedListeners.push(listener)
  }

  ownerOf(topic: TopicInfo, partition: number): number {
    return this.#owners.ownerOf(topic, partition)
  }

  /** The shard that sequences a topic name that has no home; for a plain name, where its default topic would live. */
  ownerOfName(tenant: number, name: string): number {
    return this.#owners.ownerOfName(tenant, name)
  }

  /** Whether a PUBLISH on this name may create its home. */
  creatable(name: string): boolean {
    return this.#options.defaults.autoCreateMqtt !== "off" && topicOfName(name) !== undefined
  }

  /** Whether a topic that a PUBLISH creates is the coordinator's own, and there at once; else the meta store has to agree. */
  createsInMemory(): boolean {
    return this.#options.defaults.autoCreateMqtt !== "default"
  }

  /** Whether a partition's log is about to be there, or to be known not to be. */
  isOpening(topic: TopicInfo, partition: number): boolean {
    return this.#open.isOpening(topic, partition)
  }

  /**
   * The log of a partition that this shard owns. One that is not open is opened: at once, or it {@link ShardTopics.isOpening}, or it cannot
   * be. To be asked for again where {@link PartitionLog.isClosed}.
   */
  logUnsafe(topic: TopicInfo, partition: number): PartitionLog | undefined {
    return this.#open.logUnsafe(topic, partition)
  }

  /** Whether the log of a partition that this shard owns would have to be opened, and can be at any time. */
  isClosed(topic: TopicInfo, partition: number): boolean {
    return this.#open.isClosed(topic, partition)
  }

  whenSettled(topic: TopicInfo, partition: number, done: () => void): void {
    this.#open.whenSettled(topic, partition, done)
  }

  logs(): Iterable<PartitionLog> {
    return this.#open.logs()
  }

  /** What was counted in all logs, of topics that are gone too. */
  total(field: keyof LogCounts): number {
    return this.#open.total(field)
  }

  /** What became of gathered batches of topics that are compressed, by engine; for metrics. */
  *compressionCounts(): Iterable<readonly [engine: string, counts: CompressionCounts]> {
    for (const [engine, { counts }] of this.#open.engines.compressors) yield [engine, counts]
  }

  /** Done when every partition that is being opened now is open, or will not be for a while. */
  settled(): Effect.Effect<void> {
    return this.#open.settled()
  }

  /** See {@link PublishCreations.createUnsafe}. */
  createForPublishUnsafe(tenant: number, name: string): TopicInfo | undefined {
    return this.#creations.createUnsafe(tenant, name)
  }

  /** See {@link PublishCreations.agreeUnsafe}. */
  agreeForPublishUnsafe(tenant: number, name: string, ended: () => void): boolean {
    return this.#creations.agreeUnsafe(tenant, name, ended)
  }

  /** Seals what lies gathered, and looks after the byte bound of topics made by PUBLISH; called about once a second. */
  housekeep(): void {
    // One that gathered something and then nothing for a second gives its buffer back.
    this.#open.housekeep()
    this.#closed.trimSome()
    this.#creations.housekeep()
    this.#removals.housekeep()
  }

  #removeOwn({ id }: TopicInfo): void {
    this.#news.tellRemoved(id)
    this.#remove(id)
  }

  ensure(tenant: number, name: string): Effect.Effect<TopicInfo, TopicError> {
    const known = this.find(tenant, name)
    return known !== undefined
      ? Effect.succeed(known)
      : this.#coordinator.ask({ verb: "ensure", tenant, topic: { name } })
  }

  create(tenant: number, topic: NewTopic): Effect.Effect<TopicInfo, TopicError> {
    return this.#coordinator.ask({ verb: "create", tenant, topic })
  }

  plan(tenant: number, topic: NewTopic): Effect.Effect<TopicInfo, TopicError> {
    if (this.find(tenant, topic.name) !== undefined) return Effect.fail(taken(topic.name))
    return this.#agreed.plan(tenant, topic, "admin")
  }

  alter(tenant: number, name: string, alteration: TopicAlteration): Effect.Effect<TopicInfo, TopicError> {
    return this.#coordinator.ask({ verb: "alter", tenant, topic: { name }, alteration })
  }

  defaultsOf(name: string): TopicDefault {
    return this.#options.defaults.forName(name)
  }

  delete(tenant: number, name: string, id?: string): Effect.Effect<void, TopicError> {
    return this.#coordinator.ask({ verb: "delete", tenant, topic: { name }, id }).pipe(Effect.asVoid)
  }

  metaChanged(change: MetaChange): void {
    if (change.value === undefined) {
      const { tenant, name } = topicOfKey(change.key)
      this.#remove(this.find(tenant, name)?.id ?? "")
      return
    }
    const info = decodeTopic(change.key, change.value)
    if (this.#revisions.watched(info.id, change.revision)) this.#add(info, true)
  }

  /** Closes every partition; for the end of the shard. */
  closeAll(): Effect.Effect<void> {
    return Effect.andThen(
      Effect.sync(() => this.moves.close()),
      this.#open.closeAll()
    )
  }

  /** Makes a topic known here first, then elsewhere; undefined where its engine refuses at once. */
  #publish(info: TopicInfo): PartitionLog | undefined {
    this.#add(info, false)
    const log = this.logUnsafe(info, 0)
    if (log === undefined) {
      this.#remove(info.id)
      return undefined
    }
    this.#news.tellAdded(info)
    return log
  }

  /** Takes over what an answer says, which may be late: it brings no topic back, and takes no other one's place. */
  #learn(info: TopicInfo): void {
    if (this.find(info.tenant, info.name) === undefined && !this.#removed.has(info.id)) this.#add(info, true)
  }

  /** Takes over what was made of a topic, where the meta store's watch has not told of it or of something later. */
  #altered({ info, revision }: AgreedTopic): void {
    const isKnown = this.findById(info.id) !== undefined
    if (isKnown && this.#revisions.answered(info.id, revision)) this.#add(info, true)
  }

  /** `isAgreed`: the meta store has it, so that it comes back under its id; one that a PUBLISH made in memory comes back as another. */
  #add(info: TopicInfo, isAgreed: boolean): void {
    const before = this.find(info.tenant, info.name)
    if (before?.id === info.id) {
      if (isAgreed) this.#replaced(before, info)
      return
    }
    if (before !== undefined) this.#remove(before.id)
    this.directory.add(info)
    this.#open.add(info, isAgreed)
    this.#changed(info)
  }

  /** Takes over how a topic is kept now, and what else was altered of it. */
  #replaced(before: TopicInfo, info: TopicInfo): void {
    const isMoved = logIdOf(before) !== logIdOf(info) || before.mode !== info.mode
    const isBinding = isBoundOtherwise(before, info)
    if (!isMoved && !isBinding && !isAltered(before, info)) return
    if (isBinding) this.directory.rebind(info)
    else this.directory.replace(info)
    if (isMoved) this.moves.own.switched(info)
    this.#open.alter(info)
    this.#changed(info, isBinding || info.filter !== undefined)
    // Names have other partitions then, which other shards may own.
    if (before.partitions !== info.partitions && this.#options.port.shard === 0) {
      this.#options.tell?.(`topic "${info.name}" has ${info.partitions} partitions now; it had ${before.partitions}`)
    }
  }

  #limits(info: TopicInfo): PartitionLimits {
    return info.origin === "publish" && info.mode === "memory" ? this.published.partitionLimits : retentionLimits(info)
  }

  #remove(id: string): void {
    const info = this.directory.remove(id)
    if (info === undefined) return
    this.#removed.add(id)
    this.#revisions.forget(id)
    this.published.remove(id)
    this.#removals.begin(info)
    this.#changed(info)
  }

  /** Names have another home than before: its own one, or where it is bound or was, any. */
  #changed(info: TopicInfo, isBinding = info.filter !== undefined): void {
    if (isBinding) this.version += 1
    const name = isBinding ? undefined : (this.directory.ownName(info) ?? "")
    for (const listener of this.#listeners) listener(name)
    this.bindings.changed()
  }
}
