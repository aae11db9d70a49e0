/**
 * What a durable session keeps in the key-value store: its rows, their keys and bytes.
 *
 *   sd tenant(4) client identifier     the session: number, expiry, when it was left
 *   ss number(8) topic filter          a subscription: options, identifier, from which offsets on
 *   sc number(8) filter 0 topic/partition  where a subscription that reads what is stored is in one partition
 *   sp number(8)                       its positions in the queue logs
 *   si number(8) packet identifier(2)  a message in flight to the client
 *   sr number(8) packet identifier(2)  a QoS 2 message taken from the client and not released
 *   sx expires(8) number(8)            a session that was left and when it ends
 *   sn                                 numbers up to this one are given away or may be
 *   wl number(8)                       a will: of a client that is connected, or that waits for its delay
 *   wd due(8) number(8)                a will that waits, by the time when it is due
 *
 * Numbers are big-endian, so that keys come in their order. Values begin with a format byte. docs/formats/state.md has them byte by
 * byte.
 */
import { ByteReader, ByteWriter, type KeyValueWrite, Message } from "../../core/mod.ts"
import type { Publishable } from "./OncePublisher.ts"

const FORMAT = 1
const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })
const NO_BYTES = new Uint8Array(0)

/** The session as the directory knows it. */
export interface SessionRow {
  readonly number: number
  /** Seconds; 0xffffffff = never ends. */
  readonly expiryInterval: number
  /** When its connection ended, ms since 1970; 0 = it is, or was at the last start, connected. */
  readonly leftAtMs: number
  /** The number of a will that waits for its delay; 0 = none. */
  readonly will: number
}

/** A will, ready to be published. */
export interface WillRow extends Publishable {
  /** When it is to be published, ms since 1970; 0 = when its client's connection ends. */
  readonly dueAtMs: number
  /** Seconds between that end and its publication: its own delay, or its session's expiry where that is shorter. */
  readonly delay: number
}

export interface SubscriptionRow {
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly identifier: number
  /** Whether no other client may have it. */
  readonly exclusive: boolean
  /** Whether it reads what topics have stored, and nothing of the queue logs. */
  readonly replay: boolean
  /** By which names its client asked for it, where rules made it of them; none = by its own. */
  readonly asked: ReadonlyArray<string>
  /** Messages of each queue log below these offsets were published before the subscription. */
  readonly since: ReadonlyArray<number>
}

/** Where a session stands in one queue log. */
export interface Position {
  /** The next offset to look at. */
  readonly next: number
  /** The lowest offset that the session still needs. */
  readonly low: number
}

/** A message that was sent and is not acknowledged. */
export interface FlightRow {
  /** Orders the messages of a session as they were sent. */
  readonly sequence: number
  readonly qos: number
  readonly retain: boolean
  /** QoS 2: PUBREC came. */
  readonly isReleased: boolean
  readonly identifiers: ReadonlyArray<number>
  /** Where the message lies; -1 = in this row. */
  readonly queue: number
  readonly offset: number
  readonly message: Message | undefined
}

export function directoryKey(tenant: number, clientIdentifier: string): Uint8Array {
  const name = encoder.encode(clientIdentifier)
  const key = keyOf("sd", 4 + name.length)
  new DataView(key.buffer).setUint32(2, tenant)
  key.set(name, 6)
  return key
}

/** Tenant and client identifier of a {@link directoryKey}. */
export function ofDirectoryKey(key: Uint8Array): { readonly tenant: number; readonly clientIdentifier: string } {
  const tenant = new DataView(key.buffer, key.byteOffset).getUint32(2)
  return { tenant, clientIdentifier: decoder.decode(key.subarray(6)) }
}

export function subscriptionKey(number: number, filter: string): Uint8Array {
  const name = encoder.encode(filter)
  const key = numberedKey("ss", number, name.length)
  key.set(name, 10)
  return key
}

export function ofSubscriptionKey(key: Uint8Array): { readonly number: number; readonly filter: string } {
  return { number: numberAt(key, 2), filter: decoder.decode(key.subarray(10)) }
}

export const positionsKey = (number: number): Uint8Array => numberedKey("sp", number, 0)
export const flightKey = (number: number, identifier: number): Uint8Array => identifierKey("si", number, identifier)
export const receivedKey = (number: number, identifier: number): Uint8Array => identifierKey("sr", number, identifier)

/** Of a QoS 2 message of session `number`, which `shard` keeps: by it whoever stores the message knows it when it comes again. */
export const tokenOf = (shard: number, number: number, identifier: number): string => `${shard}/${number}/${identifier}`

/** The packet identifier of a key of {@link flightKey} or {@link receivedKey}. */
export function identifierOfKey(key: Uint8Array): number {
  return ((key[10] ?? 0) << 8) | (key[11] ?? 0)
}

