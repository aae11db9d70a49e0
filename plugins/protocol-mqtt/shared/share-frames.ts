/** What shards tell each other of shared subscriptions: kinds of frames, and what they hold. */
import type { ByteReader, ByteWriter, Message, TopicsShape } from "../../../core/mod.ts"
import type { MemberFacts } from "./GroupMember.ts"
import type { GroupStart } from "./group-contract.ts"
import type { Place, Token } from "./group-rows.ts"

/** To the shard that owns a group. */
export const ATTACH = 0
export const DETACH = 1 // member, whether it may come back
export const AWAY = 2
/** A member is done with a message, or gives it back: member, queue log, offset. */
export const DONE = 3
export const RETURNED = 4
/** Whether a session there keeps a QoS 2 message: its token. */
export const KEPT = 5
export const NOT_KEPT = 6
/** To the shard of a member. */
export const ASSIGN = 7
export const JOINED = 8
/** Whether it keeps a message; it may forget that it does: the token. */
export const ASK = 9
export const FORGET = 10
/** To the shard that owns a group: a place in one that replays is to be held for a member that comes; and its answer. */
export const CLAIM = 11
export const CLAIMED = 12

/**
 * What kind of group there is under a name; with {@link NO_ROOM} there is none and none that replays is made. In a {@link REPLAY_GROUP} a member is
 * away from then on, until it has come or is said not to.
 */
export const NO_GROUP = 0
export const LIVE_GROUP = 1
export const REPLAY_GROUP = 2
export const NO_ROOM = 3

/** A member is connected. */
export interface Attach {
  readonly tenant: number
  readonly name: string
  readonly facts: MemberFacts
  /** It was counted as away before. */
  readonly wasAway: boolean
  /** Of who waits for its group to have it; 0 = nobody does. */
  readonly ask: number
}

/** A member wants into a group that replays: without `start` where there is one, with it one is made where there is none. */
export interface Claim {
  readonly ask: number
  readonly tenant: number
  readonly name: string
  /** The member's. */
  readonly qos: number
  readonly start: GroupStart | undefined
}

export function writeAttach(writer: ByteWriter, { tenant, name, facts, wasAway, ask }: Attach): void {
  const { number, clientIdentifier, isDurable, qos, limit } = facts
  writer.uint8(ATTACH)
  writer.uint32(tenant)
  writer.text(name)
  writer.uint53(number)
  writer.text(clientIdentifier)
  writer.uint8(qos | (isDurable ? 4 : 0) | (wasAway ? 8 : 0))
  writer.uint32(limit)
  writer.uint53(ask)
}

function writeStart(writer: ByteWriter, start: GroupStart | undefined): void {
  writer.uint8(start === undefined ? 0 : 1)
  if (start === undefined) return
  writer.uint32(start.places.length)
  for (const { topic, partition, offset, incarnation } of start.places) {
    writer.text(topic.id)
    writer.uint32(partition)
    writer.uint53(offset)
    writer.uint53(incarnation === undefined ? 0 : incarnation + 1)
  }
  writer.uint32(start.queue.length)
  for (const next of start.queue) writer.uint53(next)
}

/** Topics that are not known here are left out. */
function readStart(reader: ByteReader, topics: Pick<TopicsShape, "findById">): GroupStart | undefined {
  if (reader.uint8() === 0) return undefined
  const places = Array.from({ length: reader.uint32() }, () => {
    const [topicId, partition, offset, incarnation] = [reader.text(), reader.uint32(), reader.uint53(), reader.uint53()]
    const topic = topics.findById(topicId)
    if (topic === undefined) return []
    return [{ topic, partition, offset, incarnation: incarnation === 0 ? undefined : incarnation - 1 }]
  })
  return { places: places.flat(), queue: Array.from({ length: reader.uint32() }, () => reader.uint53()) }
}

