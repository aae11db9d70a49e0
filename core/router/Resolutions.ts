/**
 * The bounded table of resolutions: what a hot topic name needs is found by its bytes, with no string made; what is not hot is
 * worked out again when it comes.
 */
import type { Message } from "../ingress/Message.ts"
import { partitionOfName } from "../topics/partition-by.ts"
import type { ShardTopics } from "../topics/ShardTopics.ts"
import { NO_DELIVERIES } from "./Delivery.ts"
import { LANES, Resolution } from "./Resolution.ts"
import type { ShardRouter } from "./Router.ts"
import { TopicNameTable } from "./TopicNameTable.ts"
import { checkTopicNameBytes } from "./topic-filter.ts"

/** Topic names kept resolved, as many as partitions are kept open; one costs about 400 bytes beside its subscribers. */
export const RESOLUTIONS_MAX = 131_072
/** References to subscribers that they hold together, at most: many names times many subscribers of all of them. */
export const DELIVERIES_MAX = 4_194_304

/** Names that are looked at in one {@link Resolutions.housekeep}. */
const LOOKED_AT = 1_024

const encoder = new TextEncoder()
const scratch = new Uint8Array(65_535 * 3)

export class Resolutions {
  readonly #tables = new Map<number, TopicNameTable<Resolution>>()
  readonly #seed: number
  readonly #topics: ShardTopics
  #router: ShardRouter | undefined
  readonly #deliveriesMax: number
  #deliveryCount = 0
  /** Rises when the tables are emptied. */
  #generation = 1

  constructor(topics: ShardTopics, seed: number, deliveriesMax = DELIVERIES_MAX) {
    this.#deliveriesMax = deliveriesMax
    this.#topics = topics
    this.#seed = seed
    topics.onChange((name) => {
      if (name !== undefined && name !== "") this.invalidate(name)
    })
  }

  /** The router is told of stale names and this table asks it who wants a name: they are joined after both are made. */
  join(router: ShardRouter): void {
    this.#router = router
  }

  /** References to subscribers in the resolutions that are kept. */
  get deliveryCount(): number {
    return this.#deliveryCount
  }

  /** Names that are kept. */
  get nameCount(): number {
    let count = 0
    for (const table of this.#tables.values()) count += table.size
    return count
  }

  /** Lets go of subscribers of names that are not up to date: they may have gone long ago, and the name may never come again. */
  housekeep(): void {
    const router = this.#router
    if (router === undefined) return
    for (const table of this.#tables.values()) {
      table.visitNext(LOOKED_AT, (resolution) => {
        if (resolution.deliveries.length === 0) return
        if (!resolution.stale && resolution.routesVersion === router.versionOf(resolution)) return
        if (resolution.generation === this.#generation) this.#deliveryCount -= resolution.deliveries.length
        resolution.deliveries = NO_DELIVERIES
        resolution.stale = true
      })
    }
  }

  /** The resolution of a message's topic name, up to date; undefined where the name is not valid. */
  resolveUnsafe(message: Message): Resolution | undefined {
    const table = this.#table(message.tenant)
    const found = table.lookup(message.topic, message.topicStart, message.topicEnd)
    if (found === undefined) return this.#miss(message, table)
    const router = this.#router
    if (router === undefined) return undefined
    if (
      found.stale ||
      found.routesVersion !== router.versionOf(found) ||
      found.topicsVersion !== this.#topics.version
    ) {
      this.refresh(found, message.tenant)
    }
    message.name = found.name
    return found
  }

  /** Works a resolution out anew. */
  refresh(resolution: Resolution, tenant: number): void {
    const router = this.#router
    if (router === undefined) return
    resolution.stale = false
    resolution.routesVersion = router.versionOf(resolution)
    resolution.topicsVersion = this.#topics.version
    const before = resolution.deliveries.length
    this.#resolveHome(resolution, tenant)
    router.resolve(resolution)
    if (resolution.generation === this.#generation) this.#count(resolution.deliveries.length - before)
  }

  /** Counts references to subscribers; past the bound all names are worked out again when they come. */
  #count(more: number): void {
    this.#deliveryCount += more
    if (this.#deliveryCount <= this.#deliveriesMax) return
    for (const table of this.#tables.values()) table.clear()
    this.#deliveryCount = 0
    this.#generation += 1
  }

  /** The shard that sequences a topic name. */
  ownerOf(tenant: number, name: string): number {
    return this.homeOf(tenant, name).owner
  }

  /** Where a topic name is stored and sequenced, as known now; who wants it is left out. */
  homeOf(tenant: number, name: string): Resolution {
    const resolution = new Resolution(name)
    this.#resolveHome(resolution, tenant)
    return resolution
  }

  /** Marks one name stale. */
  invalidate(name: string): void {
    const { written } = encoder.encodeInto(name, scratch)
    for (const table of this.#tables.values()) {
      const found = table.lookup(scratch, 0, written)
      if (found !== undefined) found.stale = true
    }
  }

  #table(tenant: number): TopicNameTable<Resolution> {
    const table = this.#tables.get(tenant)
    if (table !== undefined) return table
    const made = new TopicNameTable<Resolution>({
      capacity: RESOLUTIONS_MAX,
      seed: this.#seed,
      onEvict: (resolution) => {
        resolution.generation = 0
        this.#deliveryCount -= resolution.deliveries.length
      }
    })
    this.#tables.set(tenant, made)
    return made
  }

  #miss(message: Message, table: TopicNameTable<Resolution>): Resolution | undefined {
    if (checkTopicNameBytes(message.topic, message.topicStart, message.topicEnd) !== 0) return undefined
    const resolution = new Resolution(message.name)
    this.refresh(resolution, message.tenant)
    table.insert(message.topic, message.topicStart, message.topicEnd, resolution)
    resolution.generation = this.#generation
    this.#count(resolution.deliveries.length)
    return resolution
  }

  #resolveHome(resolution: Resolution, tenant: number): void {
    const topics = this.#topics
    const home = topics.directory.homeOf(tenant, resolution.name)
    resolution.home = home
    resolution.log = undefined
    resolution.isByClient = false
    resolution.partition = 0
    resolution.lane = home === undefined || home.mode === "memory" ? 0 : laneOf(home.id)
    if (home === undefined) {
      resolution.creatable = topics.creatable(resolution.name)
      resolution.owner = topics.ownerOfName(tenant, resolution.name)
      return
    }
    resolution.creatable = false
    resolution.partition = partitionOfName(home, resolution.name)
    resolution.isByClient = home.partitionBy === "client" && home.partitions > 1
    resolution.owner = topics.ownerOf(home, resolution.partition)
  }
}

/** By the last digits of the topic's id. */
function laneOf(topicId: string): number {
  return 1 + (Number.parseInt(topicId.slice(-4), 16) % (LANES - 1))
}
