/** Topics as plugins see them: which there are, and how new ones come to be. */
import { Context, type Effect } from "effect"
import type { NewTopic } from "./AgreedTopics.ts"
import type { TopicError } from "./TopicError.ts"
import type { TopicDefault, TopicInfo } from "./TopicInfo.ts"
import type { TopicAlteration } from "./topic-alteration.ts"

export type { NewTopic } from "./AgreedTopics.ts"
export { TopicError } from "./TopicError.ts"
export type { ConfigOperation, TopicAlteration } from "./topic-alteration.ts"

/** What new topics are made of: `[topics]` and its rules, resolved by the configuration. */
export interface TopicDefaults {
  readonly autoCreate: boolean
  readonly autoCreateMqtt: "memory" | "default" | "off"
  /** What a created topic of this name is where nobody says otherwise. */
  readonly forName: (name: string) => TopicDefault
}

/** What a change makes stale: one topic name, or all (`undefined`). */
export type TopicsListener = (topicName: string | undefined) => void

export interface TopicsShape {
  find(tenant: number, name: string): TopicInfo | undefined
  findById(id: string): TopicInfo | undefined
  list(tenant: number): ReadonlyArray<TopicInfo>
  /** Topics whose name comes after `cursor` and holds `part`, in the order of names, at most `limit`. */
  page(tenant: number, cursor: string, part: string, limit: number): ReadonlyArray<TopicInfo>
  /** A new topic, agreed and known on this shard when this is done; fails with "exists" where its name is taken. */
  create(tenant: number, topic: NewTopic): Effect.Effect<TopicInfo, TopicError>
  /** What {@link TopicsShape.create} would make, or why it would fail, as far as this shard can know. */
  plan(tenant: number, topic: NewTopic): Effect.Effect<TopicInfo, TopicError>
  /** Changes configurations of a topic, or adds partitions, in one step; known on this shard when this is done. */
  alter(tenant: number, name: string, alteration: TopicAlteration): Effect.Effect<TopicInfo, TopicError>
  /** What a topic of this name is made with where nobody says otherwise. */
  defaultsOf(name: string): TopicDefault
  /** Deletes a topic with all that it holds; fails with "not-found" where there is none of this name, or none of it with this id. */
  delete(tenant: number, name: string, id?: string): Effect.Effect<void, TopicError>
  /** The topic of this name, created by the rules for Kafka clients where it is missing and that is allowed. */
  ensure(tenant: number, name: string): Effect.Effect<TopicInfo, TopicError>
  /** Whether an unknown topic may be created because a Kafka client asks for it. */
  readonly autoCreate: boolean
}

export class Topics extends Context.Service<Topics, TopicsShape>()("manifold/core/topics/Topics") {}
