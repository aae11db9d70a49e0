/**
 * What one Ready asks to store, as the bytes of one operation of the journal. docs/formats/meta.md describes them byte by byte.
 *
 * Invariant: records that are read back in order give the log and the hard state of the last of them: an entry takes the place of
 * what stood at its index and of everything behind it.
 */
import { ByteReader, type ByteWriter } from "../../core/mod.ts"
import type { Entry, HardState, StoredState } from "./Consensus.ts"
import { MetaFormatFault } from "./commands.ts"

/** Raised by one when an older release cannot read what this one writes. */
export const RECORD_VERSION = 1

export function writeRecord(writer: ByteWriter, hardState: HardState, entries: ReadonlyArray<Entry>): void {
  writer.uint8(RECORD_VERSION)
  writer.uint53(hardState.term)
  writer.uint53(hardState.vote)
  writer.uint53(hardState.commit)
  writer.uint32(entries.length)
  for (const { index, term, data } of entries) {
    writer.uint53(index)
    writer.uint53(term)
    writer.block(data, 0, data.length)
  }
}

/** A voter's log as it is read back: from the snapshot, then one record after the other. */
export class StoredLog implements StoredState {
  hardState: HardState
  readonly snapshotIndex: number
  readonly snapshotTerm: number
  readonly entries: Array<Entry> = []
  readonly #reader = new ByteReader()

  constructor({ hardState, snapshotIndex, snapshotTerm }: Omit<StoredState, "entries">) {
    this.hardState = hardState
    this.snapshotIndex = snapshotIndex
    this.snapshotTerm = snapshotTerm
  }

  /** Takes the record at `bytes[start, end)`, borrowed. Throws {@link MetaFormatFault}. */
  add(bytes: Uint8Array, start: number, end: number): void {
    const reader = this.#reader.reset(bytes, start, end)
    const version = reader.uint8()
    if (version !== RECORD_VERSION) {
      throw new MetaFormatFault(`a record of version ${version}; this release reads ${RECORD_VERSION}`)
    }
    const hardState = { term: reader.uint53(), vote: reader.uint53(), commit: reader.uint53() }
    // What the snapshot holds can be newer than a record that the journal still has.
    if (hardState.term >= this.hardState.term) this.hardState = hardState
    for (let left = reader.uint32(); left > 0; left--) {
      const index = reader.uint53()
      const term = reader.uint53()
      const data = reader.blockCopy()
      if (index <= this.snapshotIndex) continue
      const place = index - this.snapshotIndex - 1
      if (place > this.entries.length) {
        throw new MetaFormatFault(`entry ${index} follows entry ${this.snapshotIndex + this.entries.length}`)
      }
      this.entries.length = place
      this.entries.push({ index, term, data })
    }
  }
}
