/**
 * The listeners of the options: MQTT over TCP, TLS, WebSocket, WebSocket over TLS and unix sockets, each as often as is asked for.
 *
 * Source: MQTT 5.0 sections 4.2 and 6.
 */
import { Effect, type Scope } from "effect"
import {
  type Accept,
  behindProxy,
  type ClockShape,
  type FilesShape,
  type ListenError,
  type Listening,
  type LogShape,
  type NetShape,
  PluginError,
  type TlsSource,
  watchCertificates
} from "../../core/mod.ts"
import type { Settings } from "./Settings.ts"

/** Largest WebSocket frame, beyond the largest packet: a frame may hold several packets. */
const FRAME_SLACK_BYTES = 65_536

export type Transport = "tcp" | "tls" | "websocket" | "websocket_tls" | "quic" | "unix"

/** One listener as it is opened. */
export interface ListenerWish {
  readonly transport: Transport
  readonly address: string
}

export interface ListenerParts {
  readonly net: NetShape
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly log: LogShape
  readonly accept: Accept
  /** Told of each that stands. */
  readonly announce: (transport: Transport, address: string) => Effect.Effect<void, never, Scope.Scope>
}

/** What the options ask for, in the order of the `ready` line. */
export function listenersOf(settings: Settings): ReadonlyArray<ListenerWish> {
  const all = (transport: Transport, addresses: ReadonlyArray<string>) =>
    addresses.map((address) => ({ transport, address }))
  return [
    ...all("tcp", settings.tcp),
    ...all("websocket", settings.websocket),
    ...all("tls", settings.tls),
    ...all("websocket_tls", settings.websocket_tls),
    ...all("quic", settings.quic),
    ...all("unix", settings.unix)
  ]
}

const faulty = (message: string) => new PluginError({ plugin: "protocol-mqtt", message })

/** Opens all of them for the life of the scope. */
export function openListeners(settings: Settings, parts: ListenerParts): Effect.Effect<void, PluginError, Scope.Scope> {
  return Effect.gen(function* () {
    const tls = yield* certificates(settings, parts)
    for (const wish of listenersOf(settings)) {
      const listening = yield* open(settings, wish, parts, tls).pipe(
        Effect.mapError(({ address, reason }) => faulty(`cannot listen on ${address}: ${reason}`))
      )
      yield* parts.announce(wish.transport, listening.address)
    }
  })
}

/** What the TLS listeners show and ask for, one for all of them; undefined where there are none. */
function certificates(
  settings: Settings,
  { files, clock, log }: ListenerParts
): Effect.Effect<TlsSource | undefined, PluginError, Scope.Scope> {
  const { tls, websocket_tls, quic, certificate, private_key: privateKey, client_certificate, client_ca } = settings
  if (tls.length + websocket_tls.length + quic.length === 0) return Effect.succeed(undefined)
  if (certificate === "" || privateKey === "") {
    return Effect.fail(faulty("tls, websocket_tls and quic need certificate and private_key"))
  }
  if (client_certificate !== "none" && client_ca === "") {
    return Effect.fail(faulty(`client_certificate = "${client_certificate}" needs client_ca`))
  }
  const wanted = {
    certificate,
    privateKey,
    clientCa: client_certificate === "none" ? "" : client_ca,
    requiresClient: client_certificate === "required"
  }
  const tell = (line: string, isFault: boolean): void => (isFault ? log.warn("mqtt", line) : log.info("mqtt", line))
  return watchCertificates(wanted, { files, clock, tell }).pipe(Effect.mapError(({ reason }) => faulty(reason)))
}

function open(
  settings: Settings,
  { transport, address }: ListenerWish,
  { net, clock, accept }: ListenerParts,
  tls: TlsSource | undefined
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const isBehindProxy = settings.proxy_protocol
  const maybeProxied = isBehindProxy ? behindProxy(accept, clock) : accept
  const webSocket = {
    path: "/mqtt",
    subprotocols: ["mqtt", "mqttv3.1"],
    frameSizeMax: settings.packet_size_max + FRAME_SLACK_BYTES
  }
  switch (transport) {
    case "tcp":
      return net.listenTcp(address, maybeProxied)
    case "unix":
      return net.listenUnix(address, maybeProxied)
    case "websocket":
      return net.listenWebSocket(address, { ...webSocket, isBehindProxy }, accept)
    case "tls":
      return net.listenTcp(address, accept, tls)
    case "quic":
      return tls === undefined ? Effect.never : net.listenQuic(address, accept, tls)
    case "websocket_tls":
      return net.listenWebSocket(address, { ...webSocket, ...(tls !== undefined && { tls }) }, accept)
  }
}
