/**
 * Messages as PUBLISH packets, encoded once per protocol version, QoS and retain flag, however many subscribers there are.
 *
 * Invariants
 *  - A frame in the cache belongs to one message (its `sequence`); the packet identifier in it is 0 and is patched in each copy.
 *  - Frames with subscription identifiers or a counted-down expiry differ per subscriber or moment and are not shared.
 */
import { copyBytes, type Message } from "../../core/mod.ts"
import { headersResult, headersToProperties, propertiesSizeMax } from "./wire/headers.ts"
import type { ProtocolVersion, Qos } from "./wire/packet-types.ts"
import { SUBSCRIPTION_IDENTIFIER } from "./wire/property-table.ts"
import { writeUserProperty, writeVariableProperty } from "./wire/property-writers.ts"
import { packetIdentifierPosition, publishFrameSize, writePublish } from "./wire/publish.ts"
import { isMqttString } from "./wire/utf8.ts"

const NONE = new Uint8Array(0)
const NO_IDENTIFIERS: ReadonlyArray<number> = []
const encoder = new TextEncoder()
const KEY = encoder.encode("manifold-key")
/** A key that is no MQTT string. */
const KEY_BASE64 = encoder.encode("manifold-key-b64")
const STRING_BYTES_MAX = 65_535
const TIMESTAMP = encoder.encode("manifold-timestamp")
/** Room for `manifold-timestamp` and its 16 digits. */
const TIMESTAMP_PROPERTY_BYTES = 64
const SUBSCRIPTION_IDENTIFIER_BYTES = 5

/** Frame layouts: version class (3.x or 5), QoS, retain. */
const LAYOUTS = 12

/** The number by which a {@link Message} says that its wire bytes are a frame of this layout; 0 = none. */
export function wireFormatOf(version: ProtocolVersion, qos: number, retain: boolean): number {
  return 1 + (version === 5 ? 6 : 0) + qos * 2 + (retain ? 1 : 0)
}

interface Frame {
  sequence: number
  bytes: Uint8Array
  length: number
  /** Where the packet identifier stands; 0 with QoS 0. */
  identifierAt: number
}

/** A frame ready to be copied: `bytes[start, end)`, packet identifier (QoS > 0) `identifierAt` bytes after `start`. */
export class EncodedPublish {
  bytes: Uint8Array = NONE
  start = 0
  end = 0
  identifierAt = 0
}

