/** Types of Control Packets, in the upper half of their first byte. Source: MQTT 5.0 section 2.1.2. */
export const CONNECT = 1
export const CONNACK = 2
export const PUBLISH = 3
export const PUBACK = 4
export const PUBREC = 5
export const PUBREL = 6
export const PUBCOMP = 7
export const SUBSCRIBE = 8
export const SUBACK = 9
export const UNSUBSCRIBE = 10
export const UNSUBACK = 11
export const PINGREQ = 12
export const PINGRESP = 13
export const DISCONNECT = 14

/** Protocol levels: 3.1.1 and 5.0. */
export type Version = 4 | 5

/** What of a packet stands in the lower half of its first byte. PUBLISH has flags there. */
export function hasRightFlags(firstByte: number): boolean {
  const type = firstByte >>> 4
  const wanted = type === PUBREL || type === SUBSCRIBE || type === UNSUBSCRIBE ? 2 : 0
  return type === PUBLISH || (firstByte & 15) === wanted
}
