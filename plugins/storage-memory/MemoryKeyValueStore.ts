/**
 * Key-value state in memory: a hash table for `get`, and keys put in order when a range is asked for after a change.
 *
 * Ranges are rare (start-up, listings) and gets are not, so order is made when it is needed.
 */
import { compareKeys, type KeyValue, type KeyValueStoreShape, type KeyValueWrite } from "../../core/mod.ts"

export class MemoryKeyValueStore implements KeyValueStoreShape {
  readonly #values = new Map<string, KeyValue>()
  #ordered: ReadonlyArray<KeyValue> | undefined

  get size(): number {
    return this.#values.size
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#values.get(nameOf(key))?.value
  }

  range(start: Uint8Array, end: Uint8Array, limit: number): ReadonlyArray<KeyValue> {
    this.#ordered ??= [...this.#values.values()].sort((left, right) => compareKeys(left.key, right.key))
    const ordered = this.#ordered
    let low = 0
    let high = ordered.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const entry = ordered[middle]
      if (entry !== undefined && compareKeys(entry.key, start) < 0) low = middle + 1
      else high = middle
    }
    const found: Array<KeyValue> = []
    for (let index = low; index < ordered.length && found.length < limit; index++) {
      const entry = ordered[index]
      if (entry === undefined || compareKeys(entry.key, end) >= 0) break
      found.push(entry)
    }
    return found
  }

  rangeLater(start: Uint8Array, end: Uint8Array, limit: number, bytesMax: number): Promise<ReadonlyArray<KeyValue>> {
    const found: Array<KeyValue> = []
    let size = 0
    for (const entry of this.range(start, end, limit)) {
      if (found.length > 0 && size + entry.value.length > bytesMax) break
      size += entry.value.length
      found.push(entry)
    }
    return Promise.resolve(found)
  }

  apply(writes: ReadonlyArray<KeyValueWrite>): void {
    for (const { key, value, end } of writes) {
      const name = nameOf(key)
      if (end !== undefined) {
        for (const entry of this.range(key, end, Number.POSITIVE_INFINITY)) this.#values.delete(nameOf(entry.key))
        this.#ordered = undefined
      } else if (value === undefined) this.#values.delete(name)
      else this.#values.set(name, { key: key.slice(), value: value.slice() })
      // A range that is removed later in this batch sees what the batch has written.
      this.#ordered = undefined
    }
  }
}

/** Each byte as one character: a string that stands for the key in a Map. */
function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1")
}
