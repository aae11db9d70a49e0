/**
 * What a simulated file holds, what of it is durable, and what a crash leaves.
 *
 * Invariants
 *  - A sync makes durable what was written before it was asked for, no more. One that fails makes nothing durable, and no later one
 *    makes up for it: a real system may have forgotten that there was something to write.
 *  - A crash keeps any part of each write that is not durable, whatever became of those before it.
 */

/** A write or a change of size since the last sync. */
interface Change {
  /** -1 for a change of size. */
  readonly position: number
  readonly bytes: Uint8Array
  readonly size: number
  /** A sync of it has failed. */
  isDoubtful: boolean
}

/** Which bytes `[from, to)` of a write of `length` bytes a crash keeps; a name or a size is one byte. */
export type Kept = (length: number) => readonly [from: number, to: number]

export const keepAll: Kept = (length) => [0, length]
export const keepNothing: Kept = () => [0, 0]

/** Keeps all, nothing, a beginning or a piece of each write, as `below` draws. */
export function keepSome(below: (bound: number) => number): Kept {
  return (length) => {
    const choice = below(4)
    if (choice === 0) return [0, length]
    if (choice === 1) return [0, 0]
    const from = choice === 2 ? 0 : below(length + 1)
    return [from, from + below(length - from + 1)]
  }
}

const NOTHING = new Uint8Array(0)

/** What a name stands for: an open file keeps it after the name was removed or given to another. */
export class Content {
  bytes = new Uint8Array(0)
  size = 0
  /** What is durable. */
  synced: Uint8Array = new Uint8Array(0)
  #changes: Array<Change> = []

  resize(size: number): void {
    if (size > this.bytes.length) {
      const grown = new Uint8Array(Math.max(size, this.bytes.length * 2, 256))
      grown.set(this.bytes.subarray(0, this.size))
      this.bytes = grown
    }
    if (size < this.size) this.bytes.fill(0, size, this.size)
    this.size = size
  }

  /** Puts `bytes` at `position`; a file that ends before is filled with zeros. */
  put(bytes: Uint8Array, position: number): void {
    this.resize(Math.max(this.size, position + bytes.length))
    this.bytes.set(bytes, position)
  }

  /** Notes a write, for a crash. */
  noteWrite(bytes: Uint8Array, position: number): void {
    this.#changes.push({ position, bytes: bytes.slice(), size: 0, isDoubtful: false })
  }

  /** Notes a change of size, for a crash. */
  noteSize(size: number): void {
    this.#changes.push({ position: -1, bytes: NOTHING, size, isDoubtful: false })
  }

  /** Begins a sync; what this returns ends it. */
  beginSync(): (isDone: boolean) => void {
    const covered = new Set(this.#changes.filter(({ isDoubtful }) => !isDoubtful))
    return (isDone) => {
      if (!isDone) {
        for (const change of covered) change.isDoubtful = true
        return
      }
      const durable = contentOf(this.synced)
      for (const change of this.#changes) if (covered.has(change)) apply(durable, change, keepAll)
      this.synced = durable.bytes.slice(0, durable.size)
      this.#changes = this.#changes.filter((change) => !covered.has(change))
    }
  }

  /** What is there after a crash, all of it durable. */
  afterCrash(kept: Kept): Content {
    const content = contentOf(this.synced)
    for (const change of this.#changes) apply(content, change, kept)
    content.synced = content.bytes.slice(0, content.size)
    return content
  }
}

function contentOf(bytes: Uint8Array): Content {
  const content = new Content()
  content.put(bytes, 0)
  return content
}

function apply(content: Content, { position, bytes, size }: Change, kept: Kept): void {
  const [from, to] = kept(Math.max(1, bytes.length))
  if (to <= from) return
  if (position < 0) content.resize(size)
  else content.put(bytes.subarray(from, to), position + from)
}
