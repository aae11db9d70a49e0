/** Compresses the records of a batch: small ones here and now, large ones of gzip and zstd in the runtime's pool, off the loop. */
import { gzip, zstdCompress } from "node:zlib"
import { CODEC_GZIP, CODEC_ZSTD, compress } from "../log/compression.ts"

/** Bytes above which a batch is compressed off the loop: half a millisecond of work. */
const OFF_LOOP_BYTES = 65_536

/** `codec` must be one of the five; `bytes` are borrowed, and must not change, until it settles. */
export function compressLater(codec: number, bytes: Uint8Array): Promise<Uint8Array> {
  const run = codec === CODEC_GZIP ? gzip : codec === CODEC_ZSTD ? zstdCompress : undefined
  if (run === undefined || bytes.length <= OFF_LOOP_BYTES) return Promise.resolve(compress(codec, bytes))
  return new Promise((resolve, reject) => {
    run(bytes, (error: Error | null, packed: Uint8Array) => {
      if (error === null) resolve(packed)
      else reject(error)
    })
  })
}
