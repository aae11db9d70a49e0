/** Options of `[[plugin]] use = "storage-sqlite"`; sizes in bytes, each of one shard. */
import * as v from "valibot"

const size = (min: number) => v.pipe(v.number(), v.integer(), v.minValue(min))

export const options = v.strictObject({
  checkpoint_interval_ms: v.pipe(
    v.optional(v.pipe(v.number(), v.integer(), v.minValue(10), v.maxValue(3_600_000)), 2_000),
    v.description("milliseconds until what was committed is put into the database")
  ),
  checkpoint_bytes: v.pipe(
    v.optional(size(65_536), 8_388_608),
    v.description("bytes in memory above which it is put there at once")
  ),
  resident_bytes_max: v.pipe(
    v.optional(size(1_048_576), 67_108_864),
    v.description("bytes of batches that may wait to be put into the database; beyond them publishers wait")
  ),
  hot_bytes_max: v.pipe(
    v.optional(size(0), 33_554_432),
    v.description("bytes of batches that are kept in memory for who reads them soon")
  ),
  cache_bytes: v.pipe(
    v.optional(size(1_048_576), 16_777_216),
    v.description("bytes of database pages that the storage thread keeps; the shard itself keeps a quarter of it")
  ),
  wal_bytes: v.pipe(
    v.optional(size(1_048_576), 16_777_216),
    v.description("bytes of the write-ahead log above which it is moved into the database")
  )
})

export type Settings = v.InferOutput<typeof options>
export const defaultSettings: Settings = v.parse(options, {})
