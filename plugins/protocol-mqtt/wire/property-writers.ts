/** Writers of single properties (identifier byte and value); each returns the position after it. */
export declare function writeByteProperty(
  target: Uint8Array,
  position: number,
  identifier: number,
  value: number
): number
export declare function writeTwoByteProperty(
  target: Uint8Array,
  position: number,
  identifier: number,
  value: number
): number
export declare function writeFourByteProperty(
  target: Uint8Array,
  position: number,
  identifier: number,
  value: number
): number
/** The value is a Variable Byte Integer (Subscription Identifier). */
export declare function writeVariableProperty(
  target: Uint8Array,
  position: number,
  identifier: number,
  value: number
): number
/** String or Binary Data, from bytes. */
export declare function writeBytesProperty(
  target: Uint8Array,
  position: number,
  identifier: number,
  bytes: Uint8Array,
  start: number,
  end: number
): number
export declare function writeUserProperty(
  target: Uint8Array,
  position: number,
  name: Uint8Array,
  value: Uint8Array
): number
/** Copies PUBLISH properties for delivery: without Topic Alias and Subscription Identifiers, and with the Message Expiry Interval replaced (-1: kept). */
export declare function copyDeliveredProperties(
  bytes: Uint8Array,
  start: number,
  end: number,
  messageExpiryInterval: number,
  target: Uint8Array,
  position: number
): number
