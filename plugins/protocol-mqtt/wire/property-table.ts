/**
 * All properties of MQTT 5 as data: identifier, type, in which packets, how often, in which range.
 *
 * Source: MQTT 5.0, section 2.2.2.2 (table 2-4) and the section of each property in chapter 3.
 */
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
  WILL
} from "./packet-types.ts"
import { PROTOCOL_ERROR, TOPIC_ALIAS_INVALID } from "./reason-codes.ts"

export const BYTE = 1
export const TWO_BYTE_INTEGER = 2
export const FOUR_BYTE_INTEGER = 3
export const VARIABLE_BYTE_INTEGER = 4
export const UTF8_STRING = 5
export const BINARY_DATA = 6
export const UTF8_STRING_PAIR = 7

export const PAYLOAD_FORMAT_INDICATOR = 0x01
export const MESSAGE_EXPIRY_INTERVAL = 0x02
export const CONTENT_TYPE = 0x03
export const RESPONSE_TOPIC = 0x08
export const CORRELATION_DATA = 0x09
export const SUBSCRIPTION_IDENTIFIER = 0x0b
export const SESSION_EXPIRY_INTERVAL = 0x11
export const ASSIGNED_CLIENT_IDENTIFIER = 0x12
export const SERVER_KEEP_ALIVE = 0x13
export const AUTHENTICATION_METHOD = 0x15
export const AUTHENTICATION_DATA = 0x16
export const REQUEST_PROBLEM_INFORMATION = 0x17
export const WILL_DELAY_INTERVAL = 0x18
export const REQUEST_RESPONSE_INFORMATION = 0x19
export const RESPONSE_INFORMATION = 0x1a
export const SERVER_REFERENCE = 0x1c
export const REASON_STRING = 0x1f
export const RECEIVE_MAXIMUM = 0x21
export const TOPIC_ALIAS_MAXIMUM = 0x22
export const TOPIC_ALIAS = 0x23
export const MAXIMUM_QOS = 0x24
export const RETAIN_AVAILABLE = 0x25
export const USER_PROPERTY = 0x26
export const MAXIMUM_PACKET_SIZE = 0x27
export const WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28
export const SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29
export const SHARED_SUBSCRIPTION_AVAILABLE = 0x2a

export interface Property {
  readonly identifier: number
  readonly name: string
  readonly type: number
  /** Packet types that may carry it; WILL stands for the Will Properties of a CONNECT. */
  readonly packets: ReadonlyArray<number>
  /** Packet types in which it may stand more than once. */
  readonly repeatsIn?: ReadonlyArray<number>
  /** Smallest and largest allowed value of a number, where the type alone allows more. */
  readonly minimum?: number
  readonly maximum?: number
  /** Reason Code for a value out of range, where it is not 0x82 (Protocol Error). */
  readonly outOfRange?: number
}

const ACKNOWLEDGEMENTS = [PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK]
const ALL_WITH_PROPERTIES = [WILL, CONNECT, CONNACK, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT, AUTH].concat(
  ACKNOWLEDGEMENTS
)
const MESSAGE = [PUBLISH, WILL]
const FLAG = { type: BYTE, minimum: 0, maximum: 1 } as const

