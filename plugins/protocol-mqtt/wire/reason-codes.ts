/**
 * The MQTT 5 Reason Codes, and in which packets each may stand.
 *
 * Source: MQTT 5.0, section 2.4 (table 2-6), and the tables of sections 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.6.2.1, 3.7.2.1,
 * 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1. Which codes a client may send with DISCONNECT: section 3.14.2.1, column 3.
 */

export const SUCCESS = 0x00
export const NO_MATCHING_SUBSCRIBERS = 0x10
export const NO_SUBSCRIPTION_EXISTED = 0x11
export const CONTINUE_AUTHENTICATION = 0x18
export const REAUTHENTICATE = 0x19
export const UNSPECIFIED_ERROR = 0x80
export const MALFORMED_PACKET = 0x81
export const PROTOCOL_ERROR = 0x82
export const IMPLEMENTATION_SPECIFIC_ERROR = 0x83
export const UNSUPPORTED_PROTOCOL_VERSION = 0x84
export const CLIENT_IDENTIFIER_NOT_VALID = 0x85
export const TOPIC_FILTER_INVALID = 0x8f
export const TOPIC_NAME_INVALID = 0x90
export const TOPIC_ALIAS_INVALID = 0x94
export const PACKET_TOO_LARGE = 0x95

/** Bit of a packet type in {@link ReasonCode.packets}; the same numbers as in packet-types.ts. */
const CONNACK = 1 << 2
const PUBACK = 1 << 4
const PUBREC = 1 << 5
const PUBREL = 1 << 6
const PUBCOMP = 1 << 7
const SUBACK = 1 << 9
const UNSUBACK = 1 << 11
const DISCONNECT = 1 << 14
const AUTH = 1 << 15
/** Beside its own bit: a client may send it with DISCONNECT or AUTH. */
const CLIENT_DISCONNECT = 1 << 16
const CLIENT_AUTH = 1 << 17

const PUBLISH_ACKNOWLEDGED = PUBACK | PUBREC
const REQUEST_REFUSED = CONNACK | PUBLISH_ACKNOWLEDGED | SUBACK | UNSUBACK | DISCONNECT
const DISCONNECT_BOTH = DISCONNECT | CLIENT_DISCONNECT

export interface ReasonCode {
  readonly code: number
  readonly name: string
  /** Bit 1 << packet type for each packet that may carry it. */
  readonly packets: number
}

