/**
 * xxHash, 32 bits, seed 0: the checksum inside LZ4 frames.
 *
 * Source: xxHash fast digest algorithm, version 0.1.1, "XXH32 Algorithm Description".
 * Invariant: the result is an unsigned 32-bit number; nothing is allocated.
 */

const PRIME1 = 0x9e3779b1
const PRIME2 = 0x85ebca77
const PRIME3 = 0xc2b2ae3d
const PRIME4 = 0x27d4eb2f
const PRIME5 = 0x165667b1

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function word(bytes: Uint8Array, position: number): number {
  return bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24)
}

function round(accumulator: number, input: number): number {
  return Math.imul(rotateLeft((accumulator + Math.imul(input, PRIME2)) | 0, 13), PRIME1)
}

/** The hash of `bytes[start, end)`. The range must lie inside `bytes`. */
export function xxhash32(bytes: Uint8Array, start: number, end: number): number {
  let position = start
  let hash = PRIME5 | 0
  if (end - start >= 16) {
    let first = (PRIME1 + PRIME2) | 0
    let second = PRIME2 | 0
    let third = 0
    let fourth = -PRIME1 | 0
    for (const last = end - 16; position <= last; position += 16) {
      first = round(first, word(bytes, position))
      second = round(second, word(bytes, position + 4))
      third = round(third, word(bytes, position + 8))
      fourth = round(fourth, word(bytes, position + 12))
    }
    hash = (rotateLeft(first, 1) + rotateLeft(second, 7) + rotateLeft(third, 12) + rotateLeft(fourth, 18)) | 0
  }
  hash = (hash + (end - start)) | 0
  for (; position + 4 <= end; position += 4) {
    hash = Math.imul(rotateLeft((hash + Math.imul(word(bytes, position), PRIME3)) | 0, 17), PRIME4)
  }
  for (; position < end; position++) {
    hash = Math.imul(rotateLeft((hash + Math.imul(bytes[position]!, PRIME5)) | 0, 11), PRIME1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME3)
  return (hash ^ (hash >>> 16)) >>> 0
}
