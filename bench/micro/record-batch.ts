/** Gathering messages into a record batch, its checksum included: what one stored PUBLISH costs before the engine. */
import { RecordBatchBuilder } from "../../core/log/mod.ts"
import type { MicroCase, MicroSuite } from "./suite.ts"

const RECORDS = 1000
const TIMESTAMP = 1_700_000_000_000
const key = new TextEncoder().encode("devices/room1/sensor")
/** A content type as an encoded header: varint lengths of 17 and 10 (zigzag), name and value. */
const header = new Uint8Array([
  34,
  ...new TextEncoder().encode("mqtt.content-type"),
  20,
  ...new TextEncoder().encode("text/plain")
])

function build(name: string, valueBytes: number, recordsABatch: number, withHeader: boolean): MicroCase {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(valueBytes).fill(0x2e)
  return {
    name,
    bytes: key.length + valueBytes + (withHeader ? header.length : 0),
    operations: RECORDS,
    run: () => {
      let check = 0
      for (let record = 0; record < RECORDS; record++) {
        const timestamp = TIMESTAMP + record
        if (withHeader) {
          builder.append(timestamp, key, 0, key.length, value, 0, valueBytes, header, 0, header.length, 1)
        } else {
          builder.append(timestamp, key, 0, key.length, value, 0, valueBytes)
        }
        if (builder.recordCount < recordsABatch && record < RECORDS - 1) continue
        const length = builder.finish()
        // Length and checksum of the batch: the four bytes at position 17.
        for (let index = 17; index < 21; index++) check = (Math.imul(check, 31) + (builder.bytes[index] ?? 0)) >>> 0
        check = (check + length) >>> 0
        builder.reset()
      }
      return check
    }
  }
}

export const suite: MicroSuite = {
  name: "record-batch (append, and finish with its checksum, per record)",
  cases: [
    build("64 B, 1,000 a batch", 64, 1000, false),
    build("64 B, 20 a batch", 64, 20, false),
    build("64 B, 1 a batch", 64, 1, false),
    build("64 B and a header, 1,000 a batch", 64, 1000, true),
    build("1 KiB, 100 a batch", 1024, 100, false)
  ]
}
