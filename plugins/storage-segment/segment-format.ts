/**
 * The bytes of a segment's file and of its index beside it.
 *
 * A file is a header, record batches one behind the other, and, once the segment is sealed, a footer. The index has one entry for each run
 * of batches of about {@link INDEX_RUN_BYTES}; it is derived from the file and may be made anew.
 * Source: docs/formats/segment.md.
 */
import { ByteReader, ByteWriter, crc32c, type PartitionKey, recordBatch } from "../../core/mod.ts"
import type { Segment } from "./Segment.ts"

export const HEADER_BYTES = 128
export const FOOTER_BYTES = 96
export const INDEX_ENTRY_BYTES = 24
/** Bytes of batches that one entry of an index stands for, at least. */
export const INDEX_RUN_BYTES = 16_384
const VERSION = 1
/** Where the checksums of header and footer lie; they cover what stands behind them. */
const CHECKSUM_AT = 8
const COVERED_FROM = 12
const TOPIC_ID_BYTES_MAX = 79
const MAGIC = new TextEncoder().encode("MFSEGMNT")
const FOOTER_MAGIC = new TextEncoder().encode("MFSEGEND")

/** Bytes of a batch's own header: what the checksum over a segment covers of each batch, whose own checksum covers the rest. */
export const BATCH_HEADER_BYTES = recordBatch.RECORDS_POSITION

/** What a segment's files are called by. */
export type SegmentName = Pick<Segment, "base" | "generation">

/** `<base offset>.log`, twenty digits, so that names order as offsets do; with the generation behind that where a compaction wrote it. */
export function logName(segment: SegmentName): string {
  return `${stemOf(segment)}.log`
}

export function indexName(segment: SegmentName): string {
  return `${stemOf(segment)}.index`
}

function stemOf({ base, generation = 0 }: SegmentName): string {
  const digits = String(base).padStart(20, "0")
  return generation === 0 ? digits : `${digits}.${generation}`
}

/** Base offset and generation of a segment's file, or undefined where a name is none. */
export function segmentOfName(name: string): SegmentName | undefined {
  const [, digits, generation] = /^(\d{20})(?:\.([1-9]\d{0,14}))?\.(?:log|index)$/.exec(name) ?? []
  if (digits === undefined) return undefined
  return { base: Number(digits), ...(generation === undefined ? {} : { generation: Number(generation) }) }
}

/** The base offset alone. */
export function baseOfName(name: string): number | undefined {
  return segmentOfName(name)?.base
}

/** Names the partition, so that a file that lies elsewhere says whose it is. A topic id of more than 79 bytes is cut there. */
export function encodeHeader(id: number, key: PartitionKey, base: number): Uint8Array {
  const writer = new ByteWriter()
  writer.raw(MAGIC)
  writer.uint32(0)
  writer.uint32(VERSION)
  writer.uint53(id)
  writer.uint53(base)
  writer.uint53(key.tenant)
  writer.uint53(key.partition)
  const topicId = new TextEncoder().encode(key.topicId).subarray(0, TOPIC_ID_BYTES_MAX)
  writer.uint8(topicId.length)
  writer.raw(topicId)
  writer.raw(new Uint8Array(HEADER_BYTES - writer.length))
  return withChecksum(writer)
}

/** Why `bytes` are not the header of that segment: a phrase for a person, or undefined where they are. */
export function checkHeader(bytes: Uint8Array, id: number, base: number): string | undefined {
  const found = describeHeader(bytes)
  if (typeof found === "string") return found
  if (found.id === id && found.base === base) return undefined
  return `the header is that of partition ${found.id} from offset ${found.base} on`
}

/** What a header says; a phrase for a person where `bytes` are none. */
export function describeHeader(
  bytes: Uint8Array
): (PartitionKey & { readonly id: number; readonly base: number }) | string {
  const fault = checkFrame(bytes, HEADER_BYTES, MAGIC, "header")
  if (fault !== undefined) return fault
  const reader = new ByteReader().reset(bytes, COVERED_FROM, HEADER_BYTES)
  const version = reader.uint32()
  if (version !== VERSION) return `the header has version ${version}; this program knows ${VERSION}`
  const [id, base, tenant, partition] = [reader.uint53(), reader.uint53(), reader.uint53(), reader.uint53()]
  const length = reader.uint8()
  const topicId = new TextDecoder().decode(bytes.subarray(reader.position, reader.position + length))
  return { id, base, tenant, partition, topicId }
}

