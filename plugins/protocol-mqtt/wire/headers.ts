/** MQTT 5 properties <-> headers of a Kafka record (version 2). */
import type { Qos } from "./packet-types.ts"
/** What the last call found; reused. */
export declare const headersResult: {
  /** Headers written by propertiesToHeaders. */
  headerCount: number
  /** headersToProperties, gathered only: from mqtt.qos and mqtt.retain. */
  qos: Qos
  retain: boolean
  /** Seconds or -1; and where its four bytes stand in the target, or -1. */
  messageExpiryInterval: number
  messageExpiryPosition: number
  /** Headers that no property can hold (name not UTF-8, longer than 65,535). */
  droppedCount: number
}
/** Room that propertiesToHeaders needs at most. */
export declare function headersSizeMax(propertiesLength: number): number
/** Properties scanned before (PUBLISH or will) -> header bytes without the count; returns the new position. */
export declare function propertiesToHeaders(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  position: number
): number
/** Room that headersToProperties needs at most. */
export declare function propertiesSizeMax(headersLength: number, count: number): number
/** Header bytes without the count -> property bytes without their length; the new position, or -1 where the bytes are no headers. */
export declare function headersToProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  count: number,
  gathered: boolean,
  target: Uint8Array,
  position: number
): number
/** Constant header bytes for mqtt.qos and mqtt.retain. */
export declare function deliveryHeaders(qos: Qos, retain: boolean): Uint8Array
export declare function deliveryHeaderCount(qos: Qos, retain: boolean): number
