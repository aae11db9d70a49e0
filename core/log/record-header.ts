/**
 * Record headers: a writer for one header and its size. A header is a varint name length, the name (UTF-8), a varint
 * value length (-1 = null) and the value.
 *
 * Source: Kafka, "Message Format" (Record Header).
 * Invariant: a run of encoded headers without its count is copied from record to record as it stands.
 */
import { copyBytes } from "../copy-bytes.ts"
import { varintSize, writeVarint } from "./varint.ts"

/** Bytes of a header whose name has `nameLength` bytes and whose value has `valueLength` bytes (-1 = null). */
export function headerSize(nameLength: number, valueLength: number): number {
  return varintSize(nameLength) + nameLength + varintSize(valueLength) + (valueLength > 0 ? valueLength : 0)
}

/**
 * Writes the header `name` = `value[valueStart, valueEnd)` (undefined = null) at `position` and returns the position
 * after it. `target` must have room for {@link headerSize}; both sources are copied.
 */
export function writeHeader(
  target: Uint8Array,
  position: number,
  name: Uint8Array,
  value: Uint8Array | undefined,
  valueStart: number,
  valueEnd: number
): number {
  position = writeVarint(target, position, name.length)
  position = copyBytes(name, 0, name.length, target, position)
  if (value === undefined) return writeVarint(target, position, -1)
  position = writeVarint(target, position, valueEnd - valueStart)
  return copyBytes(value, valueStart, valueEnd, target, position)
}