export const expiryKey = (expiresAtMs: number, number: number): Uint8Array => timedKey("sx", expiresAtMs, number)

export const willKey = (number: number): Uint8Array => numberedKey("wl", number, 0)

export const willDueKey = (dueAtMs: number, number: number): Uint8Array => timedKey("wd", dueAtMs, number)

export const numbersKey = encoder.encode("sn")

/** All keys that begin with `prefix` and the number, or with the prefix alone: from `start` on and before `end`. */
export function rangeOf(prefix: string, number?: number): { readonly start: Uint8Array; readonly end: Uint8Array } {
  const start = number === undefined ? encoder.encode(prefix) : numberedKey(prefix, number, 0)
  if (number !== undefined) return { start, end: numberedKey(prefix, number + 1, 0) }
  const end = start.slice()
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1
  return { start, end }
}

/** Adds to `writes` the end of every row under a session's number but its positions: subscriptions, flights, receipts. */
export function dropContents(number: number, writes: Array<KeyValueWrite>): void {
  for (const prefix of ["ss", "sc", "si", "sr"]) dropRange(prefix, number, writes)
}

/** Adds to `writes` the end of every row under a session's number. Its row in the directory has the client's name and stays. */
export function dropNumbered(number: number, writes: Array<KeyValueWrite>): void {
  dropContents(number, writes)
  dropRange("sp", number, writes)
}

function dropRange(prefix: string, number: number, writes: Array<KeyValueWrite>): void {
  const { start, end } = rangeOf(prefix, number)
  writes.push({ key: start, value: undefined, end })
}

/** The key that a range goes on from after `key`. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const after = new Uint8Array(key.length + 1)
  after.set(key, 0)
  return after
}

export function encodeSession(row: SessionRow): Uint8Array {
  return written((writer) => {
    writer.uint53(row.number)
    writer.uint32(row.expiryInterval)
    writer.uint53(row.leftAtMs)
    writer.uint53(row.will)
  })
}

export function decodeSession(value: Uint8Array): SessionRow {
  const reader = read(value)
  return { number: reader.uint53(), expiryInterval: reader.uint32(), leftAtMs: reader.uint53(), will: reader.uint53() }
}

export function encodeWill(row: WillRow): Uint8Array {
  return written((writer) => {
    writer.uint53(row.dueAtMs)
    writer.uint32(row.delay)
    writePublishable(writer, row)
  })
}

/** Writes what a row says of a message that is to be published. */
export function writePublishable(writer: ByteWriter, row: Publishable): void {
  writer.uint53(row.messageExpiry + 1)
  writer.text(row.user)
  writer.text(row.peerAddress)
  row.message.encode(writer)
}

export function readPublishable(reader: ByteReader): Publishable {
  const messageExpiry = reader.uint53() - 1
  const user = reader.text()
  const peerAddress = reader.text()
  const message = new Message()
  message.decode(reader)
  return { messageExpiry, user, peerAddress, message }
}

export function decodeWill(value: Uint8Array): WillRow {
  const reader = read(value)
  const dueAtMs = reader.uint53()
  const delay = reader.uint32()
  return { dueAtMs, delay, ...readPublishable(reader) }
}

export function encodeSubscription(row: SubscriptionRow): Uint8Array {
  return written((writer) => {
    const hasNames = row.asked.length > 0
    const flags = (row.noLocal ? 4 : 0) | (row.retainAsPublished ? 8 : 0) | (row.exclusive ? 16 : 0)
    writer.uint8(row.qos | flags | (hasNames ? 32 : 0) | (row.replay ? 64 : 0))
    writer.uint32(row.identifier)
    writer.uint8(row.since.length)
    for (const offset of row.since) writer.uint53(offset)
    if (!hasNames) return
    writer.uint32(row.asked.length)
    for (const name of row.asked) writer.text(name)
  })
}

export function decodeSubscription(value: Uint8Array): SubscriptionRow {
  const reader = read(value)
  const flags = reader.uint8()
  const identifier = reader.uint32()
  const since = Array.from({ length: reader.uint8() }, () => reader.uint53())
  const exclusive = (flags & 16) !== 0
  return {
    qos: flags & 3,
    noLocal: (flags & 4) !== 0,
    retainAsPublished: (flags & 8) !== 0,
    identifier,
    exclusive,
    since,
    replay: (flags & 64) !== 0,
    asked: (flags & 32) === 0 ? [] : Array.from({ length: reader.uint32() }, () => reader.text())
  }
}

/** The QoS of an encoded subscription, without the rest. */
export function qosOfSubscription(value: Uint8Array): number {
  return (value[1] ?? 0) & 3
}

/** Whether an encoded subscription is exclusive. */
export function isExclusiveSubscription(value: Uint8Array): boolean {
  return ((value[1] ?? 0) & 16) !== 0
}

