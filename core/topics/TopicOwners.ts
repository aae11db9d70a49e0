/** Which shard owns what of topics: their partitions, their names' coordination, and the sequencing of topic names. */
import { SLOT_NAME, SLOT_TOPIC, slotOf } from "../shard/slots.ts"
import { topicOfName } from "./default-binding.ts"
import type { TopicInfo } from "./TopicInfo.ts"

export class TopicOwners {
  readonly #slotOwners: Uint16Array

  constructor(slotOwners: Uint16Array) {
    this.#slotOwners = slotOwners
  }

  /**
   * The shard that owns a partition. One has all those of a topic that is partitioned by client: a topic name of it is sequenced by one shard, and
   * its messages are in any of them.
   */
  ownerOf(topic: Pick<TopicInfo, "tenant" | "name" | "partitionBy">, partition: number): number {
    if (topic.partitionBy === "client") return this.coordinatorOf(topic.tenant, topic.name)
    return this.#owner(slotOf(topic.tenant, SLOT_TOPIC, topic.name, partition))
  }

  /** The shard through which all pass that makes, changes or ends a topic of that name. */
  coordinatorOf(tenant: number, name: string): number {
    return this.#owner(slotOf(tenant, SLOT_TOPIC, name, 0))
  }

  /** The shard that sequences a topic name that has no home; for a plain name, where its default topic would live. */
  ownerOfName(tenant: number, name: string): number {
    const topic = topicOfName(name)
    if (topic !== undefined) return this.coordinatorOf(tenant, topic)
    return this.#owner(slotOf(tenant, SLOT_NAME, name))
  }

  #owner(slot: number): number {
    return this.#slotOwners[slot] ?? 0
  }
}