export const REASON_CODES: ReadonlyArray<ReasonCode> = [
  {
    code: 0x00,
    name: "Success",
    packets: CONNACK | PUBLISH_ACKNOWLEDGED | PUBREL | PUBCOMP | SUBACK | UNSUBACK | DISCONNECT_BOTH | AUTH
  },
  { code: 0x01, name: "Granted QoS 1", packets: SUBACK },
  { code: 0x02, name: "Granted QoS 2", packets: SUBACK },
  { code: 0x04, name: "Disconnect with Will Message", packets: DISCONNECT_BOTH },
  { code: 0x10, name: "No matching subscribers", packets: PUBLISH_ACKNOWLEDGED },
  { code: 0x11, name: "No subscription existed", packets: UNSUBACK },
  { code: 0x18, name: "Continue authentication", packets: AUTH | CLIENT_AUTH },
  { code: 0x19, name: "Re-authenticate", packets: AUTH | CLIENT_AUTH },
  { code: 0x80, name: "Unspecified error", packets: REQUEST_REFUSED | CLIENT_DISCONNECT },
  { code: 0x81, name: "Malformed Packet", packets: CONNACK | DISCONNECT_BOTH },
  { code: 0x82, name: "Protocol Error", packets: CONNACK | DISCONNECT_BOTH },
  { code: 0x83, name: "Implementation specific error", packets: REQUEST_REFUSED | CLIENT_DISCONNECT },
  { code: 0x84, name: "Unsupported Protocol Version", packets: CONNACK },
  { code: 0x85, name: "Client Identifier not valid", packets: CONNACK },
  { code: 0x86, name: "Bad User Name or Password", packets: CONNACK },
  { code: 0x87, name: "Not authorized", packets: REQUEST_REFUSED },
  { code: 0x88, name: "Server unavailable", packets: CONNACK },
  { code: 0x89, name: "Server busy", packets: CONNACK | DISCONNECT },
  { code: 0x8a, name: "Banned", packets: CONNACK },
  { code: 0x8b, name: "Server shutting down", packets: DISCONNECT },
  { code: 0x8c, name: "Bad authentication method", packets: CONNACK | DISCONNECT },
  { code: 0x8d, name: "Keep Alive timeout", packets: DISCONNECT },
  { code: 0x8e, name: "Session taken over", packets: DISCONNECT },
  { code: 0x8f, name: "Topic Filter invalid", packets: SUBACK | UNSUBACK | DISCONNECT },
  { code: 0x90, name: "Topic Name invalid", packets: CONNACK | PUBLISH_ACKNOWLEDGED | DISCONNECT_BOTH },
  { code: 0x91, name: "Packet Identifier in use", packets: PUBLISH_ACKNOWLEDGED | SUBACK | UNSUBACK },
  { code: 0x92, name: "Packet Identifier not found", packets: PUBREL | PUBCOMP },
  { code: 0x93, name: "Receive Maximum exceeded", packets: DISCONNECT_BOTH },
  { code: 0x94, name: "Topic Alias invalid", packets: DISCONNECT_BOTH },
  { code: 0x95, name: "Packet too large", packets: CONNACK | DISCONNECT_BOTH },
  { code: 0x96, name: "Message rate too high", packets: DISCONNECT_BOTH },
  { code: 0x97, name: "Quota exceeded", packets: CONNACK | PUBLISH_ACKNOWLEDGED | SUBACK | DISCONNECT_BOTH },
  { code: 0x98, name: "Administrative action", packets: DISCONNECT_BOTH },
  { code: 0x99, name: "Payload format invalid", packets: CONNACK | PUBLISH_ACKNOWLEDGED | DISCONNECT_BOTH },
  { code: 0x9a, name: "Retain not supported", packets: CONNACK | DISCONNECT },
  { code: 0x9b, name: "QoS not supported", packets: CONNACK | DISCONNECT },
  { code: 0x9c, name: "Use another server", packets: CONNACK | DISCONNECT },
  { code: 0x9d, name: "Server moved", packets: CONNACK | DISCONNECT },
  { code: 0x9e, name: "Shared Subscriptions not supported", packets: SUBACK | DISCONNECT },
  { code: 0x9f, name: "Connection rate exceeded", packets: CONNACK | DISCONNECT },
  { code: 0xa0, name: "Maximum connect time", packets: DISCONNECT },
  { code: 0xa1, name: "Subscription Identifiers not supported", packets: SUBACK | DISCONNECT },
  { code: 0xa2, name: "Wildcard Subscriptions not supported", packets: SUBACK | DISCONNECT }
]

const PACKETS_BY_CODE = new Uint32Array(256)
const NAMES_BY_CODE = new Map<number, string>()
for (const row of REASON_CODES) {
  PACKETS_BY_CODE[row.code] = row.packets
  NAMES_BY_CODE.set(row.code, row.name)
}

/** Whether a packet of `packetType` may carry `code` (0 to 255) at all, in either direction. */
export function reasonCodeAllowed(packetType: number, code: number): boolean {
  return (((PACKETS_BY_CODE[code] as number) >>> packetType) & 1) !== 0
}

/** Whether a client may send `code` (0 to 255) with DISCONNECT. */
export function clientDisconnectAllowed(code: number): boolean {
  return ((PACKETS_BY_CODE[code] as number) & CLIENT_DISCONNECT) !== 0
}

/** Whether a client may send `code` (0 to 255) with AUTH. */
export function clientAuthAllowed(code: number): boolean {
  return ((PACKETS_BY_CODE[code] as number) & CLIENT_AUTH) !== 0
}

/** The specification's words for `code`, for logs and Reason Strings. */
export function reasonName(code: number): string {
  return NAMES_BY_CODE.get(code) ?? `reason 0x${code.toString(16).padStart(2, "0")}`
}
