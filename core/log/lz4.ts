/**
 * LZ4 in the frame format, as Kafka's clients write it for magic 2.
 *
 * Source: lz4 `doc/lz4_Frame_format.md` and `doc/lz4_Block_format.md`.
 * Invariants
 *  - Own codec: the npm `lz4js` checks no bounds on reading, and writes blocks that lean on each other, which Kafka's
 *    Java client refuses.
 *  - Exactly one frame, nothing after it; header, block and content checksums are verified where they stand; a declared
 *    content size must be true and allocates nothing. Frames that need a dictionary are refused.
 *  - Bad bytes are a refusal, never a throw; every step consumes input.
 */
import { BoundedOutput } from "./BoundedOutput.ts"
import { COMPRESSION_CORRUPT, COMPRESSION_TOO_LARGE } from "./refusals.ts"
import { xxhash32 } from "./xxhash32.ts"

const FRAME_MAGIC = 0x184d2204
/** Frame descriptor flags: version 01 in the top two bits, then what follows. */
const VERSION_MASK = 0xc0
const VERSION = 0x40
const BLOCKS_INDEPENDENT = 0x20
const BLOCK_CHECKSUM = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const RESERVED_OR_DICTIONARY = 0x03
/** Magic, flags, block size code, header checksum. */
const FRAME_HEADER_SIZE_MIN = 7
/** Top bit of a block's size: the block is stored as it is. */
const STORED_BIT = 0x80000000
const MATCH_LENGTH_MIN = 4

function littleEndian32(bytes: Uint8Array, position: number): number {
  return (
    (bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24)) >>> 0
  )
}

function writeLittleEndian32(target: Uint8Array, position: number, value: number): number {
  for (let shift = 0; shift < 32; shift += 8) target[position++] = value >>> shift
  return position
}

/** Inflates the one frame `bytes[start, end)` to at most `sizeMax` bytes; else a refusal. */
export function lz4Decompress(bytes: Uint8Array, start: number, end: number, sizeMax: number): Uint8Array | number {
  if (end - start < FRAME_HEADER_SIZE_MIN || littleEndian32(bytes, start) !== FRAME_MAGIC) return COMPRESSION_CORRUPT
  const flags = bytes[start + 4]!
  const sizeCode = bytes[start + 5]!
  if ((flags & VERSION_MASK) !== VERSION || (flags & RESERVED_OR_DICTIONARY) !== 0) return COMPRESSION_CORRUPT
  if ((sizeCode & 0x8f) !== 0 || sizeCode >>> 4 < 4) return COMPRESSION_CORRUPT
  // Codes 4 to 7: 64 KiB, 256 KiB, 1 MiB, 4 MiB.
  const blockSizeMax = 1 << (2 * (sizeCode >>> 4) + 8)
  const headerEnd = start + FRAME_HEADER_SIZE_MIN - 1 + ((flags & CONTENT_SIZE) !== 0 ? 8 : 0)
  if (headerEnd >= end || ((xxhash32(bytes, start + 4, headerEnd) >>> 8) & 255) !== bytes[headerEnd]) {
    return COMPRESSION_CORRUPT
  }
  let contentSize = -1
  if ((flags & CONTENT_SIZE) !== 0) {
    contentSize = littleEndian32(bytes, start + 6) + littleEndian32(bytes, start + 10) * 4294967296
    if (contentSize > sizeMax) return COMPRESSION_TOO_LARGE
  }
  const output = new BoundedOutput((end - start) * 2, sizeMax)
  let position = headerEnd + 1
  for (;;) {
    if (end - position < 4) return COMPRESSION_CORRUPT
    const blockField = littleEndian32(bytes, position)
    position += 4
    if (blockField === 0) break
    const stored = blockField >= STORED_BIT
    const size = stored ? blockField - STORED_BIT : blockField
    const tail = (flags & BLOCK_CHECKSUM) !== 0 ? 4 : 0
    if (size === 0 || size > blockSizeMax || size + tail > end - position) return COMPRESSION_CORRUPT
    if (tail > 0 && xxhash32(bytes, position, position + size) !== littleEndian32(bytes, position + size)) {
      return COMPRESSION_CORRUPT
    }
    if (stored) {
      if (!output.append(bytes, position, position + size)) return COMPRESSION_TOO_LARGE
    } else {
      const historyStart = (flags & BLOCKS_INDEPENDENT) !== 0 ? output.length : 0
      const refusal = decodeBlock(bytes, position, position + size, output, historyStart, blockSizeMax)
      if (refusal !== 0) return refusal
    }
    position += size + tail
  }
  if (contentSize >= 0 && contentSize !== output.length) return COMPRESSION_CORRUPT
  if ((flags & CONTENT_CHECKSUM) !== 0) {
    if (end - position < 4) return COMPRESSION_CORRUPT
    if (xxhash32(output.bytes, 0, output.length) !== littleEndian32(bytes, position)) return COMPRESSION_CORRUPT
    position += 4
  }
  return position === end ? output.finish() : COMPRESSION_CORRUPT
}

