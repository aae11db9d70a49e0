/**
 * Partitions of topics as a protocol reads and writes them, wherever their owner is: on this shard at once, on another by one
 * question over the Link.
 *
 * Invariants
 *  - Nobody sees past the high watermark; a reader that asks for it sees all that was acknowledged before.
 *  - `append` is answered after the commit that the topic's mode promises, and after the batch was routed to subscribers.
 */
import { Context } from "effect"
import type { TicketStream } from "../journal/Journal.ts"
import { CHANNEL_PARTITION, type LinkPort } from "../link/LinkPort.ts"
import type { TurnShape } from "../platform/Turn.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import type { ShardTopics } from "../topics/Topics.ts"
import { FAILED, type OffsetAndTimestamp } from "./Engines.ts"
import type { PartitionLog, PartitionWaiter } from "./PartitionLog.ts"
import { baseOffset, batchSize, lastOffsetDelta } from "./record-batch.ts"

/** The partition has no open log at its owner: unknown, being opened, or its engine refused. */
export const NOT_AVAILABLE = -5
/** The offset is below the log start or above the high watermark. */
export const OUT_OF_RANGE = -6

export interface PartitionState {
  /** 0, or {@link NOT_AVAILABLE}. */
  readonly refusal: number
  readonly logStartOffset: number
  readonly highWatermark: number
  /** One past the last record that was appended, committed or not. */
  readonly endOffset: number
  readonly leaderEpoch: number
  /** Which log it is, where one in memory begins anew under the same id: offsets of another say nothing of it. 0 = there was one only. */
  readonly incarnation: number
}

/** `bytes` holds whole stored batches, the first one that holds the offset asked for; empty at the high watermark. They never change. */
export interface ReadResult extends PartitionState {
  readonly bytes: Uint8Array
}

export interface AppendResult {
  /** 0, or why not: an engine's refusal or {@link NOT_AVAILABLE}. */
  readonly refusal: number
  readonly baseOffset: number
  readonly logStartOffset: number
}

/** Told once that a partition has records at or after the offset that was named, or that its log is gone: look again. */
export interface LogWaiter {
  logAdvanced(): void
}

export interface LogsShape {
  /** Appends a checked batch as it was sent and routes its records to MQTT subscribers; `bytes` is borrowed until this returns. */
  append(
    topic: TopicInfo,
    partition: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    recordCount: number
  ): AppendResult | Promise<AppendResult>
  state(topic: TopicInfo, partition: number): PartitionState | Promise<PartitionState>
  read(topic: TopicInfo, partition: number, offset: number, maxBytes: number): ReadResult | Promise<ReadResult>
  offsetForTimestamp(topic: TopicInfo, partition: number, timestamp: number): Promise<OffsetAndTimestamp | undefined>
  /** Tells `waiter` once when the high watermark is above `offset` or the log is closed, in a turn of its own; the result takes it back. */
  watch(topic: TopicInfo, partition: number, offset: number, waiter: LogWaiter): () => void
}

export class Logs extends Context.Service<Logs, LogsShape>()("manifold/core/log/Logs") {}

/** Bytes of one answer to another shard's read, at most, beyond a first batch that is larger: they are copied several times. */
export const REMOTE_READ_BYTES_MAX = 1_048_576

const EMPTY = new Uint8Array(0)
const UNKNOWN: PartitionState = {
  refusal: NOT_AVAILABLE,
  logStartOffset: -1,
  highWatermark: -1,
  endOffset: -1,
  leaderEpoch: -1,
  incarnation: 0
}
const ADVANCED = 0
const WATCH = 1
const UNWATCH = 2

/** Appends to a log that this shard owns and routes the records. */
export type LocalAppend = (log: PartitionLog, bytes: Uint8Array, start: number, end: number, records: number) => number

interface PartitionFacts {
  readonly topicId: string
  readonly partition: number
  readonly offset: number
  readonly value: number
}

