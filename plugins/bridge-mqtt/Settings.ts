/** The options of `[[plugin]] use = "bridge-mqtt"`: one table for each bridge, `[[plugin.options.bridge]]`. */
import * as v from "valibot"
import { address, checkTopicFilter, checkTopicName, parseAddress } from "../../core/mod.ts"
import type { Version } from "./wire/packet-types.ts"

const BRIDGES_MAX = 100
const RULES_MAX = 1_000

const whole = (minimum: number, maximum: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(minimum), v.maxValue(maximum))
const file = v.pipe(v.string(), v.maxLength(4_096))

/** Bytes of a string or of binary data in a packet. */
export const FIELD_BYTES_MAX = 65_535
const field = v.pipe(
  v.string(),
  v.maxLength(FIELD_BYTES_MAX),
  v.check((text) => Buffer.byteLength(text) <= FIELD_BYTES_MAX, `expected ${FIELD_BYTES_MAX} bytes at most`)
)

/** Filters that mean something to the broker they are sent to are no rules of a bridge. */
const SPECIAL = /^\$(?:share|exclusive|delayed|replay|queue)(?:\/|$)/

const filter = v.pipe(
  v.string(),
  v.check((text) => checkTopicFilter(text) === 0 && !SPECIAL.test(text), "expected a topic filter")
)

/** What stands in front of a topic name. */
const prefix = v.pipe(
  v.string(),
  v.maxLength(1_024),
  v.check(
    (text) => text === "" || (checkTopicName(text) === 0 && !SPECIAL.test(text)),
    "expected what a topic name may begin with"
  )
)

const rule = v.pipe(
  v.strictObject({
    filter: v.pipe(filter, v.description("which messages, without the prefixes")),
    qos: v.pipe(v.optional(whole(0, 2), 1), v.description("the highest QoS that they pass with")),
    local_prefix: v.pipe(v.optional(prefix, ""), v.description("what their topic names begin with in this broker")),
    remote_prefix: v.pipe(v.optional(prefix, ""), v.description("what they begin with at the remote"))
  }),
  v.check(
    ({ filter: text, local_prefix, remote_prefix }) =>
      [local_prefix + text, remote_prefix + text].every((each) => checkTopicFilter(each) === 0 && !SPECIAL.test(each)),
    "expected prefixes with which the filter is still one, for instance such that end with /"
  )
)

type Rules = ReadonlyArray<v.InferOutput<typeof rule>>

/** A second rule of the same filter would never count. */
const areDifferent = (rules: Rules, side: "local_prefix" | "remote_prefix"): boolean =>
  new Set(rules.map((each) => each[side] + each.filter)).size === rules.length

