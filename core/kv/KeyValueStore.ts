/**
 * Key-value state of one shard: retained messages, sessions that survive, cursors. Ordered byte keys; changes are operations of
 * the journal, so that they happen together with the append that caused them, or not at all.
 *
 * Invariants
 *  - Keys order by unsigned bytes, shorter before longer.
 *  - `apply` is called by the journal only, in the order of its entries; readers see a batch whole or not at all.
 *  - What `apply` is given never changes afterwards: a store may keep it. What `get` and `range` hand out must not be changed.
 */
import { Context } from "effect"

export interface KeyValue {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** One change; without `value` the key is removed, with `end` every key from `key` on and before `end`. */
export interface KeyValueWrite {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
  readonly end?: Uint8Array
}

export interface KeyValueStoreShape {
  get(key: Uint8Array): Uint8Array | undefined
  /** Entries with `start` <= key < `end`, in order, at most `limit`. Go on from the last key followed by a zero byte. */
  range(start: Uint8Array, end: Uint8Array, limit: number): ReadonlyArray<KeyValue>
  /**
   * The same off the loop where a disk has to be read: at most `limit` entries and about `bytesMax` bytes of values (at least one entry).
   * Shows everything that was applied before the call. Rejects with `StorageError`.
   */
  rangeLater(start: Uint8Array, end: Uint8Array, limit: number, bytesMax: number): Promise<ReadonlyArray<KeyValue>>
  /** Applies the writes of one journal entry. */
  apply(writes: ReadonlyArray<KeyValueWrite>): void
  /** Keys, about. */
  readonly size: number
}

export class KeyValueStore extends Context.Service<KeyValueStore, KeyValueStoreShape>()(
  "manifold/core/kv/KeyValueStore"
) {}

/** Orders keys by unsigned bytes. */
export function compareKeys(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
