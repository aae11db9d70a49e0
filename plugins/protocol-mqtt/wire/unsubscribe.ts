/**
 * UNSUBSCRIBE, decoded whole, and UNSUBACK, written.
 *
 * Source: MQTT 5.0, sections 3.10 and 3.11; MQTT 3.1.1, the same sections (its UNSUBACK has no codes).
 */
import { PacketCursor } from "./PacketCursor.ts"
import { type ProtocolVersion, UNSUBACK, UNSUBSCRIBE } from "./packet-types.ts"
import { readUserProperties, type UserProperties } from "./properties.ts"
import { Refusal } from "./refusal.ts"
import { answerSize, readRequestHeader, writeAnswer } from "./requests.ts"
import { checkTopicFilter } from "./topics.ts"

const NO_CODES: ReadonlyArray<number> = []

export interface Unsubscription {
  readonly filter: string
  /** 0, or 0x8f where the filter is no valid Topic Filter: its code in the UNSUBACK. */
  readonly reasonCode: number
}

export interface UnsubscribePacket {
  readonly packetIdentifier: number
  /** One at least, in the packet's order. */
  readonly filters: ReadonlyArray<Unsubscription>
  readonly userProperties: UserProperties
}

/** Decodes an UNSUBSCRIBE: `bytes[start, end)` is what follows the fixed header, whose flags were checked. */
export function decodeUnsubscribe(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: ProtocolVersion
): UnsubscribePacket | Refusal {
  const cursor = new PacketCursor(bytes, start, end)
  const packetIdentifier = readRequestHeader(cursor, UNSUBSCRIBE, version)
  if (cursor.reasonCode !== 0) return new Refusal(cursor.reasonCode)
  const view = cursor.properties
  const userProperties = readUserProperties(bytes, cursor.propertiesStart, cursor.propertiesEnd, view)
  const filters: Array<Unsubscription> = []
  while (!cursor.atEnd) {
    const filter = cursor.readString()
    filters.push({ filter, reasonCode: checkTopicFilter(bytes, cursor.blockStart, cursor.blockEnd) })
  }
  if (cursor.reasonCode !== 0) return new Refusal(cursor.reasonCode)
  return { packetIdentifier, filters, userProperties }
}

/** Bytes that {@link writeUnsuback} writes for `count` codes. */
export function unsubackSize(version: ProtocolVersion, count: number, reasonString?: string): number {
  return answerSize(version, version === 5 ? count : 0, reasonString)
}

/** Writes at `position` (there must be room); returns the position after it. Before version 5 without codes. */
export function writeUnsuback(
  target: Uint8Array,
  position: number,
  version: ProtocolVersion,
  packetIdentifier: number,
  reasonCodes: ReadonlyArray<number>,
  reasonString?: string
): number {
  const codes = version === 5 ? reasonCodes : NO_CODES
  return writeAnswer(target, position, UNSUBACK, version, packetIdentifier, codes, reasonString)
}
