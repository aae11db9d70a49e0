/** How the homes of plain topic names come to be because of a PUBLISH: in memory and at once, or agreed. */
import { Effect } from "effect"
import type { PartitionLog } from "../log/PartitionLog.ts"
import type { ClockShape } from "../platform/Clock.ts"
import { type RandomShape, randomUuid } from "../platform/Random.ts"
import { topicOfName } from "./default-binding.ts"
import type { PublishedTopics } from "./PublishedTopics.ts"
import type { TopicCoordinator } from "./TopicCoordinator.ts"
import type { TopicInfo } from "./TopicInfo.ts"

export interface PublishCreationsParts {
  readonly clock: Pick<ClockShape, "microtask">
  readonly random: RandomShape
  readonly log: (message: string) => void
  readonly coordinator: TopicCoordinator
  readonly published: PublishedTopics
  readonly find: (tenant: number, name: string) => TopicInfo | undefined
  /** Makes a topic known here first, then elsewhere; undefined where its engine refuses at once. */
  readonly publish: (info: TopicInfo) => PartitionLog | undefined
  /** Ends a topic that is this shard's own, on all shards. */
  readonly removeOwn: (info: TopicInfo) => void
}

export class PublishCreations {
  readonly #parts: PublishCreationsParts

  constructor(parts: PublishCreationsParts) {
    this.#parts = parts
  }

  /**
   * Creates the home of a plain topic name in memory because of a PUBLISH, on its coordinator. Returns it, or undefined where a bound
   * or the rate says no: the message is then routed and not stored.
   */
  createUnsafe(tenant: number, name: string): TopicInfo | undefined {
    const { find, coordinator, published, random, publish } = this.#parts
    const topicName = topicOfName(name)
    if (topicName === undefined || find(tenant, topicName) !== undefined) return undefined
    // A Kafka client's creation is under way: two topics of one name would cost the records of one.
    if (coordinator.isCreating(tenant, topicName)) return undefined
    if (!published.admit()) return undefined
    const id = randomUuid(random)
    const made = { partitions: 1, engine: "memory", mode: "memory" } as const
    const info: TopicInfo = { tenant, name: topicName, id, ...made, origin: "publish" }
    const log = publish(info)
    if (log === undefined) return undefined
    this.#evict(published.add(info, log))
    return info
  }

  /**
   * Has the home of a plain topic name agreed because of a PUBLISH on this shard; `ended` is called once, later, when it is known here
   * or will not be. False where there is nothing to create.
   */
  agreeUnsafe(tenant: number, name: string, ended: () => void): boolean {
    const { find, coordinator, clock, log } = this.#parts
    const topicName = topicOfName(name)
    if (topicName === undefined || find(tenant, topicName) !== undefined) return false
    const agreed = coordinator.ask({ verb: "publish", tenant, topic: { name: topicName } }).pipe(
      Effect.catch((error) =>
        Effect.sync(() => {
          // A flood of new names must not become one of lines; the rate's refusals are counted.
          if (error.reason !== "rate") log(`topic "${topicName}" cannot be created: ${error.message}`)
        })
      ),
      Effect.ensuring(Effect.sync(ended))
    )
    // Whoever asks may be in the midst of something that its end would call it back for.
    clock.microtask(() => void Effect.runFork(agreed))
    return true
  }

  /** Looks after the byte bound of topics made by PUBLISH. */
  housekeep(): void {
    this.#evict(this.#parts.published.census())
  }

  #evict(evicted: ReadonlyArray<TopicInfo>): void {
    const first = evicted[0]
    if (first === undefined) return
    this.#parts.log(
      `${evicted.length} topic(s) made by PUBLISH evicted, "${first.name}" among them: their bounds are reached`
    )
    for (const old of evicted) this.#parts.removeOwn(old)
  }
}