export function writeClaim(writer: ByteWriter, { ask, tenant, name, qos, start }: Claim): void {
  writer.uint8(CLAIM)
  writer.uint53(ask)
  writer.uint32(tenant)
  writer.text(name)
  writer.uint8(qos)
  writeStart(writer, start)
}

export function readClaim(reader: ByteReader, topics: Pick<TopicsShape, "findById">): Claim {
  const [ask, tenant, name, qos] = [reader.uint53(), reader.uint32(), reader.text(), reader.uint8()]
  return { ask, tenant, name, qos, start: readStart(reader, topics) }
}

export function writeClaimed(writer: ByteWriter, ask: number, kind: number): void {
  writer.uint8(CLAIMED)
  writer.uint53(ask)
  writer.uint8(kind)
}

export function readAttach(reader: ByteReader, shard: number): Attach {
  const tenant = reader.uint32()
  const name = reader.text()
  const number = reader.uint53()
  const clientIdentifier = reader.text()
  const flags = reader.uint8()
  const limit = reader.uint32()
  const facts: MemberFacts = {
    shard,
    number,
    clientIdentifier,
    isDurable: (flags & 4) !== 0,
    qos: flags & 3,
    limit
  }
  return { tenant, name, facts, wasAway: (flags & 8) !== 0, ask: reader.uint53() }
}

export function writeDetach(writer: ByteWriter, number: number, staysAway: boolean): void {
  writer.uint8(DETACH)
  writer.uint53(number)
  writer.uint8(staysAway ? 1 : 0)
}

export function writeAway(writer: ByteWriter, tenant: number, name: string, qos: number, change: 1 | -1): void {
  writer.uint8(AWAY)
  writer.uint32(tenant)
  writer.text(name)
  writer.uint8(qos | (change < 0 ? 4 : 0))
}

export function readAway(reader: ByteReader) {
  const tenant = reader.uint32()
  const name = reader.text()
  const flags = reader.uint8()
  return { tenant, name, qos: flags & 3, change: (flags & 4) === 0 ? 1 : -1 }
}

export function writeSettled(writer: ByteWriter, kind: number, number: number, log: number, offset: number): void {
  writer.uint8(kind)
  writer.uint53(number)
  writer.uint32(log)
  writer.uint53(offset)
}

export function writeAssign(
  writer: ByteWriter,
  number: number,
  message: Message,
  qos: number,
  { log, offset }: Place,
  token: Token | undefined
): void {
  writer.uint8(ASSIGN)
  writer.uint53(number)
  writer.uint8(qos | (token === undefined ? 0 : 4) | (log < 0 ? 8 : 0))
  writer.uint32(Math.max(0, log))
  writer.uint53(Math.max(0, offset))
  writer.uint53(token?.number ?? 0)
  message.encode(writer)
}

/** The message is put into `message`, whose ranges lie in the frame. */
export function readAssign(reader: ByteReader, from: number, message: Message) {
  const number = reader.uint53()
  const flags = reader.uint8()
  const log = reader.uint32()
  const offset = reader.uint53()
  const group = reader.uint53()
  message.decode(reader)
  const place: Place = (flags & 8) === 0 ? { log, offset } : { log: -1, offset: -1 }
  const token: Token | undefined = (flags & 4) === 0 ? undefined : { shard: from, number: group, log, offset }
  return { number, qos: flags & 3, place, token }
}

export function writeJoined(writer: ByteWriter, ask: number, outcome: number): void {
  writer.uint8(JOINED)
  writer.uint53(ask)
  writer.uint32(-outcome)
}

export function readJoined(reader: ByteReader) {
  return { ask: reader.uint53(), outcome: -reader.uint32() }
}

export function writeToken(writer: ByteWriter, kind: number, { shard, number, log, offset }: Token): void {
  writer.uint8(kind)
  writer.uint32(shard)
  writer.uint53(number)
  writer.uint32(log)
  writer.uint53(offset)
}

export function readToken(reader: ByteReader): Token {
  return { shard: reader.uint32(), number: reader.uint53(), log: reader.uint32(), offset: reader.uint53() }
}
