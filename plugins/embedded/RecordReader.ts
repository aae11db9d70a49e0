/**
 * Reading the log by offset, as a Kafka consumer does, without a socket.
 *
 * Invariants
 *  - Nothing past the high watermark is read; records come in the order of their offsets.
 *  - Memory is bounded by what one read returns, beyond a first batch that is larger.
 *  - A topic is found once, when reading begins: one that is made anew under its name is another topic.
 */
import {
  ALLOW,
  type LogWaiter,
  NOT_AVAILABLE,
  OUT_OF_RANGE,
  READ,
  type ReadResult,
  RecordCursor,
  recordBatch,
  type Timer,
  type TopicInfo
} from "../../core/mod.ts"
import { ReadError } from "./errors.ts"
import type { Lines } from "./PublishLine.ts"
import type { Closable, Services } from "./Services.ts"
import { StoredRecord } from "./StoredRecord.ts"

export interface ReadOptions {
  /** Where to begin; "beginning" where it is left out. By time: the first record that is at least as late, ms since 1970. */
  readonly from?: number | "beginning" | "end" | { readonly timestamp: number }
  /** Whether to wait for more at the end; else reading ends at what was the end when it began. */
  readonly follow?: boolean
  /** Bytes that one step reads; 1 MiB where it is left out. */
  readonly bytesMax?: number
  /** Ends a read that waits. */
  readonly signal?: AbortSignal
}

/** What one step read. */
export interface ReadStep {
  readonly records: ReadonlyArray<StoredRecord>
  /** Where to go on. */
  readonly nextOffset: number
  readonly logStartOffset: number
  readonly highWatermark: number
}

const BYTES_MAX = 1_048_576
/** A partition that goes away tells nobody who waits for it: look again so often. */
const LOOK_AGAIN_MS = 1_000

const messages: Readonly<Record<ReadError["reason"], string>> = {
  "unknown-topic": "there is no such topic, or no such partition of it",
  "not-authorized": "access rules forbid it",
  "out-of-range": "the offset is below the log start or above the high watermark",
  "not-available": "the partition is not open, or gone",
  storage: "its engine cannot read it",
  unreadable: "a stored batch cannot be decoded",
  closed: "the broker is closed"
}

/** Waits for records, for the end of the wait by others, or for the time to look again. */
class Wait implements LogWaiter, Closable {
  readonly #resolve: () => void
  constructor(resolve: () => void) {
    this.#resolve = resolve
  }
  logAdvanced(): void {
    this.#resolve()
  }
  close(): void {
    this.#resolve()
  }
}

export class RecordReader {
  readonly #services: Services
  readonly #lines: Lines
  readonly #topic: TopicInfo
  readonly #partition: number
  readonly #cursor = new RecordCursor()

  private constructor(services: Services, lines: Lines, topic: TopicInfo, partition: number) {
    this.#services = services
    this.#lines = lines
    this.#topic = topic
    this.#partition = partition
  }

  /** A reader of the partition; throws {@link ReadError}. */
  static open(services: Services, lines: Lines, topic: string, partition: number): RecordReader {
    const { topics, principal, access } = services
    const found = topics.find(principal.tenant, topic)
    const reason =
      found === undefined || !(partition >= 0 && partition < found.partitions)
        ? "unknown-topic"
        : access.checkUnsafe(principal, READ, topic) !== ALLOW
          ? "not-authorized"
          : undefined
    if (found !== undefined && reason === undefined) return new RecordReader(services, lines, found, partition)
    throw errorOf(topic, partition, reason ?? "unknown-topic")
  }

  /** The records from `offset` on, as many as fit in `bytesMax`; none at the high watermark. */
  async step(offset: number, bytesMax: number): Promise<ReadStep> {
    this.#checkOpen()
    if (!Number.isSafeInteger(offset)) throw this.#error("out-of-range")
    const result = await this.#services.logs.read(this.#topic, this.#partition, offset, bytesMax > 0 ? bytesMax : 1)
    if (result.refusal !== 0) throw this.#refusal(result)
    const records: Array<StoredRecord> = []
    const { logStartOffset, highWatermark } = result
    const nextOffset = this.#decode(result.bytes, offset, highWatermark, records)
    return { records, nextOffset, logStartOffset, highWatermark }
  }

