/**
 * The form of the line protocol: lines out of bytes, and bytes of any kind in a line.
 *
 * A line ends with LF or CR LF; its words stand between single spaces. `\\` is a backslash, `\xHH` the byte with that number; every
 * other byte stands for itself. Bytes in, values out: nothing here knows a socket or a broker.
 *
 * Invariants
 *  - No bytes make it throw. A reader whose owner asks for lines keeps one unfinished line, of `sizeMax` bytes, and no more.
 *  - What a writer escapes holds no control character, and `unescapeBytes` makes the same bytes of it.
 */
import { isWellFormedUtf8 } from "manifold"

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const BACKSLASH = 0x5c
const X = 0x78
const NONE = new Uint8Array(0)
const HEX_DIGITS = new TextEncoder().encode("0123456789abcdef")

/** No whole line is there. */
export const NO_LINE = 0
/** `bytes[start, end)` of the reader is a line. */
export const LINE = 1
/** The line is longer than it may be: what follows cannot be read any more. */
export const TOO_LONG = -1

export class LineReader {
  /** The line is `bytes[start, end)`; it may be changed in place, and holds until the next call. */
  bytes: Uint8Array = NONE
  start = 0
  end = 0
  readonly #sizeMax: number
  /** `bytes` is read up to here. */
  #next = 0

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax
  }

  /** Takes bytes, which are the reader's from now on. */
  feed(received: Uint8Array): void {
    const rest = this.bytes.length - this.#next
    if (rest === 0) this.bytes = received
    else {
      const joined = new Uint8Array(rest + received.length)
      joined.set(this.bytes.subarray(this.#next))
      joined.set(received, rest)
      this.bytes = joined
    }
    this.#next = 0
  }

  /** Steps to the next line: {@link LINE}, {@link NO_LINE} or {@link TOO_LONG}. */
  next(): number {
    const start = this.#next
    const found = this.bytes.indexOf(LF, start)
    const end = found < 0 ? this.bytes.length : found
    if (end - start > this.#sizeMax) return TOO_LONG
    if (found < 0) {
      // An idle connection costs what it has begun to say, not the buffer that it came in.
      if (start > 0) this.bytes = start === end ? NONE : this.bytes.slice(start)
      this.#next = 0
      return NO_LINE
    }
    this.start = start
    this.end = end > start && this.bytes[end - 1] === CR ? end - 1 : end
    this.#next = end + 1
    return LINE
  }
}

/** Where the word that begins at `start` ends: at a space, or at `end`. */
export function wordEnd(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  while (position < end && bytes[position] !== SPACE) position++
  return position
}

/** Replaces the escapes in `bytes[start, end)` in place; returns the new end, or -1 where a `\` begins none. */
export function unescapeBytes(bytes: Uint8Array, start: number, end: number): number {
  let write = start
  for (let read = start; read < end; write++) {
    let byte = bytes[read++] ?? 0
    if (byte === BACKSLASH) {
      const kind = read < end ? bytes[read++] : 0
      if (kind === X && read + 2 <= end) byte = digit(bytes[read++]) * 16 + digit(bytes[read++])
      else if (kind !== BACKSLASH) return -1
      if (Number.isNaN(byte)) return -1
    }
    bytes[write] = byte
  }
  return write
}

/** The value of a hexadecimal digit; NaN for every other character. */
function digit(character = 0): number {
  if (character >= 0x30 && character <= 0x39) return character - 0x30
  const lower = character | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : Number.NaN
}

/** Puts lines together in one buffer that is used again and again. */
export class LineWriter {
  bytes: Uint8Array = new Uint8Array(1_024)
  length = 0

  /** Begins a line with `prefix`. */
  begin(prefix: Uint8Array): void {
    this.length = 0
    this.#room(prefix.length)
    this.bytes.set(prefix)
    this.length = prefix.length
  }

  /** Adds a whole number >= 0. */
  number(value: number): void {
    this.#room(20)
    let digits = 1
    for (let rest = value; rest >= 10; rest /= 10) digits++
    this.length += digits
    let rest = value
    for (let position = this.length; digits > 0; digits--) {
      this.bytes[--position] = 0x30 + (rest % 10)
      rest = Math.floor(rest / 10)
    }
  }

  /**
   * Adds a space and `bytes[start, end)`, so that a terminal shows them and does nothing else: control characters become escapes,
   * and so does what is no UTF-8; in a word, spaces too.
   */
  escaped(bytes: Uint8Array, start: number, end: number, isWord: boolean): void {
    this.#room((end - start) * 4 + 1)
    this.bytes[this.length++] = SPACE
    const isText = isWellFormedUtf8(bytes, start, end)
    for (let read = start; read < end; read++) {
      const byte = bytes[read] ?? 0
      if (byte === BACKSLASH) {
        this.bytes[this.length++] = BACKSLASH
        this.bytes[this.length++] = BACKSLASH
      } else if (byte === 0xc2 && isText && (bytes[read + 1] ?? 0) < 0xa0) {
        // U+0080 to U+009F are control characters in two bytes.
        this.#hex(byte)
        this.#hex(bytes[++read] ?? 0)
      } else if (byte < SPACE || byte === 0x7f || (byte > 0x7f && !isText) || (isWord && byte === SPACE))
        this.#hex(byte)
      else this.bytes[this.length++] = byte
    }
  }

  end(): void {
    this.#room(1)
    this.bytes[this.length++] = LF
  }

  #hex(byte: number): void {
    this.bytes[this.length++] = BACKSLASH
    this.bytes[this.length++] = X
    this.bytes[this.length++] = HEX_DIGITS[byte >>> 4] ?? 0
    this.bytes[this.length++] = HEX_DIGITS[byte & 15] ?? 0
  }

  #room(count: number): void {
    if (this.length + count <= this.bytes.length) return
    const grown = new Uint8Array(2 * (this.length + count))
    grown.set(this.bytes.subarray(0, this.length))
    this.bytes = grown
  }
}
