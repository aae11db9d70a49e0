/** Options of `[[plugin]] use = "storage-memory"`; sizes in bytes, of one shard. */
import * as v from "valibot"

const size = v.pipe(v.number(), v.integer(), v.minValue(65_536))

export const options = v.strictObject({
  partition_bytes_max: v.pipe(
    v.optional(size, 67_108_864),
    v.description("bytes of one partition that has no narrower bound")
  ),
  total_bytes_max: v.pipe(
    v.optional(size, 1_073_741_824),
    v.description(
      "bytes of memory that all partitions of a shard take; beyond them the largest lose their oldest batches"
    )
  )
})

export type Settings = v.InferOutput<typeof options>
