import assert from "node:assert/strict"
import { test } from "node:test"
import type { DirectoryReport } from "../core/inspect/inspect-directory.ts"
import type { PartitionReport } from "../core/plugin/Inspection.ts"
import { partitionsAsJson, partitionTables } from "./storage-partitions.ts"

const partitionOf = (topicId: string, partition: number, engine = "segment"): PartitionReport => ({
  ...{ engine, tenant: 0, topicId, partition, segments: 2, bytes: 100, indexBytes: 24, records: 7 },
  ...{ logStart: 3, logEnd: 10, firstTimestamp: 1_000, lastTimestamp: 2_000 }
})

function reportOf(...stores: ReadonlyArray<ReadonlyArray<PartitionReport>>): DirectoryReport {
  const part = { part: "segments", owner: "storage-segment", names: [], bytes: 0, counts: {}, damage: [], notes: [] }
  const parts = stores.map((partitions, store) => ({ ...part, store, partitions }))
  const topicNames = new Map([["id-b", "beta"]])
  return { directory: "data", id: "x", createdBy: "0.1.0", stores: stores.length, parts, topicNames }
}

test("partitions by topic and number, whatever store they lie in; a topic without a name by its id; sums by engine", () => {
  const empty: PartitionReport = {
    ...{ engine: "sqlite", tenant: 0, topicId: "id-c", partition: 0, segments: 0, bytes: 0, indexBytes: 0, records: 0 },
    ...{ logStart: 4, logEnd: 4 }
  }
  const odd = { ...partitionOf("id-a", 10), firstTimestamp: -9e15 }
  const report = reportOf([partitionOf("id-b", 1), odd, empty], [partitionOf("id-b", 0), partitionOf("id-a", 9)])
  assert.deepEqual(partitionTables(report), [
    "",
    "TOPIC  PARTITION  STORE  ENGINE   SEGMENTS  BYTES  INDEX  RECORDS  FIRST  LAST  FROM                      TO",
    "beta   0          1      segment  2         100    24     7        3      9     1970-01-01T00:00:01.000Z  1970-01-01T00:00:02.000Z",
    "beta   1          0      segment  2         100    24     7        3      9     1970-01-01T00:00:01.000Z  1970-01-01T00:00:02.000Z",
    "id-a   9          1      segment  2         100    24     7        3      9     1970-01-01T00:00:01.000Z  1970-01-01T00:00:02.000Z",
    "id-a   10         0      segment  2         100    24     7        3      9     -9000000000000000         1970-01-01T00:00:02.000Z",
    "id-c   0          0      sqlite   0         0      0      0        -      -     -                         -",
    "",
    "ENGINE   PARTITIONS  SEGMENTS  BYTES  INDEX  RECORDS",
    "segment  4           8         400    96     28",
    "sqlite   1           0         0      0      0"
  ])
  const { topics, engines } = partitionsAsJson(report) as { topics: Array<object>; engines: unknown }
  assert.deepEqual(topics.at(-1), {
    ...{ topic: "id-c", topic_id: "id-c", tenant: 0, partition: 0, store: 0, engine: "sqlite", segments: 0, bytes: 0 },
    ...{ index_bytes: 0, records: 0, first_offset: null, last_offset: null, first_time: null, last_time: null }
  })
  assert.deepEqual(engines, [
    { engine: "segment", partitions: 4, segments: 8, bytes: 400, index_bytes: 96, records: 28 },
    { engine: "sqlite", partitions: 1, segments: 0, bytes: 0, index_bytes: 0, records: 0 }
  ])
  assert.deepEqual(partitionTables(reportOf([])), [])
})
