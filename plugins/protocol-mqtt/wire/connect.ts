/**
 * CONNECT, decoded whole.
 *
 * Source: MQTT 5.0, section 3.1; MQTT 3.1.1, section 3.1; MQTT 3.1 (IBM), section 3.1, for "MQIsdp" level 3.
 * Decisions: the reserved flag, Will flags without a Will and Will QoS 3 are malformed; a password without a user name
 * is malformed before version 5 [MQTT-3.1.2-22]. The bridge bit (0x80) of the level is refused with the version, on
 * which bridges try again without it.
 */
import { PacketCursor } from "./PacketCursor.ts"
import { CONNECT, type ProtocolVersion, type Qos, WILL } from "./packet-types.ts"
import { ABSENT, readUserProperties, type UserProperties } from "./properties.ts"
import { checkPublishTopic } from "./publish.ts"
import {
  CLIENT_IDENTIFIER_NOT_VALID,
  MALFORMED_PACKET,
  PROTOCOL_ERROR,
  UNSUPPORTED_PROTOCOL_VERSION
} from "./reason-codes.ts"
import { Refusal } from "./refusal.ts"
import { VARIABLE_BYTE_INTEGER_MAX } from "./variable-byte-integer.ts"

/** A Session Expiry Interval that never ends, in seconds. */
export const SESSION_NEVER_EXPIRES = 0xffffffff
/** What a packet can have at most: five bytes of fixed header and the largest Remaining Length. */
export const PACKET_SIZE_MAX = VARIABLE_BYTE_INTEGER_MAX + 5
const RECEIVE_MAXIMUM_DEFAULT = 65_535

const RESERVED_FLAG = 0x01
const CLEAN_START_FLAG = 0x02
const WILL_FLAG = 0x04
const WILL_RETAIN_FLAG = 0x20
const PASSWORD_FLAG = 0x40
const USERNAME_FLAG = 0x80

/** Return codes of a CONNACK before version 5 (MQTT 3.1.1, table 3.1) that a decoder needs. */
const UNACCEPTABLE_PROTOCOL_VERSION = 1
const IDENTIFIER_REJECTED = 2
/** No CONNACK: just close. */
const CLOSE = -1

export interface WillMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: Qos
  readonly retain: boolean
  /** Seconds. */
  readonly delayInterval: number
  /** Seconds, or -1. */
  readonly messageExpiryInterval: number
  /** Will property bytes without their length (Will Delay Interval included), as propertiesToHeaders takes them. */
  readonly properties: Uint8Array
}

export interface ConnectPacket {
  readonly protocolVersion: ProtocolVersion
  readonly cleanStart: boolean
  /** Seconds; 0 = none. */
  readonly keepAlive: number
  /** "" = the server assigns one. */
  readonly clientIdentifier: string
  readonly username?: string
  readonly password?: Uint8Array
  readonly will?: WillMessage
  /** Seconds; {@link SESSION_NEVER_EXPIRES}. Before version 5: 0 with Clean Session, else never. */
  readonly sessionExpiryInterval: number
  /** 65,535 where absent. */
  readonly receiveMaximum: number
  /** Bytes; {@link PACKET_SIZE_MAX} where absent. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly requestResponseInformation: boolean
  readonly requestProblemInformation: boolean
  readonly userProperties: UserProperties
  readonly authenticationMethod?: string
  readonly authenticationData?: Uint8Array
}

/** A refused CONNECT: answer with CONNACK `connackCode` in the form of `protocolVersion`, or (-1) just close. */
export class ConnectRefusal extends Refusal {
  readonly protocolVersion: ProtocolVersion
  readonly connackCode: number

