/**
 * A TCP or WebSocket connection of the soak: bytes of MQTT in both directions, as little else as thousands at a time allow.
 *
 * Source: RFC 6455, sections 4, 5.2, 5.3. The masking key is 0, which leaves every byte as it is.
 */
import type { Socket as BunSocket } from "bun"
import type { Address } from "../support/broker.ts"
import { concat } from "../support/mqtt-packets.ts"

const UPGRADE =
  "GET /mqtt HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10
const NO_BYTES = new Uint8Array(0)

/** Whoever uses a socket. */
export interface SocketUser {
  /** Bytes of MQTT; borrowed until it returns. */
  received(bytes: Uint8Array): void
  /** The connection has ended, whoever ended it. Told once. */
  ended(): void
}

export class Socket {
  readonly #user: SocketUser
  readonly #isWeb: boolean
  #socket: BunSocket<Socket> | undefined
  #unsent: Uint8Array = NO_BYTES
  /** Of WebSocket: what has come and is no whole frame yet. */
  #rest: Uint8Array = NO_BYTES
  #isUpgraded = false
  #hasEnded = false
  #opened: (() => void) | undefined

  private constructor(user: SocketUser, isWeb: boolean) {
    this.#user = user
    this.#isWeb = isWeb
  }

  /** Settled when MQTT may be sent; rejects where the connection is refused. */
  static async open(address: Address, isWeb: boolean, user: SocketUser): Promise<Socket> {
    const self = new Socket(user, isWeb)
    self.#socket = await Bun.connect({ hostname: address.host, port: address.port, data: self, socket: HANDLERS })
    self.#socket.setNoDelay(true)
    if (isWeb) {
      const upgraded = new Promise<void>((resolve) => {
        self.#opened = resolve
      })
      self.#write(Buffer.from(UPGRADE))
      await upgraded
    }
    return self
  }

  send(bytes: Uint8Array): void {
    this.#write(this.#isWeb ? framed(BINARY, bytes) : bytes)
  }

  /** The connection ends after all that was sent, or at once and without a word. */
  end(how: "end" | "reset"): void {
    if (how === "reset") this.#socket?.terminate()
    else this.#socket?.end()
  }

  #write(bytes: Uint8Array): void {
    if (this.#hasEnded) return
    if (this.#unsent.length > 0) {
      this.#unsent = concat(this.#unsent, bytes)
      return
    }
    const taken = Math.max(0, this.#socket?.write(bytes) ?? 0)
    if (taken < bytes.length) this.#unsent = bytes.slice(taken)
  }

  drain(): void {
    const unsent = this.#unsent
    this.#unsent = NO_BYTES
    if (unsent.length > 0) this.#write(unsent)
  }

  data(chunk: Uint8Array): void {
    if (!this.#isWeb) {
      this.#user.received(chunk)
      return
    }
    let bytes = this.#rest.length === 0 ? chunk : concat(this.#rest, chunk)
    if (!this.#isUpgraded) {
      const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf("\r\n\r\n")
      this.#rest = bytes.slice()
      if (end < 0) return
      bytes = bytes.subarray(end + 4)
      this.#isUpgraded = true
      this.#opened?.()
    }
    this.#rest = this.#frames(bytes).slice()
  }

  /** Handles each whole frame; returns what is left. */
  #frames(bytes: Uint8Array): Uint8Array {
    for (;;) {
      const [first = 0, second = 0] = bytes
      const start = second === 127 ? 10 : second === 126 ? 4 : 2
      if (bytes.length < start) return bytes
      const size = start === 2 ? second : bytes.subarray(2, start).reduce((value, byte) => value * 256 + byte, 0)
      const end = start + size
      if (bytes.length < end) return bytes
      const payload = bytes.subarray(start, end)
      const opcode = first & 15
      if (opcode <= BINARY) this.#user.received(payload)
      else if (opcode === CLOSE) this.#socket?.end()
      else if (opcode === PING) this.#write(framed(PONG, payload))
      bytes = bytes.subarray(end)
    }
  }

  close(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#opened?.()
    this.#user.ended()
  }
}

const HANDLERS = {
  data: (socket: BunSocket<Socket>, chunk: Uint8Array) => socket.data.data(chunk),
  drain: (socket: BunSocket<Socket>) => socket.data.drain(),
  close: (socket: BunSocket<Socket>) => socket.data.close(),
  error: (socket: BunSocket<Socket>) => socket.data.close()
}

function framed(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload
  const size = length < 126 ? Uint8Array.of(128 | length) : Uint8Array.of(128 | 126, length >> 8, length & 255)
  return concat(Uint8Array.of(128 | opcode), size, new Uint8Array(4), payload)
}
