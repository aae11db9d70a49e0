/**
 * One Fetch on its way: reads what is wanted, and waits for more until there is enough, an error, or the time is up.
 *
 * Invariants
 *  - It answers exactly once: at once where at least `min_bytes` are there, a partition has an error, or nothing may be waited for;
 *    else when enough came, or after `max_wait_ms` with what there is.
 *  - The first partition that has records gives at least its first batch, whatever the bounds; every other batch fits within the
 *    partition's and the request's bounds. Batches are never cut. A partition without records gives zero bytes, not null.
 *  - Nobody sees past the high watermark (the logs see to it).
 *
 * Source: apache/kafka ReplicaManager.fetchMessages, readFromLog, DelayedFetch; KIP-74.
 */
import {
  type LogWaiter,
  type PartitionState,
  type ReadResult,
  recordBatch,
  type Timer,
  type TopicInfo,
  type TurnTask
} from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Exchange, Waiting } from "../Exchange.ts"
import { errorOfRefusal } from "../refusal-codes.ts"
import type { fetch } from "../wire/apis.ts"
import { ErrorCode } from "../wire/error-codes.ts"
import type { ElementOf, RecordsView, RequestOf, ResponseOf } from "../wire/schema.ts"
import { checkLeaderEpoch } from "./topic-access.ts"
import { bytesWithoutZstd, ZSTD_FROM } from "./zstd-for-old-clients.ts"

type Response = ResponseOf<typeof fetch>
type TopicAnswer = ElementOf<Response, "responses">
type PartitionAnswer = ElementOf<TopicAnswer, "partitions">

/** The isolation level that hides what a transaction has not committed. */
const READ_COMMITTED = 1
const NONE: ReadResult | undefined = undefined

/** What is wanted of one partition, and what was found. */
export interface Wanted {
  /** The topic as the request names it; the same object for all its partitions. */
  readonly group: { readonly topic: string; readonly topicId: string }
  /** Undefined where `knownError` says why. */
  readonly topic: TopicInfo | undefined
  readonly partition: number
  readonly offset: number
  readonly sizeMax: number
  /** The leader epoch that the client believes in, or -1. */
  readonly leaderEpoch: number
  /** An error that no reading can change; 0 = none. */
  readonly knownError: number
  errorCode: number
  state: PartitionState | undefined
  views: Array<RecordsView>
  /** Another shard, or a disk, answered for it. */
  isElsewhere: boolean
}

export class FetchPoll implements LogWaiter, TurnTask, Waiting {
  readonly #exchange: Exchange<typeof fetch>
  readonly #broker: Broker
  readonly #wanted: ReadonlyArray<Wanted>
  readonly #sizeMin: number
  readonly #sizeMax: number
  readonly #waitMsMax: number
  readonly #startedMs: number
  readonly #isReadCommitted: boolean
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

  constructor(
    exchange: Exchange<typeof fetch>,
    request: RequestOf<typeof fetch>,
    wanted: ReadonlyArray<Wanted>,
    broker: Broker
  ) {
    this.#exchange = exchange
    this.#broker = broker
    this.#wanted = wanted
    this.#sizeMin = request.minBytes
    this.#sizeMax = Math.min(Math.max(0, request.maxBytes), broker.settings.fetch_size_max)
    this.#waitMsMax = request.maxWaitMs
    this.#startedMs = broker.clock.monotonicMs()
    this.#isReadCommitted = request.isolationLevel === READ_COMMITTED
    exchange.waiting = this
  }