  constructor(reasonCode: number, protocolVersion: ProtocolVersion, connackCode: number) {
    super(reasonCode)
    this.protocolVersion = protocolVersion
    this.connackCode = connackCode
  }
}

/** Version 5 is told why; before, malformed packets close the connection without a word (MQTT 3.1.1, section 4.8). */
function refuse(reasonCode: number, version: ProtocolVersion): ConnectRefusal {
  return new ConnectRefusal(reasonCode, version, version === 5 ? reasonCode : CLOSE)
}

function unsupportedVersion(level: number): ConnectRefusal {
  // A client of version 5 or later reads the form of 5; the bridge bit belongs to the older ones.
  return level >= 5 && level < 0x80
    ? new ConnectRefusal(UNSUPPORTED_PROTOCOL_VERSION, 5, UNSUPPORTED_PROTOCOL_VERSION)
    : new ConnectRefusal(UNSUPPORTED_PROTOCOL_VERSION, 4, UNACCEPTABLE_PROTOCOL_VERSION)
}

/** Name and level to version, or why not. */
function protocolVersionOf(cursor: PacketCursor): ProtocolVersion | ConnectRefusal {
  const name = cursor.readString()
  const level = cursor.readByte()
  if (cursor.reasonCode !== 0) return new ConnectRefusal(cursor.reasonCode, 4, CLOSE)
  if (name === "MQTT") return level === 4 || level === 5 ? level : unsupportedVersion(level)
  if (name === "MQIsdp") return level === 3 ? 3 : new ConnectRefusal(UNSUPPORTED_PROTOCOL_VERSION, 3, 1)
  // [MQTT-3.1.2-1]: something else than MQTT; only a client of version 5 gets an answer.
  return level === 5 ? unsupportedVersion(level) : new ConnectRefusal(UNSUPPORTED_PROTOCOL_VERSION, 4, CLOSE)
}

function flagsReasonCode(flags: number, version: ProtocolVersion): number {
  // [MQTT-3.1.2-3]
  if ((flags & RESERVED_FLAG) !== 0) return MALFORMED_PACKET
  const willQos = (flags >> 3) & 3
  if (willQos === 3) return MALFORMED_PACKET
  const willRetain = (flags & WILL_RETAIN_FLAG) !== 0
  // [MQTT-3.1.2-11], [MQTT-3.1.2-13]
  if ((flags & WILL_FLAG) === 0 && (willQos !== 0 || willRetain)) return MALFORMED_PACKET
  const passwordAlone = (flags & PASSWORD_FLAG) !== 0 && (flags & USERNAME_FLAG) === 0
  return passwordAlone && version !== 5 ? MALFORMED_PACKET : 0
}

function readWill(cursor: PacketCursor, flags: number, version: ProtocolVersion): WillMessage {
  let properties = new Uint8Array(0)
  if (version === 5) {
    cursor.readProperties(WILL)
    if (cursor.reasonCode === 0) properties = cursor.bytes.slice(cursor.propertiesStart, cursor.propertiesEnd)
  }
  const { messageExpiryInterval, willDelayInterval } = cursor.properties
  const topic = cursor.readString()
  if (cursor.reasonCode === 0) {
    const reasonCode = checkPublishTopic(cursor.bytes, cursor.blockStart, cursor.blockEnd)
    if (reasonCode !== 0) cursor.fail(reasonCode)
  }
  return {
    topic,
    payload: cursor.readBinary(),
    qos: ((flags >> 3) & 3) as Qos,
    retain: (flags & WILL_RETAIN_FLAG) !== 0,
    delayInterval: willDelayInterval === ABSENT ? 0 : willDelayInterval,
    messageExpiryInterval,
    properties
  }
}

/** The fields that come from properties; before version 5 there are none, and the defaults stand. */
function readConnectProperties(cursor: PacketCursor, version: ProtocolVersion, cleanStart: boolean) {
  if (version === 5) cursor.readProperties(CONNECT)
  const view = cursor.properties
  const authenticationMethod = cursor.propertyString(view.authenticationMethodStart, view.authenticationMethodEnd)
  const authenticationData = cursor.propertyBinary(view.authenticationDataStart, view.authenticationDataEnd)
  if (authenticationData !== undefined && authenticationMethod === undefined) cursor.fail(PROTOCOL_ERROR)
  const defaultExpiry = version === 5 || cleanStart ? 0 : SESSION_NEVER_EXPIRES
  return {
    sessionExpiryInterval: view.sessionExpiryInterval === ABSENT ? defaultExpiry : view.sessionExpiryInterval,
    receiveMaximum: view.receiveMaximum === ABSENT ? RECEIVE_MAXIMUM_DEFAULT : view.receiveMaximum,
    maximumPacketSize: view.maximumPacketSize === ABSENT ? PACKET_SIZE_MAX : view.maximumPacketSize,
    topicAliasMaximum: view.topicAliasMaximum === ABSENT ? 0 : view.topicAliasMaximum,
    requestResponseInformation: view.requestResponseInformation === 1,
    requestProblemInformation: view.requestProblemInformation !== 0,
    userProperties:
      cursor.reasonCode === 0
        ? readUserProperties(cursor.bytes, cursor.propertiesStart, cursor.propertiesEnd, view)
        : [],
    ...(authenticationMethod !== undefined && { authenticationMethod }),
    ...(authenticationData !== undefined && { authenticationData })
  }
}

/**
 * Decodes a CONNECT: `bytes[start, end)` is what follows the fixed header, whose flags were checked. Strings and bytes
 * of the result are copies.
 */
export function decodeConnect(bytes: Uint8Array, start: number, end: number): ConnectPacket | ConnectRefusal {
  const cursor = new PacketCursor(bytes, start, end)
  const version = protocolVersionOf(cursor)
  if (version instanceof ConnectRefusal) return version
  const flags = cursor.readByte()
  const flagsFault = flagsReasonCode(flags, version)
  if (flagsFault !== 0) return refuse(flagsFault, version)
  const cleanStart = (flags & CLEAN_START_FLAG) !== 0
  const keepAlive = cursor.readTwoBytes()
  const fromProperties = readConnectProperties(cursor, version, cleanStart)
  const clientIdentifier = cursor.readString()
  const will = (flags & WILL_FLAG) === 0 ? undefined : readWill(cursor, flags, version)
  const username = (flags & USERNAME_FLAG) === 0 ? undefined : cursor.readString()
  const password = (flags & PASSWORD_FLAG) === 0 ? undefined : cursor.readBinary()
  if (!cursor.atEnd) cursor.fail(MALFORMED_PACKET)
  if (cursor.reasonCode !== 0) return refuse(cursor.reasonCode, version)
  // [MQTT-3.1.3-8] of MQTT 3.1.1; MQTT 3.1 knows no empty Client Identifier at all.
  if (clientIdentifier === "" && (version === 3 || (version === 4 && !cleanStart))) {
    return new ConnectRefusal(CLIENT_IDENTIFIER_NOT_VALID, version, IDENTIFIER_REJECTED)
  }
  return {
    protocolVersion: version,
    cleanStart,
    keepAlive,
    clientIdentifier,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(will !== undefined && { will }),
    ...fromProperties
  }
}
