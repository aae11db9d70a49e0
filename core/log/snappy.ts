/**
 * Snappy in the two forms that Kafka's clients write: a raw block, and xerial's framing of blocks (snappy-java).
 *
 * Source: google/snappy `format_description.txt`; snappy-java `SnappyOutputStream` (8 bytes of magic, two int32 versions,
 * then int32 length and block, repeated; all big endian).
 * Invariants
 *  - Own decoder: the npm `snappyjs` allocates what the input declares, and a literal length with its top bit set sends
 *    it backwards for ever.
 *  - A block's declared length must be what it inflates to, and allocates nothing.
 *  - Bad bytes are a refusal, never a throw; every step consumes input.
 */
import { BoundedOutput } from "./BoundedOutput.ts"
import { COMPRESSION_CORRUPT, COMPRESSION_TOO_LARGE } from "./refusals.ts"
import { decoded, readUnsignedVarint, writeUnsignedVarint } from "./varint.ts"

/** 0x82 "SNAPPY" 0. No raw block begins so: its third byte would copy from before the first byte. */
const XERIAL_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0)
/** The magic, then version and compatible version, which no reader looks at. */
const XERIAL_HEADER_SIZE = 16

/** Inflates `bytes[start, end)`, raw or framed, to at most `sizeMax` bytes; else a refusal. */
export function snappyDecompress(bytes: Uint8Array, start: number, end: number, sizeMax: number): Uint8Array | number {
  const output = new BoundedOutput((end - start) * 2, sizeMax)
  const refusal = isXerial(bytes, start, end)
    ? decodeChunks(bytes, start + XERIAL_HEADER_SIZE, end, output, sizeMax)
    : decodeBlock(bytes, start, end, output, sizeMax)
  return refusal === 0 ? output.finish() : refusal
}

/** Appends every framed block of `bytes[position, end)` to `output`; 0 or the refusal. */
function decodeChunks(
  bytes: Uint8Array,
  position: number,
  end: number,
  output: BoundedOutput,
  sizeMax: number
): number {
  while (position < end) {
    if (end - position < 4) return COMPRESSION_CORRUPT
    const size =
      (bytes[position]! << 24) | (bytes[position + 1]! << 16) | (bytes[position + 2]! << 8) | bytes[position + 3]!
    position += 4
    if (size <= 0 || size > end - position) return COMPRESSION_CORRUPT
    const refusal = decodeBlock(bytes, position, position + size, output, sizeMax)
    if (refusal !== 0) return refusal
    position += size
  }
  return 0
}

function isXerial(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < XERIAL_HEADER_SIZE) return false
  for (let index = 0; index < XERIAL_MAGIC.length; index++) {
    if (bytes[start + index] !== XERIAL_MAGIC[index]) return false
  }
  return true
}

/** Appends the inflated block to `output`; copies reach back to the block's own first byte only. */
function decodeBlock(bytes: Uint8Array, start: number, end: number, output: BoundedOutput, sizeMax: number): number {
  let position = readUnsignedVarint(bytes, start, end)
  if (position < 0) return COMPRESSION_CORRUPT
  const blockStart = output.length
  const blockEnd = blockStart + decoded.value
  if (blockEnd > sizeMax) return COMPRESSION_TOO_LARGE
  while (position < end) {
    const tag = bytes[position++]!
    let length = (tag >>> 2) + 1
    if ((tag & 3) === 0) {
      if (length > 60) {
        const lengthBytes = length - 60
        if (lengthBytes > end - position) return COMPRESSION_CORRUPT
        length = littleEndian(bytes, position, lengthBytes) + 1
        position += lengthBytes
      }
      if (length > end - position || length > blockEnd - output.length) return COMPRESSION_CORRUPT
      if (!output.append(bytes, position, position + length)) return COMPRESSION_TOO_LARGE
      position += length
      continue
    }
    const distanceBytes = (tag & 3) === 3 ? 4 : tag & 3
    if (distanceBytes > end - position) return COMPRESSION_CORRUPT
    let distance = littleEndian(bytes, position, distanceBytes)
    position += distanceBytes
    if (distanceBytes === 1) {
      distance += (tag >>> 5) << 8
      length = ((tag >>> 2) & 7) + 4
    }
    if (distance === 0 || distance > output.length - blockStart) return COMPRESSION_CORRUPT
    if (length > blockEnd - output.length) return COMPRESSION_CORRUPT
    if (!output.repeat(distance, length)) return COMPRESSION_TOO_LARGE
  }
  return output.length === blockEnd ? 0 : COMPRESSION_CORRUPT
}

function littleEndian(bytes: Uint8Array, position: number, size: number): number {
  let value = 0
  for (let index = size - 1; index >= 0; index--) value = value * 256 + bytes[position + index]!
  return value
}

/** Copies reach back 65,535 bytes at most in the two-byte form, so that is how much is compressed together. */
const FRAGMENT_SIZE = 65_535
const HASH_BITS = 13
const LITERAL_SHORT_MAX = 60
const COPY_LENGTH_MAX = 64

/** One raw block with all of `bytes`; every Kafka client reads it. Greedy: made for tests and rare use, not for speed. */
export function snappyCompress(bytes: Uint8Array): Uint8Array {
  const target = new Uint8Array(8 + bytes.length + Math.ceil(bytes.length / 32))
  const table = new Int32Array(1 << HASH_BITS)
  let to = writeUnsignedVarint(target, 0, bytes.length)
  let literal = 0
  for (let position = 0; position + 4 <= bytes.length; ) {
    const sequence =
      bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24)
    const slot = Math.imul(sequence, 0x9e3779b1) >>> (32 - HASH_BITS)
    // The table holds position + 1: 0 is empty.
    const candidate = table[slot]! - 1
    table[slot] = position + 1
    let length = 0
    if (candidate >= 0 && position - candidate <= FRAGMENT_SIZE) {
      while (position + length < bytes.length && bytes[candidate + length] === bytes[position + length]) length++
    }
    if (length < 4) {
      position++
      continue
    }
    to = writeLiteral(bytes, literal, position, target, to)
    const distance = position - candidate
    position += length
    literal = position
    for (; length > 0; length -= COPY_LENGTH_MAX) {
      target[to++] = ((Math.min(length, COPY_LENGTH_MAX) - 1) << 2) | 2
      target[to++] = distance
      target[to++] = distance >>> 8
    }
  }
  return target.subarray(0, writeLiteral(bytes, literal, bytes.length, target, to))
}

function writeLiteral(source: Uint8Array, start: number, end: number, target: Uint8Array, to: number): number {
  const length = end - start
  if (length === 0) return to
  if (length <= LITERAL_SHORT_MAX) target[to++] = (length - 1) << 2
  else {
    target[to++] = 63 << 2
    for (let shift = 0; shift < 32; shift += 8) target[to++] = (length - 1) >>> shift
  }
  target.set(source.subarray(start, end), to)
  return to + length
}
