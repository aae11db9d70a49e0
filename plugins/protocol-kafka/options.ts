/** Options of `[[plugin]] use = "protocol-kafka"`, as a person writes them. Sizes in bytes, times in ms. */
import * as v from "valibot"
import { addressList } from "../../core/mod.ts"
import { REQUEST_SIZE_MAX_DEFAULT } from "./wire/framing.ts"

const natural = v.pipe(v.number(), v.integer(), v.minValue(0))
const positive = v.pipe(v.number(), v.integer(), v.minValue(1))

const settings = v.strictObject({
  tcp: v.pipe(v.optional(addressList, ["127.0.0.1:9092"]), v.description("listeners for Kafka clients")),
  advertised: v.pipe(
    v.optional(addressList),
    v.description("one for each of tcp, as in Kafka's advertised.listeners; else the listener's own")
  ),
  request_size_max: v.pipe(
    v.optional(v.pipe(positive, v.maxValue(0x7fff_ffff)), REQUEST_SIZE_MAX_DEFAULT),
    v.description("bytes of one request")
  ),
  requests_held_max: v.pipe(
    v.optional(positive, 268_435_456),
    v.description("bytes of requests that have not arrived whole, on one shard")
  ),
  requests_in_flight_max: v.pipe(v.optional(positive, 64), v.description("unanswered requests of one connection")),
  message_size_max: v.pipe(v.optional(positive, 1_048_588), v.description("bytes of one record batch")),
  fetch_size_max: v.pipe(
    v.optional(positive, 57_671_680),
    v.description("bytes of one answer to Fetch, beyond its first batch")
  ),
  fetches_held_max: v.pipe(
    v.optional(positive, 67_108_864),
    v.description("bytes of answers to Fetch that clients have not taken yet, on one shard; then each gets one batch")
  ),
  fetch_sessions_max: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(10_000)), 1_000),
    v.description("fetch sessions that are kept, on one shard; 0 = none")
  ),
  fetch_session_partitions_max: v.pipe(
    v.optional(positive, 500_000),
    v.description("partitions of all fetch sessions that are kept, on one shard")
  ),
  idle_timeout_ms: v.pipe(
    v.optional(positive, 600_000),
    v.description("a connection that sends nothing for so long is closed")
  ),
  stall_timeout_ms: v.pipe(
    v.optional(positive, 60_000),
    v.description("a connection that takes no answers for so long is closed")
  ),
  group_initial_rebalance_delay_ms: v.pipe(
    v.optional(natural, 3_000),
    v.description("how long the first members of an empty group wait for others")
  ),
  group_session_timeout_min_ms: v.pipe(
    v.optional(positive, 6_000),
    v.description("the shortest session timeout of a group's member")
  ),
  group_session_timeout_max_ms: v.pipe(v.optional(positive, 1_800_000), v.description("the longest one")),
  group_size_max: v.pipe(v.optional(positive, 1_000), v.description("members of one group")),
  group_bytes_max: v.pipe(
    v.optional(positive, 8_388_608),
    v.description("bytes of one group: what its members say and get, and its committed offsets")
  ),
  groups_bytes_max: v.pipe(v.optional(positive, 134_217_728), v.description("bytes of all groups of one shard")),
  offsets_retention_ms: v.pipe(
    v.optional(positive, 604_800_000),
    v.description("committed offsets of a group that has been empty for so long are forgotten")
  )
})

export const options = v.pipe(
  settings,
  v.check(
    (given) => given.group_session_timeout_min_ms <= given.group_session_timeout_max_ms,
    "group_session_timeout_min_ms: expected no more than group_session_timeout_max_ms"
  ),
  v.check(
    ({ tcp, advertised }) => advertised === undefined || advertised.length === tcp.length,
    "advertised: expected one address for each of tcp"
  )
)

export type Settings = v.InferOutput<typeof options>
