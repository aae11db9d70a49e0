/**
 * What a program gives with a message beside its payload, as record headers.
 *
 * Source: docs/interop.md, the table of headers; MQTT 5.0, section 3.3.2.3.
 * Invariants
 *  - User properties keep name, value and order. A name that begins with `mqtt.` or `manifold-` is stored under `manifold-raw:` and
 *    the name: a program cannot write a header that the broker obeys.
 *  - Everything that is written is a valid MQTT 5 property, so that every subscriber can be sent it.
 */
import { checkTopicName, headerSize, TOPIC_REFUSALS, writeHeader } from "../../core/mod.ts"

export const MQTT_PREFIX = "mqtt."
export const OWN_PREFIX = "manifold-"
export const ESCAPE_PREFIX = "manifold-raw:"
export const CONTENT_TYPE = "mqtt.content-type"
export const RESPONSE_TOPIC = "mqtt.response-topic"
export const CORRELATION_DATA = "mqtt.correlation-data"
export const PAYLOAD_FORMAT = "mqtt.payload-format"
export const MESSAGE_EXPIRY = "mqtt.message-expiry"
export const QOS = "mqtt.qos"
export const RETAIN = "mqtt.retain"

/** Bytes of one name or value. */
const STRING_BYTES_MAX = 65_535
/** Bytes of all headers of a message. */
const HEADERS_BYTES_MAX = 1_048_576
const EXPIRY_SECONDS_MAX = 4_294_967_295

/** Names and values of user properties: an object, or pairs where order or a repeated name counts. */
export type UserProperties = Readonly<Record<string, string>> | ReadonlyArray<readonly [name: string, value: string]>

/** What may go with a message; the names are those of MQTT 5. */
export interface MessageProperties {
  readonly userProperties?: UserProperties
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  /** Says that the payload is UTF-8 text. */
  readonly isText?: boolean
  /** Seconds after which the message is not delivered any more. */
  readonly expirySeconds?: number
}

/** Properties made ready; the bytes are never written to again. */
export interface EncodedProperties {
  readonly bytes: Uint8Array
  readonly count: number
  /** Milliseconds from its publication; -1 = never. */
  readonly expiryMs: number
}

export const NO_PROPERTIES: EncodedProperties = { bytes: new Uint8Array(0), count: 0, expiryMs: -1 }

const encoder = new TextEncoder()

/** The properties as headers, or what is wrong with them. */
export function encodeProperties(given: MessageProperties): EncodedProperties | string {
  const headers: Array<readonly [name: Uint8Array, value: Uint8Array]> = []
  const { userProperties, contentType, responseTopic, correlationData, isText, expirySeconds } = given
  if (contentType !== undefined) headers.push([encoder.encode(CONTENT_TYPE), encoder.encode(contentType)])
  if (responseTopic !== undefined) {
    const refusal = checkTopicName(responseTopic)
    if (refusal !== 0) return `the response topic ${TOPIC_REFUSALS[refusal] ?? "is no topic name"}`
    headers.push([encoder.encode(RESPONSE_TOPIC), encoder.encode(responseTopic)])
  }
  if (correlationData !== undefined) headers.push([encoder.encode(CORRELATION_DATA), correlationData])
  if (isText === true) headers.push([encoder.encode(PAYLOAD_FORMAT), encoder.encode("1")])
  if (expirySeconds !== undefined) {
    if (!Number.isInteger(expirySeconds) || expirySeconds < 0 || expirySeconds > EXPIRY_SECONDS_MAX) {
      return `expirySeconds is a whole number from 0 to ${EXPIRY_SECONDS_MAX}`
    }
    headers.push([encoder.encode(MESSAGE_EXPIRY), encoder.encode(String(expirySeconds))])
  }
  for (const [name, value] of pairsOf(userProperties)) {
    if (!isMqttText(name) || !isMqttText(value)) return "names and values are well-formed texts without U+0000"
    const isReserved = name.startsWith(MQTT_PREFIX) || name.startsWith(OWN_PREFIX)
    headers.push([encoder.encode(isReserved ? `${ESCAPE_PREFIX}${name}` : name), encoder.encode(value)])
  }
  if (contentType !== undefined && !isMqttText(contentType)) return "the content type is no well-formed text"
  let size = 0
  for (const [name, value] of headers) {
    if (name.length > STRING_BYTES_MAX || value.length > STRING_BYTES_MAX) {
      return `a name or value has at most ${STRING_BYTES_MAX} bytes`
    }
    size += headerSize(name.length, value.length)
  }
  if (size > HEADERS_BYTES_MAX) return `all properties together have at most ${HEADERS_BYTES_MAX} bytes`
  if (headers.length === 0) return NO_PROPERTIES
  const bytes = new Uint8Array(size)
  let position = 0
  for (const [name, value] of headers) position = writeHeader(bytes, position, name, value, 0, value.length)
  return { bytes, count: headers.length, expiryMs: expirySeconds === undefined ? -1 : expirySeconds * 1_000 }
}

function pairsOf(given: UserProperties | undefined): Iterable<readonly [string, string]> {
  if (given === undefined) return []
  return isPairs(given) ? given : Object.entries(given)
}

function isPairs(given: UserProperties): given is ReadonlyArray<readonly [string, string]> {
  return Array.isArray(given)
}

/** Whether MQTT can carry it [MQTT-1.5.4-1], [MQTT-1.5.4-2]. */
function isMqttText(text: string): boolean {
  return text.isWellFormed() && !text.includes("\0")
}
