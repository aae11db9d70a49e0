/**
 * What a server answers: CONNACK, SUBACK, acknowledgements, DISCONNECT; each is checked, for the remote is a stranger.
 *
 * Source: MQTT 5.0 and 3.1.1, sections 3.2, 3.4 to 3.7, 3.9, 3.11, 3.14.
 */
import { CONNACK, DISCONNECT, type Version } from "./packet-types.ts"
import * as Property from "./properties.ts"

/** A packet that is none: what is wrong with it. */
export class Malformed {
  readonly fault: string
  constructor(fault: string) {
    this.fault = fault
  }
}

export interface Connack {
  readonly sessionPresent: boolean
  readonly reasonCode: number
  readonly receiveMaximum: number
  readonly maximumQos: number
  readonly retainAvailable: boolean
  /** Bytes; 268,435,460 where there is no limit. */
  readonly maximumPacketSize: number
  /** Seconds; below 0 = as was asked for. */
  readonly keepAlive: number
  readonly sessionExpiryInterval: number
  readonly reasonString: string
}

export const PACKET_SIZE_MAX = 268_435_460
const decoder = new TextDecoder()

/** Reads the properties at `at`, which must end the packet; calls `told` for each. */
function readProperties(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  told: (identifier: number, value: number, start: number, end: number) => void
): string {
  const lie = Property.propertiesAt(bytes, at, end)
  if (lie === undefined || lie[1] !== end) return "properties that do not end with their packet"
  return Property.walkProperties(bytes, lie[0], lie[1], type, {
    property: (identifier, start, stop, value) => told(identifier, value, start, stop)
  })
}

export function decodeConnack(bytes: Uint8Array, start: number, end: number, version: Version): Connack | Malformed {
  const flags = bytes[start] ?? 0
  if (end - start < 2 || flags > 1) return new Malformed("a CONNACK that is malformed")
  const reasonCode = bytes[start + 1] ?? 0
  const connack = {
    sessionPresent: flags === 1,
    reasonCode,
    receiveMaximum: 65_535,
    maximumQos: 2,
    retainAvailable: true,
    maximumPacketSize: PACKET_SIZE_MAX,
    keepAlive: -1,
    sessionExpiryInterval: -1,
    reasonString: ""
  }
  if (version === 4) return end - start === 2 ? connack : new Malformed("a CONNACK that is malformed")
  // A broker that does not know version 5 answers as before it.
  if (end - start === 2) return reasonCode === 0 ? new Malformed("a CONNACK that is malformed") : connack
  const fault = readProperties(bytes, start + 2, end, CONNACK, (identifier, value, from, to) => {
    if (identifier === Property.RECEIVE_MAXIMUM) connack.receiveMaximum = value
    else if (identifier === Property.MAXIMUM_QOS) connack.maximumQos = value
    else if (identifier === Property.RETAIN_AVAILABLE) connack.retainAvailable = value === 1
    else if (identifier === Property.MAXIMUM_PACKET_SIZE) connack.maximumPacketSize = value
    else if (identifier === Property.SERVER_KEEP_ALIVE) connack.keepAlive = value
    else if (identifier === Property.SESSION_EXPIRY_INTERVAL) connack.sessionExpiryInterval = value
    else if (identifier === Property.REASON_STRING) connack.reasonString = decoder.decode(bytes.subarray(from + 3, to))
  })
  if (fault !== "") return new Malformed(fault)
  const { receiveMaximum, maximumPacketSize, maximumQos } = connack
  const isOutOfRange = receiveMaximum === 0 || maximumPacketSize === 0 || maximumQos > 2
  return isOutOfRange ? new Malformed("a CONNACK with a limit that is none") : connack
}

/** SUBACK or UNSUBACK: its codes; of UNSUBACK before version 5 there are none. */
export function decodeCodes(
  bytes: Uint8Array,
  start: number,
  end: number,
  version: Version,
  type: number
): Uint8Array | Malformed {
  if (end - start < 2) return new Malformed("an answer to a subscription that is malformed")
  let at = start + 2
  if (version === 5) {
    const lie = Property.propertiesAt(bytes, at, end)
    if (lie === undefined) return new Malformed("properties that do not end within their packet")
    const fault = Property.walkProperties(bytes, lie[0], lie[1], type, { property: () => {} })
    if (fault !== "") return new Malformed(fault)
    at = lie[1]
  }
  return bytes.slice(at, end)
}

/** A reused object. */
export class AcknowledgementView {
  identifier = 0
  reasonCode = 0

  /** Reads one of the four; "" or what is wrong with it. */
  scan(bytes: Uint8Array, start: number, end: number, version: Version, type: number): string {
    this.identifier = Property.uint16At(bytes, start)
    this.reasonCode = 0
    if (end - start < 2 || (version === 4 && end - start !== 2)) return "an acknowledgement that is malformed"
    if (this.identifier === 0) return "a Packet Identifier of 0"
    if (end - start === 2) return ""
    this.reasonCode = bytes[start + 2] ?? 0
    return end - start === 3 ? "" : readProperties(bytes, start + 3, end, type, () => {})
  }
}

/** Why the server ends the connection: its Reason Code, and its words where there are any. */
export function decodeDisconnect(bytes: Uint8Array, start: number, end: number): string {
  const code = end > start ? (bytes[start] ?? 0) : 0
  let words = ""
  if (end - start > 1) {
    readProperties(bytes, start + 1, end, DISCONNECT, (identifier, _value, from, to) => {
      if (identifier === Property.REASON_STRING) words = decoder.decode(bytes.subarray(from + 3, to))
    })
  }
  return `0x${code.toString(16).padStart(2, "0")}${words === "" ? "" : ` (${shown(words)})`}`
}

/** Words of a stranger, in a line of the log. */
export function shown(words: string): string {
  return words.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, " ").slice(0, 200)
}
