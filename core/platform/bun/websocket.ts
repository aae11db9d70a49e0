/**
 * WebSocket listeners on Bun.serve, as byte sockets. The runtime buffers what the peer does not take; we count it and report a
 * full socket at {@link BUFFERED_BYTES_MAX}.
 *
 * Source: RFC 6455; MQTT 5.0 section 6: binary frames only [MQTT-6.0.0-1], frames and packets need not align [MQTT-6.0.0-2],
 * subprotocol "mqtt" [MQTT-6.0.0-3].
 */
import { Effect, type Scope } from "effect"
import { InvariantViolation } from "../../assert.ts"
import {
  type Accept,
  CLOSED,
  type ListenError,
  type Listening,
  type Socket,
  type SocketReceiver,
  type WebSocketOptions
} from "../Net.ts"
import { formatAddress, openListener } from "./listening.ts"
import type { OnFault } from "./tcp.ts"

/** Bytes that may wait in the runtime for one connection. */
export const BUFFERED_BYTES_MAX = 1_048_576
/**
 * Bytes of one peer that may come while reading is paused, and those of all peers of a listener. Bun cannot stop reading: one round
 * of its loop can bring megabytes of a peer that does nothing wrong.
 */
export const UNREAD_BYTES_MAX = 16_777_216
export const UNREAD_BYTES_TOTAL_MAX = 268_435_456
/** What a frame costs beside its bytes. */
const FRAME_BYTES = 128

/** Close codes, RFC 6455 section 7.4.1. */
const GOING_AWAY = 1001
const UNSUPPORTED_DATA = 1003

interface Upgrade {
  readonly peerAddress: string
  connection: WebSocketConnection | undefined
}
type Handle = import("bun").ServerWebSocket<Upgrade>

/** Bytes that wait in all connections of a listener whose reading is paused. */
interface Unread {
  bytes: number
}

class WebSocketConnection implements Socket {
  readonly handle: Handle
  readonly peerAddress: string
  receiver: SocketReceiver | undefined
  /** Frames that came while reading was paused. */
  #waiting: Array<Uint8Array> = []
  /** The first of them that was not handed on. */
  #head = 0
  #waitingBytes = 0
  readonly #unread: Unread
  #paused = false
  #open = true

  constructor(handle: Handle, unread: Unread) {
    this.handle = handle
    this.#unread = unread
    this.peerAddress = handle.data.peerAddress
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#open) return CLOSED
    let position = start
    // Piece by piece, so that what the runtime holds stays near the bound however much is offered.
    while (position < end && this.handle.getBufferedAmount() < BUFFERED_BYTES_MAX) {
      const next = Math.min(end, position + BUFFERED_BYTES_MAX)
      // -1 = queued by the runtime, which keeps it; 0 = dropped because the connection is going.
      if (this.handle.sendBinary(bytes.slice(position, next)) === 0) return CLOSED
      position = next
    }
    return position - start
  }

  receive(bytes: Uint8Array): void {
    if (!this.#paused) {
      this.receiver?.data(bytes)
      return
    }
    this.#waiting.push(bytes)
    this.#count(bytes.length + FRAME_BYTES)
    if (this.#waitingBytes > UNREAD_BYTES_MAX || this.#unread.bytes > UNREAD_BYTES_TOTAL_MAX) this.terminate()
  }

  #count(bytes: number): void {
    this.#waitingBytes += bytes
    this.#unread.bytes += bytes
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    while (!this.#paused && this.#head < this.#waiting.length) {
      const bytes = this.#waiting[this.#head++]
      if (bytes === undefined) break
      this.#count(-bytes.length - FRAME_BYTES)
      this.receiver?.data(bytes)
    }
    if (this.#head < this.#waiting.length) return
    this.#waiting = []
    this.#head = 0
  }

  end(): void {
    if (this.#open) this.handle.close(GOING_AWAY)
  }

  terminate(): void {
    if (this.#open) this.handle.terminate()
  }

  closed(): void {
    this.#open = false
    this.#waiting = []
    this.#head = 0
    this.#count(-this.#waitingBytes)
    this.receiver?.closed()
    this.receiver = undefined
  }
}

/** Listens on `address` for the life of the scope. */
export function listenWebSocket(
  address: string,
  options: WebSocketOptions,
  accept: Accept,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const unread: Unread = { bytes: 0 }
  const opened = openListener(address, (hostname, port) =>
    Bun.serve<Upgrade>({
      hostname,
      port,
      reusePort: false,
      development: false,
      fetch: (request, server) => upgrade(request, server, options),
      error: () => new Response("", { status: 400 }),
      websocket: {
        idleTimeout: 0,
        sendPings: false,
        perMessageDeflate: false,
        maxPayloadLength: options.frameSizeMax,
        backpressureLimit: BUFFERED_BYTES_MAX * 16,
        closeOnBackpressureLimit: true,
        open(handle) {
          const connection = new WebSocketConnection(handle, unread)
          handle.data.connection = connection
          connection.receiver = accept(connection)
        },
        message(handle, data) {
          if (typeof data === "string") {
            handle.close(UNSUPPORTED_DATA, "binary frames only")
            return
          }
          try {
            handle.data.connection?.receive(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
          } catch (error) {
            if (error instanceof InvariantViolation) throw error
            handle.terminate()
            onFault(error)
          }
        },
        drain(handle) {
          handle.data.connection?.receiver?.drain()
        },
        close(handle) {
          handle.data.connection?.closed()
        }
      }
    })
  )
  return Effect.acquireRelease(opened, (server) => Effect.sync(() => void server.stop(false))).pipe(
    Effect.map((server) => ({ address: formatAddress(address, server.port ?? 0) }))
  )
}

function upgrade(
  request: Request,
  server: import("bun").Server<Upgrade>,
  options: WebSocketOptions
): Response | undefined {
  if (new URL(request.url).pathname !== options.path) return new Response("not found\n", { status: 404 })
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return new Response("this path speaks WebSocket\n", { status: 426, headers: { Upgrade: "websocket" } })
  }
  const offered = (request.headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim())
  const chosen = options.subprotocols.find((name) => offered.includes(name))
  if (chosen === undefined) {
    return new Response(`offer one of these subprotocols: ${options.subprotocols.join(", ")}\n`, { status: 400 })
  }
  const data: Upgrade = { peerAddress: server.requestIP(request)?.address ?? "", connection: undefined }
  const upgraded = server.upgrade(request, { data, headers: { "Sec-WebSocket-Protocol": chosen } })
  return upgraded ? undefined : new Response("upgrade failed\n", { status: 400 })
}
