/**
 * Kafka record batches, version 2, for tests: written apart from the product's codec, so that neither hides the other's fault.
 *
 * Source: Kafka, "Message Format"; CRC-32C as in RFC 3720, appendix B.4.
 */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib"
import lz4 from "lz4js"
import snappy from "snappyjs"

export const CODEC = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const
export type CodecName = keyof typeof CODEC

export interface Header {
  readonly name: string
  readonly value: Uint8Array | null
}
export interface NewRecord {
  readonly key?: string | Uint8Array | null
  readonly value?: string | Uint8Array | null
  readonly headers?: ReadonlyArray<Header>
  /** Milliseconds after the batch's first timestamp. */
  readonly timestampDelta?: number
  /** Replaces the right offset delta. */
  readonly offsetDelta?: number
}
export interface StoredRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: ReadonlyArray<Header>
}
export interface StoredBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly leaderEpoch: number
  readonly attributes: number
  readonly recordCount: number
  readonly isCrcRight: boolean
  /** The whole batch as it was fetched. */
  readonly bytes: Buffer
  readonly records: ReadonlyArray<StoredRecord>
}

/** CRC-32C bit by bit from the polynomial, with a table of 256 for speed. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = (value & 1) === 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1
  return value >>> 0
})
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (TABLE[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8)
  return (crc ^ 0xffffffff) >>> 0
}

function varint(value: number): Buffer {
  let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
  const bytes: Array<number> = []
  do {
    const low = Number(rest & 127n)
    rest >>= 7n
    bytes.push(rest > 0n ? low | 128 : low)
  } while (rest > 0n)
  return Buffer.from(bytes)
}

const sized = (value: string | Uint8Array | null | undefined): Buffer => {
  if (value === null || value === undefined) return varint(-1)
  const bytes = Buffer.from(value)
  return Buffer.concat([varint(bytes.length), bytes])
}

function record(entry: NewRecord, offsetDelta: number): Buffer {
  const headers = entry.headers ?? []
  const body = Buffer.concat([
    Buffer.of(0),
    varint(entry.timestampDelta ?? 0),
    varint(entry.offsetDelta ?? offsetDelta),
    sized(entry.key),
    sized(entry.value),
    varint(headers.length),
    ...headers.flatMap((header) => [sized(header.name), sized(header.value)])
  ])
  return Buffer.concat([varint(body.length), body])
}

/** Snappy in the frames of the Java client (xerial): 8 bytes of magic, two versions, then blocks with their length. */
function xerial(bytes: Uint8Array): Buffer {
  const block = Buffer.from(snappy.compress(Uint8Array.from(bytes)))
  const head = Buffer.from("82534e41505059000000000100000001", "hex")
  const size = Buffer.alloc(4)
  size.writeUInt32BE(block.length)
  return Buffer.concat([head, size, block])
}

export function compress(codec: CodecName, bytes: Buffer): Buffer {
  switch (codec) {
    case "none":
      return bytes
    case "gzip":
      return gzipSync(bytes)
    case "snappy":
      return xerial(bytes)
    case "lz4":
      return Buffer.from(lz4.compress(bytes))
    case "zstd":
      return zstdCompressSync(bytes)
  }
}

function decompress(codec: number, bytes: Buffer): Buffer {
  switch (codec) {
    case CODEC.none:
      return bytes
    case CODEC.gzip:
      return gunzipSync(bytes)
    case CODEC.snappy: {
      if (bytes.subarray(0, 8).toString("hex") !== "82534e4150505900")
        return Buffer.from(snappy.uncompress(Uint8Array.from(bytes)))
      const parts: Array<Buffer> = []
      for (let position = 16; position < bytes.length; ) {
        const size = bytes.readUInt32BE(position)
        parts.push(Buffer.from(snappy.uncompress(Uint8Array.from(bytes.subarray(position + 4, position + 4 + size)))))
        position += 4 + size
      }
      return Buffer.concat(parts)
    }
    case CODEC.lz4:
      return Buffer.from(lz4.decompress(bytes))
    case CODEC.zstd:
      return zstdDecompressSync(bytes)
    default:
      throw new Error(`no codec ${codec}`)
  }
}

export interface BatchOptions {
  readonly codec?: CodecName
  readonly timestamp?: number
  readonly baseOffset?: number
  readonly magic?: number
  /** Replaces the attributes, codec included. */
  readonly attributes?: number
  /** Replaces the count of records that the header tells. */
  readonly recordCount?: number
  readonly lastOffsetDelta?: number
  /** Added to the right CRC. */
  readonly crcError?: number
  /** Replaces the (compressed) records. */
  readonly body?: Buffer
}

