/**
 * One Fetch on its way: reads what is wanted, and waits for more until there is enough, an error, or the time is up.
 *
 * Invariants
 *  - It answers exactly once: at once where at least `min_bytes` are there, a log could not be read or parts from the client's, or nothing
 *    may be waited for; else when enough came, or after `max_wait_ms` with what there is. What the request names in vain (an unknown
 *    topic, say) does not end the wait for the rest of it.
 *  - Partitions are read in their order, each with the room that those before it left, so that what is read at once is bounded by
 *    the request and by the room that is left for answers of all connections.
 *
 * Source: apache/kafka ReplicaManager.fetchMessages, readFromLog, DelayedFetch.tryComplete; KIP-74, KIP-320, KIP-595.
 */
import type { EpochEnd, LogWaiter, ReadResult, Timer, TopicInfo, TurnTask } from "../../../core/mod.ts"
import { NOT_AVAILABLE, OUT_OF_RANGE, ReadLease } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange, Waiting } from "../Exchange.ts"
import type { FetchPartition } from "../fetch-sessions/FetchList.ts"
import type { FetchContext } from "../fetch-sessions/fetch-context.ts"
import { errorOfRefusal } from "../refusal-codes.ts"
import type { fetch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { RequestOf } from "../wire/schema.ts"
import { answerOf } from "./fetch-answer.ts"
import { takeBatches } from "./take-batches.ts"
import { checkLeaderEpoch } from "./topic-access.ts"
import { readableBy } from "./zstd-for-old-clients.ts"

const EMPTY = new Uint8Array(0)
/**
 * An answer holds no more where its client does not wait for more: a larger one was not measured to be cheaper a byte, and what it holds is
 * held until the client has taken it.
 */
const ANSWER_BYTES_MAX = 2_097_152

/** What a Fetch is about: what is read in its order, and what was refused before. */
export interface FetchPlan {
  readonly context: FetchContext
  readonly readable: ReadonlyArray<FetchPartition>
  readonly refused: ReadonlyArray<FetchPartition>
  /** Another broker asks, for its copy: no other broker keeps copies of what is here. */
  readonly isReplica: boolean
}

/** A reading, or that the client's log and this one part. */
interface Reading extends ReadResult {
  readonly diverging?: EpochEnd
}

export class FetchPoll implements LogWaiter, TurnTask, Waiting {
  readonly #exchange: Exchange<typeof fetch>
  readonly #broker: Broker
  readonly #request: RequestOf<typeof fetch>
  readonly #plan: FetchPlan
  readonly #sizeMin: number
  readonly #sizeMax: number
  readonly #startedMs: number
  #watches: Array<() => void> = []
  #timer: Timer | undefined
  #isWaiting = false
  #isReading = false
  #isScheduled = false
  /** The last reading was not done at once: a log may have gone on behind it. */
  #wasLate = false
  /** No more waiting: answer with what the next reading finds. */
  #isLast = false
  #isOver = false
  /** What the current reading is read with. */
  #lease = new ReadLease()
  /** Of the current reading: bytes taken, bytes that count for `min_bytes`, and whether something ends the wait. */
  #taken = 0
  #counted = 0
  #hasNews = false

  constructor(exchange: Exchange<typeof fetch>, request: RequestOf<typeof fetch>, plan: FetchPlan, broker: Broker) {
    const { fetch_size_max, fetches_held_max } = broker.settings
    const room = Math.max(0, fetches_held_max - broker.fetchesHeldBytes)
    this.#exchange = exchange
    this.#broker = broker
    this.#request = request
    this.#plan = plan
    const wished = Math.max(ANSWER_BYTES_MAX, request.minBytes)
    this.#sizeMax = Math.min(Math.max(0, request.maxBytes), fetch_size_max, wished, room)
    this.#sizeMin = Math.min(request.minBytes, this.#sizeMax)
    this.#startedMs = broker.clock.monotonicMs()
    exchange.waiting = this
  }

  begin(): void {
    if (this.#request.maxWaitMs <= 0 || this.#plan.readable.length === 0) this.#isLast = true
    this.#read()
  }

  /** A partition that is watched has more: read again at the end of the turn, once for all of them. */
  logAdvanced(): void {
    if (this.#isOver || this.#isScheduled) return
    this.#isScheduled = true
    this.#broker.turn.deferWork(this)
  }

  endTurn(): void {
    this.#isScheduled = false
    this.#read()
  }

  finish(): void {
    this.#isLast = true
    this.#read()
  }

  cancel(): void {
    this.#isOver = true
    this.#stopWaiting()
    this.#timer?.cancel()
  }

  #read(): void {
    if (this.#isOver || this.#isReading) return
    this.#stopWaiting()
    this.#lease.end()
    this.#lease = new ReadLease()
    this.#taken = 0
    this.#counted = 0
    this.#hasNews = false
    this.#wasLate = false
    this.#readFrom(0)
  }

  /**
   * Reads from the partition at `index` on. What does not answer at once is asked together, as far as there is room for all of it, and
   * taken in the order of the partitions.
   */
  #readFrom(index: number): void {
    const { readable } = this.#plan
    let late: Array<Reading | Promise<Reading>> | undefined
    let asked = 0
    let next = index
    for (; next < readable.length; next++) {
      const wanted = readable[next] as FetchPartition
      const room = Math.min(wanted.sizeMax, this.#sizeMax - this.#taken - asked)
      if (late !== undefined && room <= 0) break
      const reading = this.#reading(wanted, room)
      wanted.isElsewhere = reading instanceof Promise
      if (late === undefined && !(reading instanceof Promise)) {
        this.#settle(wanted, reading)
        continue
      }
      late ??= []
      late.push(reading)
      asked += reading instanceof Promise ? Math.max(0, room) : reading.bytes.length
    }
    if (late === undefined) this.#decide()
    else this.#settleLate(next, late)
  }

  #settleLate(next: number, late: ReadonlyArray<Reading | Promise<Reading>>): void {
    this.#wasLate = true
    this.#isReading = true
    Promise.all(late).then(
      (readings) => {
        this.#isReading = false
        if (this.#isOver) return
        const { readable } = this.#plan
        const first = next - readings.length
        for (const [at, reading] of readings.entries()) this.#settle(readable[first + at] as FetchPartition, reading)
        if (next < readable.length) this.#readFrom(next)
        else this.#decide()
      },
      (error) => {
        this.cancel()
        this.#exchange.fail(error)
      }
    )
  }

  #reading(wanted: FetchPartition, room: number): Reading | Promise<Reading> {
    const { partition, lastFetchedEpoch } = wanted
    const topic = wanted.topic.info as TopicInfo
    if (this.#plan.isReplica) return this.#stateOf(topic, wanted, NOT_AVAILABLE)
    if (lastFetchedEpoch < 0) return this.#readLog(topic, wanted, room)
    const end = this.#broker.logs.epochEnd(topic, partition, lastFetchedEpoch)
    return end instanceof Promise
      ? end.then((known) => this.#readBehind(topic, wanted, room, known))
      : this.#readBehind(topic, wanted, room, end)
  }

  /** Reads on where the client's log has the same epochs as this one up to its offset. */
  #readBehind(topic: TopicInfo, wanted: FetchPartition, room: number, end: EpochEnd): Reading | Promise<Reading> {
    const { offset, lastFetchedEpoch } = wanted
    if (end.refusal !== 0) return { ...end, bytes: EMPTY }
    if (end.epochEndOffset < 0 || offset < end.logStartOffset) return { ...end, refusal: OUT_OF_RANGE, bytes: EMPTY }
    const isDiverging = end.epoch < lastFetchedEpoch || end.epochEndOffset < offset
    return isDiverging ? { ...end, bytes: EMPTY, diverging: end } : this.#readLog(topic, wanted, room)
  }

  #readLog(topic: TopicInfo, wanted: FetchPartition, room: number): ReadResult | Promise<ReadResult> {
    // The first batch is given whole, whatever room there is; behind others only how far the log goes is told.
    if (room > 0 || this.#taken === 0) {
      return this.#broker.logs.read(topic, wanted.partition, wanted.offset, room, this.#lease)
    }
    return this.#stateOf(topic, wanted, 0)
  }

  /** How far the log goes, and that nothing is read of it; `refusal` where it is not read at all. */
  #stateOf(topic: TopicInfo, { partition, offset }: FetchPartition, refusal: number): ReadResult | Promise<ReadResult> {
    const state = this.#broker.logs.state(topic, partition)
    const told = (known: Awaited<typeof state>): ReadResult => {
      const isOutside = offset < known.logStartOffset || offset > known.endOffset
      return { ...known, refusal: known.refusal || refusal || (isOutside ? OUT_OF_RANGE : 0), bytes: EMPTY }
    }
    return state instanceof Promise ? state.then(told) : told(state)
  }

  /** Takes a reading into the answer. */
  #settle(wanted: FetchPartition, found: Reading): void {
    const reading = readableBy(this.#exchange.version, found)
    wanted.views = []
    wanted.state = reading
    wanted.diverging = undefined
    wanted.errorCode = this.#errorOf(wanted, reading)
    if (wanted.errorCode === 0 && found.bytes.length > 0 && reading.bytes.length === 0) {
      wanted.errorCode = ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
    }
    wanted.hasAborted = wanted.errorCode === 0 && found.diverging === undefined
    if (wanted.errorCode !== 0) {
      this.#hasNews = true
      return
    }
    wanted.diverging = found.diverging
    // Above what is committed there is nothing to wait for: the client's log, or this one, was cut.
    if (found.diverging !== undefined || wanted.offset > reading.highWatermark) this.#hasNews = true
    else if (reading.bytes.length > 0) this.#take(wanted, reading)
  }

  #take(wanted: FetchPartition, reading: ReadResult): void {
    const room = Math.min(wanted.sizeMax, this.#sizeMax - this.#taken)
    const more = (offset: number, sizeMax: number): ReadResult | undefined => {
      const topic = wanted.topic.info as TopicInfo
      const piece = this.#broker.logs.read(topic, wanted.partition, offset, sizeMax, this.#lease)
      if (!(piece instanceof Promise)) return readableBy(this.#exchange.version, piece)
      piece.catch(() => {})
      return undefined
    }
    const taken = takeBatches(wanted, reading, room, this.#taken === 0, more)
    this.#taken += taken.size
    // Apache puts an empty reading of its own where the first batch does not fit.
    if (taken.size === 0 && room > 0) wanted.hasAborted = false
    // What did not fit is there all the same: nobody waits for it.
    this.#counted += taken.isAll ? taken.size : Math.max(taken.size, room)
  }

  #errorOf({ topic, leaderEpoch }: FetchPartition, result: ReadResult): number {
    // A log that is gone because its topic is: the client must ask for the topic anew.
    if (result.refusal !== 0 && topic.info !== undefined && this.#broker.topics.findById(topic.info.id) === undefined) {
      return topic.topic === "" ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    }
    // Before the offset: under another epoch it may mean another record.
    const epochError = result.leaderEpoch < 0 ? 0 : checkLeaderEpoch(leaderEpoch, result.leaderEpoch)
    return epochError === 0 ? errorOfRefusal(result.refusal) : epochError
  }

  #decide(): void {
    if (this.#isLast || this.#hasNews || this.#counted >= this.#sizeMin) this.#answer()
    else this.#wait()
  }

  #wait(): void {
    const { logs, clock, counts } = this.#broker
    if (!this.#isWaiting) {
      this.#isWaiting = true
      counts.fetchesWaiting += 1
    }
    // Counted from the request: the first reading may have taken its time.
    this.#timer ??= clock.after(this.#startedMs + this.#request.maxWaitMs - clock.monotonicMs(), () => this.finish())
    this.#lease.end()
    for (const wanted of this.#plan.readable) {
      const { topic, partition, state, isElsewhere } = wanted
      if (topic.info === undefined || state === undefined) continue
      // What was found is read again: meanwhile nobody's memory is held.
      wanted.views = []
      this.#watches.push(logs.watch(topic.info, partition, state.highWatermark, this))
      // A log of this shard is watched from now on only; the owner of another looks at once.
      if (!this.#wasLate || isElsewhere) continue
      const now = logs.state(topic.info, partition)
      if (now instanceof Promise) now.catch(() => {})
      else if (now.highWatermark > state.highWatermark) this.logAdvanced()
    }
  }

  #stopWaiting(): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    this.#broker.counts.fetchesWaiting -= 1
    for (const unwatch of this.#watches) unwatch()
    this.#watches = []
  }

  #answer(): void {
    this.cancel()
    const { context, readable, refused } = this.#plan
    const outcome = context.finish(refused.length === 0 ? readable : [...readable, ...refused])
    // A session that has gone on meanwhile is told of nothing.
    const taken = outcome.partitions.length === 0 ? 0 : this.#taken
    this.#broker.counts.fetchedBytes += taken
    this.#exchange.hold(taken)
    this.#exchange.lease = this.#lease
    this.#exchange.complete(answerOf(outcome, this.#request, this.#exchange, this.#broker))
    for (const wanted of readable) wanted.views = []
  }
}
