/**
 * A stored record as a message again. Records that our gatherer wrote carry how they were published in `mqtt.*` headers; a Kafka
 * client's headers are data and are never obeyed.
 */
import { deliveryHeaders, deliveryHeadersCount } from "../log/delivery-headers.ts"
import { HeaderCursor } from "../log/HeaderCursor.ts"
import type { RecordCursor } from "../log/RecordCursor.ts"
import type { Message } from "./Message.ts"

const QOS = new TextEncoder().encode("mqtt.qos")
const RETAIN = new TextEncoder().encode("mqtt.retain")
const EXPIRY = new TextEncoder().encode("mqtt.message-expiry")
const headers = new HeaderCursor()

/** QoS with which a record that a Kafka client produced is published to MQTT subscribers. */
export const PRODUCED_QOS = 1

/**
 * Sets everything but tenant and publisher from the record at the cursor; ranges point into the cursor's bytes. With `gathered`
 * the key is the topic name; else the caller sets the topic name and {@link Message.keyStart}.
 */
export function fillFromRecord(message: Message, cursor: RecordCursor, gathered: boolean): void {
  const bytes = cursor.bytes
  message.payload = bytes
  message.payloadStart = Math.max(0, cursor.valueStart)
  message.payloadEnd = Math.max(0, cursor.valueEnd)
  message.headers = bytes
  message.headersStart = cursor.headersStart
  message.headersEnd = cursor.headersEnd
  message.headerCount = cursor.headerCount
  message.timestamp = cursor.timestamp
  message.gathered = gathered
  message.keyStart = -1
  message.keyEnd = -1
  message.expiresAtMs = 0
  message.publisher = ""
  message.retain = false
  message.wireFormat = 0
  message.qos = gathered ? 0 : PRODUCED_QOS
  if (!gathered) return
  message.topic = bytes
  message.topicStart = cursor.keyStart
  message.topicEnd = cursor.keyEnd
  if (cursor.headerCount === 0) return
  headers.reset(bytes, cursor.headersStart, cursor.headersEnd, cursor.headerCount)
  while (headers.next()) {
    if (is(headers, QOS)) message.qos = number(headers) & 3
    else if (is(headers, RETAIN)) message.retain = true
    else if (is(headers, EXPIRY)) message.expiresAtMs = cursor.timestamp + number(headers) * 1000
  }
  // The gatherer writes these two last, and whoever stores the message again writes them anew.
  message.headersEnd -= deliveryHeaders(message.qos, message.retain).length
  message.headerCount -= deliveryHeadersCount(message.qos, message.retain)
}

function is(cursor: HeaderCursor, name: Uint8Array): boolean {
  if (cursor.nameEnd - cursor.nameStart !== name.length) return false
  for (let index = 0; index < name.length; index++) {
    if (cursor.bytes[cursor.nameStart + index] !== name[index]) return false
  }
  return true
}

/** The decimal number of a header's value; 0 where it is none. */
function number(cursor: HeaderCursor): number {
  let value = 0
  for (let position = cursor.valueStart; position < cursor.valueEnd; position++) {
    const digit = (cursor.bytes[position] ?? 0) - 48
    if (digit < 0 || digit > 9) return 0
    value = value * 10 + digit
  }
  return value
}