/** A batch as a producer sends it; the options make it wrong on purpose. */
export function batch(records: ReadonlyArray<NewRecord>, options: BatchOptions = {}): Buffer {
  const codec = options.codec ?? "none"
  const body = options.body ?? compress(codec, Buffer.concat(records.map(record)))
  const last = Math.max(0, ...records.map((entry) => entry.timestampDelta ?? 0))
  const timestamp = options.timestamp ?? Date.now()
  const head = Buffer.alloc(61)
  head.writeBigInt64BE(BigInt(options.baseOffset ?? 0), 0)
  head.writeInt32BE(49 + body.length, 8)
  head.writeInt32BE(-1, 12)
  head.writeInt8(options.magic ?? 2, 16)
  head.writeInt16BE(options.attributes ?? CODEC[codec], 21)
  head.writeInt32BE(options.lastOffsetDelta ?? records.length - 1, 23)
  head.writeBigInt64BE(BigInt(timestamp), 27)
  head.writeBigInt64BE(BigInt(timestamp + last), 35)
  head.writeBigInt64BE(-1n, 43)
  head.writeInt16BE(-1, 51)
  head.writeInt32BE(-1, 53)
  head.writeInt32BE(options.recordCount ?? records.length, 57)
  const whole = Buffer.concat([head, body])
  whole.writeUInt32BE((crc32c(whole.subarray(21)) + (options.crcError ?? 0)) >>> 0, 17)
  return whole
}

class Varints {
  position = 0
  readonly bytes: Buffer
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
  number(): number {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes.readUInt8(this.position++)
      value |= BigInt(byte & 127) << shift
      if (byte < 128) break
    }
    return Number((value >> 1n) ^ -(value & 1n))
  }
  sized(): Uint8Array | null {
    const length = this.number()
    if (length < 0) return null
    this.position += length
    if (this.position > this.bytes.length) throw new Error("a record is longer than its batch")
    return Uint8Array.from(this.bytes.subarray(this.position - length, this.position))
  }
}

function readRecords(head: Buffer, body: Buffer, count: number): Array<StoredRecord> {
  const baseOffset = Number(head.readBigInt64BE(0))
  const baseTimestamp = Number(head.readBigInt64BE(27))
  const cursor = new Varints(body)
  const records: Array<StoredRecord> = []
  for (let index = 0; index < count; index++) {
    const length = cursor.number()
    const end = cursor.position + length
    cursor.position++
    const timestamp = baseTimestamp + cursor.number()
    const offset = baseOffset + cursor.number()
    const key = cursor.sized()
    const value = cursor.sized()
    const headers = Array.from({ length: cursor.number() }, () => {
      const name = cursor.sized()
      if (name === null) throw new Error("a header without a name")
      return { name: new TextDecoder("utf-8", { fatal: true }).decode(name), value: cursor.sized() }
    })
    if (cursor.position !== end) throw new Error(`record ${offset} does not end where its length says`)
    records.push({ offset, timestamp, key, value, headers })
  }
  if (cursor.position !== body.length) throw new Error("there are bytes after the last record of a batch")
  return records
}

/** Decodes whole batches; an incomplete last one, which Fetch may hold, is left out. */
export function readBatches(bytes: Buffer): Array<StoredBatch> {
  const batches: Array<StoredBatch> = []
  for (let position = 0; position + 12 <= bytes.length; ) {
    const size = 12 + bytes.readInt32BE(position + 8)
    if (position + size > bytes.length) break
    const whole = bytes.subarray(position, position + size)
    if (whole.readInt8(16) !== 2) throw new Error(`magic ${whole.readInt8(16)}`)
    const attributes = whole.readInt16BE(21)
    const recordCount = whole.readInt32BE(57)
    const baseOffset = Number(whole.readBigInt64BE(0))
    batches.push({
      baseOffset,
      lastOffset: baseOffset + whole.readInt32BE(23),
      leaderEpoch: whole.readInt32BE(12),
      attributes,
      recordCount,
      isCrcRight: crc32c(whole.subarray(21)) === whole.readUInt32BE(17),
      bytes: Buffer.from(whole),
      records: readRecords(whole, decompress(attributes & 7, whole.subarray(61)), recordCount)
    })
    position += size
  }
  return batches
}

/** Kafka's murmur2 and the partition it gives a key. */
export function partitionOf(key: string, partitions: number): number {
  const bytes = Buffer.from(key)
  const multiplier = 0x5bd1e995
  let hash = 0x9747b28c ^ bytes.length
  let position = 0
  for (; position + 4 <= bytes.length; position += 4) {
    let word = Math.imul(bytes.readInt32LE(position), multiplier)
    word = Math.imul(word ^ (word >>> 24), multiplier)
    hash = Math.imul(hash, multiplier) ^ word
  }
  const left = bytes.length - position
  if (left >= 3) hash ^= bytes.readUInt8(position + 2) << 16
  if (left >= 2) hash ^= bytes.readUInt8(position + 1) << 8
  if (left >= 1) hash = Math.imul(hash ^ bytes.readUInt8(position), multiplier)
  hash = Math.imul(hash ^ (hash >>> 13), multiplier)
  hash ^= hash >>> 15
  return (hash & 0x7fffffff) % partitions
}
