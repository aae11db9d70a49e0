/** Why a topic was not created, deleted, moved or altered. */
import { Schema } from "effect"

export class TopicError extends Schema.TaggedError<TopicError>()("TopicError", {
  topic: Schema.String,
  reason: Schema.Literals([
    "invalid-name",
    "invalid-filter",
    /** Automatic creation is off. */
    "not-allowed",
    /** Messages on new names ask for more topics a second than may be created. */
    "rate",
    "exists",
    "not-found",
    /** Another topic's filter has the same rank and shares names with this one: a name would have two homes. */
    "filter-conflict",
    /** Its records are not partitioned by their keys. */
    "not-compactable",
    "engine-missing",
    "mode-missing",
    /** Its engine cannot compact topics. */
    "compaction-missing",
    /** What is published on the names of its binding does not come to its end. */
    "busy",
    /** A move of it is under way. */
    "moving",
    "not-moving",
    /** It cannot be moved like that. */
    "move-refused",
    /** Kafka has no such configuration, or not with that value. */
    "invalid-config",
    /** It cannot have so many partitions. */
    "invalid-partitions",
    /** It cannot be altered. */
    "alter-refused",
    /** It could not be agreed; nothing was changed, as far as can be known. */
    "meta-store"
  ]),
  message: Schema.String
}) {}
