/**
 * The partitions that a Fetch is about, in the order in which they are read: of one request, or of a session.
 *
 * Invariants
 *  - A partition stands once; named twice in a request, the later naming holds and the earlier place stays.
 *  - Topics go by their id where the request does, else by name: the two are never mixed in one list.
 */
import type { EpochEnd, PartitionState, TopicInfo } from "../../../core/mod.ts"
import type { fetch } from "../wire/apis.ts"
import type { ElementOf, RecordsView, RequestOf } from "../wire/schema.ts"

type Request = RequestOf<typeof fetch>
type PartitionRequest = ElementOf<ElementOf<Request, "topics">, "partitions">

/** One topic of a list, and what it was when a request last looked it up. */
export class FetchTopic {
  /** As requests name it: one of the two. */
  readonly topic: string
  readonly topicId: string
  readonly partitions = new Map<number, FetchPartition>()
  /** Undefined where `errorCode` says why. */
  info: TopicInfo | undefined
  errorCode = 0

  constructor(topic: string, topicId: string) {
    this.topic = topic
    this.topicId = topicId
  }
}

/** What is wanted of one partition, what was told of it before, and what the current reading found. */
export class FetchPartition {
  readonly topic: FetchTopic
  readonly partition: number
  offset = 0
  sizeMax = 0
  /** The leader epoch that the client believes in, or -1. */
  leaderEpoch = -1
  /** The leader epoch of the client's last record, or -1. */
  lastFetchedEpoch = -1
  /** What the last answer of the session told; -1 = nothing, or an error. */
  toldHighWatermark = -1
  toldLogStartOffset = -1
  errorCode = 0
  /** The answer has a list of aborted transactions, if an empty one, for who wants none of what they wrote; else null. */
  hasAborted = true
  state: PartitionState | undefined
  /** Where the client's log parts from this one; undefined where it does not. */
  diverging: EpochEnd | undefined
  views: Array<RecordsView> = []
  /** Another shard, or a disk, answered for it. */
  isElsewhere = false

  constructor(topic: FetchTopic, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  ask({ fetchOffset, partitionMaxBytes, currentLeaderEpoch, lastFetchedEpoch }: PartitionRequest): void {
    this.offset = fetchOffset
    this.sizeMax = Math.max(0, partitionMaxBytes)
    this.leaderEpoch = currentLeaderEpoch
    this.lastFetchedEpoch = lastFetchedEpoch
  }
}

export class FetchList {
  readonly isById: boolean
  readonly topics = new Map<string, FetchTopic>()
  /** In the order in which they are read. */
  readonly partitions = new Set<FetchPartition>()

  constructor(isById: boolean) {
    this.isById = isById
  }

  /** Takes what a request names, over what it named before. */
  update(topics: Request["topics"]): void {
    for (const { topic: name, topicId, partitions } of topics) {
      const topic = this.#topic(name, topicId)
      for (const asked of partitions) {
        let partition = topic.partitions.get(asked.partition)
        if (partition === undefined) {
          partition = new FetchPartition(topic, asked.partition)
          topic.partitions.set(asked.partition, partition)
          this.partitions.add(partition)
        }
        partition.ask(asked)
      }
    }
    this.#dropEmpty(topics)
  }

  /** Lets go of what a request forgets; what is not there is no error. */
  forget(topics: Request["forgottenTopicsData"]): void {
    for (const { topic: name, topicId, partitions } of topics) {
      const topic = this.topics.get(this.isById ? topicId : name)
      for (const number of partitions) {
        const partition = topic?.partitions.get(number)
        if (partition === undefined) continue
        topic?.partitions.delete(number)
        this.partitions.delete(partition)
      }
    }
    this.#dropEmpty(topics)
  }

  /** Has the next reading come to the partition last. */
  moveToEnd(partition: FetchPartition): void {
    if (this.partitions.delete(partition)) this.partitions.add(partition)
  }

  #topic(name: string, topicId: string): FetchTopic {
    const key = this.isById ? topicId : name
    let topic = this.topics.get(key)
    if (topic === undefined) {
      topic = new FetchTopic(name, topicId)
      this.topics.set(key, topic)
    }
    return topic
  }

  /** A topic without partitions holds no place. */
  #dropEmpty(named: ReadonlyArray<{ readonly topic: string; readonly topicId: string }>): void {
    for (const { topic, topicId } of named) {
      const key = this.isById ? topicId : topic
      if (this.topics.get(key)?.partitions.size === 0) this.topics.delete(key)
    }
  }
}
