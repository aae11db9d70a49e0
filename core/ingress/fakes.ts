/** For tests: messages made of text, and what they say. */
import { Message } from "./Message.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export interface MessageFacts {
  readonly qos?: number
  readonly retain?: boolean
  readonly publisher?: string
  readonly expiresAtMs?: number
  readonly timestamp?: number
  readonly tenant?: number
}

/** A message as a protocol fills it in; topic and payload lie in the middle of larger buffers. */
export function messageOf(topic: string, payload: string | Uint8Array, facts: MessageFacts = {}): Message {
  const message = new Message()
  const name = encoder.encode(`<${topic}>`)
  const body = typeof payload === "string" ? encoder.encode(payload) : payload
  const padded = new Uint8Array(body.length + 5)
  padded.set(body, 3)
  message.topic = name
  message.topicStart = 1
  message.topicEnd = name.length - 1
  message.payload = padded
  message.payloadStart = 3
  message.payloadEnd = 3 + body.length
  message.qos = facts.qos ?? 0
  message.retain = facts.retain ?? false
  message.publisher = facts.publisher ?? ""
  message.expiresAtMs = facts.expiresAtMs ?? 0
  message.timestamp = facts.timestamp ?? 1_700_000_000_000
  message.tenant = facts.tenant ?? 0
  message.begin()
  return message
}

export function payloadOf(message: Message): string {
  return decoder.decode(message.payload.subarray(message.payloadStart, message.payloadEnd))
}

/** Everything that a message says, as plain values that can be compared. */
export function factsOf(message: Message): Record<string, unknown> {
  const { headers, keyStart, keyEnd } = message
  return {
    tenant: message.tenant,
    topic: decoder.decode(message.topic.subarray(message.topicStart, message.topicEnd)),
    payload: message.payload.subarray(message.payloadStart, message.payloadEnd).toHex(),
    headers: headers.subarray(message.headersStart, message.headersEnd).toHex(),
    headerCount: message.headerCount,
    key: keyStart < 0 ? undefined : headers.subarray(keyStart, keyEnd).toHex(),
    gathered: message.gathered,
    qos: message.qos,
    retain: message.retain,
    timestamp: message.timestamp,
    expiresAtMs: message.expiresAtMs,
    publisher: message.publisher,
    partition: message.partition,
    offset: message.offset
  }
}
