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
import { Listener } from "./Listener.ts"
import { TRANSPORTS, type Transport, WITH_TLS } from "./listener-options.ts"
import type { Settings } from "./Settings.ts"

/** Largest WebSocket frame, beyond the largest packet: a frame may hold several packets. */
const FRAME_SLACK_BYTES = 65_536

/** One listener as it is opened. */
interface Wish {
  readonly transport: Transport
  readonly address: string
  readonly listener: Listener
}

export interface ListenerParts {
  readonly net: NetShape
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly log: LogShape
  /** All of them, the one that holds where there is no table first. */
  readonly listeners: Listeners
  readonly accept: (listener: Listener) => Accept
  /** Told of each that stands. */
  readonly announce: (transport: Transport, address: string) => Effect.Effect<void, never, Scope.Scope>
}

/** What the listeners of the options hold their connections to. */
export interface Listeners {
  readonly common: Listener
  /** By their place among the tables. */
  readonly own: ReadonlyArray<Listener>
  /** Of clients that plugins of this node run: no address leads to it. */
  readonly hosted: Listener
}

export function listenersOf(settings: Settings): Listeners {
  const own = settings.listener.map((table, index) => Listener.own(settings, table, index))
  return { common: Listener.common(settings), own, hosted: Listener.hosted(settings) }
}

/** What the options ask for, in the order of the `ready` line. */
function wishesOf(settings: Settings, { common, own }: Listeners): ReadonlyArray<Wish> {
  return TRANSPORTS.flatMap((transport) => [
    ...settings[transport].map((address) => ({ transport, address, listener: common })),
    ...settings.listener.flatMap((table, index) => {
      const listener = own[index]
      return table.transport === transport && listener !== undefined ? [{ ...table, listener }] : []
    })
  ])
}

const faulty = (message: string) => new PluginError({ plugin: "protocol-mqtt", message })

/** Opens all of them for the life of the scope. */
export function openListeners(settings: Settings, parts: ListenerParts): Effect.Effect<void, PluginError, Scope.Scope> {
  return Effect.gen(function* () {
    const sources = new Map<string, TlsSource>()
    for (const wish of wishesOf(settings, parts.listeners)) {
      const tls = WITH_TLS.includes(wish.transport) ? yield* certificateOf(wish.listener, parts, sources) : undefined
      const listening = yield* open(wish, parts, tls).pipe(
        Effect.mapError(({ address, reason }) => faulty(`cannot listen on ${address}: ${reason}`))
      )
      yield* parts.announce(wish.transport, listening.address)
    }
  })
}

/** What a listener shows and asks for; one for all that show the same. */
function certificateOf(
  { settings }: Listener,
  { files, clock, log }: ListenerParts,
  sources: Map<string, TlsSource>
): Effect.Effect<TlsSource, PluginError, Scope.Scope> {
  const { certificate, private_key: privateKey, client_certificate, client_ca } = settings
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
  const key = JSON.stringify(wanted)
  const known = sources.get(key)
  if (known !== undefined) return Effect.succeed(known)
  const tell = (line: string, isFault: boolean): void => (isFault ? log.warn("mqtt", line) : log.info("mqtt", line))
  return watchCertificates(wanted, { files, clock, tell }).pipe(
    Effect.mapError(({ reason }) => faulty(reason)),
    Effect.tap((source) => Effect.sync(() => sources.set(key, source)))
  )
}

function open(
  { transport, address, listener }: Wish,
  { net, clock, accept: acceptFor }: ListenerParts,
  tls: TlsSource | undefined
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const { settings } = listener
  const accept = acceptFor(listener)
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
