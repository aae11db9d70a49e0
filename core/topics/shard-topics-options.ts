/** What the topics of a shard are given. */
import type { LinkPort } from "../link/LinkPort.ts"
import type { MetaStoreShape } from "../meta/MetaStore.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { RandomShape } from "../platform/Random.ts"
import type { OpenPartitionsOptions } from "./OpenPartitions.ts"
import type { PublishedTopicsLimits } from "./PublishedTopics.ts"
import type { MoveGate } from "./TopicMover.ts"
import type { TopicDefaults } from "./Topics.ts"

export interface ShardTopicsOptions extends OpenPartitionsOptions {
  readonly port: LinkPort
  readonly slotOwners: Uint16Array
  readonly meta: MetaStoreShape
  readonly clock: ClockShape
  readonly random: RandomShape
  readonly defaults: TopicDefaults
  readonly published: PublishedTopicsLimits
  /** Settled when all that the shard's journal has taken is on the disk; absent = nothing is kept over a restart. */
  readonly synced?: (() => Promise<void>) | undefined
  /** One line of what was done, for the operator. */
  readonly tell?: (message: string) => void
  /** Of the whole node; absent = there are no backups. */
  readonly gate?: MoveGate
}
