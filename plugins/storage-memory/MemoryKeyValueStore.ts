/**
 * Key-value state in memory: a hash table for `get`, and beside it the keys in order for ranges, so that a page of a long list costs
 * what it shows and not what there is.
 */
import { type KeyValue, type KeyValueStoreShape, type KeyValueWrite, OrderedValues } from "../../core/mod.ts"

export class MemoryKeyValueStore implements KeyValueStoreShape {
  readonly #values = new Map<string, KeyValue>()
  readonly #names = new OrderedValues<string>((name) => name)

  get size(): number {
    return this.#values.size
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#values.get(nameOf(key))?.value
  }

  range(start: Uint8Array, end: Uint8Array, limit: number): ReadonlyArray<KeyValue> {
    const found: Array<KeyValue> = []
    const endName = nameOf(end)
    for (const name of this.#names.from(nameOf(start))) {
      if (found.length >= limit || name >= endName) break
      const entry = this.#values.get(name)
      if (entry !== undefined) found.push(entry)
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
      if (end !== undefined) {
        for (const each of this.range(key, end, Number.POSITIVE_INFINITY)) this.#remove(nameOf(each.key))
      } else if (value === undefined) this.#remove(nameOf(key))
      else this.#put(nameOf(key), { key: key.slice(), value: value.slice() })
    }
  }

  #put(name: string, entry: KeyValue): void {
    if (!this.#values.has(name)) this.#names.add(name)
    this.#values.set(name, entry)
  }

  #remove(name: string): void {
    if (this.#values.delete(name)) this.#names.delete(name)
  }
}

/** Each byte as one character: a string that stands for the key in a Map, and orders as the key does. */
function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1")
}
