/**
 * WebSocket listeners on node:http and the package ws, as byte sockets. Deno's own upgrade cannot cut a connection whose peer does not
 * answer a close, and cannot stop reading; ws can do both. It buffers what the peer does not take: a socket is full at
 * {@link BUFFERED_BYTES_MAX}.
 *
 * Source: RFC 6455; MQTT 5.0 section 6: binary frames only [MQTT-6.0.0-1], frames and packets need not align [MQTT-6.0.0-2],
 * subprotocol "mqtt" [MQTT-6.0.0-3].
 */
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from "node:http"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { Effect, type Scope } from "effect"
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws"
import { InvariantViolation } from "../../assert.ts"
import { formatAddress, type OnFault, openListenerLate } from "../listening.ts"
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
  type NotLetIn,
  negotiate,
  UNSUPPORTED_DATA,
  type Unread
} from "../websocket.ts"

/** How long a connection that we have closed may take to send what is left and to be closed by the peer. */
const LINGER_MS = 2_000
/** How long a client may take to ask for the upgrade. */
const REQUEST_MS = 10_000

interface UpgradeOptions extends ServerOptions {
  /** How long a peer that has closed may keep its connection; the types of ws do not know it. */
  readonly closeTimeout: number
}

class WebSocketConnection implements Socket {
  readonly peerAddress: string
  receiver: SocketReceiver | undefined
  readonly #socket: WebSocket
  readonly #incoming: IncomingFrames
  readonly #onFault: OnFault
  #wasFull = false
  #isEnding = false
  #linger: ReturnType<typeof setTimeout> | undefined

  constructor(socket: WebSocket, peerAddress: string, unread: Unread, onFault: OnFault) {
    this.#socket = socket
    this.#onFault = onFault
    this.peerAddress = peerAddress
    this.#incoming = new IncomingFrames(unread, (bytes) => this.receiver?.data(bytes))
  }

  start(accept: Accept): void {
    this.#guarded(() => {
      this.receiver = accept(this)
    })
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.#isEnding || this.#socket.readyState !== this.#socket.OPEN) return CLOSED
    let position = start
    // Piece by piece, so that what the runtime holds stays near the bound however much is offered.
    while (position < end && this.#socket.bufferedAmount < BUFFERED_BYTES_MAX) {
      const next = Math.min(end, position + BUFFERED_BYTES_MAX)
      this.#socket.send(new Uint8Array(bytes.subarray(position, next)))
      position = next
    }
    this.#wasFull ||= position < end
    return position - start
  }

  pause(): void {
    this.#incoming.pause()
    this.#socket.pause()
  }

  resume(): void {
    this.#guarded(() => this.#incoming.resume())
    this.#socket.resume()
  }

  end(): void {
    this.close(GOING_AWAY)
  }

  close(code: number, reason?: string): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#incoming.clear()
    // The peer's answer has to be read.
    this.#socket.resume()
    this.#linger = setTimeout(() => this.#socket.terminate(), LINGER_MS)
    this.#socket.close(code, reason)
  }

  terminate(): void {
    // What was read already is nobody's from now on.
    this.#isEnding = true
    this.#incoming.clear()
    this.#socket.terminate()
  }

  received(bytes: Uint8Array): void {
    if (this.#isEnding) return
    this.#guarded(() => {
      if (!this.#incoming.push(bytes)) this.terminate()
    })
  }

  drained(): void {
    if (!this.#wasFull || this.#isEnding) return
    this.#wasFull = false
    this.#guarded(() => this.receiver?.drain())
  }

  closed(): void {
    clearTimeout(this.#linger)
    this.#isEnding = true
    this.#incoming.clear()
    this.receiver?.closed()
    this.receiver = undefined
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (error instanceof InvariantViolation) throw error
      this.terminate()
      this.#onFault(error)
    }
  }
}

/** Listens on `address` for the life of the scope; connections that are open when it closes are left to their owners. */
export function listenWebSocket(
  address: string,
  options: WebSocketOptions,
  accept: Accept,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const opened = openListenerLate(address, async (host, port) => {
    const server = serverOf(options, accept, onFault)
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject)
      server.listen({ host, port, exclusive: true }, resolve)
    })
    // What a listener meets later (no descriptors left) ends no broker.
    server.on("error", onFault)
    return server
  })
  const close = (server: Server): void => {
    server.close()
    server.closeAllConnections()
  }
  return Effect.acquireRelease(opened, (server) => Effect.sync(() => close(server))).pipe(
    Effect.map((server) => ({ address: formatAddress(address, (server.address() as AddressInfo).port) }))
  )
}

function serverOf(options: WebSocketOptions, accept: Accept, onFault: OnFault): Server {
  const unread: Unread = { bytes: 0 }
  const settings: UpgradeOptions = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.frameSizeMax,
    closeTimeout: LINGER_MS,
    // Chosen below, before ws is asked.
    handleProtocols: (offered) => options.subprotocols.find((name) => offered.has(name)) ?? false
  }
  const upgrades = new WebSocketServer(settings)
  const server = createServer({ headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS }, (request, response) => {
    const answer = judge(request, options)
    const { status, text } = typeof answer === "string" ? { status: 400, text: "upgrade failed\n" } : answer
    response.writeHead(status, status === 426 ? { Upgrade: "websocket" } : {}).end(text)
  })
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const answer = judge(request, options)
    if (typeof answer !== "string") {
      refuse(socket, answer)
      return
    }
    upgrades.handleUpgrade(request, socket, head, (webSocket) => {
      const connection = new WebSocketConnection(webSocket, request.socket.remoteAddress ?? "", unread, onFault)
      serve(webSocket, socket, connection, accept)
    })
  })
  return server
}

function serve(webSocket: WebSocket, socket: Duplex, connection: WebSocketConnection, accept: Accept): void {
  webSocket.binaryType = "nodebuffer"
  webSocket.on("message", (data: Buffer, isBinary: boolean) => {
    if (!isBinary) connection.close(UNSUPPORTED_DATA, "binary frames only")
    // A frame may lie in a buffer that holds others too; its owner keeps what it is given.
    else connection.received(data.length === data.buffer.byteLength ? data : new Uint8Array(data))
  })
  webSocket.on("close", () => connection.closed())
  // ws closes by itself after an error, with the code of RFC 6455 that fits; a peer that does not answer that is cut.
  webSocket.on("error", () => connection.close(GOING_AWAY))
  socket.on("drain", () => connection.drained())
  connection.start(accept)
}

function judge(request: IncomingMessage, options: WebSocketOptions): string | NotLetIn {
  const header = (name: string): string | undefined => {
    const value = request.headers[name]
    return Array.isArray(value) ? value.join(",") : value
  }
  return negotiate((request.url ?? "").split("?")[0] ?? "", header, options)
}

function refuse(socket: Duplex, { status, text }: NotLetIn): void {
  socket.on("error", () => socket.destroy())
  const linger = setTimeout(() => socket.destroy(), LINGER_MS)
  socket.once("close", () => clearTimeout(linger))
  const upgrade = status === 426 ? "Upgrade: websocket\r\n" : ""
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${upgrade}Content-Length: ${text.length}\r\nConnection: close\r\n\r\n`
  socket.end(head + text)
}
