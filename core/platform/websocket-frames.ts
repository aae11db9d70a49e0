/**
 * Frames of WebSocket: those of a client are read as their bytes come, those of a server are made whole.
 *
 * The borders of binary frames carry no meaning for MQTT: a payload is handed on in the pieces in which it came, unmasked in place, and no
 * frame is ever gathered.
 *
 * Source: RFC 6455, section 5; close codes, section 7.4.1.
 */

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const PROTOCOL_ERROR = 1002
const UNSUPPORTED_DATA = 1003
const MESSAGE_TOO_BIG = 1009

const FINAL = 0x80
const RESERVED = 0x70
const MASKED = 0x80
/** Payload of a control frame, at most. */
const CONTROL_BYTES_MAX = 125
const EMPTY = new Uint8Array(0)

/** Reads what one client sends. After each call exactly one of its findings is set, or none: more has to come, or a frame was empty. */
export class FrameReader {
  /** A piece of a binary frame's payload: a view into the bytes that were given. */
  payload: Uint8Array | undefined
  /** The payload of a control frame, whose opcode is in {@link FrameReader.opcode}. */
  control: Uint8Array | undefined
  opcode = 0
  /** The close code for what was found wrong; nothing can be read afterwards. */
  fault = 0
  readonly #frameSizeMax: number
  /** The beginning of a header, or of a control frame, that has not come whole. */
  #partial: Uint8Array = EMPTY
  /** Bytes of the current frame's payload that have not come. */
  #left = 0
  readonly #mask = new Uint8Array(4)
  #maskPosition = 0
  #isFragmented = false

  constructor(frameSizeMax: number) {
    this.#frameSizeMax = frameSizeMax
  }

  /** Reads one thing from `bytes` at `position`; returns where to go on. */
  read(bytes: Uint8Array, position: number): number {
    this.payload = undefined
    this.control = undefined
    if (this.#left > 0) {
      const end = Math.min(bytes.length, position + this.#left)
      this.#unmask(bytes, position, end)
      this.#left -= end - position
      this.payload = bytes.subarray(position, end)
      return end
    }
    const partial = this.#partial
    if (partial.length === 0) return this.#readHeader(bytes, position)
    // Byte by byte at most as many times as a header, or a control frame, has bytes.
    const next = new Uint8Array(partial.length + 1)
    next.set(partial)
    next[partial.length] = bytes[position] ?? 0
    this.#partial = EMPTY
    this.#readHeader(next, 0)
    return position + 1
  }

  /** Reads a header, with a control frame all of it; keeps it where it is not whole. */
  #readHeader(bytes: Uint8Array, position: number): number {
    const size = bytes.length - position
    const first = bytes[position] ?? 0
    const second = bytes[position + 1] ?? 0
    if (size < 2) return this.#keep(bytes, position)
    const opcode = first & 15
    const isFinal = (first & FINAL) !== 0
    const short = second & 127
    if ((first & RESERVED) !== 0 || (second & MASKED) === 0) return this.#fail(PROTOCOL_ERROR, bytes)
    if (opcode >= OPCODE.close) {
      if (opcode > OPCODE.pong || !isFinal || short > CONTROL_BYTES_MAX) return this.#fail(PROTOCOL_ERROR, bytes)
      const end = position + 6 + short
      if (bytes.length < end) return this.#keep(bytes, position)
      this.#setMask(bytes, position + 2)
      this.#unmask(bytes, position + 6, end)
      this.opcode = opcode
      this.control = bytes.subarray(position + 6, end)
      return end
    }
    if (opcode === OPCODE.text) return this.#fail(UNSUPPORTED_DATA, bytes)
    const isExpected = opcode === (this.#isFragmented ? OPCODE.continuation : OPCODE.binary)
    if (!isExpected) return this.#fail(PROTOCOL_ERROR, bytes)
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8
    const end = position + 6 + lengthBytes
    if (bytes.length < end) return this.#keep(bytes, position)
    let length = lengthBytes === 0 ? short : 0
    for (let index = 0; index < lengthBytes; index++) length = length * 256 + (bytes[position + 2 + index] ?? 0)
    if (length > this.#frameSizeMax) return this.#fail(MESSAGE_TOO_BIG, bytes)
    this.#isFragmented = !isFinal
    this.#left = length
    this.#setMask(bytes, end - 4)
    return end
  }

  #keep(bytes: Uint8Array, position: number): number {
    this.#partial = bytes.slice(position)
    return bytes.length
  }

  #fail(code: number, bytes: Uint8Array): number {
    this.fault = code
    return bytes.length
  }

  #setMask(bytes: Uint8Array, position: number): void {
    for (let index = 0; index < 4; index++) this.#mask[index] = bytes[position + index] ?? 0
    this.#maskPosition = 0
  }

  #unmask(bytes: Uint8Array, start: number, end: number): void {
    const mask = this.#mask
    let at = this.#maskPosition
    for (let position = start; position < end; position++) {
      bytes[position] = (bytes[position] ?? 0) ^ (mask[at] ?? 0)
      at = (at + 1) & 3
    }
    this.#maskPosition = at
  }
}

/** A binary frame with the payload `bytes[start, end)`. */
export function dataFrame(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const length = end - start
  const lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const frame = new Uint8Array(2 + lengthBytes + length)
  frame[0] = FINAL | OPCODE.binary
  frame[1] = lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127
  let rest = length
  for (let index = 1 + lengthBytes; index >= 2; index--) {
    frame[index] = rest % 256
    rest = Math.floor(rest / 256)
  }
  frame.set(bytes.subarray(start, end), 2 + lengthBytes)
  return frame
}

/** A control frame; of the payload no more than such a frame can hold. */
export function controlFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(2 + payload.length)
  frame[0] = FINAL | opcode
  frame[1] = payload.length
  frame.set(payload, 2)
  return frame
}
