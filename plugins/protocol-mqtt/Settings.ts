/** The options of `[[plugin]] use = "protocol-mqtt"`, their bounds and defaults. */
import * as v from "valibot"
import { addressList } from "../../core/mod.ts"

const whole = (minimum: number, maximum: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(minimum), v.maxValue(maximum))

export const options = v.strictObject({
  /** Listeners for MQTT over TCP. */
  tcp: v.optional(addressList, ["127.0.0.1:1883"]),
  /** Listeners for MQTT over WebSocket, path /mqtt. */
  websocket: v.optional(addressList, ["127.0.0.1:8083"]),
  /** Largest packet a client may send, bytes; announced in CONNACK. */
  packet_size_max: v.optional(whole(1_024, 268_435_460), 1_048_576),
  /** Unacknowledged QoS 1 and 2 messages a client may have towards us. */
  receive_maximum: v.optional(whole(1, 65_535), 65_535),
  /** Unacknowledged QoS 1 and 2 messages that we have towards a client, if it allows as many. */
  inflight_max: v.optional(whole(1, 32_767), 1_000),
  /** Topic aliases a client may set. */
  topic_alias_maximum: v.optional(whole(0, 65_535), 64),
  /** Messages that wait for one session, beyond those in flight. */
  queue_messages_max: v.optional(whole(0, 10_000_000), 100_000),
  /** Bytes that wait for one session; as many again may be in flight to it. */
  queue_bytes_max: v.optional(whole(0, 4_294_967_296), 67_108_864),
  /** Bytes of messages that all sessions of a shard keep; a message that several keep counts once. */
  session_bytes_total_max: v.optional(whole(1_048_576, 68_719_476_736), 536_870_912),
  /** Bytes that wait for the socket of one connection; beyond, QoS 0 is dropped and QoS 1 and 2 are queued. */
  output_bytes_max: v.optional(whole(65_536, 1_073_741_824), 16_777_216),
  /** Bytes that wait for all sockets of a shard. */
  output_bytes_total_max: v.optional(whole(1_048_576, 17_179_869_184), 268_435_456),
  /** Seconds; 4,294,967,295 = sessions may live for ever. */
  session_expiry_max: v.optional(whole(0, 4_294_967_295), 4_294_967_295),
  /** Sessions, connected or not, on one shard. */
  sessions_max: v.optional(whole(1, 10_000_000), 1_000_000),
  /** Bytes of one session's topic filters. */
  subscription_bytes_max: v.optional(whole(1_024, 1_073_741_824), 1_048_576),
  /** Topic filters of one session. */
  subscriptions_max: v.optional(whole(1, 1_000_000), 10_000),
  /** Seconds until a connection must have sent its CONNECT. */
  connect_timeout: v.optional(whole(1, 300), 10),
  /** Largest keep alive, seconds; 0 = as the client wishes. */
  keep_alive_max: v.optional(whole(0, 65_535), 0),
  /** Seconds a client may read nothing while output waits, before it is closed. */
  stalled_timeout: v.optional(whole(1, 3_600), 60),
  /** Longest client identifier, bytes. */
  client_identifier_bytes_max: v.optional(whole(23, 65_535), 1_024)
})

export type Settings = v.InferOutput<typeof options>
