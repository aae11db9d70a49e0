/**
 * A WebSocket connection over any byte socket: the handshake and the frames are ours. For Deno, whose own upgrade cannot stop reading nor
 * cut a peer that does not answer a close (its node:http, under the package ws, stops accepting for good once descriptors run out); and on
 * Bun where its server cannot do it: with certificates that change while the listener stands, and behind a proxy.
 *
 * Source: RFC 6455; MQTT 5.0 section 6: binary frames only [MQTT-6.0.0-1], frames and packets need not align [MQTT-6.0.0-2],
 * subprotocol "mqtt" [MQTT-6.0.0-3].
 *
 * Invariant: what is written here is whole frames; of one of them at most a part waits here until the socket below takes it.
 */
import { createHash } from "node:crypto"
import { InvariantViolation } from "../assert.ts"
import type { OnFault } from "./listening.ts"
import { type Accept, CLOSED, type Socket, type SocketReceiver, type WebSocketOptions } from "./Net.ts"
import { behindProxy } from "./proxy-protocol.ts"
import { systemClock } from "./system.ts"
import { GOING_AWAY, negotiate } from "./websocket.ts"
import { controlFrame, dataFrame, FrameReader, OPCODE } from "./websocket-frames.ts"
import { headEnd, readHead } from "./websocket-handshake.ts"

