/**
 * Key-value writes as the body of an operation: count, then for each one flags, key, value and end, blocks with their length before.
 *
 * Source: docs/formats/journal.md, "Operation 1".
 */
import type { KeyValueWrite } from "../kv/KeyValueStore.ts"
import { ByteReader, type ByteWriter } from "../link/bytes.ts"

const HAS_VALUE = 1
const HAS_END = 2

const reader = new ByteReader()

/** Appends `writes` to `writer`. */
export function encodeWrites(writer: ByteWriter, writes: ReadonlyArray<KeyValueWrite>): void {
  writer.uint32(writes.length)
  for (let index = 0; index < writes.length; index++) {
    const write = writes[index]
    if (write === undefined) continue
    const { key, value, end } = write
    writer.uint8((value === undefined ? 0 : HAS_VALUE) | (end === undefined ? 0 : HAS_END))
    writer.block(key, 0, key.length)
    if (value !== undefined) writer.block(value, 0, value.length)
    if (end !== undefined) writer.block(end, 0, end.length)
  }
}

/** The writes that `bytes[start, end)` holds; their keys and values are copies. The bytes come from an entry that was checked. */
export function decodeWrites(bytes: Uint8Array, start: number, end: number): ReadonlyArray<KeyValueWrite> {
  const copy = bytes.slice(start, end)
  reader.reset(copy, 0, copy.length)
  const block = (): Uint8Array => {
    const from = reader.blockStart()
    return copy.subarray(from, reader.position)
  }
  const writes: Array<KeyValueWrite> = []
  for (let count = reader.uint32(); count > 0; count--) {
    const flags = reader.uint8()
    const key = block()
    const value = flags & HAS_VALUE ? block() : undefined
    writes.push(flags & HAS_END ? { key, value, end: block() } : { key, value })
  }
  return writes
}
