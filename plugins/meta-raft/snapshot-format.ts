/**
 * The snapshot of the meta store as bytes: a line of records, of which a commit says that everything before it is a state. What changes
 * later is appended, with a commit of its own. docs/formats/meta.md describes it byte by byte.
 *
 * Invariants
 *  - The mark and the version at the beginning mean the same in every version there will be, and a file that was written whole ends with
 *    the checksum of everything before: so any release can tell a newer snapshot from one that is damaged.
 *  - What follows the last commit that is whole was never counted on: the journal still has it.
 */
import { ByteWriter, crc32cUpdate } from "../../core/mod.ts"
import type { HardState } from "./Consensus.ts"

/** Raised by one when an older release cannot read what this one writes. */
export const SNAPSHOT_VERSION = 2
/** "MFLDMETA". */
export const MARK = new TextEncoder().encode("MFLDMETA")
export const MARK_AND_VERSION_BYTES = MARK.length + 4
/** Bytes of one piece, about: what the loop is held up by. */
export const PIECE_BYTES = 131_072

export const ENTRY = 1
export const REMOVED = 2
export const LEASE = 3
export const COMMIT = 4

export const LEASE_BYTES = 1 + 8 + 8
export const COMMIT_BYTES = 1 + 8 * 8 + 4

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

/** A key and what it holds, as they lie in a snapshot. */
export interface SnapshotEntry {
  readonly bytes: Uint8Array
  /** The key is `bytes[keyStart, keyEnd)`, in UTF-8, the value `bytes[valueStart, valueEnd)`. */
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  readonly version: number
  readonly lease: number
}

/** Is told what a snapshot holds: the entries of a state, then its head; then what changed, and the next head. */
export interface SnapshotTarget {
  /** `entry` and its bytes are borrowed until this returns. */
  entry(entry: SnapshotEntry): void
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