class Watch implements PartitionWaiter {
  readonly log: PartitionLog
  readonly offset: number
  readonly advanced: () => void
  #isOver = false
  constructor(log: PartitionLog, offset: number, advanced: () => void) {
    this.log = log
    this.offset = offset
    this.advanced = advanced
  }
  partitionAdvanced(log: PartitionLog): void {
    if (this.#isOver || log.highWatermark() <= this.offset) return
    this.partitionClosed()
  }
  /** Whoever waits looks again, and finds the log gone. */
  partitionClosed(): void {
    if (this.#isOver) return
    this.cancel()
    this.advanced()
  }
  cancel(): void {
    this.#isOver = true
    this.log.unwatch(this)
  }
}

export class ShardLogs implements LogsShape {
  readonly #port: LinkPort
  readonly #turn: TurnShape
  readonly #topics: ShardTopics
  readonly #append: LocalAppend
  /** Watches that this shard asked others for, by number. */
  readonly #asked = new Map<number, LogWaiter>()
  /** Watches that others asked this shard for, by shard and number. */
  readonly #served = new Map<string, Watch>()
  #nextWatch = 1

  constructor(port: LinkPort, turn: TurnShape, topics: ShardTopics, append: LocalAppend) {
    this.#port = port
    this.#turn = turn
    this.#topics = topics
    this.#append = append
    port.answer("partition.append", (_from, { facts, bytes = EMPTY }) => {
      const { topicId, partition, value } = facts as PartitionFacts
      const result = this.#appendLocal(this.#log(topicId, partition), bytes, 0, bytes.length, value)
      return result instanceof Promise ? result.then((late) => ({ facts: late })) : { facts: result }
    })
    port.answer("partition.state", (_from, { facts }) => {
      const { topicId, partition } = facts as PartitionFacts
      return { facts: stateOf(this.#log(topicId, partition)) }
    })
    port.answer("partition.read", async (_from, { facts }) => {
      const { topicId, partition, offset, value } = facts as PartitionFacts
      const { bytes, ...state } = await readPieces(this.#log(topicId, partition), offset, value)
      return { facts: state, bytes }
    })
    port.answer("partition.time", async (_from, { facts }) => {
      const { topicId, partition, value } = facts as PartitionFacts
      return { facts: (await this.#log(topicId, partition)?.offsetForTimestamp(value)) ?? null }
    })
    port.handle(CHANNEL_PARTITION, (from, reader) => {
      const kind = reader.uint8()
      const id = reader.uint53()
      if (kind === ADVANCED) this.#advanced(id)
      else if (kind === UNWATCH) this.#endServed(`${from}/${id}`)
      else this.#serve(from, id, reader.text(), reader.uint32(), reader.uint53())
    })
  }

  append(
    topic: TopicInfo,
    partition: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    recordCount: number
  ): AppendResult | Promise<AppendResult> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) {
      return this.#appendLocal(this.#topics.logUnsafe(topic, partition), bytes, start, end, recordCount)
    }
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: recordCount }
    const body = { facts, bytes: bytes.subarray(start, end) }
    return this.#port.call(owner, "partition.append", body).then((answer) => answer.facts as AppendResult)
  }

  state(topic: TopicInfo, partition: number): PartitionState | Promise<PartitionState> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return stateOf(this.#topics.logUnsafe(topic, partition))
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: 0 }
    return this.#port.call(owner, "partition.state", { facts }).then((answer) => answer.facts as PartitionState)
  }

  read(topic: TopicInfo, partition: number, offset: number, maxBytes: number): ReadResult | Promise<ReadResult> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return readFrom(this.#topics.logUnsafe(topic, partition), offset, maxBytes)
    const facts: PartitionFacts = { topicId: topic.id, partition, offset, value: maxBytes }
    return this.#port.call(owner, "partition.read", { facts }).then((answer) => ({
      ...(answer.facts as PartitionState),
      bytes: answer.bytes ?? EMPTY
    }))
  }

  async offsetForTimestamp(
    topic: TopicInfo,
    partition: number,
    timestamp: number
  ): Promise<OffsetAndTimestamp | undefined> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return this.#topics.logUnsafe(topic, partition)?.offsetForTimestamp(timestamp)
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: timestamp }
    const answer = await this.#port.call(owner, "partition.time", { facts })
    return (answer.facts as OffsetAndTimestamp | null) ?? undefined
  }

  watch(topic: TopicInfo, partition: number, offset: number, waiter: LogWaiter): () => void {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) {
      const log = this.#topics.logUnsafe(topic, partition)
      if (log === undefined) return this.#tellLater(waiter)
      const watch = new Watch(log, offset, () => waiter.logAdvanced())
      log.watch(watch)
      // Told in a turn of its own, so that the caller has what `watch` returns before `waiter` is called.
      if (log.nextOffset > offset) this.#turn.deferWork({ endTurn: () => watch.partitionAdvanced(log) })
      return () => watch.cancel()
    }
    const id = this.#nextWatch++
    this.#asked.set(id, waiter)
    const outbox = this.#port.begin(owner, CHANNEL_PARTITION)
    outbox.uint8(WATCH)
    outbox.uint53(id)
    outbox.text(topic.id)
    outbox.uint32(partition)
    outbox.uint53(offset)
    this.#port.end(outbox)
    return () => {
      if (this.#asked.delete(id)) this.#tell(owner, UNWATCH, id)
    }
  }

  #tellLater(waiter: LogWaiter): () => void {
    let isOver = false
    this.#turn.deferWork({ endTurn: () => (isOver ? undefined : waiter.logAdvanced()) })
    return () => void (isOver = true)
  }

  #tell(target: number, kind: number, id: number): void {
    const outbox = this.#port.begin(target, CHANNEL_PARTITION)
    outbox.uint8(kind)
    outbox.uint53(id)
    this.#port.end(outbox)
  }

  #advanced(id: number): void {
    const waiter = this.#asked.get(id)
    this.#asked.delete(id)
    waiter?.logAdvanced()
  }

  #serve(from: number, id: number, topicId: string, partition: number, offset: number): void {
    const log = this.#log(topicId, partition)
    if (log === undefined) {
      this.#tell(from, ADVANCED, id)
      return
    }
    const key = `${from}/${id}`
    const watch = new Watch(log, offset, () => {
      this.#served.delete(key)
      this.#tell(from, ADVANCED, id)
    })
    this.#served.set(key, watch)
    log.watch(watch)
    watch.partitionAdvanced(log)
  }

  #endServed(key: string): void {
    this.#served.get(key)?.cancel()
    this.#served.delete(key)
  }

  #log(topicId: string, partition: number): PartitionLog | undefined {
    const topic = this.#topics.findById(topicId)
    return topic === undefined ? undefined : this.#topics.logUnsafe(topic, partition)
  }

  #appendLocal(
    log: PartitionLog | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
    recordCount: number
  ): AppendResult | Promise<AppendResult> {
    if (log === undefined) return { refusal: NOT_AVAILABLE, baseOffset: -1, logStartOffset: -1 }
    const baseOffset = this.#append(log, bytes, start, end, recordCount)
    const { tickets } = log
    if (baseOffset < 0 || tickets === undefined) return appendResult(log, baseOffset, 0)
    return whenCommitted(tickets, log.producedTicket, (outcome) => appendResult(log, baseOffset, outcome))
  }
}

