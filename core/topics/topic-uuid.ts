/** Ids of topics as bytes, and as text without a piece of it being a text of its own: a million are read and written. */
import { Buffer } from "node:buffer"
import { textOfBytes } from "../text-of-bytes.ts"

export const UUID_BYTES = 16
const TEXT_LENGTH = 36
const DIGITS = Buffer.from("0123456789abcdef")
const DASH = 0x2d

/** The value of a digit by its code; 255 = none. Capital letters are none: a topic's id has one text. */
const values = new Uint8Array(128).fill(255)
for (const [value, code] of DIGITS.entries()) values[code] = value

const text = new Uint8Array(TEXT_LENGTH)

/** The text of `bytes[start, start + 16)`: flat, for one that is put together piece by piece is kept as its pieces. */
export function uuidAt(bytes: Uint8Array, start: number): string {
  let position = 0
  for (let at = 0; at < UUID_BYTES; at++) {
    if (at === 4 || at === 6 || at === 8 || at === 10) text[position++] = DASH
    const byte = bytes[start + at] ?? 0
    text[position++] = DIGITS[byte >>> 4] ?? 0
    text[position++] = DIGITS[byte & 15] ?? 0
  }
  return textOfBytes(text, 0, TEXT_LENGTH)
}

/** Puts the bytes of a UUID's text at `target[start, start + 16)`; false where it is none as {@link uuidAt} writes them. */
export function putUuid(uuid: string, target: Uint8Array, start: number): boolean {
  if (uuid.length !== TEXT_LENGTH) return false
  let position = 0
  for (let at = 0; at < UUID_BYTES; at++) {
    if ((at === 4 || at === 6 || at === 8 || at === 10) && uuid.charCodeAt(position++) !== DASH) return false
    const high = values[uuid.charCodeAt(position++)] ?? 255
    const low = values[uuid.charCodeAt(position++)] ?? 255
    if (high === 255 || low === 255) return false
    target[start + at] = (high << 4) | low
  }
  return true
}
