/**
 * The Control Packets that the load driver sends, built once before a run; during a run only bytes are patched.
 *
 * Every payload has one layout, so that a receiver checks each message without building an object:
 *   0..3 publisher index, 4..7 sequence number of that publisher (both u32, big endian), filler, last byte MARKER.
 *
 * Source: MQTT 3.1.1 and MQTT 5.0 (OASIS), section 3; Remaining Length: section 2.2.3 and 1.5.5.
 */

/** The two protocol levels the driver speaks: 4 is MQTT 3.1.1, 5 is MQTT 5.0. */
export type ProtocolLevel = 4 | 5
export type QualityOfService = 0 | 1 | 2

export const CONNACK = 2
export const PUBLISH = 3
export const PUBACK = 4
export const PUBREC = 5
export const PUBREL = 6
export const PUBCOMP = 7
export const SUBACK = 9
export const DISCONNECT = 14

/** The last byte of every payload: a message that was cut or shifted does not end with it. */
export const MARKER = 0x7e
/** Publisher index, sequence number and marker need this much. */
export const PAYLOAD_BYTES_MIN = 9
/** The longest body a Remaining Length of four bytes can announce. */
const REMAINING_LENGTH_MAX = 268_435_455

const encoder = new TextEncoder()

/** PUBLISH frames of one publisher that lie side by side in one buffer, all of the same length. */
export interface FrameBlock {
  readonly bytes: Uint8Array
  readonly count: number
  /** Bytes from one frame to the next. */
  readonly frameBytes: number
  /** Where the Packet Identifier lies in a frame; -1 at QoS 0. */
  readonly identifierAt: number
  /** Where the sequence number lies in a frame. */
  readonly sequenceAt: number
}

/** Whether a session ends with its connection, or outlives it for as long as the broker keeps it. */
export type SessionKind = "clean" | "kept"

/** A CONNECT without will and user name; `clean` sets Clean Session (Clean Start), `kept` asks for a session without end. */
export function connectFrame(
  level: ProtocolLevel,
  clientIdentifier: string,
  keepAliveSeconds: number,
  session: SessionKind = "clean"
): Uint8Array {
  const isKept = session === "kept"
  // MQTT 5.0, section 3.1.2.11.2: Session Expiry Interval 0xFFFFFFFF does not expire.
  const expiry = isKept ? [5, 0x11, 0xff, 0xff, 0xff, 0xff] : [0]
  const properties = level === 5 ? expiry : []
  const flags = isKept ? 0 : 0b10
  const variableHeader = [0, 4, ...encoder.encode("MQTT"), level, flags, keepAliveSeconds >> 8, keepAliveSeconds & 255]
  return packet(0x10, [...variableHeader, ...properties, ...text(clientIdentifier)])
}

/** A SUBSCRIBE for one Topic Filter. */
export function subscribeFrame(
  level: ProtocolLevel,
  identifier: number,
  filter: string,
  qos: QualityOfService
): Uint8Array {
  const properties = level === 5 ? [0] : []
  return packet(0x82, [identifier >> 8, identifier & 255, ...properties, ...text(filter), qos])
}

/** DISCONNECT in the two-byte form that both protocol levels know. */
export function disconnectFrame(): Uint8Array {
  return Uint8Array.of(0xe0, 0)
}

/** Where the messages of a block go: a topic name, and the publisher that the payload names. */
export interface Target {
  readonly topicName: string
  readonly publisher: number
}

/** One PUBLISH frame for each target, side by side. The topic names must all have the same length in bytes. */
export function targetBlock(options: {
  readonly level: ProtocolLevel
  readonly targets: readonly Target[]
  readonly qos: QualityOfService
  readonly payloadBytes: number
}): FrameBlock {
  const { targets, ...rest } = options
  const blocks = targets.map((target) => publishBlock({ ...rest, ...target, count: 1 }))
  const [first] = blocks
  if (first === undefined) throw new RangeError("a block has at least one frame")
  const bytes = new Uint8Array(first.frameBytes * blocks.length)
  blocks.forEach((block, index) => {
    if (block.frameBytes !== first.frameBytes) throw new RangeError("topic names of one block have one length")
    bytes.set(block.bytes, index * first.frameBytes)
  })
  return { ...first, bytes, count: blocks.length }
}

/** `count` PUBLISH frames on one topic name, sequence numbers and Packet Identifiers still zero. */
export function publishBlock(options: {
  readonly level: ProtocolLevel
  readonly topicName: string
  readonly qos: QualityOfService
  readonly payloadBytes: number
  readonly publisher: number
  readonly count: number
}): FrameBlock {
  if (options.payloadBytes < PAYLOAD_BYTES_MIN)
    throw new RangeError(`a payload has at least ${PAYLOAD_BYTES_MIN} bytes`)
  const payload = new Uint8Array(options.payloadBytes).fill(0x2e)
  writeU32(payload, 0, options.publisher)
  writeU32(payload, 4, 0)
  payload[options.payloadBytes - 1] = MARKER
  const topic = text(options.topicName)
  const identifier = options.qos > 0 ? [0, 0] : []
  const properties = options.level === 5 ? [0] : []
  const header = [...topic, ...identifier, ...properties]
  const body = new Uint8Array(header.length + payload.length)
  body.set(header)
  body.set(payload, header.length)
  const frame = packet(0x30 | (options.qos << 1), body)
  const bodyAt = frame.length - body.length
  const bytes = new Uint8Array(frame.length * options.count)
  for (let index = 0; index < options.count; index++) bytes.set(frame, index * frame.length)
  return {
    bytes,
    count: options.count,
    frameBytes: frame.length,
    identifierAt: options.qos > 0 ? bodyAt + topic.length : -1,
    sequenceAt: bodyAt + header.length + 4
  }
}

/** Writes `value` (0 to 2^32 - 1) big endian. */
export function writeU32(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value >>> 24
  bytes[position + 1] = value >>> 16
  bytes[position + 2] = value >>> 8
  bytes[position + 3] = value
}

/** Reads four bytes big endian, as 0 to 2^32 - 1. The caller has checked that they are there. */
export function readU32(bytes: Uint8Array, position: number): number {
  return (
    (((bytes[position] as number) << 24) |
      ((bytes[position + 1] as number) << 16) |
      ((bytes[position + 2] as number) << 8) |
      (bytes[position + 3] as number)) >>>
    0
  )
}

/** Reads two bytes big endian. The caller has checked that they are there. */
export function readU16(bytes: Uint8Array, position: number): number {
  return ((bytes[position] as number) << 8) | (bytes[position + 1] as number)
}

/** Length-prefixed UTF-8, as in section 1.5.4. */
function text(value: string): number[] {
  const encoded = encoder.encode(value)
  return [encoded.length >> 8, encoded.length & 255, ...encoded]
}

function packet(firstByte: number, body: ArrayLike<number>): Uint8Array {
  if (body.length > REMAINING_LENGTH_MAX) throw new RangeError("the packet is longer than MQTT allows")
  const head = [firstByte]
  let rest = body.length
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    head.push(rest > 0 ? low | 128 : low)
  } while (rest > 0)
  const frame = new Uint8Array(head.length + body.length)
  frame.set(head)
  frame.set(body, head.length)
  return frame
}
