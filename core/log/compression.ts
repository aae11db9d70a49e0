/**
 * The codecs of a record batch: gzip, snappy (raw block and xerial's framing), lz4 (frame) and zstd.
 *
 * Source: Kafka, "Message Format" (attributes bits 0 to 2).
 * Invariants
 *  - The output is bounded while inflating, whatever the input declares: a bomb is cut off at `sizeMax`, having cost
 *    about that much. (For gzip and zstd the runtime joins its chunks at the end, so a payload that is within the bound
 *    costs twice its size for a moment. A zstd window of up to 128 MiB is reserved, but only what is written is touched:
 *    256 MiB of zeros in 8 KiB, bounded to 1 MiB, raised the resident memory by 5 MiB.)
 *  - Bad bytes are a refusal, never a throw; cut input is bad; so are bytes after the end.
 *  - Pure computation: `node:zlib`'s synchronous functions are called here and nowhere else.
 */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib"
import { lz4Compress, lz4Decompress } from "./lz4.ts"
import { BATCH_CODEC, COMPRESSION_CORRUPT, COMPRESSION_TOO_LARGE } from "./refusals.ts"
import { snappyCompress, snappyDecompress } from "./snappy.ts"
import { zstdFrames } from "./zstd-frame.ts"

/** The codec numbers of the attributes field. */
export const CODEC_NONE = 0
export const CODEC_GZIP = 1
export const CODEC_SNAPPY = 2
export const CODEC_LZ4 = 3
export const CODEC_ZSTD = 4

/** The codecs' names as Kafka's configuration spells them, by number. */
export const codecNames: ReadonlyArray<string> = ["none", "gzip", "snappy", "lz4", "zstd"]

/**
 * Inflates `bytes[start, end)` to at most `sizeMax` bytes, or says why not: `COMPRESSION_TOO_LARGE`,
 * `COMPRESSION_CORRUPT`, `BATCH_CODEC` for a codec that is none. The result is new, but for `CODEC_NONE` a view.
 */
export function decompress(
  codec: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  sizeMax: number
): Uint8Array | number {
  switch (codec) {
    case CODEC_NONE:
      return end - start > sizeMax ? COMPRESSION_TOO_LARGE : bytes.subarray(start, end)
    case CODEC_GZIP:
      return inflate(gunzipSync, bytes.subarray(start, end), sizeMax)
    case CODEC_SNAPPY:
      return snappyDecompress(bytes, start, end, sizeMax)
    case CODEC_LZ4:
      return lz4Decompress(bytes, start, end, sizeMax)
    case CODEC_ZSTD:
      return zstdDecompress(bytes, start, end, sizeMax)
    default:
      return BATCH_CODEC
  }
}

/** Frame by frame; most payloads are one. */
function zstdDecompress(bytes: Uint8Array, start: number, end: number, sizeMax: number): Uint8Array | number {
  const frames = zstdFrames(bytes, start, end)
  if (frames === undefined) return COMPRESSION_CORRUPT
  const [only, second] = frames
  if (only !== undefined && second === undefined) return inflate(zstdDecompressSync, only, sizeMax)
  const parts: Array<Uint8Array> = []
  let size = 0
  for (const frame of frames) {
    const part = inflate(zstdDecompressSync, frame, sizeMax - size)
    if (typeof part === "number") return part
    parts.push(part)
    size += part.length
  }
  return new Uint8Array(Buffer.concat(parts, size))
}

type Inflate = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array

function inflate(run: Inflate, bytes: Uint8Array, sizeMax: number): Uint8Array | number {
  try {
    // The runtime takes no bound of 0; with 1 an empty payload still passes and one byte does not get by below.
    const inflated = run(bytes, { maxOutputLength: Math.max(sizeMax, 1) })
    return inflated.length > sizeMax ? COMPRESSION_TOO_LARGE : inflated
  } catch (error) {
    return (error as { code?: unknown }).code === "ERR_BUFFER_TOO_LARGE" ? COMPRESSION_TOO_LARGE : COMPRESSION_CORRUPT
  }
}

/** Compresses `bytes` into a payload that every Kafka client reads. `codec` must be one of the five. */
export function compress(codec: number, bytes: Uint8Array): Uint8Array {
  switch (codec) {
    case CODEC_GZIP:
      return gzipSync(bytes)
    case CODEC_SNAPPY:
      return snappyCompress(bytes)
    case CODEC_LZ4:
      return lz4Compress(bytes)
    case CODEC_ZSTD:
      return zstdCompressSync(bytes)
    default:
      return bytes
  }
}
