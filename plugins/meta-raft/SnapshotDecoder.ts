/**
 * Reads snapshots of format 2, however they are cut into pieces.
 *
 * Invariants
 *  - A first state is told of as it is read, and refused as a whole where no commit follows; what changed later is told of when its commit
 *    has been checked.
 *  - The checksum is taken of pieces, not of records: most are short.
 */
import { ByteReader, crc32cUpdate, KEY_BYTES_MAX } from "../../core/mod.ts"
import { COMMAND_BYTES_MAX, MetaFormatFault } from "./commands.ts"
import {
  COMMIT,
  COMMIT_BYTES,
  ENTRY,
  LEASE,
  LEASE_BYTES,
  MARK_AND_VERSION_BYTES,
  REMOVED,
  type SnapshotHead,
  type SnapshotTarget
} from "./snapshot-format.ts"

/** Where the last commit of a snapshot ends, and the checksum of everything up to there. */
export interface SnapshotEnd {
  readonly head: SnapshotHead
  readonly end: number
  readonly checksum: number
}

/** Reads what {@link SnapshotEncoder} wrote, however it is cut into pieces. Begins behind mark and version. */
export class SnapshotDecoder {
  readonly #target: SnapshotTarget
  readonly #reader = new ByteReader()
  /** What is being read: the rest of the piece before and the next one, `#length` bytes. */
  #bytes = new Uint8Array(0)
  #length = 0
  /** Where in the file `#bytes` begins. */
  #position = MARK_AND_VERSION_BYTES
  #checksum: number
  /** Bytes at the start of `#bytes` that the checksum has. */
  #summed = 0
  /** What changed since the last commit, which may turn out never to have been finished. */
  #changes: Array<() => void> = []
  #leases: Array<{ readonly lease: number; readonly ttlMs: number }> = []
  #last: SnapshotEnd | undefined
  /** Behind the last good commit stands something that is none. */
  #isOver = false

  /** `start`: mark and version as they were read. */
  constructor(target: SnapshotTarget, start: Uint8Array) {
    this.#target = target
    this.#checksum = crc32cUpdate(0, start, 0, start.length)
  }

  /** The next bytes of the file, copied; throws {@link MetaFormatFault} where they are of no state. */
  feed(piece: Uint8Array): void {
    if (this.#isOver) return
    this.#join(piece)
    const bytes = this.#bytes
    let at = 0
    for (;;) {
      const end = recordEnd(bytes, at, this.#length)
      if (end === NEED_MORE) break
      if (end === NO_RECORD) this.#broken()
      else this.#record(bytes, at, end)
      if (this.#isOver) return
      at = end
    }
    this.#sum(bytes, at)
    this.#position += at
    // Changes that wait for their commit lie in the array that there is.
    if (this.#changes.length > 0) this.#bytes = bytes.slice(at, this.#length)
    else bytes.copyWithin(0, at, this.#length)
    this.#length -= at
    this.#summed = 0
  }

  /** All has been fed. Throws {@link MetaFormatFault} where there is no whole state. */
  finish(): SnapshotEnd {
    if (this.#last === undefined) throw new MetaFormatFault("it is damaged: its end is missing")
    return this.#last
  }

  #join(piece: Uint8Array): void {
    const length = this.#length + piece.length
    if (length > this.#bytes.length) {
      const joined = new Uint8Array(length)
      joined.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = joined
    }
    this.#bytes.set(piece, this.#length)
    this.#length = length
  }

  #sum(bytes: Uint8Array, end: number): void {
    this.#checksum = crc32cUpdate(this.#checksum, bytes, this.#summed, end)
    this.#summed = end
  }

  #record(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader.reset(bytes, start, end)
    const kind = reader.uint8()
    if (kind === COMMIT) this.#commit(bytes, start, end)
    else if (kind === LEASE) this.#leases.push({ lease: reader.uint53(), ttlMs: reader.uint53() })
    else if (kind === REMOVED) {
      const key = reader.text()
      this.#change(() => this.#target.removed(key))
    } else {
      const keyStart = reader.blockStart()
      const keyEnd = reader.position
      const version = reader.uint53()
      const lease = reader.uint53()
      const valueStart = reader.blockStart()
      const entry = { bytes, keyStart, keyEnd, valueStart, valueEnd: reader.position, version, lease }
      if (this.#last === undefined) this.#target.entry(entry)
      else this.#changes.push(() => this.#target.entry(entry))
    }
  }

  #change(change: () => void): void {
    if (this.#last === undefined) change()
    else this.#changes.push(change)
  }

  #commit(bytes: Uint8Array, start: number, end: number): void {
    this.#sum(bytes, end - 4)
    const reader = this.#reader.reset(bytes, start + 1, end)
    const [journalIndex, lastIndex, lastTerm] = [reader.uint53(), reader.uint53(), reader.uint53()]
    const hardState = { term: reader.uint53(), vote: reader.uint53(), commit: reader.uint53() }
    const [revision, nextLease] = [reader.uint53(), reader.uint53()]
    if (reader.uint32() !== this.#checksum) {
      this.#broken()
      return
    }
    this.#sum(bytes, end)
    for (const change of this.#changes) change()
    const head = { journalIndex, lastIndex, lastTerm, hardState, revision, nextLease, leases: this.#leases }
    this.#target.head(head)
    this.#changes = []
    this.#leases = []
    this.#last = { head, end: this.#position + end, checksum: this.#checksum }
  }

  #broken(): void {
    if (this.#last === undefined) throw new MetaFormatFault("it is damaged: its checksum is that of other content")
    this.#isOver = true
  }
}

/** What {@link recordEnd} finds where a record is not all there, or none begins. */
const NEED_MORE = -1
const NO_RECORD = -2

/** Where the record at `at` ends, of `bytes[0, length)`. */
function recordEnd(bytes: Uint8Array, at: number, length: number): number {
  if (at >= length) return NEED_MORE
  const kind = bytes[at]
  if (kind === LEASE) return within(at + LEASE_BYTES, length)
  if (kind === COMMIT) return within(at + COMMIT_BYTES, length)
  if (kind !== ENTRY && kind !== REMOVED) return NO_RECORD
  if (at + 5 > length) return NEED_MORE
  const keyBytes = uint32(bytes, at + 1)
  // A length that was never written must not have all that follows gathered as one record.
  if (keyBytes > KEY_BYTES_MAX) return NO_RECORD
  const keyEnd = at + 5 + keyBytes
  if (kind === REMOVED) return within(keyEnd, length)
  if (keyEnd + 20 > length) return NEED_MORE
  const valueBytes = uint32(bytes, keyEnd + 16)
  return valueBytes > COMMAND_BYTES_MAX ? NO_RECORD : within(keyEnd + 20 + valueBytes, length)
}

function within(end: number, length: number): number {
  return end <= length ? end : NEED_MORE
}

function uint32(bytes: Uint8Array, at: number): number {
  const low = ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
  return (bytes[at] ?? 0) * 16_777_216 + low
}