function appendResult(log: PartitionLog, baseOffset: number, outcome: number): AppendResult {
  const refusal = Math.min(baseOffset, outcome, 0)
  return { refusal, baseOffset: refusal === 0 ? baseOffset : -1, logStartOffset: log.logStartOffset }
}

/** `result` of the ticket's outcome: at once where it is committed. */
function whenCommitted<Result>(
  tickets: TicketStream,
  ticket: number,
  result: (outcome: number) => Result
): Result | Promise<Result> {
  if (ticket <= tickets.committed) return result(tickets.takeOutcome(ticket))
  return new Promise((resolve) => {
    tickets.whenCommitted(ticket, () => resolve(result(tickets.takeOutcome(ticket))))
  })
}

function stateOf(log: PartitionLog | undefined): PartitionState {
  if (log === undefined) return UNKNOWN
  const highWatermark = log.highWatermark()
  const { logStartOffset, nextOffset: endOffset, leaderEpoch, incarnation } = log
  return { refusal: 0, logStartOffset, highWatermark, endOffset, leaderEpoch, incarnation }
}

/**
 * What another shard asks for is copied anyway: the pieces of memory that fit travel in one answer, so that one
 * question gets as much as a reader on this shard would.
 */
async function readPieces(log: PartitionLog | undefined, offset: number, maxBytes: number): Promise<ReadResult> {
  const sizeMax = Math.min(maxBytes, REMOTE_READ_BYTES_MAX)
  const first = await readFrom(log, offset, sizeMax)
  if (log === undefined || first.refusal !== 0 || first.bytes.length === 0) return first
  const pieces = [first.bytes]
  let size = first.bytes.length
  let next = nextOffset(first.bytes)
  // The log may grow between two pieces: the answer tells the state that the last of them was read in.
  let state: PartitionState = first
  while (size < sizeMax && next < state.highWatermark) {
    const { bytes, ...later } = await readFrom(log, next, sizeMax - size)
    // A first batch comes whole, also where it does not fit any more.
    if (later.refusal !== 0 || bytes.length === 0 || size + bytes.length > sizeMax) break
    pieces.push(bytes)
    size += bytes.length
    next = nextOffset(bytes)
    state = later
  }
  return { ...state, bytes: pieces.length === 1 ? first.bytes : Buffer.concat(pieces, size) }
}

/** One past the last offset in whole stored batches. */
function nextOffset(bytes: Uint8Array): number {
  let position = 0
  let next = 0
  while (position < bytes.length) {
    next = baseOffset(bytes, position) + lastOffsetDelta(bytes, position) + 1
    const size = batchSize(bytes, position, bytes.length)
    if (size <= 0) break
    position += size
  }
  return next
}

function readFrom(log: PartitionLog | undefined, offset: number, maxBytes: number): ReadResult | Promise<ReadResult> {
  const state = stateOf(log)
  if (log === undefined) return { ...state, bytes: EMPTY }
  if (offset < state.logStartOffset || offset > state.highWatermark) {
    return { ...state, refusal: OUT_OF_RANGE, bytes: EMPTY }
  }
  const bytes = log.readUnsafe(offset, maxBytes)
  if (bytes !== undefined) return { ...state, bytes }
  return log.read(offset, maxBytes).then(
    (cold) => ({ ...state, bytes: cold }),
    // The engine's own error; the log was told of it where it is one that nobody expects.
    () => ({ ...state, refusal: FAILED, bytes: EMPTY })
  )
}
