/**
 * The snapshot of the meta store as bytes: a line of records, of which a commit says that everything before it is a state. What changes
 * later is appended, with a commit of its own. docs/formats/meta.md describes it byte by byte.
 *
 * Invariants
 *  - The mark and the version at the beginning mean the same in every version there will be, and a file that was written whole ends with
 *    the checksum of everything before: so any release can tell a newer snapshot from one that is damaged.
 *  - What follows the last commit that is whole was never counted on: the journal still has it.
 */
import { ByteReader, ByteWriter, crc32cUpdate } from "../../core/mod.ts"
import type { HardState } from "./Consensus.ts"
import { MetaFormatFault } from "./commands.ts"

/** Raised by one when an older release cannot read what this one writes. */
export const SNAPSHOT_VERSION = 2
/** "MFLDMETA". */
export const MARK = new TextEncoder().encode("MFLDMETA")
export const MARK_AND_VERSION_BYTES = MARK.length + 4
/** Bytes of one piece, about: what the loop is held up by. */
export const PIECE_BYTES = 131_072

const ENTRY = 1
const REMOVED = 2
const LEASE = 3
const COMMIT = 4

const LEASE_BYTES = 1 + 8 + 8
const COMMIT_BYTES = 1 + 8 * 8 + 4

/** What a key holds. */
export interface StoredValue {
  readonly value: Uint8Array
  /** The revision that wrote it. */
  readonly version: number
  /** The lease that it hangs on; 0 = none. */
  readonly lease: number
}

/** What a snapshot says beside the entries. */
export interface SnapshotHead {
  /** Entries of the journal up to this one are in it. */
  readonly journalIndex: number
  /** The last entry of the log that is in it. */
  readonly lastIndex: number
  readonly lastTerm: number
  readonly hardState: HardState
  readonly revision: number
  readonly nextLease: number
  readonly leases: ReadonlyArray<{ readonly lease: number; readonly ttlMs: number }>
}

/** Is told what a snapshot holds: the entries of a state, then its head; then what changed, and the next head. */
export interface SnapshotTarget {
  /** `value` is borrowed until this returns. */
  entry(key: string, stored: StoredValue): void
  removed(key: string): void
  head(head: SnapshotHead): void
}

/** Records as bytes, and the checksum of everything since the beginning of the file. */
export class SnapshotEncoder {
  readonly #writer = new ByteWriter()
  #checksum: number
  /** Bytes at the writer's start that the checksum has. */
  #summed = 0

  /** `checksum`: of what the file holds already. */
  constructor(checksum = 0) {
    this.#checksum = checksum
  }

  /** Of everything that was taken. */
  get checksum(): number {
    return this.#checksum
  }

  get isPieceFull(): boolean {
    return this.#writer.length >= PIECE_BYTES
  }

  begin(): void {
    this.#writer.raw(MARK, 0, MARK.length)
    this.#writer.uint32(SNAPSHOT_VERSION)
  }

  entry(key: string, { version, lease, value }: StoredValue): void {
    const writer = this.#writer
    writer.uint8(ENTRY)
    writer.text(key)
    writer.uint53(version)
    writer.uint53(lease)
    writer.block(value, 0, value.length)
  }

  removed(key: string): void {
    this.#writer.uint8(REMOVED)
    this.#writer.text(key)
  }

