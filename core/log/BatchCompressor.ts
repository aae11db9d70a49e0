/**
 * Completes gathered batches of topics with `compression = "zstd"`: compressed where that gains something, else as they are.
 *
 * Invariants
 *  - It runs on the loop, so it is bounded: records above {@link COMPRESSED_BYTES_MAX} stay plain, and so does what is beyond the
 *    budget of a turn. Below {@link COMPRESSED_BYTES_MIN} a frame's own bytes and the call cost more than it gains.
 *  - What would not shrink by one part in {@link GAIN_PARTS} stays plain: who reads it need not inflate it.
 *  - Every batch is counted once, with its size before and after.
 *
 * Measured on Bun 1.4.5, a shared core (`npm run bench -- micro compression`): JSON 6 to 13 µs for 1 KiB, 35 to 64 for 32 KiB, where a
 * batch is sealed unless one message is larger; inflated in half the time. The bound is for what compresses badly: of random digits
 * 32 KiB take 0.1 to 0.2 ms, 128 KiB 0.6 to 1 ms, and twice as much of other data 2 ms. Level 3, zstd's own default: level 1 has the same
 * ratio on 32 KiB of JSON for a seventh less time. `node:zlib` is 1 to 3 µs a call slower than what Bun has besides, and works on Deno.
 */
import type { CompressionBudget } from "./CompressionBudget.ts"
import { CODEC_ZSTD, compress } from "./compression.ts"
import type { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { crc, RECORDS_POSITION } from "./record-batch.ts"
import { type SealedBatches, sealedBatches } from "./SealedBatches.ts"

/** What a topic's gathered batches are compressed with. */
export type Compression = "none" | "zstd"

/** Bytes of records below and above which a batch stays plain. */
export const COMPRESSED_BYTES_MIN = 256
export const COMPRESSED_BYTES_MAX = 131_072
/** One part of so many has to be saved. */
const GAIN_PARTS = 8

/** What became of the batches of topics that are compressed. */
export interface CompressionCounts {
  /** Bytes of all of them, headers included, before and after. */
  inputBytes: number
  outputBytes: number
  /** Batches that were compressed, and those that stayed plain by why. */
  compressed: number
  small: number
  large: number
  incompressible: number
  /** Beyond the budget of their turn. */
  busy: number
}

export interface BatchCompressorParts {
  /** Of the shard; without one as much is compressed as comes. */
  readonly budget?: CompressionBudget
  /** Where what was compressed is held as it was; the thread's where it is left out. */
  readonly sealed?: SealedBatches
}

export class BatchCompressor {
  readonly counts: CompressionCounts = {
    inputBytes: 0,
    outputBytes: 0,
    compressed: 0,
    small: 0,
    large: 0,
    incompressible: 0,
    busy: 0
  }
  readonly #budget: CompressionBudget | undefined
  readonly #sealed: SealedBatches

  constructor({ budget, sealed = sealedBatches }: BatchCompressorParts = {}) {
    this.#budget = budget
    this.#sealed = sealed
  }

  /**
   * {@link RecordBatchBuilder.finish}, compressed where it gains: returns the batch's length, 0 where nothing was appended. Nothing may
   * be appended to the builder before its `reset`.
   */
  finish(builder: RecordBatchBuilder): number {
    const { counts } = this
    const packed = this.#pack(builder)
    counts.inputBytes += builder.recordCount === 0 ? 0 : builder.byteLength
    // Taken out before the compressed form is written over it.
    const records = packed === undefined ? undefined : builder.bytes.slice(RECORDS_POSITION, builder.byteLength)
    const length = builder.finish(packed)
    counts.outputBytes += length
    if (packed !== undefined && records !== undefined) this.#sealed.add(crc(builder.bytes, 0), packed, records)
    return length
  }

  /** The builder's records compressed, or undefined where they stay as they are. */
  #pack({ bytes, byteLength, recordCount }: RecordBatchBuilder): Uint8Array | undefined {
    const { counts } = this
    const size = byteLength - RECORDS_POSITION
    if (recordCount === 0) return undefined
    if (size < COMPRESSED_BYTES_MIN) {
      counts.small += 1
      return undefined
    }
    if (size > COMPRESSED_BYTES_MAX) {
      counts.large += 1
      return undefined
    }
    if (this.#budget?.take(size) === false) {
      counts.busy += 1
      return undefined
    }
    const packed = compress(CODEC_ZSTD, bytes.subarray(RECORDS_POSITION, byteLength))
    if (packed.length > size - size / GAIN_PARTS) {
      counts.incompressible += 1
      return undefined
    }
    counts.compressed += 1
    return packed
  }
}
