/**
 * {@link Logs} of one shard: what it owns is asked at once, what another owns by one question over the Link.
 */

import type { TicketStream } from "../journal/Journal.ts"
import { CHANNEL_PARTITION, type LinkPort } from "../link/LinkPort.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { TurnShape } from "../platform/Turn.ts"
import type { ShardTopics } from "../topics/ShardTopics.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { AppendLine } from "./AppendLine.ts"
import type { OffsetAndTimestamp } from "./Engines.ts"
import { epochEndOf } from "./epoch-ends.ts"
import { HeldAppends } from "./HeldAppends.ts"
import {
  type AppendResult,
  type DeleteResult,
  type EpochEnd,
  type LogsShape,
  type LogWaiter,
  NOT_AVAILABLE,
  type PartitionLeader,
  type PartitionSize,
  type PartitionState,
  type ProducersResult
} from "./Logs.ts"
import { LogWatch } from "./LogWatch.ts"
import {
  appendResult,
  deletedBefore,
  producersOf,
  readFrom,
  readPieces,
  refusedAppend,
  sizeOf,
  stateOf,
  whenCommitted
} from "./local-answers.ts"
import type { PartitionLog } from "./PartitionLog.ts"

const EMPTY = new Uint8Array(0)
const NO_LEADER: PartitionLeader = { refusal: NOT_AVAILABLE, leaderEpoch: -1 }
const CLOSED: PartitionLeader = { refusal: 0, leaderEpoch: -1 }
const ADVANCED = 0
const WATCH = 1
const UNWATCH = 2

/** Appends to a log that this shard owns and routes the records. */
export interface LocalAppend {
  (log: PartitionLog, bytes: Uint8Array, start: number, end: number, records: number): number
  /** Where the journal keeps what sessions that are away want of the last batch; ticket 0 = they want nothing. Absent = nobody does. */
  readonly queued?: QueuedBesides
}

export interface QueuedBesides {
  readonly tickets: TicketStream
  ticket: number
  /** There is no room just now for what sessions may want of a batch. */
  readonly isHeldUp: boolean
}

interface PartitionFacts {
  readonly topicId: string
  readonly partition: number
  readonly offset: number
  readonly value: number
}

export class ShardLogs implements LogsShape {
  readonly #port: LinkPort
  readonly #turn: TurnShape
  readonly #topics: ShardTopics
  readonly #append: LocalAppend
  readonly #line = new AppendLine()
  /** Watches that this shard asked others for, by number. */
  readonly #asked = new Map<number, LogWaiter>()
  /** Watches that others asked this shard for, by shard and number. */
  readonly #served = new Map<string, LogWatch>()
  #nextWatch = 1
  /** Batches that wait for room. */
  readonly #held: HeldAppends

