/** Options of `[[plugin]] use = "protocol-kafka"`, as a person writes them. Sizes in bytes, times in ms. */
import * as v from "valibot"
import { addressList } from "../../core/mod.ts"
import { REQUEST_SIZE_MAX_DEFAULT } from "./wire/framing.ts"

const positive = v.pipe(v.number(), v.integer(), v.minValue(1))

const settings = v.strictObject({
  tcp: v.optional(addressList, ["127.0.0.1:9092"]),
  /** One for each listener, in order, as in Kafka's advertised.listeners; absent = the listener's own address. Port 0 = its port. */
  advertised: v.optional(addressList),
  /** Largest request, as Kafka's socket.request.max.bytes. */
  request_size_max: v.optional(v.pipe(positive, v.maxValue(0x7fff_ffff)), REQUEST_SIZE_MAX_DEFAULT),
  /** Bytes that all connections of a shard may hold of requests that are not whole. */
  requests_held_max: v.optional(positive, 268_435_456),
  /** Requests of one connection that are not answered yet; beyond it we stop reading. */
  requests_in_flight_max: v.optional(positive, 64),
  /** Largest record batch that Produce takes, as Kafka's max.message.bytes. */
  message_size_max: v.optional(positive, 1_048_588),
  /** Largest answer to one Fetch, beyond its first batch; a client that asks for more gets this much. */
  fetch_size_max: v.optional(positive, 16_777_216),
  /** A connection that sends nothing for this long is closed, as Kafka's connections.max.idle.ms. */
  idle_timeout_ms: v.optional(positive, 600_000),
  /** A connection that does not take its answers for this long is closed. */
  stall_timeout_ms: v.optional(positive, 60_000)
})

export const options = v.pipe(
  settings,
  v.check(
    ({ tcp, advertised }) => advertised === undefined || advertised.length === tcp.length,
    "advertised: expected one address for each of tcp"
  )
)

export type Settings = v.InferOutput<typeof options>
