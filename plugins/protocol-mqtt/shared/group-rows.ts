/**
 * What a shared subscription keeps in the key-value store of the shard that owns it, and what its members' shards keep for it.
 *
 *   sg tenant(4) share name / filter            the group: number, where it stands in each queue log, QoS 2 messages on their way
 *   st owner(4) number(8) queue log(4) offset(8)   a QoS 2 message that a member here has taken, until its group knows
 *
 * docs/formats/state.md has them byte by byte.
 */
import { type ByteReader, ByteWriter, type SharedPosition } from "../../../core/mod.ts"
import { rangeOf, read, written } from "../session-rows.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

export const NO_IDENTIFIERS: ReadonlyArray<number> = []

/** Where a message lies. */
export interface Place {
  readonly log: number
  readonly offset: number
}

/** Of what lies in no queue log. */
export const NOWHERE: Place = { log: -1, offset: -1 }

export function keyOfPlace({ log, offset }: Place): string {
  return `${log}/${offset}`
}

/** A QoS 2 message that was given to a member on another shard, which has not said that it has it. */
export interface Handed extends Place {
  readonly shard: number
}

/** Where a group that replays stands in one partition. */
export interface GroupSource {
  /** What stands for its partition as a number does for a queue log. */
  readonly log: number
  readonly topicId: string
  readonly partition: number
  /** See {@link ReplayPlace}. */
  readonly incarnation: number | undefined
  readonly position: SharedPosition
}

export interface SourcesRow {
  /** The last number that stood for a partition. */
  readonly last: number
  readonly sources: ReadonlyArray<GroupSource>
}

export interface GroupRow {
  readonly number: number
  /** In the queue logs. */
  readonly positions: ReadonlyArray<SharedPosition>
  readonly handed: ReadonlyArray<Handed>
  /** In partitions of topics; undefined where it does not replay. */
  readonly replay?: SourcesRow | undefined
}

/** Names a QoS 2 message of a group to whoever took it. */
export interface Token extends Place {
  /** The shard that owns the group. */
  readonly shard: number
  /** The group's. */
  readonly number: number
}

export const GROUP_PREFIX = "sg"
export const TOKEN_PREFIX = "st"

export function groupKey(tenant: number, name: string): Uint8Array {
  const bytes = encoder.encode(name)
  const key = new Uint8Array(6 + bytes.length)
  encoder.encodeInto(GROUP_PREFIX, key)
  new DataView(key.buffer).setUint32(2, tenant)
  key.set(bytes, 6)
  return key
}

/** Tenant and name of a {@link groupKey}. */
export function ofGroupKey(key: Uint8Array): { readonly tenant: number; readonly name: string } {
  const tenant = new DataView(key.buffer, key.byteOffset).getUint32(2)
  return { tenant, name: decoder.decode(key.subarray(6)) }
}

export function encodeGroup({ number, positions, handed, replay }: GroupRow): Uint8Array {
  return written((writer) => {
    writer.uint53(number)
    writer.uint8(positions.length)
    for (const position of positions) writePosition(writer, position)
    writer.uint32(handed.length)
    for (const { log, offset, shard } of handed) {
      writer.uint32(log)
      writer.uint53(offset)
      writer.uint32(shard)
    }
    if (replay === undefined) return
    writer.uint32(replay.last)
    writer.uint32(replay.sources.length)
    for (const { log, topicId, partition, incarnation, position } of replay.sources) {
      writer.uint32(log)
      writer.text(topicId)
      writer.uint32(partition)
      writer.uint53(incarnation === undefined ? 0 : incarnation + 1)
      writePosition(writer, position)
    }
  })
}

function writePosition(writer: ByteWriter, { next, open }: SharedPosition): void {
  writer.uint53(next)
  writer.uint32(open.length)
  // Offsets that are open lie close to each other.
  let before = 0
  for (const offset of open) {
    writeVarint(writer, offset - before)
    before = offset
  }
}

function readPosition(reader: ByteReader): SharedPosition {
  const next = reader.uint53()
  let before = 0
  const open = Array.from({ length: reader.uint32() }, () => {
    before += readVarint(reader)
    return before
  })
  return { next, open }
}

export function decodeGroup(value: Uint8Array): GroupRow {
  const reader = read(value)
  const number = reader.uint53()
  const positions = Array.from({ length: reader.uint8() }, () => readPosition(reader))
  const handed = Array.from({ length: reader.uint32() }, () => ({
    log: reader.uint32(),
    offset: reader.uint53(),
    shard: reader.uint32()
  }))
  if (reader.position === reader.end) return { number, positions, handed }
  const last = reader.uint32()
  const sources = Array.from({ length: reader.uint32() }, () => {
    const [log, topicId, partition, incarnation] = [reader.uint32(), reader.text(), reader.uint32(), reader.uint53()]
    const position = readPosition(reader)
    return { log, topicId, partition, incarnation: incarnation === 0 ? undefined : incarnation - 1, position }
  })
  return { number, positions, handed, replay: { last, sources } }
}

export function tokenKey({ shard, number, log, offset }: Token): Uint8Array {
  const writer = new ByteWriter()
  writer.raw(encoder.encode(TOKEN_PREFIX), 0, 2)
  writer.uint32(shard)
  writer.uint53(number)
  writer.uint32(log)
  writer.uint53(offset)
  return writer.bytes.slice(0, writer.length)
}

export function ofTokenKey(key: Uint8Array): Token {
  const view = new DataView(key.buffer, key.byteOffset)
  const number = view.getUint32(6) * 4_294_967_296 + view.getUint32(10)
  const offset = view.getUint32(18) * 4_294_967_296 + view.getUint32(22)
  return { shard: view.getUint32(2), number, log: view.getUint32(14), offset }
}

/** What stands in the row of a {@link tokenKey}. */
export const TOKEN_VALUE = written(() => {})

export const groupRange = rangeOf(GROUP_PREFIX)
export const tokenRange = rangeOf(TOKEN_PREFIX)

/** Seven bits a byte, the lowest first. */
function writeVarint(writer: ByteWriter, value: number): void {
  let rest = value
  while (rest >= 128) {
    writer.uint8((rest % 128) | 128)
    rest = Math.floor(rest / 128)
  }
  writer.uint8(rest)
}

function readVarint(reader: ByteReader): number {
  let value = 0
  for (let factor = 1; ; factor *= 128) {
    const byte = reader.uint8()
    value += (byte & 127) * factor
    if (byte < 128) return value
  }
}