  constructor(port: LinkPort, turn: TurnShape, topics: ShardTopics, append: LocalAppend, clock: ClockShape) {
    this.#held = new HeldAppends({
      clock,
      logOf: (topicId, partition) => {
        const topic = topics.findById(topicId)
        if (topic === undefined) return undefined
        return topics.logUnsafe(topic, partition) ?? (topics.isOpening(topic, partition) ? "opening" : undefined)
      },
      append: (log, bytes, records) => this.#appendInLine(log, bytes, 0, bytes.length, records),
      isHeldUp: () => append.queued?.isHeldUp === true
    })
    this.#port = port
    this.#turn = turn
    this.#topics = topics
    this.#append = append
    port.answer("partition.append", (_from, { facts, bytes = EMPTY }) => {
      const { value } = facts as PartitionFacts
      const append = (log: PartitionLog | undefined) => this.#appendLocal(log, bytes, 0, bytes.length, value)
      const result = this.#withLogOf(facts as PartitionFacts, append)
      return result instanceof Promise ? result.then((late) => ({ facts: late })) : { facts: result }
    })
    port.answer("partition.state", (_from, { facts }) => {
      const state = this.#withLogOf(facts as PartitionFacts, stateOf)
      return state instanceof Promise ? state.then((late) => ({ facts: late })) : { facts: state }
    })
    port.answer("partition.leader", (_from, { facts }) => {
      const { topicId, partition } = facts as PartitionFacts
      const topic = this.#topics.findById(topicId)
      const leader = topic === undefined ? NO_LEADER : this.#leader(topic, partition)
      return leader instanceof Promise ? leader.then((late) => ({ facts: late })) : { facts: leader }
    })
    port.answer("partition.read", async (_from, { facts }) => {
      const { offset, value } = facts as PartitionFacts
      const read = (log: PartitionLog | undefined) => readPieces(log, offset, value)
      const { bytes, ...state } = await this.#withLogOf(facts as PartitionFacts, read)
      return { facts: state, bytes }
    })
    port.answer("partition.time", async (_from, { facts }) => {
      const { value } = facts as PartitionFacts
      const found = await this.#withLogOf(facts as PartitionFacts, (log) => log?.offsetForTimestamp(value))
      return { facts: found ?? null }
    })
    port.answer("partition.producers", async (_from, { facts }) => ({
      facts: await this.#withLogOf(facts as PartitionFacts, producersOf)
    }))
    port.answer("partition.epoch", async (_from, { facts }) => {
      const { value } = facts as PartitionFacts
      return { facts: await this.#withLogOf(facts as PartitionFacts, (log) => epochEndOf(log, value)) }
    })
    port.answer("partition.delete", async (_from, { facts }) => {
      const { offset } = facts as PartitionFacts
      return { facts: await this.#withLogOf(facts as PartitionFacts, (log) => deletedBefore(log, offset)) }
    })
    port.answer("partition.size", async (_from, { facts }) => ({
      facts: await this.#withLogOf(facts as PartitionFacts, sizeOf)
    }))
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
      const log = this.#topics.logUnsafe(topic, partition)
      if (log !== undefined || !this.#topics.isOpening(topic, partition)) {
        return this.#appendLocal(log, bytes, start, end, recordCount)
      }
      const copy = bytes.slice(start, end)
      return this.#withLog(topic, partition, (late) => this.#appendLocal(late, copy, 0, copy.length, recordCount))
    }
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: recordCount }
    const body = { facts, bytes: bytes.subarray(start, end) }
    return this.#port.call(owner, "partition.append", body).then((answer) => answer.facts as AppendResult)
  }

  state(topic: TopicInfo, partition: number): PartitionState | Promise<PartitionState> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return this.#withLog(topic, partition, stateOf)
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: 0 }
    return this.#port.call(owner, "partition.state", { facts }).then((answer) => answer.facts as PartitionState)
  }

  leader(topic: TopicInfo, partition: number): PartitionLeader | Promise<PartitionLeader> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return this.#leader(topic, partition)
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: 0 }
    return this.#port.call(owner, "partition.leader", { facts }).then((answer) => answer.facts as PartitionLeader)
  }

  read(...[topic, partition, offset, maxBytes, lease]: Parameters<LogsShape["read"]>): ReturnType<LogsShape["read"]> {
    const owner = this.#topics.ownerOf(topic, partition)
    const isOwn = owner === this.#port.shard
    if (isOwn) return this.#withLog(topic, partition, (log) => readFrom(log, offset, maxBytes, lease))
    const facts: PartitionFacts = { topicId: topic.id, partition, offset, value: maxBytes }
    return this.#port.call(owner, "partition.read", { facts }).then((answer) => ({
      ...(answer.facts as PartitionState),
      bytes: answer.bytes ?? EMPTY
    }))
  }

  async producers(topic: TopicInfo, partition: number): Promise<ProducersResult> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return this.#withLog(topic, partition, producersOf)
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: 0 }
    return (await this.#port.call(owner, "partition.producers", { facts })).facts as ProducersResult
  }

  async offsetForTimestamp(
    topic: TopicInfo,
    partition: number,
    timestamp: number
  ): Promise<OffsetAndTimestamp | undefined> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) {
      return this.#withLog(topic, partition, (log) => log?.offsetForTimestamp(timestamp))
    }
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: timestamp }
    const answer = await this.#port.call(owner, "partition.time", { facts })
    return (answer.facts as OffsetAndTimestamp | null) ?? undefined
  }

  epochEnd(topic: TopicInfo, partition: number, epoch: number): EpochEnd | Promise<EpochEnd> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return this.#withLog(topic, partition, (log) => epochEndOf(log, epoch))
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: epoch }
    return this.#port.call(owner, "partition.epoch", { facts }).then((answer) => answer.facts as EpochEnd)
  }

  async deleteBefore(topic: TopicInfo, partition: number, offset: number): Promise<DeleteResult> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return this.#withLog(topic, partition, (log) => deletedBefore(log, offset))
    const facts: PartitionFacts = { topicId: topic.id, partition, offset, value: 0 }
    return (await this.#port.call(owner, "partition.delete", { facts })).facts as DeleteResult
  }

  size(topic: TopicInfo, partition: number): PartitionSize | Promise<PartitionSize> {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) return this.#withLog(topic, partition, sizeOf)
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: 0 }
    return this.#port.call(owner, "partition.size", { facts }).then((answer) => answer.facts as PartitionSize)
  }

  watch(topic: TopicInfo, partition: number, offset: number, waiter: LogWaiter): () => void {
    const owner = this.#topics.ownerOf(topic, partition)
    if (owner === this.#port.shard) {
      const log = this.#topics.logUnsafe(topic, partition)
      if (log === undefined) return this.#tellLater(waiter)
      const watch = new LogWatch(log, offset, () => waiter.logAdvanced())
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
    const watch = new LogWatch(log, offset, () => {
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

  #leader(topic: TopicInfo, partition: number): PartitionLeader | Promise<PartitionLeader> {
    if (this.#topics.isClosed(topic, partition)) return CLOSED
    return this.#withLog(topic, partition, (log) =>
      log === undefined ? NO_LEADER : { refusal: 0, leaderEpoch: log.leaderEpoch }
    )
  }

  #withLogOf<Result>(
    { topicId, partition }: PartitionFacts,
    use: (log: PartitionLog | undefined) => Result | Promise<Result>
  ): Result | Promise<Result> {
    const topic = this.#topics.findById(topicId)
    return topic === undefined ? use(undefined) : this.#withLog(topic, partition, use)
  }

  /** What `use` makes of a log: now, or when it is open; of none where it cannot be opened. Those who wait come in their order. */
  #withLog<Result>(
    topic: TopicInfo,
    partition: number,
    use: (log: PartitionLog | undefined) => Result | Promise<Result>
  ): Result | Promise<Result> {
    const log = this.#topics.logUnsafe(topic, partition)
    if (log !== undefined || !this.#topics.isOpening(topic, partition)) return use(log)
    return new Promise((resolve, reject) => {
      this.#topics.whenSettled(topic, partition, () => {
        try {
          resolve(use(this.#topics.logUnsafe(topic, partition)))
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  #appendLocal(
    log: PartitionLog | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
    recordCount: number
  ): AppendResult | Promise<AppendResult> {
    if (log !== undefined && this.#held.mustWait(log, end - start)) {
      return this.#held.hold(log, bytes, start, end, recordCount)
    }
    return this.#appendInLine(log, bytes, start, end, recordCount)
  }

  /** Appends it when what the partition knows of its producer is read. */
  #appendInLine(
    log: PartitionLog | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
    recordCount: number
  ): AppendResult | Promise<AppendResult> {
    if (log === undefined) return refusedAppend(NOT_AVAILABLE)
    const { topic, partition } = log
    const key = (): string => `${topic.id}/${partition}`
    if (!this.#line.mustWait(key, log, bytes, start)) return this.#appendReady(log, bytes, start, end, recordCount)
    const copy = bytes.slice(start, end)
    const facts: PartitionFacts = { topicId: topic.id, partition, offset: 0, value: recordCount }
    return this.#line.wait({
      key: key(),
      bytes: copy,
      findLog: () => this.#withLogOf(facts, (found) => found),
      append: (late) => this.#appendReady(late, copy, 0, copy.length, recordCount),
      refused: refusedAppend
    })
  }

  #appendReady(
    log: PartitionLog | undefined,
    bytes: Uint8Array,
    start: number,
    end: number,
    recordCount: number
  ): AppendResult | Promise<AppendResult> {
    if (log === undefined) return refusedAppend(NOT_AVAILABLE)
    const baseOffset = this.#append(log, bytes, start, end, recordCount)
    const { tickets, producedTimeMs } = log
    if (baseOffset < 0 || tickets === undefined) return appendResult(log, baseOffset, 0, producedTimeMs)
    const { queued } = this.#append
    const result = (outcome: number): AppendResult => appendResult(log, baseOffset, outcome, producedTimeMs)
    // What is in the journal's own entry is committed with it; an engine that commits by itself says nothing of that entry.
    if (queued === undefined || queued.ticket === 0 || log.isJournaled) {
      return whenCommitted(tickets, log.producedTicket, result)
    }
    const kept = whenCommitted(queued.tickets, queued.ticket, (outcome) => outcome)
    const stored = whenCommitted(tickets, log.producedTicket, (outcome) => outcome)
    return Promise.all([stored, kept]).then((outcomes) => result(Math.min(...outcomes)))
  }
}
