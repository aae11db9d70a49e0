/**
 * UTF-8 Encoded Strings of MQTT: well-formed UTF-8 without U+0000.
 *
 * Source: MQTT 5.0, section 1.5.4; RFC 3629, section 4 (the table of well-formed byte sequences).
 * Invariants: surrogates (U+D800 to U+DFFF), overlong forms and code points above U+10FFFF are refused
 * [MQTT-1.5.4-1], so is U+0000 [MQTT-1.5.4-2]; U+FEFF stays where it is [MQTT-1.5.4-3]. Control characters and
 * non-characters pass: the specification leaves them to the receiver.
 */

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Whether bytes[start, end) is well-formed UTF-8 without U+0000. */
export function isMqttString(bytes: Uint8Array, start: number, end: number): boolean {
  let position = start
  while (position < end) {
    const lead = bytes[position++] as number
    if (lead < 0x80) {
      if (lead === 0) return false
      continue
    }
    // Each lead byte allows a range of second bytes of its own; all later bytes are 0x80 to 0xbf.
    let following = 0
    let lowest = 0x80
    let highest = 0xbf
    if (lead >= 0xc2 && lead <= 0xdf) following = 1
    else if (lead >= 0xe0 && lead <= 0xef) {
      following = 2
      if (lead === 0xe0) lowest = 0xa0
      else if (lead === 0xed) highest = 0x9f
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      following = 3
      if (lead === 0xf0) lowest = 0x90
      else if (lead === 0xf4) highest = 0x8f
    } else return false
    if (position + following > end) return false
    const second = bytes[position++] as number
    if (second < lowest || second > highest) return false
    for (let index = 1; index < following; index++) {
      if (((bytes[position++] as number) & 0xc0) !== 0x80) return false
    }
  }
  return true
}

/** The string in bytes[start, end), which {@link isMqttString} has accepted. */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  return start === end ? "" : decoder.decode(bytes.subarray(start, end))
}