  commit({ journalIndex, lastIndex, lastTerm, hardState, revision, nextLease, leases }: SnapshotHead): void {
    const writer = this.#writer
    for (const { lease, ttlMs } of leases) {
      writer.uint8(LEASE)
      writer.uint53(lease)
      writer.uint53(ttlMs)
    }
    writer.uint8(COMMIT)
    const { term, vote, commit } = hardState
    for (const number of [journalIndex, lastIndex, lastTerm, term, vote, commit, revision, nextLease]) {
      writer.uint53(number)
    }
    this.#sum()
    writer.uint32(this.#checksum)
  }

  /** What was encoded since the last call: the caller's until it encodes more. */
  take(): Uint8Array {
    this.#sum()
    const writer = this.#writer
    const piece = writer.bytes.subarray(0, writer.length)
    writer.length = 0
    this.#summed = 0
    return piece
  }

  #sum(): void {
    const { bytes, length } = this.#writer
    this.#checksum = crc32cUpdate(this.#checksum, bytes, this.#summed, length)
    this.#summed = length
  }
}

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
  #rest = new Uint8Array(0)
  /** Where in the file `#rest` begins. */
  #position = MARK_AND_VERSION_BYTES
  #checksum: number
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

  /** The next bytes of the file; throws {@link MetaFormatFault} where they are of no state. */
  feed(bytes: Uint8Array): void {
    if (this.#isOver) return
    const joined = new Uint8Array(this.#rest.length + bytes.length)
    joined.set(this.#rest)
    joined.set(bytes, this.#rest.length)
    let at = 0
    for (let end = recordEnd(joined, at); end > 0 && !this.#isOver; end = recordEnd(joined, at)) {
      this.#record(joined, at, end)
      at = end
    }
    this.#rest = joined.slice(at)
    this.#position += at
  }

  /** All has been fed. Throws {@link MetaFormatFault} where there is no whole state. */
  finish(): SnapshotEnd {
    if (this.#last === undefined) throw new MetaFormatFault("it is damaged: its end is missing")
    return this.#last
  }

  #record(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader.reset(bytes, start, end)
    const kind = reader.uint8()
    if (kind === COMMIT) {
      this.#commit(bytes, start, end)
      return
    }
    this.#checksum = crc32cUpdate(this.#checksum, bytes, start, end)
    if (kind === LEASE) {
      this.#leases.push({ lease: reader.uint53(), ttlMs: reader.uint53() })
      return
    }
    if (kind !== ENTRY && kind !== REMOVED) {
      this.#broken()
      return
    }
    const key = reader.text()
    if (kind === REMOVED) {
      this.#change(() => this.#target.removed(key))
      return
    }
    const [version, lease] = [reader.uint53(), reader.uint53()]
    const from = reader.blockStart()
    const value = bytes.subarray(from, reader.position)
    this.#change(() => this.#target.entry(key, { version, lease, value }))
  }

  /** The first state is told of as it is read: without its commit there is none, and the whole is refused. */
  #change(change: () => void): void {
    if (this.#last === undefined) change()
    else this.#changes.push(change)
  }

  #commit(bytes: Uint8Array, start: number, end: number): void {
    this.#checksum = crc32cUpdate(this.#checksum, bytes, start, end - 4)
    const reader = this.#reader.reset(bytes, start + 1, end)
    const [journalIndex, lastIndex, lastTerm] = [reader.uint53(), reader.uint53(), reader.uint53()]
    const hardState = { term: reader.uint53(), vote: reader.uint53(), commit: reader.uint53() }
    const [revision, nextLease] = [reader.uint53(), reader.uint53()]
    if (reader.uint32() !== this.#checksum) {
      this.#broken()
      return
    }
    this.#checksum = crc32cUpdate(this.#checksum, bytes, end - 4, end)
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

/** Where the record at `at` ends; 0 where it is not all there. */
function recordEnd(bytes: Uint8Array, at: number): number {
  const kind = bytes[at]
  let end = at + 1
  const block = (): void => {
    end += end + 4 <= bytes.length ? 4 + uint32(bytes, end) : Number.POSITIVE_INFINITY
  }
  if (kind === undefined) return 0
  if (kind === LEASE) end = at + LEASE_BYTES
  else if (kind === COMMIT) end = at + COMMIT_BYTES
  else if (kind === REMOVED) block()
  else if (kind === ENTRY) {
    block()
    end += 16
    block()
  }
  return end <= bytes.length ? end : 0
}

function uint32(bytes: Uint8Array, at: number): number {
  const low = ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)
  return (bytes[at] ?? 0) * 16_777_216 + low
}
