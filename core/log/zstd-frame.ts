/**
 * Finds the frames of zstd in bytes, without inflating them. The runtimes' decompressors stop silently at a cut or at bytes after the
 * last frame, Deno's also at a skippable frame, and give what they have.
 *
 * Source: RFC 8878, sections 3.1.1 (Zstandard frames) and 3.1.2 (skippable frames).
 * Invariant: every step consumes input; nothing is allocated.
 */

const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
/** Bytes of the dictionary id and of the content size, by their codes in the frame header descriptor. */
const DICTIONARY_ID_SIZES = [0, 1, 2, 4]
const CONTENT_SIZE_SIZES = [0, 2, 4, 8]
/** Block types. */
const RUN = 1
const RESERVED_BLOCK = 3

function littleEndian32(bytes: Uint8Array, position: number): number {
  return (
    (bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24)) >>> 0
  )
}

/** The frames of `bytes[start, end)` that hold data, as views; undefined where it is not whole frames and nothing else. */
export function zstdFrames(bytes: Uint8Array, start: number, end: number): ReadonlyArray<Uint8Array> | undefined {
  const frames: Array<Uint8Array> = []
  let position = start
  do {
    const from = position
    position = frameEnd(bytes, from, end)
    if (position < 0 || position > end) return undefined
    if (littleEndian32(bytes, from) === FRAME_MAGIC) frames.push(bytes.subarray(from, position))
  } while (position < end)
  return frames
}

/** The position after the frame at `position` (past `end` where its checksum is cut), or -1 where it is cut or none. */
function frameEnd(bytes: Uint8Array, position: number, end: number): number {
  if (end - position < 5) return -1
  const magic = littleEndian32(bytes, position)
  position += 4
  if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
    if (end - position < 4) return -1
    const size = littleEndian32(bytes, position)
    return size > end - position - 4 ? -1 : position + 4 + size
  }
  if (magic !== FRAME_MAGIC) return -1
  const descriptor = bytes[position++]!
  const singleSegment = (descriptor >>> 5) & 1
  // A single segment has no window descriptor, and its content size is always there: one byte at least.
  position += 1 - singleSegment
  position += DICTIONARY_ID_SIZES[descriptor & 3]!
  position += descriptor >>> 6 === 0 ? singleSegment : CONTENT_SIZE_SIZES[descriptor >>> 6]!
  for (;;) {
    if (end - position < 3) return -1
    const header = bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16)
    const type = (header >>> 1) & 3
    if (type === RESERVED_BLOCK) return -1
    position += 3 + (type === RUN ? 1 : header >>> 3)
    if (position > end) return -1
    if ((header & 1) !== 0) break
  }
  return position + ((descriptor & 4) !== 0 ? 4 : 0)
}
