/**
 * Well-formed UTF-8 without U+0000: what every text that a client sends must be.
 *
 * Source: MQTT 5.0, section 1.5.4; RFC 3629, section 4 (the table of well-formed byte sequences).
 * Invariants: surrogates (U+D800 to U+DFFF), over-long forms and code points above U+10FFFF are refused [MQTT-1.5.4-1], so is
 * U+0000 [MQTT-1.5.4-2]. U+FEFF, control characters and non-characters pass. Nothing is allocated.
 */

/** Whether `bytes[start, end)` is well-formed UTF-8 without U+0000; an empty range is. The range must lie inside `bytes`. */
export function isWellFormedUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let position = start
  while (position < end) {
    const byte = bytes[position]!
    if (byte < 0x80) {
      if (byte === 0) return false
      position += 1
      continue
    }
    const length = sequenceLength(bytes, position, end)
    if (length === 0) return false
    position += length
  }
  return true
}

/** The length in bytes (2 to 4) of the sequence that begins with the byte >= 0x80 at `position`; 0 where none does. */
function sequenceLength(bytes: Uint8Array, position: number, end: number): number {
  const lead = bytes[position]!
  // Below 0xc2: a continuation byte, or the lead of an over-long form of ASCII.
  if (lead < 0xc2 || lead > 0xf4) return 0
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  if (position + length > end) return 0
  // Four lead bytes narrow what may follow: they would else begin over-long forms, surrogates or code points too large.
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf
  const second = bytes[position + 1]!
  if (second < lowest || second > highest) return 0
  for (let next = position + 2; next < position + length; next++) if ((bytes[next]! & 0xc0) !== 0x80) return 0
  return length
}

/** No UTF-8 without U+0000 encodes the text. */
export const NOT_WELL_FORMED = -1

/** The length in bytes of `text` in UTF-8; {@link NOT_WELL_FORMED} where it holds U+0000 or half a surrogate pair. */
export function utf8Length(text: string): number {
  let length = text.length
  for (let position = 0; position < text.length; position++) {
    const unit = text.charCodeAt(position)
    if (unit < 0x80) {
      if (unit === 0) return NOT_WELL_FORMED
    } else if (unit < 0x800) length += 1
    else if (unit < 0xd800 || unit > 0xdfff) length += 2
    else {
      const next = position + 1 < text.length ? text.charCodeAt(position + 1) : 0
      if (unit > 0xdbff || next < 0xdc00 || next > 0xdfff) return NOT_WELL_FORMED
      // A pair is two units here and four bytes there.
      length += 2
      position += 1
    }
  }
  return length
}
