/**
 * A raw WebSocket client: the handshake and every frame are written by the test, so that frames may be split, joined, wrong.
 *
 * Source: RFC 6455; MQTT 5.0 chapter 6.
 */
import { randomBytes } from "node:crypto"
import { createConnection, type Socket } from "node:net"
import type { Address } from "./broker.ts"
import { concat } from "./mqtt-packets.ts"
import { until, within } from "./until.ts"

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** One masked client frame. */
export function frame(opcode: number, payload: Uint8Array, isFinal = true): Uint8Array {
  const mask = randomBytes(4)
  const length = payload.length
  const size =
    length < 126
      ? Uint8Array.of(128 | length)
      : length < 65_536
        ? Uint8Array.of(128 | 126, length >> 8, length & 255)
        : Uint8Array.of(128 | 127, 0, 0, 0, 0, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255)
  const masked = payload.map((byte, index) => byte ^ (mask[index & 3] ?? 0))
  return concat(Uint8Array.of((isFinal ? 128 : 0) | opcode), size, mask, masked)
}

export interface Handshake {
  readonly path?: string
  readonly protocol?: string | undefined
  readonly method?: string
  readonly headers?: Record<string, string>
}

export class RawWebSocket {
  readonly socket: Socket
  /** Status and headers of the answer, as text. */
  readonly answer: string
  /** Payload bytes of all binary frames so far. */
  #payload: Uint8Array = new Uint8Array(0)
  #rest: Uint8Array = new Uint8Array(0)
  readonly opcodes: Array<number> = []
  /** The status code of the broker's close frame. */
  closeCode: number | undefined
  isClosed = false

  private constructor(socket: Socket, answer: string, rest: Uint8Array) {
    this.socket = socket
    this.answer = answer
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk))
    for (const event of ["close", "end", "error"]) {
      socket.on(event, () => {
        this.isClosed = true
      })
    }
    if (rest.length > 0) this.#take(rest)
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.answer)?.[1])
  }

  /** Sends the upgrade request and waits for the whole head of the answer. */
  static async open(address: Address, handshake: Handshake = {}): Promise<RawWebSocket> {
    const socket = createConnection({ host: address.host, port: address.port, noDelay: true })
    let received: Uint8Array = new Uint8Array(0)
    let isEnded = false
    const collect = (chunk: Uint8Array): void => {
      received = concat(received, chunk)
    }
    socket.on("data", collect)
    socket.once("close", () => {
      isEnded = true
    })
    await within(
      "a TCP connection for WebSocket",
      new Promise<void>((done, fail) => {
        socket.once("connect", done)
        socket.once("error", fail)
      })
    )
    const protocol = "protocol" in handshake ? handshake.protocol : "mqtt"
    const lines = [
      `${handshake.method ?? "GET"} ${handshake.path ?? "/mqtt"} HTTP/1.1`,
      `Host: ${address.host}:${address.port}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
      ...Object.entries(handshake.headers ?? {}).map(([name, value]) => `${name}: ${value}`)
    ]
    socket.write(`${lines.join("\r\n")}\r\n\r\n`)
    const end = await until("the answer to the WebSocket handshake", () => {
      const index = Buffer.from(received).indexOf("\r\n\r\n")
      return index >= 0 ? index + 4 : isEnded ? received.length : undefined
    })
    socket.off("data", collect)
    return new RawWebSocket(socket, Buffer.from(received.subarray(0, end)).toString("latin1"), received.subarray(end))
  }

  #take(chunk: Uint8Array): void {
    let bytes = concat(this.#rest, chunk)
    for (;;) {
      const short = (bytes[1] ?? 0) & 127
      const head = short < 126 ? 2 : short === 126 ? 4 : 10
      if (bytes.length < head) break
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      const length = short < 126 ? short : short === 126 ? view.getUint16(2) : Number(view.getBigUint64(2))
      if (bytes.length < head + length) break
      const opcode = (bytes[0] ?? 0) & 15
      const payload = bytes.subarray(head, head + length)
      this.opcodes.push(opcode)
      if (opcode === OPCODE.binary || opcode === OPCODE.continuation) this.#payload = concat(this.#payload, payload)
      if (opcode === OPCODE.close && length >= 2) this.closeCode = ((payload[0] ?? 0) << 8) | (payload[1] ?? 0)
      bytes = Uint8Array.from(bytes.subarray(head + length))
    }
    this.#rest = bytes
  }

  /** Takes `length` bytes of MQTT as they come, however they were framed. */
  async bytes(length: number): Promise<Uint8Array> {
    await until(`${length} bytes over WebSocket, have ${this.#payload.length}`, () => this.#payload.length >= length)
    const taken = this.#payload.slice(0, length)
    this.#payload = this.#payload.slice(length)
    return taken
  }

  binary(payload: Uint8Array): void {
    this.socket.write(frame(OPCODE.binary, payload))
  }

  async closed(timeoutMs = 3_000): Promise<void> {
    await until("the end of the WebSocket", () => this.isClosed, timeoutMs)
  }
}
