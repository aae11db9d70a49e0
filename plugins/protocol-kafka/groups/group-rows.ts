/**
 * The rows of consumer groups, in the store of the shard that owns the group.
 *
 *   kg tenant(4) group id                                          generation, protocol, members with their assignments
 *   ko tenant(4) length of the group id(2) group id topic id(16) partition(4)   an offset
 *
 * docs/formats/state.md has them byte by byte.
 */
import {
  ByteReader,
  ByteWriter,
  KAFKA_GROUP_PREFIX,
  KAFKA_OFFSET_PREFIX,
  prefixEnd,
  uuidBytes,
  uuidText
} from "../../../core/mod.ts"
import type { KeptGroup, KeptMember } from "./ClassicGroup.ts"
import type { CommittedOffset, OffsetPlace } from "./GroupOffsets.ts"
import type { Protocol } from "./group-events.ts"

const FORMAT = 1
const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** What a group is known by. */
export interface GroupName {
  readonly tenant: number
  readonly id: string
}

export interface GroupRow extends KeptGroup {
  /** When it became empty, milliseconds since 1970; 0 = it has members. */
  readonly emptySinceMs: number
}

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter()
  write(writer)
  return writer.bytes.slice(0, writer.length)
}

export const GROUP_ROWS = { start: KAFKA_GROUP_PREFIX, end: prefixEnd(KAFKA_GROUP_PREFIX) }
export const OFFSET_ROWS = { start: KAFKA_OFFSET_PREFIX, end: prefixEnd(KAFKA_OFFSET_PREFIX) }

export function groupKey({ tenant, id }: GroupName): Uint8Array {
  return written((writer) => {
    writer.raw(KAFKA_GROUP_PREFIX, 0, KAFKA_GROUP_PREFIX.length)
    writer.uint32(tenant)
    const bytes = encoder.encode(id)
    writer.raw(bytes, 0, bytes.length)
  })
}

export function ofGroupKey(key: Uint8Array): GroupName {
  const reader = readerOf(key, KAFKA_GROUP_PREFIX.length)
  return { tenant: reader.uint32(), id: decoder.decode(key.subarray(reader.position)) }
}

/** All keys of a group's offsets. */
export function offsetKeys(group: GroupName): { readonly key: Uint8Array; readonly end: Uint8Array } {
  const key = offsetsPrefix(group)
  return { key, end: prefixEnd(key) }
}

/** The beginning of all keys of a group's offsets; its last byte is one of UTF-8, or the length 0. */
function offsetsPrefix({ tenant, id }: GroupName): Uint8Array {
  return written((writer) => {
    writer.raw(KAFKA_OFFSET_PREFIX, 0, KAFKA_OFFSET_PREFIX.length)
    writer.uint32(tenant)
    const bytes = encoder.encode(id)
    writer.uint16(bytes.length)
    writer.raw(bytes, 0, bytes.length)
  })
}

export function offsetKey(group: GroupName, { topicId, partition }: OffsetPlace): Uint8Array {
  const prefix = offsetsPrefix(group)
  return written((writer) => {
    writer.raw(prefix, 0, prefix.length)
    const uuid = uuidBytes(topicId)
    writer.raw(uuid, 0, uuid.length)
    writer.uint32(partition)
  })
}

export function ofOffsetKey(key: Uint8Array): { readonly group: GroupName; readonly place: OffsetPlace } {
  const reader = readerOf(key, KAFKA_OFFSET_PREFIX.length)
  const tenant = reader.uint32()
  const length = (reader.uint8() << 8) | reader.uint8()
  const topicAt = reader.position + length
  const id = decoder.decode(key.subarray(reader.position, topicAt))
  const topicId = uuidText(key.slice(topicAt, topicAt + 16))
  const partition = readerOf(key, topicAt + 16).uint32()
  return { group: { tenant, id }, place: { topicId, partition } }
}

export function encodeGroup(row: GroupRow): Uint8Array {
  return written((writer) => {
    writer.uint8(FORMAT)
    writer.uint53(row.emptySinceMs)
    writer.uint32(row.generation)
    writeNullable(writer, row.protocolType)
    writeNullable(writer, row.protocolName)
    writeNullable(writer, row.leader)
    writer.uint32(row.members.length)
    for (const member of row.members) {
      writer.text(member.id)
      writeNullable(writer, member.instanceId)
      writer.text(member.clientId)
      writer.text(member.clientHost)
      writer.uint32(member.sessionTimeoutMs)
      writer.uint32(member.rebalanceTimeoutMs)
      writer.uint32(member.protocols.length)
      for (const { name, metadata } of member.protocols) {
        writer.text(name)
        writer.block(metadata)
      }
      writer.block(member.assignment)
    }
  })
}

/** Throws where the row has a format that this release does not know. */
export function decodeGroup(value: Uint8Array): GroupRow {
  const reader = readFormat(value, "group")
  const emptySinceMs = reader.uint53()
  const generation = reader.uint32()
  const protocolType = readNullable(reader)
  const protocolName = readNullable(reader)
  const leader = readNullable(reader)
  const members = Array.from({ length: reader.uint32() }, (): KeptMember => {
    const id = reader.text()
    const instanceId = readNullable(reader)
    const clientId = reader.text()
    const clientHost = reader.text()
    const sessionTimeoutMs = reader.uint32()
    const rebalanceTimeoutMs = reader.uint32()
    const protocols = Array.from({ length: reader.uint32() }, (): Protocol => {
      return { name: reader.text(), metadata: reader.blockCopy() }
    })
    const assignment = reader.blockCopy()
    return { id, instanceId, clientId, clientHost, sessionTimeoutMs, rebalanceTimeoutMs, protocols, assignment }
  })
  return { emptySinceMs, generation, protocolType, protocolName, leader, members }
}

export function encodeOffset(committed: CommittedOffset): Uint8Array {
  return written((writer) => {
    writer.uint8(FORMAT)
    writer.int64(committed.offset)
    writer.uint32(committed.leaderEpoch + 1)
    writer.uint53(committed.committedAtMs)
    writer.uint53(committed.expiresAtMs)
    writer.text(committed.metadata)
  })
}

/** Throws where the row has a format that this release does not know. */
export function decodeOffset(value: Uint8Array): CommittedOffset {
  const reader = readFormat(value, "committed offset")
  const offset = reader.int64()
  const leaderEpoch = reader.uint32() - 1
  const committedAtMs = reader.uint53()
  const expiresAtMs = reader.uint53()
  return { offset, leaderEpoch, committedAtMs, expiresAtMs, metadata: reader.text() }
}

function readerOf(bytes: Uint8Array, start: number): ByteReader {
  return new ByteReader().reset(bytes, start, bytes.length)
}

function readFormat(value: Uint8Array, what: string): ByteReader {
  const reader = readerOf(value, 0)
  const format = reader.uint8()
  if (format !== FORMAT) throw new Error(`a ${what}'s row has format ${format}; this release knows ${FORMAT}`)
  return reader
}

function writeNullable(writer: ByteWriter, text: string | null): void {
  writer.uint8(text === null ? 0 : 1)
  if (text !== null) writer.text(text)
}

function readNullable(reader: ByteReader): string | null {
  return reader.uint8() === 0 ? null : reader.text()
}
