/** Logs that topics are to have which are being moved: opened beside those in use, filled, and then in their place or closed. */
import { Effect } from "effect"
import {
  type Engine,
  type Engines,
  type LogStart,
  type PartitionLimits,
  StorageError,
  Unusable
} from "../log/Engines.ts"
import type { ReservedOffsets } from "../log/ReservedOffsets.ts"
import { keyOf, OpenPartition, type OpenPartitionParts } from "./OpenPartition.ts"
import { logIdOf, type TopicInfo } from "./TopicInfo.ts"

/** The open partitions of a topic, by number. */
export interface OpenTopic {
  info: TopicInfo
  /** Those of a topic that can be opened again are there while they are open. */
  readonly partitions: Array<OpenPartition | undefined>
  readonly reopens: boolean
  /** Of its partitions in memory offsets are given once. */
  readonly offsets: ReservedOffsets | undefined
}

export interface FuturePartitionsParts {
  readonly engines: typeof Engines.Service
  readonly offsets?: ReservedOffsets | undefined
  readonly limitsOf: (info: TopicInfo) => PartitionLimits
  readonly partsOf: (name: string, engine: Engine) => OpenPartitionParts
}

export class FuturePartitions {
  readonly #parts: FuturePartitionsParts
  readonly #topics = new Map<string, OpenTopic>()

  constructor(parts: FuturePartitionsParts) {
    this.#parts = parts
  }

  /** Ids of topics that are moved. */
  ids(): ReadonlyArray<string> {
    return [...this.#topics.keys()]
  }

  /**
   * Has an engine open the log that a partition of this shard is to have as `info` says. `start`: from where on one in memory must give
   * no offset again. Fails where it cannot be opened.
   */
  open(info: TopicInfo, partition: number, start: LogStart): Effect.Effect<OpenPartition, StorageError> {
    return Effect.gen({ self: this }, function* () {
      const { engines, limitsOf, partsOf } = this.#parts
      const engine = engines.get(info.engine)
      const refused = (message: string): StorageError =>
        new StorageError({ engine: info.engine, reason: new Unusable({ message }) })
      if (engine?.isCopyTarget !== true) return yield* refused("it takes no copies of other logs")
      const offsets = info.mode === "memory" ? this.#parts.offsets : undefined
      if (offsets !== undefined && !(yield* Effect.promise(() => offsets.begin(keyOf(info, partition), start)))) {
        return yield* refused("its offsets cannot be reserved: the journal takes nothing now")
      }
      const fresh: OpenTopic = { info, partitions: [], reopens: engine.reopens !== undefined, offsets }
      const topic = this.#topics.get(info.id) ?? fresh
      this.#topics.set(info.id, topic)
      const open = new OpenPartition(info, partition, partsOf(info.engine, engine))
      topic.partitions[partition] = open
      const options = { limits: limitsOf(info), offsets, isFuture: true }
      yield* Effect.callback<void>((resume) => {
        if (open.open(options, () => resume(Effect.void))) resume(Effect.void)
      })
      return open.future === undefined ? yield* refused("it cannot be opened") : open
    })
  }

  /** What was opened for a topic, which is the caller's to use or to close. */
  take(id: string): OpenTopic | undefined {
    const topic = this.#topics.get(id)
    this.#topics.delete(id)
    return topic
  }

  /** The same where it is what `info` says, filled: its logs can be had from now on. */
  become(info: TopicInfo): OpenTopic | undefined {
    const topic = this.#topics.get(info.id)
    if (topic === undefined || logIdOf(topic.info) !== logIdOf(info)) return undefined
    for (const open of openOf(topic)) open.becomeCurrent()
    return this.take(info.id)
  }
}

export function openOf({ partitions }: OpenTopic): ReadonlyArray<OpenPartition> {
  return partitions.filter((each) => each !== undefined)
}