export const PROPERTIES: ReadonlyArray<Property> = [
  { identifier: PAYLOAD_FORMAT_INDICATOR, name: "Payload Format Indicator", ...FLAG, packets: MESSAGE },
  { identifier: MESSAGE_EXPIRY_INTERVAL, name: "Message Expiry Interval", type: FOUR_BYTE_INTEGER, packets: MESSAGE },
  { identifier: CONTENT_TYPE, name: "Content Type", type: UTF8_STRING, packets: MESSAGE },
  { identifier: RESPONSE_TOPIC, name: "Response Topic", type: UTF8_STRING, packets: MESSAGE },
  { identifier: CORRELATION_DATA, name: "Correlation Data", type: BINARY_DATA, packets: MESSAGE },
  {
    identifier: SUBSCRIPTION_IDENTIFIER,
    name: "Subscription Identifier",
    type: VARIABLE_BYTE_INTEGER,
    packets: [PUBLISH, SUBSCRIBE],
    repeatsIn: [PUBLISH],
    minimum: 1
  },
  {
    identifier: SESSION_EXPIRY_INTERVAL,
    name: "Session Expiry Interval",
    type: FOUR_BYTE_INTEGER,
    packets: [CONNECT, CONNACK, DISCONNECT]
  },
  {
    identifier: ASSIGNED_CLIENT_IDENTIFIER,
    name: "Assigned Client Identifier",
    type: UTF8_STRING,
    packets: [CONNACK]
  },
  { identifier: SERVER_KEEP_ALIVE, name: "Server Keep Alive", type: TWO_BYTE_INTEGER, packets: [CONNACK] },
  {
    identifier: AUTHENTICATION_METHOD,
    name: "Authentication Method",
    type: UTF8_STRING,
    packets: [CONNECT, CONNACK, AUTH]
  },
  {
    identifier: AUTHENTICATION_DATA,
    name: "Authentication Data",
    type: BINARY_DATA,
    packets: [CONNECT, CONNACK, AUTH]
  },
  { identifier: REQUEST_PROBLEM_INFORMATION, name: "Request Problem Information", ...FLAG, packets: [CONNECT] },
  { identifier: WILL_DELAY_INTERVAL, name: "Will Delay Interval", type: FOUR_BYTE_INTEGER, packets: [WILL] },
  { identifier: REQUEST_RESPONSE_INFORMATION, name: "Request Response Information", ...FLAG, packets: [CONNECT] },
  { identifier: RESPONSE_INFORMATION, name: "Response Information", type: UTF8_STRING, packets: [CONNACK] },
  { identifier: SERVER_REFERENCE, name: "Server Reference", type: UTF8_STRING, packets: [CONNACK, DISCONNECT] },
  {
    identifier: REASON_STRING,
    name: "Reason String",
    type: UTF8_STRING,
    packets: [CONNACK, DISCONNECT, AUTH].concat(ACKNOWLEDGEMENTS)
  },
  {
    identifier: RECEIVE_MAXIMUM,
    name: "Receive Maximum",
    type: TWO_BYTE_INTEGER,
    packets: [CONNECT, CONNACK],
    minimum: 1
  },
  {
    identifier: TOPIC_ALIAS_MAXIMUM,
    name: "Topic Alias Maximum",
    type: TWO_BYTE_INTEGER,
    packets: [CONNECT, CONNACK]
  },
  {
    identifier: TOPIC_ALIAS,
    name: "Topic Alias",
    type: TWO_BYTE_INTEGER,
    packets: [PUBLISH],
    minimum: 1,
    outOfRange: TOPIC_ALIAS_INVALID
  },
  { identifier: MAXIMUM_QOS, name: "Maximum QoS", ...FLAG, packets: [CONNACK] },
  { identifier: RETAIN_AVAILABLE, name: "Retain Available", ...FLAG, packets: [CONNACK] },
  {
    identifier: USER_PROPERTY,
    name: "User Property",
    type: UTF8_STRING_PAIR,
    packets: ALL_WITH_PROPERTIES,
    repeatsIn: ALL_WITH_PROPERTIES
  },
  {
    identifier: MAXIMUM_PACKET_SIZE,
    name: "Maximum Packet Size",
    type: FOUR_BYTE_INTEGER,
    packets: [CONNECT, CONNACK],
    minimum: 1
  },
  {
    identifier: WILDCARD_SUBSCRIPTION_AVAILABLE,
    name: "Wildcard Subscription Available",
    ...FLAG,
    packets: [CONNACK]
  },
  {
    identifier: SUBSCRIPTION_IDENTIFIER_AVAILABLE,
    name: "Subscription Identifier Available",
    ...FLAG,
    packets: [CONNACK]
  },
  { identifier: SHARED_SUBSCRIPTION_AVAILABLE, name: "Shared Subscription Available", ...FLAG, packets: [CONNACK] }
]

/** Identifiers are Variable Byte Integers, but all that exist take one byte: those from 128 on name no property. */
const IDENTIFIERS = 256
/** By identifier; 0 = no such property. */
export const TYPE_BY_IDENTIFIER = new Uint8Array(IDENTIFIERS)
/** By identifier: bit 1 << packet type. */
export const PACKETS_BY_IDENTIFIER = new Uint32Array(IDENTIFIERS)
export const REPEATS_BY_IDENTIFIER = new Uint32Array(IDENTIFIERS)
export const MINIMUM_BY_IDENTIFIER = new Uint32Array(IDENTIFIERS)
export const MAXIMUM_BY_IDENTIFIER = new Uint32Array(IDENTIFIERS)
export const OUT_OF_RANGE_BY_IDENTIFIER = new Uint8Array(IDENTIFIERS)
/** By identifier: one bit a property, for "seen already". There are 27. */
export const BIT_BY_IDENTIFIER = new Uint32Array(IDENTIFIERS)

PROPERTIES.forEach((row, index) => {
  TYPE_BY_IDENTIFIER[row.identifier] = row.type
  PACKETS_BY_IDENTIFIER[row.identifier] = packetBits(row.packets)
  REPEATS_BY_IDENTIFIER[row.identifier] = packetBits(row.repeatsIn ?? [])
  MINIMUM_BY_IDENTIFIER[row.identifier] = row.minimum ?? 0
  MAXIMUM_BY_IDENTIFIER[row.identifier] = row.maximum ?? 0xffffffff
  OUT_OF_RANGE_BY_IDENTIFIER[row.identifier] = row.outOfRange ?? PROTOCOL_ERROR
  BIT_BY_IDENTIFIER[row.identifier] = 1 << index
})

function packetBits(packetTypes: ReadonlyArray<number>): number {
  return packetTypes.reduce((bits, packetType) => bits | (1 << packetType), 0)
}
