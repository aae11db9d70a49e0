/**
 * WebSocket listeners on Bun.serve, as byte sockets. The runtime buffers what the peer does not take; we count it and report a
 * full socket at {@link BUFFERED_BYTES_MAX}.
 *
 * Source: RFC 6455; MQTT 5.0 section 6: binary frames only [MQTT-6.0.0-1], frames and packets need not align [MQTT-6.0.0-2],
 * subprotocol "mqtt" [MQTT-6.0.0-3].
 */
import { Effect, type Scope } from "effect"
import { InvariantViolation } from "../../assert.ts"
import { formatAddress, type OnFault, openListener } from "../listening.ts"
import {
  type Accept,
  CLOSED,
  type ListenError,
  type Listening,
  type Socket,
  type SocketReceiver,
  type WebSocketOptions
} from "../Net.ts"
import {
  BUFFERED_BYTES_MAX,
  GOING_AWAY,
  IncomingFrames,
  negotiate,
  UNSUPPORTED_DATA,
  type Unread
} from "../websocket.ts"

interface Upgrade {
  readonly peerAddress: string
  connection: WebSocketConnection | undefined
}
type Handle = import("bun").ServerWebSocket<Upgrade>

class WebSocketConnection implements Socket {
  readonly handle: Handle
  readonly peerAddress: string
  receiver: SocketReceiver | undefined
  readonly incoming: IncomingFrames
  #open = true

  constructor(handle: Handle, unread: Unread) {
    this.handle = handle
    this.peerAddress = handle.data.peerAddress
    this.incoming = new IncomingFrames(unread, (bytes) => this.receiver?.data(bytes))
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

  pause(): void {
    this.incoming.pause()
  }

  resume(): void {
    this.incoming.resume()
  }

  end(): void {
    if (this.#open) this.handle.close(GOING_AWAY)
  }

  terminate(): void {
    if (this.#open) this.handle.terminate()
  }

  closed(): void {
    this.#open = false
    this.incoming.clear()
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
  const guarded = (handle: Handle, work: () => void): void => {
    try {
      work()
    } catch (error) {
      if (error instanceof InvariantViolation) throw error
      handle.terminate()
      onFault(error)
    }
  }
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
          guarded(handle, () => {
            connection.receiver = accept(connection)
          })
        },
        message(handle, data) {
          if (typeof data === "string") {
            handle.close(UNSUPPORTED_DATA, "binary frames only")
            return
          }
          guarded(handle, () => {
            const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
            if (handle.data.connection?.incoming.push(bytes) === false) handle.terminate()
          })
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
  const chosen = negotiate(new URL(request.url).pathname, (name) => request.headers.get(name), options)
  if (typeof chosen !== "string") {
    const headers: Record<string, string> = chosen.status === 426 ? { Upgrade: "websocket" } : {}
    return new Response(chosen.text, { status: chosen.status, headers })
  }
  const data: Upgrade = { peerAddress: server.requestIP(request)?.address ?? "", connection: undefined }
  const upgraded = server.upgrade(request, { data, headers: { "Sec-WebSocket-Protocol": chosen } })
  return upgraded ? undefined : new Response("upgrade failed\n", { status: 400 })
}
