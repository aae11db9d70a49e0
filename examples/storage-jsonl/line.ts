/**
 * The lines of a partition's file: one JSON object each, for a person to read and for the engine to give back every byte.
 *
 * A batch, shown here on several lines:
 *
 *     {"crc":"1c291ca3","offset":7,"epoch":0,"at":1700000000000,"durable":5,
 *      "records":[{"offset":7,"timestamp":1700000000000,"key":"sensors/room1","value":"21.5","headers":[["unit","C"]]}],
 *      "batch":"AAAAAAAAAAcAAABT..."}
 *
 * `batch` is the truth: the stored form in base64, as the producer compressed it. `records` is its translation, for people and jq
 * alone; it is never read back. What is not UTF-8 stands there as {"base64":"..."}.
 *
 * A state, written when the file is opened and closed and when the log start or the leader epoch changes:
 *
 *     {"crc":"8d3f7a10","state":"open","start":5,"next":7,"epoch":1,"at":1700000000000,"durable":7}
 *
 * Invariants
 *  - A line begins with `{"crc":"........",`: the CRC-32C, in hexadecimal, of all that follows up to the line break.
 *  - `durable`: the records below it had been synced when the line was written. So a damaged line is told from one that a crash tore.
 */
import { Buffer } from "node:buffer"
import { CODEC_NONE, codecNames, crc32c, HeaderCursor, isWellFormedUtf8, RecordCursor, recordBatch } from "manifold"

export interface BatchLine {
  /** The base offset. */
  readonly offset: number
  /** When it was appended, ms since 1970: ages are measured from here. */
  readonly at: number
  readonly durable: number
  /** In the stored form. */
  readonly batch: Uint8Array
}

export interface StateLine {
  /** "closed" as the last line: the file was closed in good order. */
  readonly state: "open" | "closed"
  /** The log start offset. */
  readonly start: number
  /** The offset of the batch that comes next; where it is not the end of the lines before, those are forgotten. */
  readonly next: number
  readonly epoch: number
  readonly at: number
  readonly durable: number
}

const NEWLINE = 10
const CRC_POSITION = '{"crc":"'.length
/** Where what the checksum covers begins. */
const COVERED_POSITION = '{"crc":"00000000",'.length
/** Bytes of keys, values and headers that the translation of one batch shows. The batch itself is always whole. */
const SHOWN_BYTES_MAX = 262_144

const cursor = new RecordCursor()
const headers = new HeaderCursor()

/** The line of the batch `bytes[start, end)`, which bears its offset and epoch already. */
export function encodeBatch(bytes: Uint8Array, start: number, end: number, at: number, durable: number): Uint8Array {
  const codec = recordBatch.codec(bytes, start)
  const producerId = recordBatch.producerId(bytes, start)
  return encode({
    offset: recordBatch.baseOffset(bytes, start),
    epoch: recordBatch.partitionLeaderEpoch(bytes, start),
    at,
    durable,
    ...(codec === CODEC_NONE ? {} : { codec: codecNames[codec] }),
    ...(producerId < 0 ? {} : { producerId }),
    ...translate(bytes, start, end),
    batch: Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("base64")
  })
}

export function encodeState(line: StateLine): Uint8Array {
  return encode({ ...line })
}

/** The line `bytes[start, end)`, without its line break; undefined where it is not one that was written here. */
export function decode(bytes: Uint8Array, start: number, end: number): BatchLine | StateLine | undefined {
  if (end - start <= COVERED_POSITION) return undefined
  const crc = textOf(bytes, start + CRC_POSITION, start + CRC_POSITION + 8)
  if (crc !== hex(crc32c(bytes, start + COVERED_POSITION, end))) return undefined
  const line = parse(textOf(bytes, start, end))
  if (line === undefined || !("batch" in line)) return line
  const batch = new Uint8Array(Buffer.from(line.batch, "base64"))
  const isWhole = recordBatch.checkBatch(batch, 0, batch.length) === 0
  return isWhole && recordBatch.baseOffset(batch, 0) === line.offset ? { ...line, batch } : undefined
}

/** Where the first line that ends in `bytes[start, end)` has its line break; -1 where none ends. */
export function lineEnd(bytes: Uint8Array, start: number, end: number): number {
  const found = bytes.subarray(start, end).indexOf(NEWLINE)
  return found < 0 ? -1 : start + found
}

function encode(line: Record<string, unknown>): Uint8Array {
  const bytes = Buffer.from(`{"crc":"00000000",${JSON.stringify(line).slice(1)}\n`)
  bytes.write(hex(crc32c(bytes, COVERED_POSITION, bytes.length - 1)), CRC_POSITION)
  return bytes
}

type Written = StateLine | (Omit<BatchLine, "batch"> & { readonly batch: string })

/** What has the right checksum was written here, so it has the form that was written, unless someone took great pains. */
function parse(text: string): Written | undefined {
  try {
    return JSON.parse(text) as Written
  } catch {
    return undefined
  }
}

interface Translation {
  readonly control?: true
  readonly records: ReadonlyArray<unknown>
  /** How many records more there are than `records` shows. */
  readonly hidden?: number
}

function translate(bytes: Uint8Array, start: number, end: number): Translation {
  const records: Array<unknown> = []
  // A batch that inflates to more than is shown is not even inflated.
  let isShown = cursor.reset(bytes, start, end, SHOWN_BYTES_MAX) === 0
  const count = recordBatch.recordCount(bytes, start)
  const control = (recordBatch.attributes(bytes, start) & recordBatch.CONTROL) !== 0
  let room = SHOWN_BYTES_MAX
  while (isShown && cursor.next()) {
    room -=
      cursor.keyEnd - cursor.keyStart + cursor.valueEnd - cursor.valueStart + cursor.headersEnd - cursor.headersStart
    isShown = room >= 0
    if (isShown) records.push(translateRecord())
  }
  cursor.release()
  const hidden = count - records.length
  return { ...(control ? { control } : {}), records, ...(hidden > 0 ? { hidden } : {}) }
}

/** The record that the cursor stands at. */
function translateRecord(): unknown {
  const { bytes, offset, timestamp, keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = cursor
  const named: Array<unknown> = []
  headers.reset(bytes, headersStart, headersEnd, cursor.headerCount)
  while (headers.next()) {
    named.push([shown(bytes, headers.nameStart, headers.nameEnd), shown(bytes, headers.valueStart, headers.valueEnd)])
  }
  const key = shown(bytes, keyStart, keyEnd)
  const value = shown(bytes, valueStart, valueEnd)
  return { offset, timestamp, key, value, ...(named.length > 0 ? { headers: named } : {}) }
}

/** A text where the bytes are one, null where there are none. */
function shown(bytes: Uint8Array, start: number, end: number): unknown {
  if (start < 0) return null
  if (isWellFormedUtf8(bytes, start, end)) return textOf(bytes, start, end)
  return { base64: Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("base64") }
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8")
}

function hex(checksum: number): string {
  return checksum.toString(16).padStart(8, "0")
}
