/**
 * Gathers the entry of the present turn, behind those of turns before it that are not written yet; keeps some buffers for the next.
 *
 * Invariant: the bytes of an entry are not used again before it was given back.
 */
import type { KeyValueWrite } from "../kv/KeyValueStore.ts"
import { type Entry, EntryBatch } from "./EntryBatch.ts"
import { type Durability, KIND_KEY_VALUE } from "./Journal.ts"
import { encodeWrites } from "./key-value-writes.ts"

/** Buffers that are kept for the next entries at rest, and bytes of all that are kept while the disk is busy: then there is one for each turn. */
const BATCHES_AT_REST = 4
export const SPARE_BYTES_MAX = 4_194_304
/** Less than this in one says that the disk keeps up. */
const LITTLE_BYTES = 16_384

export class Gatherer {
  #batch = new EntryBatch()
  readonly #spares: Array<EntryBatch> = []
  #spareBytes = 0

  /** Something was submitted since the last entry was closed. */
  get isGathering(): boolean {
    return this.#batch.isGathering
  }

  /** Adds key-value writes; they are noted, too, for the store. */
  addWrites(writes: ReadonlyArray<KeyValueWrite>, durability: Durability, ticket: number): void {
    const { writer } = this.#batch
    this.#batch.begin(KIND_KEY_VALUE, durability, ticket)
    const from = writer.length
    encodeWrites(writer, writes)
    this.#batch.end(from)
    this.#batch.note(writes)
  }

  /** Adds an operation: `head`, then `bytes[start, end)`, both copied. */
  add(
    kind: number,
    durability: Durability,
    ticket: number,
    head: Uint8Array,
    bytes: Uint8Array,
    start: number,
    end: number
  ): void {
    const { writer } = this.#batch
    this.#batch.begin(kind, durability, ticket)
    const from = writer.length
    writer.raw(head, 0, head.length)
    writer.raw(bytes, start, end)
    this.#batch.end(from)
  }

  /** Closes the entry that is gathered. */
  seal(index: number): Entry {
    return this.#batch.seal(index)
  }

  /** What comes goes into another buffer, unless entries of this one, of which the last is `waiting`, are not written yet. */
  turnOver(waiting: Entry | undefined): void {
    if (this.#batch.entries === 0 || waiting?.batch === this.#batch) return
    const next = this.#takeSpare() ?? new EntryBatch()
    this.#batch.moveGathered(next)
    this.#batch = next
  }

  /** The entry is synced: its bytes are no longer needed. */
  giveBack({ batch }: Entry): void {
    batch.entries -= 1
    if (batch.entries > 0 || batch === this.#batch) return
    const isLittle = batch.length < LITTLE_BYTES
    batch.reset()
    if (this.#spareBytes + batch.capacity <= SPARE_BYTES_MAX) {
      this.#spares.push(batch)
      this.#spareBytes += batch.capacity
    }
    // The burst is over: of those that it needed one more goes than came back.
    for (let gone = 0; isLittle && gone < 2 && this.#spares.length > BATCHES_AT_REST; gone++) this.#takeSpare()
  }

  /** Buffers that are kept, and their bytes. */
  get spares(): { readonly count: number; readonly bytes: number } {
    return { count: this.#spares.length, bytes: this.#spareBytes }
  }

  #takeSpare(): EntryBatch | undefined {
    const spare = this.#spares.pop()
    this.#spareBytes -= spare?.capacity ?? 0
    return spare
  }

  /** Forgets what is gathered; entries that were closed stay as they are. */
  drop(): void {
    this.#batch = new EntryBatch()
  }
}
