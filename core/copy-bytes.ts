/**
 * Copies short runs of bytes, the most frequent act of the data path.
 *
 * Measured on Bun 1.4.5, ns a copy of 8, 20, 32, 64, 100 and 1,000 bytes: byte loop 6, 17, 23, 41, 62, 554; Buffer.copy
 * 23, 21, 21, 22, 18, 32 (a call by `copy.call` takes any Uint8Array and costs the same); set(subarray) 50, 48, 49, 49,
 * 46, 62. So: a loop up to {@link LOOP_LENGTH_MAX}, Buffer.copy beyond, set(subarray) never.
 */
import { Buffer } from "node:buffer"

/** Bytes up to which a loop beats the call into the runtime. */
const LOOP_LENGTH_MAX = 24

const copy = Buffer.prototype.copy

/** Copies `source[start, end)` to `target` at `position`, which must have room; returns the position after it. */
export function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  position: number
): number {
  if (end - start > LOOP_LENGTH_MAX) {
    copy.call(source as Buffer, target, position, start, end)
    return position + end - start
  }
  for (const last = end - 3; start < last; start += 4, position += 4) {
    target[position] = source[start]!
    target[position + 1] = source[start + 1]!
    target[position + 2] = source[start + 2]!
    target[position + 3] = source[start + 3]!
  }
  while (start < end) target[position++] = source[start++]!
  return position
}
