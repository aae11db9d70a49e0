/**
 * The topics that a shard knows, by name, id and binding. A replica: it is told of changes, it decides nothing.
 *
 * They are records, not objects: what is found is made anew with each question, and two answers are compared by their ids.
 *
 * Invariant: a topic name has at most one home: exact name, then the filter with the longest literal prefix, then fewest
 * wildcards, then the default binding. Two filters that overlap with equal rank are refused at creation.
 */
import { OrderedPlaces } from "../collections/OrderedPlaces.ts"
import { FilterIndex } from "../router/FilterIndex.ts"
import { hasWildcard, literalPrefix, matches } from "../router/topic-filter.ts"
import { nameOfTopic, topicOfName } from "./default-binding.ts"
import { compareRank, filtersOverlap } from "./filter-relations.ts"
import { wasHomeOf } from "./former-bindings.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"
import type { TopicKind } from "./TopicKinds.ts"
import { TopicTable } from "./TopicTable.ts"

/** No filter has more levels. */
const LEVELS_MAX = 128

/** Some of the homes of what a filter matches. */
export interface HomesPage {
  readonly homes: ReadonlyArray<TopicInfo>
  /** The cursor of the next page; undefined = there is none. */
  readonly next: string | undefined
}

/** Who wants to hear of topics that come to be. */
interface HomesWatcher {
  readonly tenant: number
  readonly filter: string
  readonly came: (topic: TopicInfo) => void
}

interface TenantTopics {
  /** Places in the table. */
  readonly byName: OrderedPlaces
  /** Those with a filter, and those that were bound otherwise before. */
  readonly bound: Set<TopicInfo>
  readonly rebound: Set<TopicInfo>
  readonly bindings: FilterIndex<TopicInfo>
}

export class TopicDirectory {
  /** Rises when a topic is removed: names of its own have another home then, or none. */
  removals = 0
  readonly #tenants = new Map<number, TenantTopics>()
  readonly #table = new TopicTable()
  readonly #compare = (place: number): number => this.#table.compare(place)
  /** Ids of topics that were moved, by those of their logs. */
  readonly #moved = new Map<string, string>()
  readonly #matched: Array<TopicInfo> = []
  readonly #watchers = new Set<HomesWatcher>()

  get size(): number {
    return this.#table.size
  }

  find(tenant: number, name: string): TopicInfo | undefined {
    const topics = this.#tenants.get(tenant)
    return topics === undefined ? undefined : this.#named(topics, name)
  }

  findById(id: string): TopicInfo | undefined {
    const place = this.#table.placeOf(id)
    return place < 0 ? undefined : this.#table.topicAt(place)
  }

  /** All topics; they may come and go meanwhile. */
  all(): Iterator<TopicInfo> {
    return this.#table.topics()
  }

  list(tenant: number): ReadonlyArray<TopicInfo> {
    return this.page(tenant, "", "", Number.POSITIVE_INFINITY)
  }

