/**
 * Variable Byte Integer: 1 to 4 bytes, 7 bits a byte, low bits first, top bit = one more byte.
 *
 * Source: MQTT 5.0 (OASIS), section 1.5.5; the Remaining Length of MQTT 3.1.1, section 2.2.3.
 * Invariant: the shortest form only [MQTT-1.5.5-1]; 0 <= value <= 268 435 455.
 */

/** The bytes end before the integer does: read on, try again. */
export const NEED_MORE = -1
/** No valid encoding starts here: Reason Code 0x81, close. */
export const MALFORMED = -2
/** The largest value that four bytes hold. */
export const VARIABLE_BYTE_INTEGER_MAX = 268_435_455

/**
 * Reads the value at `position`, never beyond `end` (exclusive, default: the end of `source`), or {@link NEED_MORE},
 * or {@link MALFORMED}. The integer takes {@link size} bytes, since only the shortest form is accepted.
 */
export function decode(source: Uint8Array, position: number, end: number = source.length): number {
  let value = 0
  for (let index = 0; index < 4; index++) {
    if (position + index >= end) return NEED_MORE
    const byte = source[position + index] as number
    value |= (byte & 127) << (7 * index)
    if (byte < 128) return index > 0 && byte === 0 ? MALFORMED : value
  }
  return MALFORMED
}

/** Writes `value` (0 to {@link VARIABLE_BYTE_INTEGER_MAX}) at `position`; returns the position after it. */
export function encode(value: number, target: Uint8Array, position: number): number {
  let rest = value
  while (rest > 127) {
    target[position++] = (rest & 127) | 128
    rest >>>= 7
  }
  target[position++] = rest
  return position
}

/** Bytes that {@link encode} writes for `value`. */
export function size(value: number): number {
  return value < 128 ? 1 : value < 16_384 ? 2 : value < 2_097_152 ? 3 : 4
}
