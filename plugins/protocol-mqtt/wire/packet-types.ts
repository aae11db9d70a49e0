/**
 * The MQTT Control Packet types, and what the first byte of a packet that a client sends may hold.
 *
 * Source: MQTT 5.0, sections 2.1.2 and 2.1.3 (tables 2-1 and 2-2); MQTT 3.1.1, sections 2.2.1 and 2.2.2.
 */
import { MALFORMED_PACKET, PROTOCOL_ERROR } from "./reason-codes.ts"

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
export const AUTH = 15
/** Not a packet: the Will Properties in a CONNECT, which have a column of their own in the table of properties. */
export const WILL = 0

/** Quality of Service level. */
export type Qos = 0 | 1 | 2
/** Protocol level of a CONNECT: 3 = MQTT 3.1, 4 = MQTT 3.1.1, 5 = MQTT 5.0. */
export type ProtocolVersion = 3 | 4 | 5

interface PacketType {
  readonly type: number
  readonly name: string
  /** The only allowed low four bits of the first byte; PUBLISH has its own rule. */
  readonly flags: number
  readonly fromClient: boolean
  readonly fromServer: boolean
}

/** One row a type; the row of PUBLISH has flags that mean something (DUP, QoS, RETAIN). */
export const PACKET_TYPES: ReadonlyArray<PacketType> = [
  { type: CONNECT, name: "CONNECT", flags: 0, fromClient: true, fromServer: false },
  { type: CONNACK, name: "CONNACK", flags: 0, fromClient: false, fromServer: true },
  { type: PUBLISH, name: "PUBLISH", flags: 0, fromClient: true, fromServer: true },
  { type: PUBACK, name: "PUBACK", flags: 0, fromClient: true, fromServer: true },
  { type: PUBREC, name: "PUBREC", flags: 0, fromClient: true, fromServer: true },
  { type: PUBREL, name: "PUBREL", flags: 2, fromClient: true, fromServer: true },
  { type: PUBCOMP, name: "PUBCOMP", flags: 0, fromClient: true, fromServer: true },
  { type: SUBSCRIBE, name: "SUBSCRIBE", flags: 2, fromClient: true, fromServer: false },
  { type: SUBACK, name: "SUBACK", flags: 0, fromClient: false, fromServer: true },
  { type: UNSUBSCRIBE, name: "UNSUBSCRIBE", flags: 2, fromClient: true, fromServer: false },
  { type: UNSUBACK, name: "UNSUBACK", flags: 0, fromClient: false, fromServer: true },
  { type: PINGREQ, name: "PINGREQ", flags: 0, fromClient: true, fromServer: false },
  { type: PINGRESP, name: "PINGRESP", flags: 0, fromClient: false, fromServer: true },
  { type: DISCONNECT, name: "DISCONNECT", flags: 0, fromClient: true, fromServer: true },
  { type: AUTH, name: "AUTH", flags: 0, fromClient: true, fromServer: true }
]

const RETAIN_FLAG = 1
const DUP_FLAG = 8

function publishFlagsAllowed(flags: number): boolean {
  const qos = (flags >> 1) & 3
  // [MQTT-3.3.1-4]: no QoS 3. [MQTT-3.3.1-2]: no DUP with QoS 0. RETAIN goes with anything.
  return qos !== 3 && !(qos === 0 && (flags & DUP_FLAG) !== 0)
}

function verdictsByFirstByte(): Uint8Array {
  const verdicts = new Uint8Array(256).fill(MALFORMED_PACKET)
  for (const row of PACKET_TYPES) {
    for (let flags = 0; flags < 16; flags++) {
      const allowed = row.type === PUBLISH ? publishFlagsAllowed(flags) : flags === row.flags
      if (allowed) verdicts[(row.type << 4) | flags] = row.fromClient ? 0 : PROTOCOL_ERROR
    }
  }
  return verdicts
}

const FIRST_BYTE_VERDICTS = verdictsByFirstByte()

/**
 * Judges the first byte (0 to 255) of a packet from a client: 0, or 0x81 for a reserved type or wrong flags, or 0x82
 * for a type that only a server sends. AUTH passes here; before version 5 its caller must refuse it.
 */
export function checkFirstByte(firstByte: number): number {
  return FIRST_BYTE_VERDICTS[firstByte] as number
}

/** The packet type in a first byte. */
export function packetTypeOf(firstByte: number): number {
  return firstByte >> 4
}

/** The first byte of a PUBLISH. */
export function publishFirstByte(qos: Qos, retain: boolean, dup: boolean): number {
  return (PUBLISH << 4) | (dup ? DUP_FLAG : 0) | (qos << 1) | (retain ? RETAIN_FLAG : 0)
}
