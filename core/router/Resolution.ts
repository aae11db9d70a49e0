/** What is known of one hot topic name: who wants it and where it is stored. Kept in a bounded table, made anew when stale. */
import type { PartitionLog } from "../log/PartitionLog.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { bucketOf } from "./buckets.ts"
import type { Delivery } from "./Delivery.ts"
import { NO_DELIVERIES } from "./Delivery.ts"

/**
 * Lines of answers between two shards, each in order. Topics of mode memory, which are acknowledged at once, have the first; the
 * others are spread over the rest, so that one whose commits hang holds up few others.
 */
export const LANES = 16

const NO_SHARDS: ReadonlyArray<number> = []

export class Resolution {
  readonly name: string
  readonly bucketOne: number
  readonly bucketTwo: number
  deliveries: ReadonlyArray<Delivery> = NO_DELIVERIES
  remoteShards: ReadonlyArray<number> = NO_SHARDS
  /** The topic that is this name's home; undefined = none. */
  home: TopicInfo | undefined
  partition = 0
  /** Whether the partition is another for each publisher: then the one above says who owns them all. */
  isByClient = false
  /** The home partition where this shard owns it. */
  log: PartitionLog | undefined
  /** The shard that sequences the name: owner of its home partition, or of the name itself. */
  owner = 0
  /** Which line of answers a message takes that is forwarded to the owner: {@link LANES}. */
  lane = 0
  /** Whether a first PUBLISH may create the home topic. */
  creatable = false
  /** Whether a retained message was published on the name here: then its owner sequences it, stored or not. */
  sequenced = false
  /** Whether a durable session may want messages of QoS 1 and 2 on this name: its owner puts them in the queue log. */
  queued = false
  /** Of the table that keeps it; 0 = none does. */
  generation = 0
  /** Set by exact subscriptions and by changes of the name's topic. */
  stale = true
  routesVersion = -1
  topicsVersion = -1

  constructor(name: string) {
    this.name = name
    const first = name.indexOf("/")
    const second = first < 0 ? -1 : name.indexOf("/", first + 1)
    const one = first < 0 ? name : name.slice(0, first)
    this.bucketOne = bucketOf(one)
    const two = first < 0 ? "" : second < 0 ? name : name.slice(0, second)
    this.bucketTwo = two === "" ? 0 : bucketOf(two)
  }
}
