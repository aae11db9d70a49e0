/**
 * A table in memory, in the order of its keys: sorted leaves of bounded length, found by bisection.
 *
 * Keys are texts of one character a byte ({@link nameOf}), for the runtime compares those faster than it compares arrays of bytes.
 *
 * Invariants
 *  - Keys rise; no leaf but the only one is empty, none has more than {@link LEAF_LENGTH_MAX} keys.
 *  - A cursor sees the table as it was when it began only while the table is not changed.
 */

/** Keys of a leaf. A full one is cut in half, or left full where keys come in order. */
export const LEAF_LENGTH_MAX = 256

interface Leaf<Value> {
  keys: Array<string>
  values: Array<Value>
}

export class OrderedTable<Value> {
  #leaves: Array<Leaf<Value>> = [{ keys: [], values: [] }]
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: string): Value | undefined {
    const leaf = this.#leaves[this.#leafOf(key)]
    if (leaf === undefined) return undefined
    const at = lowerBound(leaf.keys, key)
    return leaf.keys[at] === key ? leaf.values[at] : undefined
  }

  set(key: string, value: Value): void {
    const index = this.#leafOf(key)
    const leaf = this.#leaves[index]
    if (leaf === undefined) return
    const { keys, values } = leaf
    const at = lowerBound(keys, key)
    if (keys[at] === key) {
      values[at] = value
      return
    }
    this.#size += 1
    const isLast = index === this.#leaves.length - 1 && at === keys.length
    if (keys.length < LEAF_LENGTH_MAX) {
      if (at === keys.length) {
        keys.push(key)
        values.push(value)
      } else {
        keys.splice(at, 0, key)
        values.splice(at, 0, value)
      }
      return
    }
    if (isLast) {
      this.#leaves.push({ keys: [key], values: [value] })
      return
    }
    const half = keys.length >>> 1
    const right: Leaf<Value> = { keys: keys.splice(half), values: values.splice(half) }
    this.#leaves.splice(index + 1, 0, right)
    const target = at <= half ? leaf : right
    const place = at <= half ? at : at - half
    target.keys.splice(place, 0, key)
    target.values.splice(place, 0, value)
  }

  delete(key: string): void {
    const index = this.#leafOf(key)
    const leaf = this.#leaves[index]
    if (leaf === undefined) return
    const at = lowerBound(leaf.keys, key)
    if (leaf.keys[at] !== key) return
    leaf.keys.splice(at, 1)
    leaf.values.splice(at, 1)
    this.#size -= 1
    if (leaf.keys.length === 0 && this.#leaves.length > 1) this.#leaves.splice(index, 1)
  }

  /** Removes the keys from `start` on and before `end`; tells each value. */
  deleteRange(start: string, end: string, removed: (value: Value) => void): void {
    if (start >= end) return
    let index = this.#leafOf(start)
    for (;;) {
      const leaf = this.#leaves[index]
      if (leaf === undefined) return
      const from = lowerBound(leaf.keys, start)
      const to = lowerBound(leaf.keys, end)
      const isOver = to < leaf.keys.length
      for (let at = from; at < to; at++) removed(leaf.values[at] as Value)
      leaf.keys.splice(from, to - from)
      leaf.values.splice(from, to - from)
      this.#size -= to - from
      if (leaf.keys.length === 0 && this.#leaves.length > 1) this.#leaves.splice(index, 1)
      else index += 1
      if (isOver) return
    }
  }

  /** A cursor before the first key that is not below `start`. */
  cursor(start: string): TableCursor<Value> {
    const index = this.#leafOf(start)
    return new TableCursor(this.#leaves, index, lowerBound(this.#leaves[index]?.keys ?? [], start))
  }

  /** The last leaf whose first key is not above `key`, or the first one. */
  #leafOf(key: string): number {
    const leaves = this.#leaves
    let low = 0
    let high = leaves.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      const first = leaves[middle]?.keys[0]
      if (first !== undefined && first <= key) low = middle
      else high = middle - 1
    }
    return low
  }
}

export class TableCursor<Value> {
  readonly #leaves: ReadonlyArray<Leaf<Value>>
  #leaf: number
  #at: number

  constructor(leaves: ReadonlyArray<Leaf<Value>>, leaf: number, at: number) {
    this.#leaves = leaves
    this.#leaf = leaf
    this.#at = at
    this.#settle()
  }

  /** The key at which the cursor stands; undefined behind the last one. */
  get key(): string | undefined {
    return this.#leaves[this.#leaf]?.keys[this.#at]
  }

  get value(): Value | undefined {
    return this.#leaves[this.#leaf]?.values[this.#at]
  }

  next(): void {
    this.#at += 1
    this.#settle()
  }

  #settle(): void {
    const leaf = this.#leaves[this.#leaf]
    if (leaf !== undefined && this.#at >= leaf.keys.length) {
      this.#leaf += 1
      this.#at = 0
    }
  }
}

function lowerBound(keys: ReadonlyArray<string>, key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}

/** So many bytes can be the arguments of one call. */
const ARGUMENTS_MAX = 4096

/** Each byte as one character: a text that orders as the bytes do. */
export function nameOf(bytes: Uint8Array): string {
  // A look at `bytes.buffer` would make an ArrayBuffer of a key that may live long: a retained message's lives as long as that does.
  if (bytes.length <= ARGUMENTS_MAX) return String.fromCharCode.apply(undefined, bytes as unknown as number[])
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")
}

/** The bytes of a name. */
export function bytesOfName(name: string): Uint8Array {
  return new Uint8Array(Buffer.from(name, "latin1"))
}