/** Payload of a frame that is sent, at most. */
const FRAME_BYTES = 65_536
/** Request line and headers of a handshake. */
const HEAD_BYTES_MAX = 16_384
/** How long a client may take for its handshake. */
const HANDSHAKE_MS = 10_000
/** How long what waits may take to leave once the connection is ending. */
const LINGER_MS = 2_000
/** RFC 6455, section 1.3. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
const EMPTY = new Uint8Array(0)

class WebSocketConnection implements Socket, SocketReceiver {
  readonly #socket: Socket
  readonly #options: WebSocketOptions
  readonly #accept: Accept
  readonly #onFault: OnFault
  #receiver: SocketReceiver | undefined
  /** Undefined until the handshake is done. */
  #frames: FrameReader | undefined
  /** What came and could not be read yet: the head of the request so far, or what came while reading was paused. */
  #held: Uint8Array = EMPTY
  /** The part of a frame that the socket below has not taken. */
  #unsent: Uint8Array | undefined
  #wasFull = false
  #isPaused = false
  #isEnding = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(socket: Socket, options: WebSocketOptions, accept: Accept, onFault: OnFault) {
    this.#socket = socket
    this.#options = options
    this.#accept = accept
    this.#onFault = onFault
    this.#timer = setTimeout(() => this.#refuse(408, "Request Timeout", ""), HANDSHAKE_MS)
  }

  get peerAddress(): string {
    return this.#socket.peerAddress
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.#isEnding) return CLOSED
    let position = start
    while (position < end && this.#unsent === undefined) {
      const next = Math.min(end, position + FRAME_BYTES)
      if (!this.#send(dataFrame(bytes, position, next))) return CLOSED
      position = next
    }
    if (position < end) this.#wasFull = true
    return position - start
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    const held = this.#held
    this.#held = EMPTY
    try {
      if (held.length > 0) this.#read(held)
    } catch (error) {
      if (error instanceof InvariantViolation) throw error
      this.terminate()
      this.#onFault(error)
    }
    if (!this.#isPaused) this.#socket.resume()
  }

  end(): void {
    this.#close(GOING_AWAY)
  }

  terminate(): void {
    this.#isEnding = true
    this.#socket.terminate()
  }

  data(bytes: Uint8Array): void {
    if (this.#isEnding) return
    if (this.#frames !== undefined) this.#read(bytes)
    else this.#handshake(bytes)
  }

  drain(): void {
    const unsent = this.#unsent
    this.#unsent = undefined
    if (unsent !== undefined && !this.#send(unsent)) return
    if (this.#unsent !== undefined) return
    if (this.#isEnding) this.#socket.end()
    else if (this.#wasFull) {
      this.#wasFull = false
      this.#receiver?.drain()
    }
  }

  closed(): void {
    clearTimeout(this.#timer)
    this.#isEnding = true
    this.#held = EMPTY
    this.#unsent = undefined
    const receiver = this.#receiver
    this.#receiver = undefined
    receiver?.closed()
  }

  /** Hands on what the frames hold. */
  #read(bytes: Uint8Array): void {
    const frames = this.#frames
    for (let position = 0; frames !== undefined && position < bytes.length && !this.#isEnding; ) {
      if (this.#isPaused) {
        this.#held = bytes.subarray(position)
        return
      }
      position = frames.read(bytes, position)
      if (frames.fault !== 0) this.#close(frames.fault)
      else if (frames.control !== undefined) this.#answer(frames.opcode, frames.control)
      else if (frames.payload !== undefined) this.#receiver?.data(frames.payload)
    }
  }

  #answer(opcode: number, payload: Uint8Array): void {
    if (opcode === OPCODE.close) this.#closeWith(payload.subarray(0, 2))
    // A peer that takes nothing gets no pong either: they would heap up.
    else if (opcode === OPCODE.ping && this.#unsent === undefined) this.#send(controlFrame(OPCODE.pong, payload))
  }

  /** False where the connection is closed. */
  #send(frame: Uint8Array): boolean {
    const taken = this.#socket.write(frame, 0, frame.length)
    if (taken === CLOSED) return false
    if (taken < frame.length) this.#unsent = frame.subarray(taken)
    return true
  }

  #close(code: number): void {
    this.#closeWith(Uint8Array.of(code >> 8, code & 255))
  }

  #closeWith(code: Uint8Array): void {
    if (this.#isEnding) return
    const frame = controlFrame(OPCODE.close, code)
    const unsent = this.#unsent
    this.#unsent = undefined
    this.#send(unsent === undefined ? frame : Buffer.concat([unsent, frame]))
    this.#finish()
  }

  /** Ends the connection when all that waits is sent, or after a while. */
  #finish(): void {
    this.#isEnding = true
    this.#held = EMPTY
    clearTimeout(this.#timer)
    if (this.#unsent === undefined) this.#socket.end()
    else this.#timer = setTimeout(() => this.#socket.terminate(), LINGER_MS)
  }

  #handshake(bytes: Uint8Array): void {
    const all = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    const end = headEnd(all, Math.max(0, this.#held.length - 3))
    if (end < 0 || end > HEAD_BYTES_MAX) {
      this.#held = all
      if (all.length > HEAD_BYTES_MAX) this.#refuse(431, "Request Header Fields Too Large", "")
      return
    }
    this.#held = EMPTY
    const head = readHead(all, end)
    if (head === undefined) {
      this.#refuse(400, "Bad Request", "")
      return
    }
    const answer = negotiate(head.pathname, (name) => head.headers.get(name), this.#options)
    if (typeof answer !== "string") {
      const names = { 400: "Bad Request", 404: "Not Found", 426: "Upgrade Required" } as const
      this.#refuse(answer.status, names[answer.status], answer.text)
      return
    }
    if (head.key === undefined) {
      this.#refuse(400, "Bad Request", "")
      return
    }
    clearTimeout(this.#timer)
    const proof = createHash("sha1")
      .update(head.key + KEY_SUFFIX)
      .digest("base64")
    const lines = ["Upgrade: websocket", "Connection: Upgrade", `Sec-WebSocket-Accept: ${proof}`]
    if (!this.#send(text(["HTTP/1.1 101 Switching Protocols", ...lines, `Sec-WebSocket-Protocol: ${answer}`], "")))
      return
    this.#frames = new FrameReader(this.#options.frameSizeMax)
    this.#receiver = this.#accept(this)
    if (end < all.length) this.#read(all.subarray(end))
  }

  #refuse(status: number, name: string, body: string): void {
    const upgrade = status === 426 ? ["Upgrade: websocket", "Sec-WebSocket-Version: 13"] : []
    const lines = [`HTTP/1.1 ${status} ${name}`, ...upgrade, `Content-Length: ${body.length}`, "Connection: close"]
    this.#send(text(lines, body))
    this.#finish()
  }
}

function text(lines: ReadonlyArray<string>, body: string): Uint8Array {
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`, "latin1")
}

/** Accepts byte sockets whose peers speak WebSocket, behind the header of a proxy where the options say so. */
export function webSocketAccept(options: WebSocketOptions, accept: Accept, onFault: OnFault): Accept {
  const accepting: Accept = (socket) => new WebSocketConnection(socket, options, accept, onFault)
  return options.isBehindProxy === true ? behindProxy(accepting, systemClock) : accepting
}
