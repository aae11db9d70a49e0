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
  ListenError,
  type Listening,
  parseAddress,
  type Socket,
  type SocketReceiver,
  type WebSocketOptions
} from "../Net.ts"
import { formatAddress, listenReason, type OnFault } from "./tcp.ts"

/** Bytes that may wait in the runtime for one connection. */
export const BUFFERED_BYTES_MAX = 1_048_576

/** Close codes, RFC 6455 section 7.4.1. */
const GOING_AWAY = 1001
const UNSUPPORTED_DATA = 1003

interface Upgrade {
  readonly peerAddress: string
  connection: WebSocketConnection | undefined
}
type Handle = import("bun").ServerWebSocket<Upgrade>

class WebSocketConnection implements Socket {
  readonly handle: Handle
  readonly peerAddress: string
  receiver: SocketReceiver | undefined
  /** Frames that came while reading was paused; bounded by the peer's window, since Bun cannot stop reading. */
  readonly #waiting: Array<Uint8Array> = []
  #waitingBytes = 0
  #paused = false
  #open = true

  constructor(handle: Handle) {
    this.handle = handle
    this.peerAddress = handle.data.peerAddress
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#open) return CLOSED
    if (this.handle.getBufferedAmount() >= BUFFERED_BYTES_MAX) return 0
    const sent = this.handle.sendBinary(bytes.slice(start, end))
    // -1 = queued by the runtime, which keeps it; 0 = dropped because the connection is going.
    return sent === 0 ? CLOSED : end - start
  }

  receive(bytes: Uint8Array): void {
    if (!this.#paused) {
      this.receiver?.data(bytes)
      return
    }
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes > BUFFERED_BYTES_MAX) this.terminate()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    while (!this.#paused) {
      const bytes = this.#waiting.shift()
      if (bytes === undefined) return
      this.#waitingBytes -= bytes.length
      this.receiver?.data(bytes)
    }
  }

  end(): void {
    if (this.#open) this.handle.close(GOING_AWAY)
  }

  terminate(): void {
    if (this.#open) this.handle.terminate()
  }

  closed(): void {
    this.#open = false
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
  const opened = Effect.try({
    try: () => {
      const parsed = parseAddress(address)
      if (parsed === undefined) throw new Error('expected "host:port"')
      return Bun.serve<Upgrade>({
        hostname: parsed.host,
        port: parsed.port,
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
            const connection = new WebSocketConnection(handle)
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
    },
    catch: (error) => new ListenError({ address, reason: listenReason(error) })
  })
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