  begin(): void {
    if (this.#waitMsMax <= 0 || this.#wanted.length === 0) this.#isLast = true
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
    const { logs } = this.#broker
    let isLate = false
    const results = this.#wanted.map((wanted) => {
      const { topic, partition, offset, sizeMax } = wanted
      if (topic === undefined) return NONE
      const result = logs.read(topic, partition, offset, Math.min(sizeMax, this.#sizeMax))
      wanted.isElsewhere = result instanceof Promise
      isLate ||= wanted.isElsewhere
      return result
    })
    this.#wasLate = isLate
    if (!isLate) {
      this.#settle(results as ReadonlyArray<ReadResult | undefined>)
      return
    }
    this.#isReading = true
    Promise.all(results).then(
      (found) => {
        this.#isReading = false
        if (!this.#isOver) this.#settle(found)
      },
      (error) => {
        this.cancel()
        this.#exchange.fail(error)
      }
    )
  }

  #settle(results: ReadonlyArray<ReadResult | undefined>): void {
    let total = 0
    let hasError = false
    for (let index = 0; index < this.#wanted.length; index++) {
      const wanted = this.#wanted[index]
      if (wanted === undefined) continue
      wanted.views = []
      const found = results[index]
      const result = found === undefined ? undefined : this.#readable(found)
      wanted.state = result
      wanted.errorCode = wanted.knownError
      if (result !== undefined && wanted.errorCode === 0) wanted.errorCode = this.#errorOf(wanted, result)
      const isBarred = found !== undefined && found.bytes.length > 0 && result?.bytes.length === 0
      if (isBarred && wanted.errorCode === 0) wanted.errorCode = ErrorCode.UNSUPPORTED_COMPRESSION_TYPE
      if (wanted.errorCode !== 0) hasError = true
      else if (result !== undefined) total += this.#take(wanted, result, total)
    }
    if (hasError || this.#isLast || total >= this.#sizeMin) this.#answer(total)
    else this.#wait()
  }

  /** What of a reading this client can read. */
  #readable(result: ReadResult): ReadResult {
    if (this.#exchange.version >= ZSTD_FROM) return result
    const size = bytesWithoutZstd(result.bytes)
    return size === result.bytes.length ? result : { ...result, bytes: result.bytes.subarray(0, size) }
  }

  #errorOf(wanted: Wanted, result: ReadResult): number {
    // A log that is gone because its topic is: the client must ask for the topic anew.
    if (wanted.topic !== undefined && this.#broker.topics.findById(wanted.topic.id) === undefined) {
      return wanted.group.topic === "" ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    }
    // Before the offset: under another epoch it may mean another record.
    const epochError = result.leaderEpoch < 0 ? 0 : checkLeaderEpoch(wanted.leaderEpoch, result.leaderEpoch)
    return epochError === 0 ? errorOfRefusal(result.refusal) : epochError
  }

  /** Takes what fits of one partition; returns its size. `before` bytes were taken of the partitions before it. */
  #take(wanted: Wanted, result: ReadResult, before: number): number {
    const { topic, partition } = wanted
    const { bytes } = result
    if (topic === undefined || bytes.length === 0) return 0
    const room = Math.min(wanted.sizeMax, this.#sizeMax - before)
    let size = wholeBatches(bytes, room)
    if (size === 0 && before === 0) size = Math.max(0, recordBatch.batchSize(bytes, 0, bytes.length))
    if (size === 0) return 0
    wanted.views.push({ bytes, start: 0, end: size })
    // One reading ends where the engine's piece of memory does; what lies in the next piece is as near.
    for (let last = wanted.views[0]; last !== undefined && last.end === last.bytes.length && size < room; ) {
      const next = nextOffset(last)
      if (next >= result.highWatermark) break
      const more = this.#broker.logs.read(topic, partition, next, room - size)
      if (more instanceof Promise) {
        more.catch(() => {})
        break
      }
      const { bytes: piece } = this.#readable(more)
      const end = wholeBatches(piece, room - size)
      if (end === 0) break
      last = { bytes: piece, start: 0, end }
      wanted.views.push(last)
      size += end
      // The log may have gone on since the first reading: the high watermark that is told covers all that is given.
      wanted.state = more
    }
    return size
  }

  #wait(): void {
    const { logs, clock, counts } = this.#broker
    if (!this.#isWaiting) {
      this.#isWaiting = true
      counts.fetchesWaiting += 1
    }
    // Counted from the request: the first reading may have taken its time.
    this.#timer ??= clock.after(this.#startedMs + this.#waitMsMax - clock.monotonicMs(), () => this.finish())
    for (const { topic, partition, state, isElsewhere } of this.#wanted) {
      if (topic === undefined || state === undefined) continue
      this.#watches.push(logs.watch(topic, partition, state.highWatermark, this))
      // A log of this shard is watched from now on only; the owner of another looks at once.
      if (!this.#wasLate || isElsewhere) continue
      const now = logs.state(topic, partition)
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

  #answer(total: number): void {
    this.cancel()
    const { counts } = this.#broker
    counts.fetchedBytes += total
    const responses: Array<TopicAnswer & { partitions: Array<PartitionAnswer> }> = []
    let group: Wanted["group"] | undefined
    for (const wanted of this.#wanted) {
      if (wanted.group !== group) {
        group = wanted.group
        responses.push({ ...group, partitions: [] })
      }
      counts.error(wanted.errorCode)
      responses[responses.length - 1]?.partitions.push(this.#answerOf(wanted))
    }
    this.#exchange.complete({ responses })
  }

  #answerOf({ partition, errorCode, state, views }: Wanted): PartitionAnswer {
    const isRead = errorCode === 0 && state !== undefined
    const highWatermark = isRead ? state.highWatermark : -1
    return {
      partitionIndex: partition,
      errorCode,
      highWatermark,
      // Without transactions every record below the high watermark is stable.
      lastStableOffset: highWatermark,
      logStartOffset: isRead ? state.logStartOffset : -1,
      abortedTransactions: this.#isReadCommitted ? [] : null,
      records: views
    }
  }
}

/** Bytes of the whole batches at the front of `bytes` that fit in `sizeMax`. */
function wholeBatches(bytes: Uint8Array, sizeMax: number): number {
  if (bytes.length <= sizeMax) return bytes.length
  let size = 0
  while (size < bytes.length) {
    const batch = recordBatch.batchSize(bytes, size, bytes.length)
    if (batch < 0 || size + batch > sizeMax) break
    size += batch
  }
  return size
}

/** The offset after the last record of a view. */
function nextOffset({ bytes, start, end }: RecordsView): number {
  let last = start
  for (let position = start; position < end; ) {
    last = position
    const size = recordBatch.batchSize(bytes, position, end)
    if (size < 0) break
    position += size
  }
  return recordBatch.baseOffset(bytes, last) + recordBatch.lastOffsetDelta(bytes, last) + 1
}
