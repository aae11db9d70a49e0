/**
 * The snapshot of the meta store as bytes. docs/formats/meta.md describes them byte by byte.
 *
 * Invariant: the mark and the version at the beginning and the checksum of everything at the end mean the same in every version
 * there will be, so that any release can tell a newer snapshot from one that is damaged.
 */
import { ByteReader, ByteWriter, crc32c, crc32cUpdate } from "../../core/mod.ts"
import type { HardState } from "./Consensus.ts"
import { MetaFormatFault } from "./commands.ts"
import type { MetaImage, StoredValue } from "./MetaState.ts"

/** Raised by one when an older release cannot read what this one writes. */
export const SNAPSHOT_VERSION = 1

/** "MFLDMETA". */
const MARK = new TextEncoder().encode("MFLDMETA")
const CHECKSUM_BYTES = 4
/** Bytes of one piece, about: what the loop is held up by. */
const PIECE_BYTES = 131_072

export interface Snapshot {
  /** Entries of the journal up to this one are in it. */
  readonly journalIndex: number
  /** The last entry of the log that is in it. */
  readonly lastIndex: number
  readonly lastTerm: number
  readonly hardState: HardState
  readonly image: MetaImage
}

/** The bytes of a snapshot, piece by piece; each is the reader's until it asks for the next. */
export function* encodeSnapshot(snapshot: Snapshot): Generator<Uint8Array, void> {
  const { journalIndex, lastIndex, lastTerm, hardState, image } = snapshot
  const writer = new ByteWriter()
  let checksum = 0
  const take = (): Uint8Array => {
    checksum = crc32cUpdate(checksum, writer.bytes, 0, writer.length)
    const piece = writer.bytes.subarray(0, writer.length)
    writer.length = 0
    return piece
  }
  writer.raw(MARK, 0, MARK.length)
  writer.uint32(SNAPSHOT_VERSION)
  writer.uint53(journalIndex)
  writer.uint53(lastIndex)
  writer.uint53(lastTerm)
  writer.uint53(hardState.term)
  writer.uint53(hardState.vote)
  writer.uint53(hardState.commit)
  writer.uint53(image.revision)
  writer.uint53(image.nextLease)
  writer.uint32(image.leases.length)
  writer.uint32(image.entries.length)
  for (const { lease, ttlMs } of image.leases) {
    writer.uint53(lease)
    writer.uint53(ttlMs)
    if (writer.length >= PIECE_BYTES) yield take()
  }
  for (const { key, stored } of image.entries) {
    writer.text(key)
    writer.uint53(stored.version)
    writer.uint53(stored.lease)
    writer.block(stored.value, 0, stored.value.length)
    if (writer.length >= PIECE_BYTES) yield take()
  }
  yield take()
  writer.uint32(checksum)
  yield writer.bytes.subarray(0, writer.length)
}

/** What the bytes of a whole file say. Throws {@link MetaFormatFault}. */
export function decodeSnapshot(bytes: Uint8Array): Snapshot {
  const end = bytes.length - CHECKSUM_BYTES
  const head = MARK.length + 4
  const reader = new ByteReader().reset(bytes, 0, bytes.length)
  if (end < head || MARK.some((byte, index) => bytes[index] !== byte)) {
    throw new MetaFormatFault("it is damaged: it does not begin as a snapshot does")
  }
  reader.position = end
  if (crc32c(bytes, 0, end) !== reader.uint32()) {
    throw new MetaFormatFault("it is damaged: its checksum is that of other content")
  }
  reader.reset(bytes, MARK.length, end)
  const version = reader.uint32()
  if (version !== SNAPSHOT_VERSION) {
    throw new MetaFormatFault(`it has version ${version}; this release reads ${SNAPSHOT_VERSION}`)
  }
  const [journalIndex, lastIndex, lastTerm] = [reader.uint53(), reader.uint53(), reader.uint53()]
  const hardState = { term: reader.uint53(), vote: reader.uint53(), commit: reader.uint53() }
  const [revision, nextLease] = [reader.uint53(), reader.uint53()]
  const [leaseCount, entryCount] = [reader.uint32(), reader.uint32()]
  const leases = Array.from({ length: leaseCount }, () => ({ lease: reader.uint53(), ttlMs: reader.uint53() }))
  const entries = Array.from({ length: entryCount }, () => {
    const key = reader.text()
    const [version, lease] = [reader.uint53(), reader.uint53()]
    const stored: StoredValue = { version, lease, value: reader.blockCopy() }
    return { key, stored }
  })
  if (reader.position !== end) throw new MetaFormatFault("it is damaged: more follows than it says it holds")
  return { journalIndex, lastIndex, lastTerm, hardState, image: { revision, nextLease, leases, entries } }
}
