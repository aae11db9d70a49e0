/**
 * The header of a journal segment and the names of its files.
 *
 * A header is written and synced before the file gets the name of a segment, and never changed under that name: one that is not
 * whole is damage, whatever crashed. Which entries a segment holds is said by the entries.
 *
 * Source: docs/formats/journal.md.
 */
import { crc32c } from "../log/crc32c.ts"
import { MARK_BYTES, readUint32, readUint53, writeUint32, writeUint53 } from "./entry-format.ts"

export const SEGMENT_HEADER_BYTES = 64
export const FORMAT_VERSION = 1
export const JOURNAL_ID_BYTES = 16

const MAGIC = new TextEncoder().encode("MFJOURNL")
const VERSION_AT = 8
const NUMBER_AT = 16
const ID_AT = 24
const MARK_AT = 40
const CRC_AT = 60

const SEGMENT_NAME = /^([0-9a-f]{16})\.journal$/
const SPARE_NAME = /^([0-9a-f]{16})\.spare$/

export interface SegmentHeader {
  readonly number: number
  /** Drawn when the journal was made; the same in all its segments. */
  readonly journalId: Uint8Array
  /** What each entry of the segment begins with. */
  readonly mark: Uint8Array
}

const hex = (number: number): string => number.toString(16).padStart(16, "0")

export const segmentName = (number: number): string => `${hex(number)}.journal`
export const spareName = (number: number): string => `${hex(number)}.spare`

/** The number in the name of a segment, or undefined where it is no name of one. */
export const numberOfSegment = (name: string): number | undefined => numberIn(SEGMENT_NAME, name)
/** The same for a file that waits to become a segment. */
export const numberOfSpare = (name: string): number | undefined => numberIn(SPARE_NAME, name)

function numberIn(pattern: RegExp, name: string): number | undefined {
  const digits = pattern.exec(name)?.[1]
  const number = digits === undefined ? Number.NaN : Number.parseInt(digits, 16)
  return Number.isSafeInteger(number) ? number : undefined
}

export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
  bytes.set(MAGIC)
  writeUint32(bytes, VERSION_AT, FORMAT_VERSION)
  writeUint53(bytes, NUMBER_AT, header.number)
  bytes.set(header.journalId, ID_AT)
  bytes.set(header.mark, MARK_AT)
  writeUint32(bytes, CRC_AT, crc32c(bytes, 0, CRC_AT))
  return bytes
}

/** What is wrong with a header, and what can be done, for a person. */
export interface HeaderFault {
  readonly reason: string
  readonly remedy: string
}

const RESTORE =
  "Restore a backup, or move this file and those with higher numbers away, knowing that their entries are lost"

/** The header in the first 64 bytes of a file, of which `length` were there; or what is wrong with it. */
export function decodeSegmentHeader(bytes: Uint8Array, length: number): SegmentHeader | HeaderFault {
  if (length < SEGMENT_HEADER_BYTES)
    return {
      reason: `the header of a journal segment has ${SEGMENT_HEADER_BYTES} bytes, here are ${length}`,
      remedy: RESTORE
    }
  for (let index = 0; index < MAGIC.length; index++) {
    if (bytes[index] !== MAGIC[index]) return { reason: "no journal segment begins like this", remedy: RESTORE }
  }
  if (readUint32(bytes, CRC_AT) !== crc32c(bytes, 0, CRC_AT))
    return { reason: "the checksum of the segment's header does not match", remedy: RESTORE }
  const version = readUint32(bytes, VERSION_AT)
  if (version > FORMAT_VERSION) {
    const reason = `the segment has format ${version}, and this version of Manifold knows formats up to ${FORMAT_VERSION}`
    return { reason, remedy: "Start the version that wrote it, or a newer one" }
  }
  if (version !== FORMAT_VERSION)
    return { reason: `there is no format ${version} of journal segments`, remedy: RESTORE }
  return {
    number: readUint53(bytes, NUMBER_AT),
    journalId: bytes.slice(ID_AT, ID_AT + JOURNAL_ID_BYTES),
    mark: bytes.slice(MARK_AT, MARK_AT + MARK_BYTES)
  }
}
