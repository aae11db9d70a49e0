/**
 * What a client sends: CONNECT, SUBSCRIBE, UNSUBSCRIBE, acknowledgements, PINGREQ, DISCONNECT.
 *
 * Source: MQTT 5.0 and 3.1.1, sections 3.1, 3.4 to 3.7, 3.8, 3.10, 3.12, 3.14.
 */
import type { OutBuffer } from "./OutBuffer.ts"
import { CONNECT, DISCONNECT, PINGREQ, PUBREL, SUBSCRIBE, UNSUBSCRIBE, type Version } from "./packet-types.ts"
import { MAXIMUM_PACKET_SIZE, RECEIVE_MAXIMUM, SESSION_EXPIRY_INTERVAL } from "./properties.ts"

/** Set in the protocol level of 3.1.1 by bridges, for brokers that know it: they send a bridge nothing of its own back. */
const BRIDGE_LEVEL = 0x80

export interface Connect {
  readonly version: Version
  /** Of 3.1.1: says that it is a bridge. */
  readonly isPrivate: boolean
  readonly clientIdentifier: string
  readonly cleanStart: boolean
  readonly keepAlive: number
  /** Undefined = none; a password needs a name before version 5. */
  readonly username: string | undefined
  readonly password: string | undefined
  /** Version 5; seconds, 4294967295 = for ever. */
  readonly sessionExpiryInterval: number
  readonly receiveMaximum: number
  /** 0 = no limit. */
  readonly maximumPacketSize: number
}

export function writeConnect(out: OutBuffer, connect: Connect): void {
  const { version, username, password } = connect
  out.packet(CONNECT << 4, (body) => {
    body.string("MQTT")
    body.uint8(version | (version === 4 && connect.isPrivate ? BRIDGE_LEVEL : 0))
    body.uint8((connect.cleanStart ? 2 : 0) | (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40))
    body.uint16(connect.keepAlive)
    if (version === 5) {
      body.variable(5 + 3 + (connect.maximumPacketSize === 0 ? 0 : 5))
      body.uint8(SESSION_EXPIRY_INTERVAL)
      body.uint32(connect.sessionExpiryInterval)
      body.uint8(RECEIVE_MAXIMUM)
      body.uint16(connect.receiveMaximum)
      if (connect.maximumPacketSize !== 0) {
        body.uint8(MAXIMUM_PACKET_SIZE)
        body.uint32(connect.maximumPacketSize)
      }
    }
    body.string(connect.clientIdentifier)
    if (username !== undefined) body.string(username)
    if (password !== undefined) body.string(password)
  })
}

/** One filter of a SUBSCRIBE. Of version 5: what the client itself has published does not come back, RETAIN stays as it was. */
export interface Wish {
  readonly filter: string
  readonly qos: number
  /** Retain Handling: 0 = retained messages come, 1 = where the subscription is new, 2 = they do not. */
  readonly retainHandling: number
}

const NO_LOCAL = 4
const RETAIN_AS_PUBLISHED = 8

export function writeSubscribe(
  out: OutBuffer,
  version: Version,
  identifier: number,
  wishes: ReadonlyArray<Wish>
): void {
  out.packet((SUBSCRIBE << 4) | 2, (body) => {
    body.uint16(identifier)
    if (version === 5) body.variable(0)
    for (const { filter, qos, retainHandling } of wishes) {
      body.string(filter)
      body.uint8(version === 5 ? qos | NO_LOCAL | RETAIN_AS_PUBLISHED | (retainHandling << 4) : qos)
    }
  })
}

export function writeUnsubscribe(
  out: OutBuffer,
  version: Version,
  identifier: number,
  filters: ReadonlyArray<string>
): void {
  out.packet((UNSUBSCRIBE << 4) | 2, (body) => {
    body.uint16(identifier)
    if (version === 5) body.variable(0)
    for (const filter of filters) body.string(filter)
  })
}

/** PUBACK, PUBREC, PUBREL or PUBCOMP; the Reason Code of version 5 alone, and only where it says something. */
export function writeAcknowledgement(
  out: OutBuffer,
  version: Version,
  type: number,
  identifier: number,
  reasonCode = 0
): void {
  const hasReason = version === 5 && reasonCode !== 0
  out.uint8((type << 4) | (type === PUBREL ? 2 : 0))
  out.uint8(hasReason ? 3 : 2)
  out.uint16(identifier)
  if (hasReason) out.uint8(reasonCode)
}

export function writePing(out: OutBuffer): void {
  out.uint16(PINGREQ << 12)
}

export function writeDisconnect(out: OutBuffer): void {
  out.uint16(DISCONNECT << 12)
}