const bridge = v.pipe(
  v.strictObject({
    name: v.pipe(
      v.string(),
      v.regex(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 of A-Z a-z 0-9 _ -"),
      v.description("what the bridge is called; its session here belongs to the client manifold-bridge-NAME")
    ),
    remote: v.pipe(
      address,
      v.check((text) => parseAddress(text)?.port !== 0, "expected a port from 1 to 65535"),
      v.description("the remote broker, host:port")
    ),
    enabled: v.pipe(
      v.optional(v.boolean(), true),
      v.description("false: it does not connect, and messages wait for it")
    ),
    protocol: v.pipe(v.optional(v.picklist(["5.0", "3.1.1"]), "5.0"), v.description("the version of MQTT")),
    try_private: v.pipe(
      v.optional(v.boolean(), true),
      v.description("whether it says to a 3.1.1 broker that it is a bridge, as mosquitto understands it")
    ),
    client_id: v.pipe(
      v.optional(v.pipe(v.string(), v.maxLength(1_024)), ""),
      v.description("client identifier at the remote; empty = one that no other node has")
    ),
    username: v.pipe(v.optional(field, ""), v.description("user name; empty = none")),
    password: v.pipe(v.optional(field, ""), v.description("password; empty = none")),
    password_file: v.pipe(v.optional(file, ""), v.description("a file with the password, read at each attempt")),
    tls: v.pipe(v.optional(v.boolean(), false), v.description("whether the connection is secured with TLS")),
    ca: v.pipe(
      v.optional(file, ""),
      v.description("file with the roots that vouch for the remote, PEM; empty = those of the system")
    ),
    server_name: v.pipe(
      v.optional(v.pipe(v.string(), v.maxLength(253)), ""),
      v.description("the name that the remote's certificate is good for; empty = the host of remote")
    ),
    certificate: v.pipe(v.optional(file, ""), v.description("file with a certificate to show to the remote, PEM")),
    private_key: v.pipe(v.optional(file, ""), v.description("file with the certificate's private key, PEM")),
    keep_alive: v.pipe(
      v.optional(whole(0, 65_535), 60),
      v.description("seconds of silence after which the remote is pinged at the latest; 0 = it is not")
    ),
    answer_timeout: v.pipe(
      v.optional(whole(1, 300), 10),
      v.description("seconds that the remote may take to answer CONNECT and SUBSCRIBE")
    ),
    session_expiry: v.pipe(
      v.optional(whole(1, 4_294_967_295), 604_800),
      v.description("seconds that the remote keeps the session while there is no connection; 5.0")
    ),
    backoff_min_ms: v.pipe(
      v.optional(whole(10, 3_600_000), 1_000),
      v.description("milliseconds that it waits at least before it connects again")
    ),
    backoff_max_ms: v.pipe(
      v.optional(whole(10, 3_600_000), 60_000),
      v.description("milliseconds that it waits at most; the time is drawn, from a range that doubles")
    ),
    inflight_max: v.pipe(
      v.optional(whole(1, 65_535), 20),
      v.description("unacknowledged QoS 1 and 2 messages in either direction, of as many as the remote takes")
    ),
    packet_size_max: v.pipe(
      v.optional(whole(1_024, 268_435_460), 1_048_576),
      v.description("bytes that the remote may send in one packet")
    ),
    queue_messages_max: v.pipe(
      v.optional(whole(1, 100_000_000), 1_000_000),
      v.description("messages that wait for the remote, of each shard")
    ),
    queue_bytes_max: v.pipe(
      v.optional(whole(1_024, 1_099_511_627_776), 268_435_456),
      v.description("their bytes, of each shard")
    ),
    queue_age_max: v.pipe(
      v.optional(whole(0, 4_294_967_295), 0),
      v.description("seconds after which a message does not wait any more; 0 = as long as the queue log keeps it")
    ),
    queue_overflow: v.pipe(
      v.optional(v.picklist(["oldest", "newest"]), "oldest"),
      v.description("what is dropped where more waits")
    ),
    hops_max: v.pipe(
      v.optional(whole(0, 100), 8),
      v.description("brokers that a message may pass over bridges; 0 = that is not noted, and loops are not seen; 5.0")
    ),
    out: v.pipe(
      v.optional(v.pipe(v.array(rule), v.maxLength(RULES_MAX)), []),
      v.description("what goes to the remote")
    ),
    in: v.pipe(v.optional(v.pipe(v.array(rule), v.maxLength(RULES_MAX)), []), v.description("what comes from it"))
  }),
  v.check(({ out, in: inward }) => out.length + inward.length > 0, "expected a table out or in, or several"),
  v.check(
    ({ out, in: inward }) => areDifferent(out, "local_prefix") && areDifferent(inward, "remote_prefix"),
    "expected each filter once in out, and once in in, with its prefix of the side where messages begin"
  ),
  v.check(
    ({ in: inward }) => inward.every(({ local_prefix, filter: text }) => !(local_prefix + text).startsWith("$")),
    "expected what comes in to have names that do not begin with $ here, by local_prefix"
  ),
  v.check(
    ({ backoff_min_ms, backoff_max_ms }) => backoff_min_ms <= backoff_max_ms,
    "expected backoff_max_ms of backoff_min_ms or more"
  ),
  v.check(
    ({ password, password_file }) => password === "" || password_file === "",
    "expected one of password, password_file"
  ),
  v.check(
    ({ username, password, password_file, protocol }) =>
      protocol === "5.0" || username !== "" || (password === "" && password_file === ""),
    "expected a username with the password, which 3.1.1 asks for"
  ),
  v.check(
    ({ tls, ca, server_name, certificate }) => tls || (ca === "" && server_name === "" && certificate === ""),
    "expected tls = true with ca, server_name or certificate"
  ),
  v.check(
    ({ certificate, private_key }) => (certificate === "") === (private_key === ""),
    "expected certificate and private_key together"
  )
)

export const options = v.strictObject({
  bridge: v.pipe(
    v.optional(
      v.pipe(
        v.array(bridge),
        v.maxLength(BRIDGES_MAX),
        v.check((all) => new Set(all.map(({ name }) => name)).size === all.length, "expected each name once")
      ),
      []
    ),
    v.description("remote brokers, and what passes to them and from them")
  )
})

export type Settings = v.InferOutput<typeof options>
export type BridgeSettings = Readonly<Settings["bridge"][number]>

export function versionOf({ protocol }: BridgeSettings): Version {
  return protocol === "5.0" ? 5 : 4
}
