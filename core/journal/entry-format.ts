/**
 * An entry of the journal, byte by byte: what one turn submitted.
 *
 * Invariants
 *  - The CRC-32C covers everything behind it, so an entry is there as a whole or not at all.
 *  - An entry carries the mark of its segment, which is drawn anew each time a file becomes a segment: what a recycled file held
 *    before, and what a client sends that looks like an entry, is none. The CRC covers the mark, or a torn write could lend a new mark
 *    to an entry of old.
 *  - `previous` is the entry that holds before this one: what stands between the two is void.
 *
 * Source: docs/formats/journal.md. Numbers are big-endian; those of eight bytes are below 2^53.
 */
import { crc32c } from "../log/crc32c.ts"

const CRC_AT = 0
const CRC_FROM = 4
export const MARK_AT = 4
export const MARK_BYTES = 8
const LENGTH_AT = 12
const GROUP_AT = 16
const TERM_AT = 20
const INDEX_AT = 28
const PREVIOUS_AT = 36
const SYNCED_AT = 44
const COUNT_AT = 52
/** Bytes before the first operation. */
export const ENTRY_HEADER_BYTES = 56
/** Bytes of an operation before its body: kind, durability, length. */
export const OPERATION_HEADER_BYTES = 6
/** No turn submits this much; what says so is no entry. */
export const ENTRY_BYTES_MAX = 1_073_741_824

/** The journal's own operation: it was closed with nothing left to sync. */
export const KIND_CLOSED = 0

export const DURABILITY_HYBRID = 0
export const DURABILITY_PERSISTENT = 1

/** The checksum of entries; another one only in tests that plant a fault. */
export type Checksum = (bytes: Uint8Array, start: number, end: number) => number
export const entryChecksum: Checksum = crc32c

export function readUint32(bytes: Uint8Array, at: number): number {
  const low = ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
  return (bytes[at] ?? 0) * 16_777_216 + low
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

export function readUint53(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) * 4_294_967_296 + readUint32(bytes, at + 4)
}

export function writeUint53(bytes: Uint8Array, at: number, value: number): void {
  writeUint32(bytes, at, Math.floor(value / 4_294_967_296))
  writeUint32(bytes, at + 4, value % 4_294_967_296)
}

/** What the header of an entry says. */
export interface EntryFields {
  /** Bytes of the whole entry. */
  length: number
  index: number
  previous: number
  /** Entries up to this one had been synced when this one was written. */
  synced: number
  operations: number
}

/**
 * Fills the header of the entry at `bytes[start, end)`, whose operations stand behind it already. Group and term are 0 as long as
 * the journal has one group and one voter.
 */
export function finishEntry(
  bytes: Uint8Array,
  start: number,
  end: number,
  mark: Uint8Array,
  index: number,
  previous: number,
  synced: number,
  operations: number,
  checksum: Checksum
): void {
  bytes.set(mark, start + MARK_AT)
  writeUint32(bytes, start + LENGTH_AT, end - start)
  writeUint32(bytes, start + GROUP_AT, 0)
  writeUint53(bytes, start + TERM_AT, 0)
  writeUint53(bytes, start + INDEX_AT, index)
  writeUint53(bytes, start + PREVIOUS_AT, previous)
  writeUint53(bytes, start + SYNCED_AT, synced)
  writeUint32(bytes, start + COUNT_AT, operations)
  writeUint32(bytes, start + CRC_AT, checksum(bytes, start + CRC_FROM, end))
}

/** Whether the entry that begins at `bytes[start]` would carry `mark`. */
export function hasMark(bytes: Uint8Array, start: number, mark: Uint8Array): boolean {
  for (let index = 0; index < MARK_BYTES; index++) if (bytes[start + MARK_AT + index] !== mark[index]) return false
  return true
}

/** What the header at `bytes[start, start + 56)` says is the length of its entry; not yet proven. */
export function lengthOfEntry(bytes: Uint8Array, start: number): number {
  return readUint32(bytes, start + LENGTH_AT)
}

/** "" where `bytes[start, end)` is a whole entry, whose fields are then in `into`; else what is wrong, for a person. */
export function checkEntry(
  bytes: Uint8Array,
  start: number,
  end: number,
  checksum: Checksum,
  into: EntryFields
): string {
  if (readUint32(bytes, start + CRC_AT) !== checksum(bytes, start + CRC_FROM, end)) return "its checksum does not match"
  into.length = end - start
  into.index = readUint53(bytes, start + INDEX_AT)
  into.previous = readUint53(bytes, start + PREVIOUS_AT)
  into.synced = readUint53(bytes, start + SYNCED_AT)
  into.operations = readUint32(bytes, start + COUNT_AT)
  let at = start + ENTRY_HEADER_BYTES
  for (let count = into.operations; count > 0; count--) {
    if (at + OPERATION_HEADER_BYTES > end) return "its operations do not fill it"
    at += OPERATION_HEADER_BYTES + readUint32(bytes, at + 2)
  }
  return at === end ? "" : "its operations do not fill it"
}

/** Calls `visit` for each operation of the entry at `bytes[start, end)`, which was checked. */
export function forEachOperation(
  bytes: Uint8Array,
  start: number,
  end: number,
  visit: (kind: number, durability: number, start: number, end: number) => void
): void {
  let at = start + ENTRY_HEADER_BYTES
  while (at < end) {
    const body = at + OPERATION_HEADER_BYTES
    const next = body + readUint32(bytes, at + 2)
    visit(bytes[at] ?? 0, bytes[at + 1] ?? 0, body, next)
    at = next
  }
}
