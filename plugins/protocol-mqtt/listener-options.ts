/** The options of one listener that is to have limits, or a certificate, of its own: `[[plugin.options.listener]]`. */
import * as v from "valibot"
import { addressList } from "../../core/mod.ts"

export const whole = (minimum: number, maximum: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(minimum), v.maxValue(maximum))

/** In the order of the `ready` line. */
export const TRANSPORTS = ["tcp", "websocket", "tls", "websocket_tls", "quic", "unix"] as const
export type Transport = (typeof TRANSPORTS)[number]
/** Those that show a certificate. */
export const WITH_TLS: ReadonlyArray<Transport> = ["tls", "websocket_tls", "quic"]

/** Whatever is left out is as in the options of the plugin. */
export const listenerOptions = v.pipe(
  v.strictObject({
    transport: v.pipe(v.picklist(TRANSPORTS), v.description("how MQTT comes")),
    address: v.pipe(v.string(), v.minLength(1), v.description("where: host:port, or the path of a unix socket")),
    connections_max: v.pipe(
      v.optional(whole(1, 100_000_000)),
      v.description("clients that are connected through it, on one shard; those of the plugin's options hold as well")
    ),
    connect_rate_max: v.pipe(
      v.optional(whole(0, 1_000_000)),
      v.description("CONNECTs a second through it that one shard takes; those of the plugin's options hold as well")
    ),
    publish_rate_max: v.pipe(
      v.optional(whole(0, 10_000_000)),
      v.description("messages a second from one of its clients; 0 = no limit")
    ),
    publish_bytes_rate_max: v.pipe(
      v.optional(whole(0, 10_000_000_000)),
      v.description("bytes of PUBLISH packets a second from one of its clients; 0 = no limit")
    ),
    packet_size_max: v.pipe(
      v.optional(whole(1_024, 268_435_460)),
      v.description("bytes that one of its clients may send in one packet")
    ),
    proxy_protocol: v.pipe(
      v.optional(v.boolean()),
      v.description("whether a proxy says who each of its clients is; of tcp, websocket and unix")
    ),
    certificate: v.pipe(v.optional(v.string()), v.description("file with its certificate, PEM")),
    private_key: v.pipe(v.optional(v.string()), v.description("file with the certificate's private key, PEM")),
    client_ca: v.pipe(
      v.optional(v.string()),
      v.description("file with the roots that client certificates are checked by, PEM")
    ),
    client_certificate: v.pipe(
      v.optional(v.picklist(["none", "optional", "required"])),
      v.description("whether its TLS clients are asked for a certificate")
    )
  }),
  v.check(
    ({ transport, address: at }) => transport === "unix" || v.is(addressList, at),
    'expected "host:port" as address'
  )
)

export type ListenerOptions = Readonly<v.InferOutput<typeof listenerOptions>>
