/**
 * The network as the broker sees it: byte sockets behind plain, synchronous calls.
 *
 * Invariants
 *  - `write` never keeps a reference to the caller's bytes after it returns; what it did not take is the caller's to keep.
 *  - After `closed` was called on a receiver, nothing else is called on it, and writes to its socket return {@link CLOSED}.
 *  - `data` hands over ownership of the bytes: the receiver may keep them, the platform never touches them again.
 */
import { Context, type Effect, Schema, type Scope } from "effect"

/** `write` took nothing because the connection is closed. */
export const CLOSED = -1

/** One accepted connection. The calls are plain because they run once a turn and connection, not once a message. */
export interface Socket {
  /** The peer's address without its port, for access rules and logs; "" where the transport has none. */
  readonly peerAddress: string
  /** Hands `bytes[start, end)` to the transport; returns how many bytes it took (0 = full, wait for `drain`), or {@link CLOSED}. */
  write(bytes: Uint8Array, start: number, end: number): number
  /** Stops reading until {@link Socket.resume}; the peer is slowed by the transport's own window. */
  pause(): void
  resume(): void
  /** Closes in order: what was taken is sent, then the end of the stream. */
  end(): void
  /** Closes at once; what was not sent is lost. */
  terminate(): void
}

/** What the owner of a connection implements; one object a connection. */
export interface SocketReceiver {
  /** Bytes from the peer, at most 512 KiB at a time; they belong to the receiver. */
  data(bytes: Uint8Array): void
  /** The transport takes bytes again after a `write` that it took only in part. */
  drain(): void
  /** The connection is gone, whoever ended it. Called exactly once. */
  closed(): void
}

/** Decides who receives a new connection's bytes. */
export type Accept = (socket: Socket) => SocketReceiver

/** What a TLS listener shows and asks for, PEM text. TLS 1.2 and 1.3. */
export interface TlsOptions {
  /** The certificate, and those between it and its root behind it. */
  readonly certificate: string
  readonly privateKey: string
  /** Roots of client certificates; "" = clients are not asked for one. */
  readonly clientCa: string
  /** A client without a certificate that these roots vouch for is refused. */
  readonly requiresClient: boolean
}

/** The options as they are now: a listener asks for each connection, so that a certificate can be changed while it stands. */
export interface TlsSource {
  readonly current: TlsOptions
  /** Tells of a change, for the life of the listener. */
  onChange(changed: () => void): void
}

export interface WebSocketOptions {
  /** The only path that is upgraded; any other is answered 404. */
  readonly path: string
  /** Subprotocols in order of preference; a client that offers none of them is answered 400. */
  readonly subprotocols: ReadonlyArray<string>
  /** Largest frame in bytes; a larger one closes the connection with 1009. */
  readonly frameSizeMax: number
  /** Absent = plain. */
  readonly tls?: TlsSource
  /** A proxy says in front of each connection who its client is: `proxy-protocol.ts`. Not together with `tls`. */
  readonly isBehindProxy?: boolean
}

/** Why a listener does not stand. `reason` is one line for a person. */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  address: Schema.String,
  reason: Schema.String
}) {}

/** A listener that accepts; `address` is "host:port" with the real port where 0 was asked for, or the path of a unix socket. */
export interface Listening {
  readonly address: string
}

/** What a connection of ours asks of the peer's certificate, and what it shows; PEM text. TLS 1.2 and 1.3. */
export interface TlsClientOptions {
  /** The host that the peer's certificate must be good for. */
  readonly serverName: string
  /** Roots that must vouch for it; "" = those of the runtime. */
  readonly ca: string
  /** Shown to a peer that asks for one; "" = none. */
  readonly certificate: string
  readonly privateKey: string
}

/** Why a connection does not stand. `reason` is one line for a person. */
export class ConnectError extends Schema.TaggedError<ConnectError>()("ConnectError", {
  address: Schema.String,
  reason: Schema.String
}) {}

export type HttpHandler = (request: Request, peerAddress: string) => Response | Promise<Response>

/** Listeners live as long as the scope that opened them; closing it stops accepting and leaves open connections to their owners. */
export interface NetShape {
  /** With `tls` whoever accepts gets connections whose handshake is done; one that takes longer than 10 s is cut. */
  listenTcp(address: string, accept: Accept, tls?: TlsSource): Effect.Effect<Listening, ListenError, Scope.Scope>
  /** QUIC, on a UDP port; its connections are those of TCP. Of clients that offer the application protocol "mqtt". */
  listenQuic(address: string, accept: Accept, tls: TlsSource): Effect.Effect<Listening, ListenError, Scope.Scope>
  /** A unix socket; what a process that is gone has left at the path is taken over, and it is removed in the end. */
  listenUnix(path: string, accept: Accept): Effect.Effect<Listening, ListenError, Scope.Scope>
  /** MQTT over WebSocket [MQTT-6.0.0]: binary frames only, their borders carry no meaning. */
  listenWebSocket(
    address: string,
    options: WebSocketOptions,
    accept: Accept
  ): Effect.Effect<Listening, ListenError, Scope.Scope>
  serveHttp(address: string, handler: HttpHandler): Effect.Effect<Listening, ListenError, Scope.Scope>
  /**
   * Connects to "host:port"; `accept` says who receives from then on. With `tls` it is asked when the handshake is done and the peer's
   * certificate is good. Given up after {@link CONNECT_MS}; interrupted, nothing is left of it.
   */
  connectTcp(address: string, accept: Accept, tls?: TlsClientOptions): Effect.Effect<void, ConnectError>
}

/** How long a connection may take to stand, its handshake with it. */
export const CONNECT_MS = 10_000

export class Net extends Context.Service<Net, NetShape>()("manifold/core/platform/Net") {}

/** Splits "host:port" or "[v6]:port"; undefined where it is neither. */
export function parseAddress(address: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(address)
  if (match === null) return undefined
  const port = Number(match[3])
  const host = match[1] ?? match[2]
  return host === undefined || port > 65_535 ? undefined : { host, port }
}

/** Whether only this machine can reach a listener on `host`. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host)
}