/** Appends the inflated block to `output`; matches reach back to `historyStart` (a position in the output) at most. */
function decodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  output: BoundedOutput,
  historyStart: number,
  blockSizeMax: number
): number {
  const outputEnd = output.length + blockSizeMax
  let position = start
  while (position < end) {
    const token = bytes[position++]!
    let length = token >>> 4
    if (length === 15) {
      let more = 255
      while (more === 255) {
        if (position >= end) return COMPRESSION_CORRUPT
        more = bytes[position++]!
        length += more
      }
    }
    if (length > end - position || length > outputEnd - output.length) return COMPRESSION_CORRUPT
    if (!output.append(bytes, position, position + length)) return COMPRESSION_TOO_LARGE
    position += length
    // The last sequence of a block is literals only.
    if (position === end) return 0
    if (end - position < 2) return COMPRESSION_CORRUPT
    const distance = bytes[position]! | (bytes[position + 1]! << 8)
    position += 2
    length = token & 15
    if (length === 15) {
      let more = 255
      while (more === 255) {
        if (position >= end) return COMPRESSION_CORRUPT
        more = bytes[position++]!
        length += more
      }
    }
    length += MATCH_LENGTH_MIN
    if (distance === 0 || distance > output.length - historyStart) return COMPRESSION_CORRUPT
    if (length > outputEnd - output.length) return COMPRESSION_CORRUPT
    if (!output.repeat(distance, length)) return COMPRESSION_TOO_LARGE
  }
  // A block ends with literals, not with a match.
  return COMPRESSION_CORRUPT
}

/** Code 4. With blocks no longer than 64 KiB every match inside one is near enough for its two-byte distance. */
const BLOCK_SIZE_CODE = 4
const BLOCK_SIZE = 65_536
const HASH_BITS = 13
/** The format asks that no match begins in the last 12 bytes of a block, nor reaches into its last 5. */
const MATCH_START_MARGIN = 12
const LITERAL_TAIL = 5

/** One frame of independent blocks without checksums or content size, as Kafka's Java client writes and demands. */
export function lz4Compress(bytes: Uint8Array): Uint8Array {
  const blocks = Math.ceil(bytes.length / BLOCK_SIZE)
  const target = new Uint8Array(16 + bytes.length + Math.ceil(bytes.length / 128) + blocks * 24)
  const table = new Int32Array(1 << HASH_BITS)
  let to = writeLittleEndian32(target, 0, FRAME_MAGIC)
  target[to++] = VERSION | BLOCKS_INDEPENDENT
  target[to++] = BLOCK_SIZE_CODE << 4
  target[to] = (xxhash32(target, 4, to) >>> 8) & 255
  to++
  for (let start = 0; start < bytes.length; start += BLOCK_SIZE) {
    const end = Math.min(start + BLOCK_SIZE, bytes.length)
    const sizePosition = to
    to = encodeBlock(bytes, start, end, target, to + 4, table)
    if (to - sizePosition - 4 < end - start) {
      writeLittleEndian32(target, sizePosition, to - sizePosition - 4)
    } else {
      target.set(bytes.subarray(start, end), writeLittleEndian32(target, sizePosition, (end - start) | STORED_BIT))
      to = sizePosition + 4 + end - start
    }
  }
  return target.subarray(0, writeLittleEndian32(target, to, 0))
}

function encodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  to: number,
  table: Int32Array
): number {
  table.fill(0)
  let literal = start
  for (let position = start; position < end - MATCH_START_MARGIN; ) {
    const slot = Math.imul(littleEndian32(bytes, position), 0x9e3779b1) >>> (32 - HASH_BITS)
    // The table holds position - start + 1: 0 is empty.
    const candidate = table[slot]! - 1 + start
    table[slot] = position - start + 1
    let length = 0
    if (candidate >= start) {
      while (position + length < end - LITERAL_TAIL && bytes[candidate + length] === bytes[position + length]) length++
    }
    if (length < MATCH_LENGTH_MIN) {
      position++
      continue
    }
    to = writeSequence(bytes, literal, position, length - MATCH_LENGTH_MIN, target, to)
    target[to++] = position - candidate
    target[to++] = (position - candidate) >>> 8
    to = writeRest(target, to, length - MATCH_LENGTH_MIN)
    position += length
    literal = position
  }
  return writeSequence(bytes, literal, end, 0, target, to)
}

/** Token, literal length and literals; the match's part of the token is `matchLength`, its rest comes later. */
function writeSequence(
  source: Uint8Array,
  start: number,
  end: number,
  matchLength: number,
  target: Uint8Array,
  to: number
): number {
  target[to++] = (Math.min(end - start, 15) << 4) | Math.min(matchLength, 15)
  to = writeRest(target, to, end - start)
  target.set(source.subarray(start, end), to)
  return to + end - start
}

/** The part of a length that its four bits cannot hold. */
function writeRest(target: Uint8Array, to: number, length: number): number {
  if (length < 15) return to
  let rest = length - 15
  for (; rest >= 255; rest -= 255) target[to++] = 255
  target[to++] = rest
  return to
}
