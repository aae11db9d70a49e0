/**
 * READ: what is stored, by topic, partition and offset, never faster than its client takes it.
 *
 * `REC offset key payload` for each record, then `OK` and the offset to go on from.
 */
import { ALLOW, OUT_OF_RANGE, READ, recordBatch, type TopicInfo } from "manifold"
import type { Answer, Connection } from "./Connection.ts"

/** Stored bytes that are looked at in one go; and what a batch may hold when it is inflated. */
const READ_BYTES = 65_536
const INFLATED_BYTES_MAX = 8_388_608
/** `topic[/partition] offset [count]`: a topic's name has no slash. */
const WORDS = /^([^\s/]+)(?:\/(\d{1,5}))? (\d{1,15})(?: (\d{1,15}))?$/
const encoder = new TextEncoder()
const OK = encoder.encode("OK ")
const RECORD = encoder.encode("REC ")

export interface Wish {
  readonly topic: TopicInfo
  readonly partition: number
  /** Records of `[from, to)`. */
  readonly from: number
  readonly to: number
}

/** What a READ asks for, or why it may not. */
export function checkRead({ principal, server }: Connection, words: string): Wish | Answer {
  const match = WORDS.exec(words)
  if (match === null) return "usage"
  const [, name = "", partition = "0", from = "0", count] = match
  const { access, topics } = server.services
  // Without the right to a topic its absence is not told either.
  if (access.checkUnsafe(principal, READ, name) !== ALLOW) return "not-authorized"
  const topic = topics.find(principal.tenant, name)
  if (topic === undefined || Number(partition) >= topic.partitions) return "unknown-topic"
  const to = count === undefined ? Number.MAX_SAFE_INTEGER : Number(from) + Number(count)
  return { topic, partition: Number(partition), from: Number(from), to }
}

/** Writes what was asked for, as the client takes it; returns why it stopped early. */
export async function replay(connection: Connection, wish: Wish): Promise<Answer | undefined> {
  const { line, services } = connection.server
  let offset = wish.from
  while (offset < wish.to && !connection.isClosed) {
    const { bytes, refusal } = await services.logs.read(wish.topic, wish.partition, offset, READ_BYTES)
    if (refusal !== 0) return refusal === OUT_OF_RANGE ? "offset" : "storage"
    if (bytes.length === 0) break
    const next = writeRecords(connection, bytes, offset, wish.to)
    if (next < 0) return "storage"
    if (next === offset && connection.outputSize === 0) return "too-long"
    offset = next
    await connection.room()
  }
  line.begin(OK)
  line.number(offset)
  line.end()
  if (!connection.isClosed) connection.write(line.bytes, line.length)
  return undefined
}

/** Writes the records of `[from, to)` in whole stored batches, as many as fit; returns where to go on, or -1: unreadable. */
function writeRecords(connection: Connection, bytes: Uint8Array, from: number, to: number): number {
  const { records } = connection.server
  let next = from
  for (let position = 0, size = 0; position < bytes.length && next < to; position += size) {
    size = recordBatch.batchSize(bytes, position, bytes.length)
    if (size <= 0 || records.reset(bytes, position, position + size, INFLATED_BYTES_MAX) !== 0) return -1
    // One past the last record, also where compaction took that.
    const end = recordBatch.baseOffset(bytes, position) + recordBatch.lastOffsetDelta(bytes, position) + 1
    let isFull = false
    while (!isFull && records.next() && records.offset < to) {
      if (records.offset < from || records.isControl) continue
      isFull = !writeRecord(connection)
      if (!isFull) next = records.offset + 1
    }
    const { refusal } = records
    records.release()
    if (refusal !== 0) return -1
    if (isFull) return next
    next = Math.max(next, Math.min(end, to))
  }
  return next
}

/** Writes the record that the cursor stands on; false where it does not fit. */
function writeRecord(connection: Connection): boolean {
  const { counts, line, records, settings } = connection.server
  if (records.valueEnd - records.valueStart > settings.output_bytes_max) return false
  line.begin(RECORD)
  line.number(records.offset)
  // A null key or value is shown as an empty one.
  line.escaped(records.bytes, Math.max(0, records.keyStart), Math.max(0, records.keyEnd), true)
  line.escaped(records.bytes, Math.max(0, records.valueStart), Math.max(0, records.valueEnd), false)
  line.end()
  if (!connection.fits(line.length)) return false
  connection.write(line.bytes, line.length)
  counts.replayed += 1
  return true
}