export class PublishEncoder {
  /** The result of the last call; valid until the next. */
  readonly encoded = new EncodedPublish()
  readonly #frames: ReadonlyArray<Frame> = Array.from({ length: LAYOUTS }, () => ({
    sequence: -1,
    bytes: new Uint8Array(512),
    length: 0,
    identifierAt: 0
  }))
  readonly #single: Frame = { sequence: -1, bytes: new Uint8Array(512), length: 0, identifierAt: 0 }
  #properties = new Uint8Array(512)

  /** Encodes a message; with `nowMs` its expiry interval is counted down to that moment. The result is in {@link encoded}. */
  encode(
    message: Message,
    version: ProtocolVersion,
    qos: number,
    retain: boolean,
    dup: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number
  ): EncodedPublish {
    const { encoded } = this
    const five = version === 5
    const shared = !dup && (!five || (identifiers.length === 0 && (nowMs === 0 || message.expiresAtMs === 0)))
    if (!shared) return this.#take(this.#write(this.#single, message, version, qos, retain, dup, identifiers, nowMs))
    const format = wireFormatOf(version, qos, retain)
    if (message.wireFormat === format) {
      encoded.bytes = message.wire
      encoded.start = message.wireStart
      encoded.end = message.wireEnd
      // With QoS the identifier stands right after the topic name, wherever that lies.
      encoded.identifierAt = qos === 0 ? 0 : message.topicEnd - message.wireStart
      return encoded
    }
    const frame = this.#frames[format - 1] ?? this.#single
    if (frame.sequence !== message.sequence) {
      this.#write(frame, message, version, qos, retain, false, NO_IDENTIFIERS, 0)
      frame.sequence = message.sequence
    }
    return this.#take(frame)
  }

  #take(frame: Frame): EncodedPublish {
    const { encoded } = this
    encoded.bytes = frame.bytes
    encoded.start = 0
    encoded.end = frame.length
    encoded.identifierAt = frame.identifierAt
    return encoded
  }

  #write(
    frame: Frame,
    message: Message,
    version: ProtocolVersion,
    qos: number,
    retain: boolean,
    dup: boolean,
    identifiers: ReadonlyArray<number>,
    nowMs: number
  ): Frame {
    const propertiesLength = version === 5 ? this.#writeProperties(message, identifiers, nowMs) : 0
    const size = publishFrameSize(
      version,
      qos as Qos,
      message.topicEnd - message.topicStart,
      propertiesLength,
      message.payloadEnd - message.payloadStart
    )
    if (frame.bytes.length < size) frame.bytes = new Uint8Array(size * 2)
    frame.length = writePublish(
      frame.bytes,
      0,
      version,
      qos as Qos,
      retain,
      dup,
      message.topic,
      message.topicStart,
      message.topicEnd,
      0,
      this.#properties,
      0,
      propertiesLength,
      message.payload,
      message.payloadStart,
      message.payloadEnd
    )
    frame.identifierAt = qos === 0 ? 0 : packetIdentifierPosition(frame.bytes, 0)
    return frame
  }

  #writeProperties(message: Message, identifiers: ReadonlyArray<number>, nowMs: number): number {
    const headersLength = message.headersEnd - message.headersStart
    const foreign = !message.gathered
    if (headersLength === 0 && identifiers.length === 0 && !foreign) return 0
    const keyLength = message.keyStart < 0 ? 0 : message.keyEnd - message.keyStart
    const room =
      propertiesSizeMax(headersLength, message.headerCount) +
      identifiers.length * SUBSCRIPTION_IDENTIFIER_BYTES +
      (foreign ? TIMESTAMP_PROPERTY_BYTES + keyLength * 2 + KEY_BASE64.length + 16 : 0)
    if (this.#properties.length < room) this.#properties = new Uint8Array(room * 2)
    const target = this.#properties
    let position = 0
    if (headersLength > 0) {
      const { headers, headersStart, headersEnd, headerCount, gathered } = message
      position = headersToProperties(headers, headersStart, headersEnd, headerCount, gathered, target, 0)
      if (nowMs !== 0 && message.expiresAtMs !== 0 && headersResult.messageExpiryPosition >= 0) {
        const left = Math.max(0, Math.ceil((message.expiresAtMs - nowMs) / 1000))
        new DataView(target.buffer, target.byteOffset).setUint32(headersResult.messageExpiryPosition, left)
      }
    }
    if (foreign) position = writeForeign(target, position, message)
    for (const identifier of identifiers) {
      position = writeVariableProperty(target, position, SUBSCRIPTION_IDENTIFIER, identifier)
    }
    return position
  }
}

/** What MQTT has no field for in a record that a Kafka client produced: its timestamp, and a key that is not the topic name. */
function writeForeign(target: Uint8Array, start: number, message: Message): number {
  const position = writeUserProperty(target, start, TIMESTAMP, encoder.encode(String(message.timestamp)))
  if (message.keyStart < 0) return position
  const key = message.headers.subarray(message.keyStart, message.keyEnd)
  if (isMqttString(message.headers, message.keyStart, message.keyEnd) && key.length <= STRING_BYTES_MAX) {
    return writeUserProperty(target, position, KEY, key)
  }
  const base64 = encoder.encode(key.toBase64())
  return base64.length > STRING_BYTES_MAX ? position : writeUserProperty(target, position, KEY_BASE64, base64)
}

/** Copies an encoded frame to `target` at `position` and puts the packet identifier in. */
export function copyFrame(frame: EncodedPublish, target: Uint8Array, position: number, identifier: number): void {
  copyBytes(frame.bytes, frame.start, frame.end, target, position)
  if (identifier !== 0) {
    const at = position + frame.identifierAt
    target[at] = identifier >>> 8
    target[at + 1] = identifier
  }
}
