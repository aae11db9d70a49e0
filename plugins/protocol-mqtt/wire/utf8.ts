/**
 * UTF-8 Encoded Strings of MQTT: well-formed UTF-8 without U+0000.
 *
 * Source: MQTT 5.0, section 1.5.4; RFC 3629, section 4 (the table of well-formed byte sequences).
 * Invariants: surrogates (U+D800 to U+DFFF), overlong forms and code points above U+10FFFF are refused
 * [MQTT-1.5.4-1], so is U+0000 [MQTT-1.5.4-2]; U+FEFF stays where it is [MQTT-1.5.4-3]. Control characters and
 * non-characters pass: the specification leaves them to the receiver.
 */

/** An MQTT string is what core takes for well-formed text: one check for both. */
export { isWellFormedUtf8 as isMqttString } from "../../../core/mod.ts"

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The string in bytes[start, end), which `isMqttString` has accepted. */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  return start === end ? "" : decoder.decode(bytes.subarray(start, end))
}
