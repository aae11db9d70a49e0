/** Options of `[[plugin]] use = "storage-segment"`; sizes in bytes, each of one shard. */
import * as v from "valibot"

const size = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max))

export const SEGMENT_BYTES_MIN = 65_536

export const options = v.strictObject({
  segment_bytes: v.pipe(
    v.optional(size(SEGMENT_BYTES_MIN, 1_073_741_824), 268_435_456),
    v.description("bytes of a segment above which the next one begins")
  ),
  segment_age: v.pipe(
    v.optional(size(1), 86_400),
    v.description("seconds after its first batch after which the next segment begins")
  ),
  checkpoint_interval_ms: v.pipe(
    v.optional(size(10, 3_600_000), 2_000),
    v.description("milliseconds until what was committed is put into segments")
  ),
  checkpoint_bytes: v.pipe(
    v.optional(size(65_536), 16_777_216),
    v.description("bytes in memory above which it is put there at once")
  ),
  resident_bytes_max: v.pipe(
    v.optional(size(1_048_576), 134_217_728),
    v.description("bytes of batches that may wait to be put into segments; beyond them publishers wait")
  ),
  hot_bytes_max: v.pipe(
    v.optional(size(0), 33_554_432),
    v.description("bytes of batches that are kept in memory for who reads them soon")
  ),
  cold_bytes_max: v.pipe(
    v.optional(size(1_048_576), 33_554_432),
    v.description("bytes read from segments that are kept in memory for who reads them next")
  ),
  index_bytes_max: v.pipe(
    v.optional(size(65_536), 16_777_216),
    v.description("bytes of indexes that are kept in memory")
  ),
  open_files_max: v.pipe(
    v.optional(size(8, 100_000), 1_000),
    v.description("files of segments that are open at a time")
  )
})

export type Settings = v.InferOutput<typeof options>
export const defaultSettings: Settings = v.parse(options, {})
