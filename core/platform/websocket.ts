/**
 * Who is let in by a WebSocket listener, on every runtime; and what is done with frames that come while reading is paused where the
 * runtime cannot stop it.
 *
 * Source: RFC 6455; MQTT 5.0 section 6: subprotocol "mqtt" [MQTT-6.0.0-3].
 */
import type { WebSocketOptions } from "./Net.ts"

/** Bytes that may wait in the runtime for one connection. */
export const BUFFERED_BYTES_MAX = 1_048_576
/**
 * Bytes of one peer that may come while reading is paused, and those of all peers of a listener. One round of a runtime's loop can
 * bring megabytes of a peer that does nothing wrong.
 */
export const UNREAD_BYTES_MAX = 16_777_216
export const UNREAD_BYTES_TOTAL_MAX = 268_435_456
/** What a receiver gets at a time, at most. */
const PIECE_BYTES_MAX = 524_288
/** What a frame costs beside its bytes. */
const FRAME_BYTES = 128

/** Close codes, RFC 6455 section 7.4.1. */
export const GOING_AWAY = 1001
export const UNSUPPORTED_DATA = 1003

/** Why a request is not let in. */
export interface NotLetIn {
  readonly status: 400 | 404 | 426
  readonly text: string
}

/** The subprotocol to speak, or the answer to a request that is not let in. `header` gives a header by its lower-case name. */
export function negotiate(
  pathname: string,
  header: (name: string) => string | null | undefined,
  options: WebSocketOptions
): string | NotLetIn {
  if (pathname !== options.path) return { status: 404, text: "not found\n" }
  if (header("upgrade")?.toLowerCase() !== "websocket") return { status: 426, text: "this path speaks WebSocket\n" }
  const offered = (header("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim())
  const chosen = options.subprotocols.find((name) => offered.includes(name))
  return chosen ?? { status: 400, text: `offer one of these subprotocols: ${options.subprotocols.join(", ")}\n` }
}

/** Bytes that wait in all connections of a listener whose reading is paused. */
export interface Unread {
  bytes: number
}

/** The frames of one connection, handed on in order while it reads. */
export class IncomingFrames {
  #isPaused = false
  #waiting: Array<Uint8Array> = []
  /** The first of them that was not handed on. */
  #head = 0
  #waitingBytes = 0
  readonly #unread: Unread
  readonly #deliver: (bytes: Uint8Array) => void

  constructor(unread: Unread, deliver: (bytes: Uint8Array) => void) {
    this.#unread = unread
    this.#deliver = deliver
  }

  /** Hands a frame on, or keeps it; false where too much is kept and the connection has to go. */
  push(bytes: Uint8Array): boolean {
    if (bytes.length <= PIECE_BYTES_MAX) {
      if (bytes.length > 0) this.#pushPiece(bytes)
    } else {
      for (let start = 0; start < bytes.length; start += PIECE_BYTES_MAX) {
        this.#pushPiece(bytes.subarray(start, start + PIECE_BYTES_MAX))
      }
    }
    return this.#waitingBytes <= UNREAD_BYTES_MAX && this.#unread.bytes <= UNREAD_BYTES_TOTAL_MAX
  }

  #pushPiece(bytes: Uint8Array): void {
    if (!this.#isPaused) {
      this.#deliver(bytes)
      return
    }
    this.#waiting.push(bytes)
    this.#count(bytes.length + FRAME_BYTES)
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    while (!this.#isPaused && this.#head < this.#waiting.length) {
      const bytes = this.#waiting[this.#head++]
      if (bytes === undefined) break
      this.#count(-bytes.length - FRAME_BYTES)
      this.#deliver(bytes)
    }
    if (this.#head < this.#waiting.length) return
    this.#waiting = []
    this.#head = 0
  }

  /** Drops what is kept. */
  clear(): void {
    this.#waiting = []
    this.#head = 0
    this.#count(-this.#waitingBytes)
  }

  #count(bytes: number): void {
    this.#waitingBytes += bytes
    this.#unread.bytes += bytes
  }
}
