/** The options of `[[plugin]] use = "protocol-mqtt"`, their bounds and defaults. */
import * as v from "valibot"
import { addressList, checkTopicName } from "../../core/mod.ts"
import { autoSubscribeOptions } from "./auto-subscribe/auto-rule.ts"
import { areFewInTurn, BAN_RULES_MAX, blacklistOptions } from "./blacklist/ban-rule.ts"
import { listenerOptions, whole } from "./listener-options.ts"
import { REFUSAL_RULES_MAX, topicRefusalOptions } from "./refusal/refusal-rule.ts"
import { areSmall, REWRITE_RULES_MAX, TOO_LARGE, topicRewriteOptions } from "./rewrite/rewrite-rule.ts"
import { RULES_MAX, rulesOf } from "./rules/RuleSet.ts"
import { areDistinct, parseScramUser } from "./ScramUsers.ts"
import { STRATEGIES } from "./shared/strategies.ts"

export const options = v.strictObject({
  tcp: v.pipe(v.optional(addressList, ["127.0.0.1:1883"]), v.description("listeners for MQTT over TCP")),
  websocket: v.pipe(
    v.optional(addressList, ["127.0.0.1:8083"]),
    v.description("listeners for MQTT over WebSocket, path /mqtt")
  ),
  tls: v.pipe(v.optional(addressList, []), v.description("listeners for MQTT over TLS")),
  websocket_tls: v.pipe(
    v.optional(addressList, []),
    v.description("listeners for MQTT over WebSocket over TLS, path /mqtt")
  ),
  quic: v.pipe(
    v.optional(addressList, []),
    v.description("listeners for MQTT over QUIC, UDP ports: a preview, and not for an open network")
  ),
  unix: v.pipe(v.optional(v.array(v.string()), []), v.description("paths of unix sockets for clients on this machine")),
  listener: v.pipe(
    v.optional(v.array(listenerOptions), []),
    v.description("further listeners, each with limits or a certificate of its own")
  ),
  certificate: v.pipe(
    v.optional(v.string(), ""),
    v.description("PEM file with the certificate of the TLS and QUIC listeners; read again when it changes")
  ),
  private_key: v.pipe(v.optional(v.string(), ""), v.description("file with the certificate's private key, PEM")),
  client_ca: v.pipe(
    v.optional(v.string(), ""),
    v.description("file with the roots that client certificates are checked by, PEM")
  ),
  client_certificate: v.pipe(
    v.optional(v.picklist(["none", "optional", "required"]), "none"),
    v.description("whether TLS clients are asked for a certificate")
  ),
  proxy_protocol: v.pipe(
    v.optional(v.boolean(), false),
    v.description("whether a proxy says who each client of tcp, websocket and unix is; other connections are cut")
  ),
  packet_size_max: v.pipe(
    v.optional(whole(1_024, 268_435_460), 1_048_576),
    v.description("bytes a client may send in one packet")
  ),
  receive_maximum: v.pipe(
    v.optional(whole(1, 65_535), 65_535),
    v.description("unacknowledged QoS 1 and 2 messages that a client may have towards us")
  ),
  inflight_max: v.pipe(
    v.optional(whole(1, 32_767), 1_000),
    v.description("unacknowledged QoS 1 and 2 messages from us to a client")
  ),
  topic_alias_maximum: v.pipe(v.optional(whole(0, 65_535), 64), v.description("topic aliases that a client may set")),
  outbound_topic_alias_max: v.pipe(
    v.optional(whole(0, 65_535), 32),
    v.description("topic aliases that we use towards a client, of as many as it takes; 0 = none")
  ),
  queue_messages_max: v.pipe(
    v.optional(whole(0, 10_000_000), 100_000),
    v.description("messages that wait for one session, beyond those in flight")
  ),
  queue_bytes_max: v.pipe(
    v.optional(whole(0, 4_294_967_296), 67_108_864),
    v.description("bytes of messages that wait for one session; as many again may be in flight")
  ),
  queue_age_max: v.pipe(
    v.optional(whole(0, 4_294_967_295), 0),
    v.description("seconds after which a message does not wait any more; 0 = as long as the queue log keeps it")
  ),
  queue_overflow: v.pipe(
    v.optional(v.picklist(["oldest", "newest"]), "oldest"),
    v.description("what is dropped where more waits for a session that outlives its connection than these bounds allow")
  ),
  session_bytes_total_max: v.pipe(
    v.optional(whole(1_048_576, 68_719_476_736), 536_870_912),
    v.description("bytes of messages that all sessions of a shard keep")
  ),
  output_bytes_max: v.pipe(
    v.optional(whole(65_536, 1_073_741_824), 16_777_216),
    v.description("bytes that wait for one socket")
  ),
  output_bytes_total_max: v.pipe(
    v.optional(whole(1_048_576, 17_179_869_184), 268_435_456),
    v.description("bytes that wait for all sockets of a shard")
  ),
  session_expiry_max: v.pipe(
    v.optional(whole(0, 4_294_967_295), 4_294_967_295),
    v.description("seconds that a session may outlive its connection; 4294967295 = for ever")
  ),
  sessions_max: v.pipe(
    v.optional(whole(1, 10_000_000), 1_000_000),
    v.description("sessions, connected or not, on one shard")
  ),
  subscription_bytes_max: v.pipe(
    v.optional(whole(1_024, 1_073_741_824), 1_048_576),
    v.description("bytes of the topic filters of one session")
  ),
  subscriptions_max: v.pipe(v.optional(whole(1, 1_000_000), 10_000), v.description("topic filters of one session")),
  auto_subscribe: v.pipe(
    v.optional(rulesOf(autoSubscribeOptions, RULES_MAX), []),
    v.description("topic filters that every client is subscribed to when it connects")
  ),
  topic_rewrite: v.pipe(
    v.optional(
      v.pipe(
        rulesOf(topicRewriteOptions, REWRITE_RULES_MAX),
        v.check((rules) => areSmall(rules), TOO_LARGE)
      ),
      []
    ),
    v.description("rules by which topic names and filters become others")
  ),
  topic_refusal: v.pipe(
    v.optional(rulesOf(topicRefusalOptions, REFUSAL_RULES_MAX), []),
    v.description("topics that nobody may publish or subscribe to")
  ),
  blacklist: v.pipe(
    v.optional(
      v.pipe(
        rulesOf(blacklistOptions, BAN_RULES_MAX),
        v.check((rules) => areFewInTurn(rules), "expected at most 100 expressions of each kind and 100 networks")
      ),
      []
    ),
    v.description("clients, users and addresses that are kept out")
  ),
  flapping_detect: v.pipe(
    v.optional(v.boolean(), false),
    v.description("whether clients that connect again and again are put on the blacklist for a while")
  ),
  flapping_window: v.pipe(
    v.optional(whole(1, 3_600), 60),
    v.description("seconds in which connections of one client identifier are counted")
  ),
  flapping_connections_max: v.pipe(
    v.optional(whole(1, 100_000), 15),
    v.description("connections of one client identifier in that time; one more is one too many")
  ),
  flapping_ban_time: v.pipe(
    v.optional(whole(1, 31_536_000), 300),
    v.description("seconds that such a client is kept out")
  ),
  sys_interval: v.pipe(
    v.optional(whole(0, 86_400), 60),
    v.description(
      "seconds between two times that the broker tells of itself under $SYS; 0 = it does not, nor of clients"
    )
  ),
  slow_subscribe: v.pipe(
    v.optional(v.boolean(), false),
    v.description("whether the slowest deliveries are kept, by client and topic name")
  ),
  slow_subscribe_threshold: v.pipe(
    v.optional(whole(1, 3_600_000), 500),
    v.description("milliseconds from a message's receipt to its acknowledgement or write that are slow")
  ),
  slow_subscribe_top: v.pipe(
    v.optional(whole(1, 1_000), 100),
    v.description("of how many the slowest are kept, on one shard")
  ),
  slow_subscribe_expiry: v.pipe(
    v.optional(whole(1, 86_400), 300),
    v.description("seconds without anything slow after which one is forgotten")
  ),
  delayed_messages_max: v.pipe(
    v.optional(whole(0, 100_000_000), 1_000_000),
    v.description(
      "messages of one tenant that wait on one shard for their time, $delayed/seconds/topic; 0 = none are taken"
    )
  ),
  exclusive_subscriptions: v.pipe(
    v.optional(v.boolean(), true),
    v.description("whether a client may have a subscription to itself, $exclusive/filter")
  ),
  shared_subscriptions: v.pipe(
    v.optional(v.boolean(), true),
    v.description("whether clients may share subscriptions, $share/name/filter")
  ),
  shared_subscription_strategy: v.pipe(
    v.optional(v.picklist(STRATEGIES), "round_robin"),
    v.description("which member of a shared subscription gets a message")
  ),
  connect_timeout: v.pipe(
    v.optional(whole(1, 300), 10),
    v.description("seconds until a connection must have sent CONNECT")
  ),
  keep_alive_max: v.pipe(
    v.optional(whole(0, 65_535), 0),
    v.description("largest keep alive, seconds; 0 = as the client wishes")
  ),
  stalled_timeout: v.pipe(
    v.optional(whole(1, 3_600), 60),
    v.description("seconds a client may read nothing while output waits")
  ),
  response_information: v.pipe(
    v.optional(
      v.pipe(
        v.string(),
        v.maxLength(1_024),
        v.check((text) => text === "" || checkTopicName(text) === 0, "expected what a topic name may begin with")
      ),
      ""
    ),
    v.description(
      "what response topics of clients that ask begin with, \u0024{clientid} for each client's own; empty = not told"
    )
  ),
  server_reference: v.pipe(
    v.optional(v.pipe(v.string(), v.maxLength(1_024)), ""),
    v.description("where clients are sent when this broker stops, for instance other:1883; empty = they are not")
  ),
  scram_credentials: v.pipe(
    v.optional(
      v.array(
        v.pipe(
          v.string(),
          v.check((text) => parseScramUser(text) !== undefined, 'expected "user:SCRAM-SHA-256$iterations:salt$key:key"')
        )
      ),
      []
    ),
    v.check((users) => areDistinct(users), "expected each user once"),
    v.description("users of enhanced authentication, method SCRAM-SHA-256; manifold scram makes such a line")
  ),
  connections_max: v.pipe(
    v.optional(whole(1, 100_000_000), 1_000_000),
    v.description("clients that are connected, on one shard")
  ),
  connections_per_address_max: v.pipe(
    v.optional(whole(0, 100_000_000), 0),
    v.description("clients that are connected from one address, on one shard; 0 = as many as come")
  ),
  connections_per_user_max: v.pipe(
    v.optional(whole(0, 100_000_000), 0),
    v.description("clients of one user that are connected, on one shard; 0 = as many as come")
  ),
  connect_rate_max: v.pipe(
    v.optional(whole(0, 1_000_000), 0),
    v.description("CONNECTs a second that one shard takes, with bursts of a second's worth; 0 = as many as come")
  ),
  publish_rate_max: v.pipe(
    v.optional(whole(0, 10_000_000), 0),
    v.description(
      "messages a second from one client; above it nothing is read from the client for a while; 0 = no limit"
    )
  ),
  publish_bytes_rate_max: v.pipe(
    v.optional(whole(0, 10_000_000_000), 0),
    v.description("bytes of PUBLISH packets a second from one client; 0 = no limit")
  ),
  topic_bytes_max: v.pipe(v.optional(whole(1, 65_535), 65_535), v.description("bytes of a topic name or topic filter")),
  topic_levels_max: v.pipe(v.optional(whole(1, 128), 128), v.description("levels of a topic name or topic filter")),
  client_identifier_bytes_max: v.pipe(
    v.optional(whole(23, 65_535), 1_024),
    v.description("bytes of a client identifier")
  )
})

export type Settings = v.InferOutput<typeof options>