/** Whether an encoded subscription reads what is stored. */
export function isReplaySubscription(value: Uint8Array): boolean {
  return ((value[1] ?? 0) & 64) !== 0
}

export function encodePositions(positions: ReadonlyArray<Position>): Uint8Array {
  return written((writer) => {
    writer.uint8(positions.length)
    for (const { next, low } of positions) {
      writer.uint53(next)
      writer.uint53(low)
    }
  })
}

export function decodePositions(value: Uint8Array): ReadonlyArray<Position> {
  const reader = read(value)
  return Array.from({ length: reader.uint8() }, () => ({ next: reader.uint53(), low: reader.uint53() }))
}

export function encodeFlight(row: FlightRow): Uint8Array {
  return written((writer) => {
    writer.uint53(row.sequence)
    writer.uint8(row.qos | (row.retain ? 4 : 0) | (row.isReleased ? 8 : 0) | (row.message === undefined ? 0 : 16))
    writer.uint8(row.identifiers.length)
    for (const identifier of row.identifiers) writer.uint32(identifier)
    if (row.message !== undefined) row.message.encode(writer)
    else {
      // Where the message is lost the row says so: its place may never be another's.
      writer.uint32(row.offset < 0 ? 0 : row.queue + 1)
      writer.uint53(Math.max(0, row.offset))
    }
  })
}

export function decodeFlight(value: Uint8Array): FlightRow {
  const reader = read(value)
  const sequence = reader.uint53()
  const flags = reader.uint8()
  const identifiers = Array.from({ length: reader.uint8() }, () => reader.uint32())
  const row = { sequence, qos: flags & 3, retain: (flags & 4) !== 0, isReleased: (flags & 8) !== 0, identifiers }
  if ((flags & 16) === 0) {
    const queue = reader.uint32() - 1
    const offset = reader.uint53()
    return { ...row, queue, offset: queue < 0 ? -1 : offset, message: undefined }
  }
  const message = new Message()
  message.decode(reader)
  return { ...row, queue: -1, offset: -1, message }
}

/** The shard that a received message's token lies with; -1 = with none. */
export function encodeReceived(owner: number): Uint8Array {
  return written((writer) => writer.uint32(owner + 1))
}

export function decodeReceived(value: Uint8Array): number {
  return read(value).uint32() - 1
}

/** Of `sx`: whose session ends. */
export function encodeClient(tenant: number, clientIdentifier: string): Uint8Array {
  return written((writer) => {
    writer.uint32(tenant)
    writer.text(clientIdentifier)
  })
}

export function decodeClient(value: Uint8Array): { readonly tenant: number; readonly clientIdentifier: string } {
  const reader = read(value)
  return { tenant: reader.uint32(), clientIdentifier: reader.text() }
}

export function encodeNumber(value: number): Uint8Array {
  return written((writer) => writer.uint53(value))
}

export function decodeNumber(value: Uint8Array): number {
  return read(value).uint53()
}

/** A whole number at a place of a key. */
export function numberAt(key: Uint8Array, position: number): number {
  const view = new DataView(key.buffer, key.byteOffset)
  return view.getUint32(position) * 4_294_967_296 + view.getUint32(position + 4)
}

/** A value as rows have it: the format byte, and what `write` puts behind it. */
export function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(FORMAT)
  write(writer)
  return writer.bytes.slice(0, writer.length)
}

/** Reads what {@link written} has made, from behind its format byte. */
export function read(value: Uint8Array): ByteReader {
  const reader = new ByteReader().reset(value.length === 0 ? NO_BYTES : value, 0, value.length)
  const format = reader.uint8()
  if (format !== FORMAT) throw new Error(`a session's row has format ${format}; this release knows ${FORMAT}`)
  return reader
}

function keyOf(prefix: string, more: number): Uint8Array {
  const key = new Uint8Array(prefix.length + more)
  encoder.encodeInto(prefix, key)
  return key
}

export function numberedKey(prefix: string, number: number, more: number): Uint8Array {
  const key = keyOf(prefix, 8 + more)
  putNumber(key, 2, number)
  return key
}

function identifierKey(prefix: string, number: number, identifier: number): Uint8Array {
  const key = numberedKey(prefix, number, 2)
  key[10] = identifier >>> 8
  key[11] = identifier
  return key
}

function putNumber(key: Uint8Array, position: number, value: number): void {
  const view = new DataView(key.buffer)
  view.setUint32(position, Math.floor(value / 4_294_967_296))
  view.setUint32(position + 4, value % 4_294_967_296)
}

/** A prefix of two letters, a time in ms since 1970, a number. */
export function timedKey(prefix: string, atMs: number, number: number): Uint8Array {
  const key = keyOf(prefix, 16)
  putNumber(key, 2, atMs)
  putNumber(key, 10, number)
  return key
}