/** What a footer says; undefined where `bytes` do not begin with a whole one. */
export function describeFooter(
  bytes: Uint8Array
):
  | Omit<
      Segment,
      "isSealed" | "generation" | "indexEntries" | "indexCrc" | "indexedBytes" | "indexedEnd" | "tailMaxTimestamp"
    >
  | undefined {
  if (checkFrame(bytes, FOOTER_BYTES, FOOTER_MAGIC, "footer") !== undefined) return undefined
  const reader = new ByteReader().reset(bytes, COVERED_FROM, FOOTER_BYTES)
  return {
    headersCrc: reader.uint32(),
    bytes: reader.uint53(),
    base: reader.uint53(),
    end: reader.uint53(),
    firstTimestamp: reader.int64(),
    maxTimestamp: reader.int64(),
    firstAppendedMs: reader.uint53(),
    lastAppendedMs: reader.uint53(),
    batches: reader.uint53(),
    records: reader.uint53()
  }
}

export function encodeFooter(segment: Segment): Uint8Array {
  const writer = new ByteWriter()
  writer.raw(FOOTER_MAGIC)
  writer.uint32(0)
  writer.uint32(segment.headersCrc)
  writer.uint53(segment.bytes)
  writer.uint53(segment.base)
  writer.uint53(segment.end)
  writer.int64(segment.firstTimestamp)
  writer.int64(segment.maxTimestamp)
  writer.uint53(segment.firstAppendedMs)
  writer.uint53(segment.lastAppendedMs)
  writer.uint53(segment.batches)
  writer.uint53(segment.records)
  writer.raw(new Uint8Array(FOOTER_BYTES - writer.length))
  return withChecksum(writer)
}

/** Why `bytes` are not the footer of that segment: a phrase for a person, or undefined where they are. */
export function checkFooter(bytes: Uint8Array, segment: Segment): string | undefined {
  const fault = checkFrame(bytes, FOOTER_BYTES, FOOTER_MAGIC, "footer")
  if (fault !== undefined) return fault
  const wanted = encodeFooter(segment)
  return wanted.every((byte, at) => bytes[at] === byte) ? undefined : "the footer is that of another content"
}

function withChecksum(writer: ByteWriter): Uint8Array {
  writer.setUint32(CHECKSUM_AT, crc32c(writer.bytes, COVERED_FROM, writer.length))
  return writer.bytes.slice(0, writer.length)
}

function checkFrame(bytes: Uint8Array, size: number, magic: Uint8Array, what: string): string | undefined {
  if (bytes.length < size) return `the file ends within the ${what}`
  if (!magic.every((byte, at) => bytes[at] === byte)) return `there is no ${what}`
  const found = new ByteReader().reset(bytes, CHECKSUM_AT, COVERED_FROM).uint32()
  return found === crc32c(bytes, COVERED_FROM, size) ? undefined : `the ${what} does not fit its checksum`
}

/** An entry of an index: the run of batches in `[position, end)`. */
export interface IndexRun {
  /** Of the first batch, counted from the segment's. */
  readonly relativeOffset: number
  readonly position: number
  readonly end: number
  readonly maxTimestamp: number
}

export function encodeRuns(runs: ReadonlyArray<IndexRun>): Uint8Array {
  const writer = new ByteWriter()
  for (const { relativeOffset, position, end, maxTimestamp } of runs) {
    const start = writer.length
    writer.uint32(relativeOffset)
    writer.uint32(position)
    writer.uint32(end)
    writer.int64(maxTimestamp)
    writer.uint32(crc32c(writer.bytes, start, writer.length))
  }
  return writer.bytes.slice(0, writer.length)
}

/** The entry at `start`, or undefined where its checksum says that it is none. */
export function decodeRun(bytes: Uint8Array, start: number): IndexRun | undefined {
  const reader = new ByteReader().reset(bytes, start, start + INDEX_ENTRY_BYTES)
  const run = {
    relativeOffset: reader.uint32(),
    position: reader.uint32(),
    end: reader.uint32(),
    maxTimestamp: reader.int64()
  }
  return reader.uint32() === crc32c(bytes, start, start + INDEX_ENTRY_BYTES - 4) ? run : undefined
}