  /** Every record from where `options` says, one after the other. */
  async *records({
    from,
    follow = false,
    bytesMax = BYTES_MAX,
    signal
  }: ReadOptions): AsyncGenerator<StoredRecord, void> {
    let offset = await this.#begin(from ?? "beginning")
    let end: number | undefined
    while (signal?.aborted !== true && !(follow && this.#lines.isClosed)) {
      const step = await this.step(offset, bytesMax)
      end ??= step.highWatermark
      for (const record of step.records) {
        if (!follow && record.offset >= end) return
        yield record
      }
      offset = step.nextOffset
      if (!follow && offset >= end) return
      if (offset >= step.highWatermark) await this.#advance(offset, signal)
    }
  }

  async #begin(from: NonNullable<ReadOptions["from"]>): Promise<number> {
    if (typeof from === "number") return from
    this.#checkOpen()
    const { logs } = this.#services
    const state = await logs.state(this.#topic, this.#partition)
    if (state.refusal !== 0) throw this.#refusal(state)
    if (from === "beginning") return state.logStartOffset
    if (from === "end") return state.highWatermark
    const found = await logs.offsetForTimestamp(this.#topic, this.#partition, from.timestamp)
    return found?.offset ?? state.highWatermark
  }

  /** Settles when there may be records at `offset`. */
  async #advance(offset: number, signal: AbortSignal | undefined): Promise<void> {
    const { logs, clock } = this.#services
    const { busy } = this.#lines
    const { promise, resolve } = Promise.withResolvers<void>()
    const wait = new Wait(resolve)
    busy.add(wait)
    const aborted = (): void => resolve()
    signal?.addEventListener("abort", aborted)
    const timer: Timer = clock.after(LOOK_AGAIN_MS, resolve)
    const unwatch = logs.watch(this.#topic, this.#partition, offset, wait)
    await promise
    unwatch()
    timer.cancel()
    signal?.removeEventListener("abort", aborted)
    busy.delete(wait)
  }

  /** Decodes whole batches, from one offset up to another; returns where to go on. */
  #decode(bytes: Uint8Array, from: number, to: number, records: Array<StoredRecord>): number {
    const cursor = this.#cursor
    let next = from
    let position = 0
    while (position < bytes.length) {
      const size = recordBatch.batchSize(bytes, position, bytes.length)
      if (size < 0 || cursor.reset(bytes, position, position + size) !== 0) throw this.#error("unreadable")
      next = Math.max(next, recordBatch.baseOffset(bytes, position) + recordBatch.lastOffsetDelta(bytes, position) + 1)
      // A transaction's marker is no record of anybody's.
      if (!cursor.isControl) {
        while (cursor.next()) {
          if (cursor.offset >= from && cursor.offset < to)
            records.push(new StoredRecord(this.#topic.name, this.#partition, cursor))
        }
        if (cursor.refusal !== 0) throw this.#error("unreadable")
      }
      position += size
    }
    cursor.release()
    return Math.min(next, to)
  }

  #checkOpen(): void {
    if (this.#lines.isClosed) throw this.#error("closed")
  }

  #refusal(state: Pick<ReadResult, "refusal" | "logStartOffset" | "highWatermark">): ReadError {
    if (state.refusal === OUT_OF_RANGE) return this.#error("out-of-range", state)
    return this.#error(state.refusal === NOT_AVAILABLE ? "not-available" : "storage", state)
  }

  #error(reason: ReadError["reason"], state?: { logStartOffset: number; highWatermark: number }): ReadError {
    return errorOf(this.#topic.name, this.#partition, reason, state)
  }
}

function errorOf(
  topic: string,
  partition: number,
  reason: ReadError["reason"],
  state = { logStartOffset: -1, highWatermark: -1 }
): ReadError {
  const { logStartOffset, highWatermark } = state
  return new ReadError({ topic, partition, reason, message: messages[reason], logStartOffset, highWatermark })
}