  /** Topics whose name comes after `cursor` and holds `part`, in the order of names, at most `limit`. */
  page(tenant: number, cursor: string, part: string, limit: number): ReadonlyArray<TopicInfo> {
    const topics = this.#tenants.get(tenant)
    const found: Array<TopicInfo> = []
    if (topics === undefined || limit <= 0) return found
    for (const place of this.#places(topics, "", cursor)) {
      if (part === "" || this.#table.nameAt(place).includes(part)) found.push(this.#table.topicAt(place))
      if (found.length === limit) break
    }
    return found
  }

  /** The home of an MQTT topic name. */
  homeOf(tenant: number, name: string): TopicInfo | undefined {
    const topics = this.#tenants.get(tenant)
    if (topics === undefined) return undefined
    if (topics.bindings.valueCount > 0) {
      const matched = this.#matched
      matched.length = 0
      topics.bindings.matchInto(name, matched)
      let best: TopicInfo | undefined
      for (const candidate of matched) {
        if (best?.filter === undefined || compareRank(candidate.filter ?? "", best.filter) < 0) best = candidate
      }
      matched.length = 0
      if (best !== undefined) return best
    }
    const plain = topicOfName(name)
    if (plain === undefined) return undefined
    const topic = this.#named(topics, plain)
    return topic?.filter === undefined ? topic : undefined
  }

  /**
   * The topics that names which match an MQTT filter may have as their homes: those of the next `namesMax` names of topics behind `cursor`, of
   * those that begin as the filter does. The first page, of no cursor, has those with a filter of their own.
   */
  homesPage(tenant: number, filter: string, cursor: string, namesMax: number): HomesPage {
    if (!hasWildcard(filter)) {
      const home = this.homeOf(tenant, filter)
      return { homes: home === undefined ? [] : [home], next: undefined }
    }
    const topics = this.#tenants.get(tenant)
    const homes: Array<TopicInfo> = []
    if (topics === undefined) return { homes, next: undefined }
    for (const topic of cursor === "" ? topics.bound : []) {
      if (topic.filter !== undefined && filtersOverlap(topic.filter, filter)) homes.push(topic)
    }
    const literal = literalPrefix(filter, LEVELS_MAX)
    const prefix = literal === "" ? "" : topicOfName(literal)
    // What begins otherwise than plain names do is bound to no topic by default.
    if (prefix === undefined) return { homes, next: undefined }
    let left = namesMax
    for (const place of this.#places(topics, prefix, cursor)) {
      const name = this.#table.nameAt(place)
      const own = nameOfTopic(name)
      if (own !== undefined && matches(filter, own)) {
        const topic = this.#table.topicAt(place)
        if (topic.filter === undefined) homes.push(topic)
      }
      left -= 1
      if (left <= 0) return { homes, next: name }
    }
    return { homes, next: undefined }
  }

  /** The topics that were homes of names which match a filter, by bindings that were changed since. */
  formerHomes(tenant: number, filter: string): ReadonlyArray<TopicInfo> {
    return [...(this.#tenants.get(tenant)?.rebound ?? [])].filter((topic) => wasHomeOf(topic, filter))
  }

  /** Tells of each topic that comes to be and may be the home of names that match a filter, until what it returns is called. */
  watchHomes(tenant: number, filter: string, came: (topic: TopicInfo) => void): () => void {
    const watcher = { tenant, filter, came }
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  #tell(topic: TopicInfo): void {
    if (this.#watchers.size === 0) return
    const own = topic.filter === undefined ? nameOfTopic(topic.name) : undefined
    for (const { tenant, filter, came } of this.#watchers) {
      if (tenant !== topic.tenant) continue
      const isOne =
        topic.filter === undefined ? own !== undefined && matches(filter, own) : filtersOverlap(topic.filter, filter)
      // Of a single name there is one home, and that may be another.
      if (isOne && (hasWildcard(filter) || this.homeOf(tenant, filter)?.id === topic.id)) came(topic)
    }
  }

  /** The topic name that unkeyed records of `topic` go out on; undefined where its binding has a wildcard or it has none. */
  ownName(topic: TopicInfo): string | undefined {
    if (topic.filter === undefined) return nameOfTopic(topic.name)
    return /[+#]/.test(topic.filter) ? undefined : topic.filter
  }

  /** An existing topic, but the one of this id, whose filter overlaps `filter` with equal rank, so that a name would have two homes. */
  conflicting(tenant: number, filter: string, exceptId = ""): TopicInfo | undefined {
    for (const topic of this.#tenants.get(tenant)?.bound ?? []) {
      if (topic.filter === undefined || topic.id === exceptId) continue
      if (compareRank(topic.filter, filter) === 0 && filtersOverlap(topic.filter, filter)) return topic
    }
    return undefined
  }

  /** Takes a topic in; false where it is there already under this id. */
  add(topic: TopicInfo): boolean {
    if (this.#table.placeOf(topic.id) >= 0) return false
    const before = this.find(topic.tenant, topic.name)
    if (before !== undefined) this.remove(before.id)
    const topics = this.#topicsOf(topic.tenant)
    const place = this.#table.add(topic)
    this.#table.seek(topic.name)
    topics.byName.add(place)
    if (topic.logId !== undefined) this.#moved.set(topic.logId, topic.id)
    if (topic.filter !== undefined) {
      topics.bindings.add(topic.filter, topic)
      topics.bound.add(topic)
    }
    if (topic.formerly !== undefined) topics.rebound.add(topic)
    this.#tell(topic)
    return true
  }

  /**
   * Takes in one of very many without an object for it: its id is the 16 bytes at `start`, and it has no filter and no log of another id.
   * False where its name or its id is there already, or somebody wants to hear of it: then it is one to be added.
   */
  load(tenant: number, name: string, kind: TopicKind, bytes: Uint8Array, start: number): boolean {
    if (this.#watchers.size > 0) return false
    const { byName } = this.#topicsOf(tenant)
    this.#table.seek(name)
    if (byName.find() !== undefined) return false
    const place = this.#table.addPlain(tenant, kind, bytes, start)
    return place >= 0 && byName.add(place)
  }

  /** The topic whose partitions are stored under that id. */
  findByLog(logId: string): TopicInfo | undefined {
    return this.findById(this.#moved.get(logId) ?? logId)
  }

  /** A topic is kept otherwise than before; its names stay its own. Of one that has more partitions those hear who read all that it has. */
  replace(topic: TopicInfo): void {
    const before = this.findById(topic.id)
    const { removals } = this
    const watchers = [...this.#watchers]
    this.#watchers.clear()
    this.remove(topic.id)
    this.add(topic)
    for (const watcher of watchers) this.#watchers.add(watcher)
    this.removals = removals
    if (before !== undefined && before.partitions < topic.partitions) this.#tell(topic)
  }

  /** A topic is the home of other names than before; who watches for homes is told. */
  rebind(topic: TopicInfo): void {
    this.remove(topic.id)
    this.add(topic)
  }

  /** Takes a topic out; undefined where it was not there. */
  remove(id: string): TopicInfo | undefined {
    const place = this.#table.placeOf(id)
    if (place < 0) return undefined
    const topic = this.#table.topicAt(place)
    this.removals += 1
    this.#moved.delete(logIdOf(topic))
    const topics = this.#tenants.get(topic.tenant)
    this.#table.seek(topic.name)
    topics?.byName.delete()
    this.#table.remove(place)
    topics?.bound.delete(topic)
    topics?.rebound.delete(topic)
    if (topic.filter !== undefined) topics?.bindings.remove(topic.filter, topic)
    return topic
  }

  #topicsOf(tenant: number): TenantTopics {
    let topics = this.#tenants.get(tenant)
    if (topics === undefined) {
      topics = {
        byName: new OrderedPlaces(this.#compare),
        bound: new Set(),
        rebound: new Set(),
        // Its filters are chosen by who may bind topics, and by no client.
        bindings: new FilterIndex<TopicInfo>(0)
      }
      this.#tenants.set(tenant, topics)
    }
    return topics
  }

  #named({ byName }: TenantTopics, name: string): TopicInfo | undefined {
    this.#table.seek(name)
    const place = byName.find()
    return place === undefined ? undefined : this.#table.topicAt(place)
  }

  /** Places of topics whose names begin with `prefix` and come after `cursor`, in order; "" = no cursor. As long as nothing changes. */
  *#places({ byName }: TenantTopics, prefix: string, cursor: string): Generator<number, void> {
    // No name lies between the cursor and the same with a zero behind it.
    const after = cursor === "" ? "" : `${cursor}\0`
    this.#table.seek(after > prefix ? after : prefix)
    for (const place of byName.from()) {
      if (prefix !== "" && !this.#table.nameAt(place).startsWith(prefix)) return
      yield place
    }
  }
}
