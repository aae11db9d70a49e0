/**
 * SUBSCRIBE and UNSUBSCRIBE with many Topic Filters, written straight into bytes: a million filters are not to cost the driver more
 * than the broker.
 *
 * Source: MQTT 3.1.1 and MQTT 5.0 (OASIS), sections 3.8 and 3.10.
 */
import type { ProtocolLevel, QualityOfService } from "./frames.ts"

/** A SUBSCRIBE for `filters` (ASCII, at least one), all at one QoS. */
export function subscribeManyFrame(
  level: ProtocolLevel,
  identifier: number,
  filters: readonly string[],
  qos: QualityOfService
): Uint8Array {
  return filtersFrame(0x82, level, identifier, filters, qos)
}

/** An UNSUBSCRIBE for `filters` (ASCII, at least one). */
export function unsubscribeFrame(level: ProtocolLevel, identifier: number, filters: readonly string[]): Uint8Array {
  return filtersFrame(0xa2, level, identifier, filters, undefined)
}

function filtersFrame(
  firstByte: number,
  level: ProtocolLevel,
  identifier: number,
  filters: readonly string[],
  options: number | undefined
): Uint8Array {
  const eachBeside = options === undefined ? 2 : 3
  const propertiesBytes = level === 5 ? 1 : 0
  let rest = filters.reduce((sum, filter) => sum + filter.length + eachBeside, 2 + propertiesBytes)
  const head = [firstByte]
  const bodyBytes = rest
  do {
    const low = rest & 127
    rest >>= 7
    head.push(rest > 0 ? low | 128 : low)
  } while (rest > 0)
  const frame = Buffer.alloc(head.length + bodyBytes)
  frame.set(head)
  let at = frame.writeUInt16BE(identifier, head.length) + propertiesBytes
  for (const filter of filters) {
    at = frame.writeUInt16BE(filter.length, at)
    at += frame.write(filter, at, "latin1")
    if (options !== undefined) frame[at++] = options
  }
  return frame
}
