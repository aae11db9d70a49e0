/** What the in-process face refuses, and why: one family for each thing that a program asks for. */
import { Schema } from "effect"
import {
  BACKLOG,
  DISK_FULL,
  FAILED,
  FENCED,
  READ_ONLY,
  REFUSED_NOT_AUTHORIZED,
  REFUSED_QUOTA,
  REFUSED_TOPIC_NAME
} from "../../core/mod.ts"

/** More waits for acknowledgements than a publisher may have open: await `flush()`, then go on. */
export const REFUSED_BACKLOG = -201
/** The payload is larger than {@link PAYLOAD_BYTES_MAX}. */
export const REFUSED_TOO_LARGE = -202
/** The broker is closed, or closing. */
export const REFUSED_CLOSED = -203

/** A message must fit into one MQTT packet for whoever subscribes; half of what MQTT allows leaves room for the rest. */
export const PAYLOAD_BYTES_MAX = 134_217_728

/** A message that was not taken, or was lost before its mode's promise was kept. */
export class PublishError extends Schema.TaggedError<PublishError>()("PublishError", {
  topicName: Schema.String,
  reason: Schema.Literals([
    "topic-name",
    "properties",
    "too-large",
    "not-authorized",
    "quota",
    "backlog",
    "storage",
    "closed"
  ]),
  message: Schema.String
}) {}

/** A subscription that was refused, or had to end. */
export class SubscriptionError extends Schema.TaggedError<SubscriptionError>()("SubscriptionError", {
  filter: Schema.String,
  reason: Schema.Literals(["topic-filter", "shared", "not-authorized", "overflow", "closed"]),
  message: Schema.String
}) {}

/** Records that cannot be read. `logStartOffset` and `highWatermark` say what can; -1 where they are not known. */
export class ReadError extends Schema.TaggedError<ReadError>()("ReadError", {
  topic: Schema.String,
  partition: Schema.Number,
  reason: Schema.Literals([
    "unknown-topic",
    "not-authorized",
    "out-of-range",
    "not-available",
    "storage",
    "unreadable",
    "closed"
  ]),
  message: Schema.String,
  logStartOffset: Schema.Number,
  highWatermark: Schema.Number
}) {}

type Reason = PublishError["reason"]

const reasons: ReadonlyMap<number, readonly [reason: Reason, message: string]> = new Map<
  number,
  readonly [Reason, string]
>([
  [REFUSED_TOPIC_NAME, ["topic-name", "not a topic name"]],
  [REFUSED_NOT_AUTHORIZED, ["not-authorized", "access rules forbid it"]],
  [REFUSED_QUOTA, ["quota", "storage has no room for it: a bound is reached, or its log is not open"]],
  [REFUSED_BACKLOG, ["backlog", "too many messages wait for their acknowledgement: await them, then go on"]],
  [REFUSED_TOO_LARGE, ["too-large", `a payload has at most ${PAYLOAD_BYTES_MAX} bytes`]],
  [REFUSED_CLOSED, ["closed", "the broker is closed"]],
  [BACKLOG, ["storage", "storage is behind: try again"]],
  [READ_ONLY, ["storage", "the topic's storage is read only"]],
  [DISK_FULL, ["storage", "the disk is full"]],
  [FENCED, ["storage", "another node leads the partition"]],
  [FAILED, ["storage", "a write failed: what was not committed is lost"]]
])

/** The error that a refusal's number stands for. */
export function publishError(topicName: string, refusal: number): PublishError {
  const [reason, message] = reasons.get(refusal) ?? ["storage", `refused with ${refusal}`]
  return new PublishError({ topicName, reason, message })
}
