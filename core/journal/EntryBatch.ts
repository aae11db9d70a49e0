/**
 * Entries that are written together: those of turns that ended while the disk was busy, and the one that is being gathered.
 *
 * Invariant: the bytes of an entry stay as they are until the batch is given back, for what was acknowledged before it was synced is
 * written again where the sync fails.
 */
import type { KeyValueWrite } from "../kv/KeyValueStore.ts"
import { ByteWriter } from "../link/bytes.ts"
import { DURABILITY_HYBRID, DURABILITY_PERSISTENT, ENTRY_HEADER_BYTES } from "./entry-format.ts"
import type { Durability } from "./Journal.ts"

/** What one turn submitted. */
export interface Entry {
  readonly index: number
  /** Where it stands in `batch.writer.bytes`. */
  readonly batch: EntryBatch
  readonly start: number
  readonly end: number
  readonly operations: number
  readonly hasHybrid: boolean
  readonly hasPersistent: boolean
  /** The last tickets of the turn, of each stream; 0 = none. */
  hybridTicket: number
  persistentTicket: number
  /** Key-value writes that are to be applied. */
  writes: Array<ReadonlyArray<KeyValueWrite>> | undefined
  /** Its hybrid operations were told as committed. */
  isHandedOver: boolean
}

const HEADER = new Uint8Array(ENTRY_HEADER_BYTES)

export class EntryBatch {
  readonly writer = new ByteWriter()
  /** Entries in it that are not synced yet. */
  entries = 0
  /** Where the entry that is being gathered begins. */
  #start = 0
  #operations = 0
  #hasHybrid = false
  #hasPersistent = false
  #hybridTicket = 0
  #persistentTicket = 0
  #writes: Array<ReadonlyArray<KeyValueWrite>> | undefined

  get isGathering(): boolean {
    return this.#operations > 0
  }

  /** Bytes that stand in it. */
  get length(): number {
    return this.writer.length
  }

  /** What its buffer has room for. */
  get capacity(): number {
    return this.writer.bytes.length
  }

  /** Begins an operation of the entry that is being gathered; its body is to be appended to `writer`. */
  begin(kind: number, durability: Durability, ticket: number): void {
    const { writer } = this
    if (this.#operations === 0) {
      this.#start = writer.length
      writer.raw(HEADER, 0, HEADER.length)
    }
    this.#operations += 1
    writer.uint8(kind)
    if (durability === "persistent") {
      this.#hasPersistent = true
      this.#persistentTicket = ticket
      writer.uint8(DURABILITY_PERSISTENT)
    } else {
      this.#hasHybrid = true
      this.#hybridTicket = ticket
      writer.uint8(DURABILITY_HYBRID)
    }
    writer.uint32(0)
  }

  /** Ends the operation whose body began at `from`. */
  end(from: number): void {
    this.writer.setUint32(from - 4, this.writer.length - from)
  }

  /** Notes writes that are applied when the entry is committed. */
  note(writes: ReadonlyArray<KeyValueWrite>): void {
    if (this.#writes === undefined) this.#writes = [writes]
    else this.#writes.push(writes)
  }

  /** Closes the entry that is being gathered. */
  seal(index: number): Entry {
    const entry: Entry = {
      index,
      batch: this,
      start: this.#start,
      end: this.writer.length,
      operations: this.#operations,
      hasHybrid: this.#hasHybrid,
      hasPersistent: this.#hasPersistent,
      hybridTicket: this.#hybridTicket,
      persistentTicket: this.#persistentTicket,
      writes: this.#writes,
      isHandedOver: false
    }
    this.entries += 1
    this.#forget()
    return entry
  }

  /** An entry without operations: it takes the place of one that was lost, or says that all before it is synced. */
  sealEmpty(index: number): Entry {
    this.#start = this.writer.length
    this.writer.raw(HEADER, 0, HEADER.length)
    return this.seal(index)
  }

  /** Moves what is being gathered to the beginning of `target`, which is empty. */
  moveGathered(target: EntryBatch): void {
    if (this.#operations === 0) return
    target.writer.raw(this.writer.bytes, this.#start, this.writer.length)
    target.#operations = this.#operations
    target.#hasHybrid = this.#hasHybrid
    target.#hasPersistent = this.#hasPersistent
    target.#hybridTicket = this.#hybridTicket
    target.#persistentTicket = this.#persistentTicket
    target.#writes = this.#writes
    this.writer.length = this.#start
    this.#forget()
  }

  /** Forgets everything in it, for another use. */
  reset(): void {
    this.writer.reset()
    this.entries = 0
    this.#forget()
  }

  #forget(): void {
    this.#start = this.writer.length
    this.#operations = 0
    this.#hasHybrid = false
    this.#hasPersistent = false
    this.#hybridTicket = 0
    this.#persistentTicket = 0
    this.#writes = undefined
  }
}
