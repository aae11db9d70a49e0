/**
 * Text of bytes without a view of them: for what is read by the million.
 *
 * Measured on Bun 1.4.5, ns for 30 bytes: decode(subarray) 76 to 93, utf8Slice 43 to 49.
 */
import { Buffer } from "node:buffer"

type Slice = (this: Uint8Array, start: number, end: number) => string

// In every runtime's Buffer, and in no type declaration.
const { utf8Slice } = Buffer.prototype as unknown as { readonly utf8Slice: Slice }

/** `bytes[start, end)` as UTF-8; what is none becomes U+FFFD. */
export function textOfBytes(bytes: Uint8Array, start: number, end: number): string {
  return utf8Slice.call(bytes, start, end)
}
