/**
 * The rows of a queue log in the key-value store, byte by byte: docs/formats/state.md, "queue log rows".
 *
 * Invariant: keys order by offset, name keys by tenant, name and offset; offsets are 8 bytes, big-endian.
 */
import { copyBytes } from "../copy-bytes.ts"
import { Message } from "../ingress/Message.ts"
import { QUEUE_MESSAGE_PREFIX, QUEUE_NAME_PREFIX, QUEUE_STATE_PREFIX } from "../kv/key-prefixes.ts"
import { ByteReader, ByteWriter } from "../link/bytes.ts"

/** First byte of every value; another one is a form that this version does not know. */
export const ROW_FORMAT = 1

const OFFSET_BYTES = 8
const TENANT_BYTES = 4

/** A message as its row has it. */
export interface QueueRow {
  /** Owned; it knows its place. */
  readonly message: Message
  /** Bytes that it counts for. */
  readonly size: number
  readonly appendedAtMs: number
}

/** What is known of a log beside its messages. */
export interface QueueState {
  /** Offsets below it may have been given to messages. */
  readonly reserved: number
  /** Messages below it have a row by name. */
  readonly indexedTo: number
  /** Sum of the sizes of the messages below `indexedTo` that are there. */
  readonly indexedBytes: number
  /** How many they are. */
  readonly indexedMessages: number
  /** One past the last message that a bound took away while somebody may have wanted it; 0 = there was none. */
  readonly lostTo: number
}

/** The value of a row is of a newer version, or damaged. */
export class UnknownRow extends Error {
  override readonly name = "UnknownRow"
}

const writer = new ByteWriter()
const scratch = new Message()

function setOffset(key: Uint8Array, at: number, offset: number): void {
  const high = Math.floor(offset / 4_294_967_296)
  for (let index = 0; index < 4; index++) {
    key[at + index] = high >>> (24 - 8 * index)
    key[at + 4 + index] = (offset % 4_294_967_296) >>> (24 - 8 * index)
  }
}

/** The key of the message at `offset`; a range of offsets is one of keys. */
export function messageKey(offset: number): Uint8Array {
  const key = new Uint8Array(QUEUE_MESSAGE_PREFIX.length + OFFSET_BYTES)
  key.set(QUEUE_MESSAGE_PREFIX, 0)
  setOffset(key, QUEUE_MESSAGE_PREFIX.length, offset)
  return key
}

/** The key that finds the message at `offset` by the name `bytes[start, end)`. */
export function nameKey(tenant: number, bytes: Uint8Array, start: number, end: number, offset: number): Uint8Array {
  const at = QUEUE_NAME_PREFIX.length + TENANT_BYTES
  const key = new Uint8Array(at + (end - start) + 1 + OFFSET_BYTES)
  key.set(QUEUE_NAME_PREFIX, 0)
  new DataView(key.buffer).setUint32(QUEUE_NAME_PREFIX.length, tenant)
  copyBytes(bytes, start, end, key, at)
  // No name holds a zero byte: behind it offsets of this name follow, and no other name's.
  setOffset(key, at + (end - start) + 1, offset)
  return key
}

/** The offset that a key of either kind ends with. */
export function offsetOfKey(key: Uint8Array): number {
  return new ByteReader().reset(key, key.length - OFFSET_BYTES, key.length).uint53()
}

export function encodeRow(message: Message, appendedAtMs: number): Uint8Array {
  writer.reset()
  writer.uint8(ROW_FORMAT)
  writer.uint53(appendedAtMs)
  message.encode(writer)
  return writer.bytes.slice(0, writer.length)
}

/** Reads the row of `offset` in log `queue`. Throws {@link UnknownRow}. */
export function decodeRow(queue: number, offset: number, value: Uint8Array): QueueRow {
  const reader = readerOf(value)
  const appendedAtMs = reader.uint53()
  scratch.decode(reader)
  scratch.queue = queue
  scratch.queueOffset = offset
  const message = scratch.owned()
  scratch.begin()
  return { message, size: message.sizeBytes, appendedAtMs }
}

/** What a row by name holds: the bytes that its message counts for. */
export function encodeNameValue(size: number): Uint8Array {
  const value = new Uint8Array(5)
  value[0] = ROW_FORMAT
  new DataView(value.buffer).setUint32(1, size)
  return value
}

export function decodeNameValue(value: Uint8Array): number {
  return readerOf(value).uint32()
}

export const STATE_KEY: Uint8Array = QUEUE_STATE_PREFIX

export function encodeState(state: QueueState): Uint8Array {
  writer.reset()
  writer.uint8(ROW_FORMAT)
  writer.uint53(state.reserved)
  writer.uint53(state.indexedTo)
  writer.uint53(state.indexedBytes)
  writer.uint53(state.indexedMessages)
  if (state.lostTo > 0) writer.uint53(state.lostTo)
  return writer.bytes.slice(0, writer.length)
}

export function decodeState(value: Uint8Array): QueueState {
  const reader = readerOf(value)
  const [reserved, indexedTo] = [reader.uint53(), reader.uint53()]
  const [indexedBytes, indexedMessages] = [reader.uint53(), reader.uint53()]
  // Where there is none the row ends here, as those of older releases do.
  const lostTo = reader.position < reader.end ? reader.uint53() : 0
  return { reserved, indexedTo, indexedBytes, indexedMessages, lostTo }
}

function readerOf(value: Uint8Array): ByteReader {
  if (value[0] !== ROW_FORMAT) {
    throw new UnknownRow(`a row of a queue log has the form ${value[0] ?? "none"}; this version reads ${ROW_FORMAT}`)
  }
  return new ByteReader().reset(value, 1, value.length)
}
