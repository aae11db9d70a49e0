/**
 * Copies the log of one partition to its {@link FutureLog} while it is written and read: what is there, then what comes.
 *
 * Invariants
 *  - Copied are committed batches, in order, with offsets, leader epochs and bytes as they are.
 *  - Memory: one read of at most {@link READ_BYTES} (or one batch). Bytes a second: `bytesPerSecond`, but for the rest, which appends
 *    wait for ({@link PartitionCopy.drain}).
 *  - Where the log in use has lost or cut something (its leader epoch rises), what was copied is forgotten and copied anew.
 */
import { BACKLOG, type Partition } from "../log/Engines.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import { baseOffset, batchSize } from "../log/record-batch.ts"
import type { ClockShape } from "../platform/Clock.ts"
import type { FutureLog } from "./FutureLog.ts"

/** Of one read, beyond a first batch that is larger; of a slow copy it is what it may have in {@link READ_MS}. */
export const READ_BYTES = 262_144
const READ_BYTES_MIN = 4_096
const READ_MS = 100
/** Between two looks at a log of which all is copied, or at a target that takes nothing now. */
const PAUSE_MS = 20

export interface PartitionCopyParts {
  readonly partition: number
  /** The log in use; undefined while it is being opened. */
  readonly source: () => PartitionLog | undefined
  readonly future: FutureLog
  readonly bytesPerSecond: number
  readonly clock: Pick<ClockShape, "after" | "monotonicMs">
}

export class PartitionCopy {
  /** Bytes of batches that were copied, again too. */
  copiedBytes = 0
  /** Why it cannot be done, for a person. */
  failure = ""
  readonly partition: number
  readonly future: FutureLog
  readonly #parts: PartitionCopyParts
  readonly #readBytes: number
  #running: Promise<void> = Promise.resolve()
  #isHalted = true
  /** Leader epoch of the log in use when what is copied was begun; -1 = nothing was. */
  #epoch = -1
  #wake: (() => void) | undefined

  constructor(parts: PartitionCopyParts) {
    this.#parts = parts
    this.#readBytes = Math.min(READ_BYTES, Math.max(READ_BYTES_MIN, (parts.bytesPerSecond * READ_MS) / 1_000))
    this.partition = parts.partition
    this.future = parts.future
  }

  /** Bytes of the log in use, copied or not. */
  get totalBytes(): number {
    return this.#parts.source()?.sizeBytes ?? 0
  }

  /** Records that are committed and not copied; every one before anything is. */
  get lag(): number {
    const source = this.#parts.source()
    if (source === undefined || this.#epoch !== source.leaderEpoch) return Number.POSITIVE_INFINITY
    return source.highWatermark() - this.future.endOffset
  }

  /** Copies until it is halted. */
  start(): void {
    if (!this.#isHalted || this.failure !== "") return
    this.#isHalted = false
    this.#running = this.#run().catch((error) => {
      this.failure = String(error instanceof Error ? error.message : error)
    })
  }

  /** Settled when nothing is copied any more. */
  async halt(): Promise<void> {
    this.#isHalted = true
    this.#wake?.()
    await this.#running
  }

  /** As {@link PartitionCopy.halt}, for good. */
  close(): Promise<void> {
    this.lost("the node stops")
    return this.halt()
  }

  /** The engine has lost what was copied and not committed: it cannot be told what. */
  lost(reason: string): void {
    if (this.failure === "") this.failure = reason
  }

  /**
   * Copies what is left of a log that nobody appends to, as fast as it goes, while `goesOn`; returns whether all of it is copied and
   * committed. To be called while it is halted. Rejects where a log cannot be read.
   */
  async drain(source: PartitionLog, goesOn: () => boolean): Promise<boolean> {
    while (goesOn() && this.failure === "") {
      if (this.#epoch === source.leaderEpoch && this.future.endOffset === source.nextOffset) {
        const { logStartOffset } = source
        if (this.future.partition.logStartOffset < logStartOffset) await this.#deleteBefore(logStartOffset)
        if (this.future.isCommitted) return goesOn()
        await this.#pause(1)
      } else if ((await this.#step(source)) === 0 && goesOn()) {
        const isEnd = this.#epoch === source.leaderEpoch && this.future.endOffset >= source.highWatermark()
        if (isEnd && this.future.endOffset !== source.nextOffset) {
          this.failure = `its log ends at ${source.nextOffset}, behind a gap, and the copy at ${this.future.endOffset}`
        } else await this.#pause(1)
      }
    }
    return false
  }

  async #run(): Promise<void> {
    const { source, clock, bytesPerSecond } = this.#parts
    while (!this.#isHalted && this.failure === "") {
      const log = source()
      const startedMs = clock.monotonicMs()
      const bytes = log === undefined ? 0 : await this.#step(log)
      const tookMs = clock.monotonicMs() - startedMs
      await this.#pause(bytes === 0 ? PAUSE_MS : Math.max(0, (bytes * 1_000) / bytesPerSecond - tookMs))
    }
  }

  /** One read of the log in use; returns how many bytes were copied. */
  async #step(source: PartitionLog): Promise<number> {
    const { future } = this
    const { leaderEpoch } = source
    if (this.#epoch !== leaderEpoch || future.endOffset > source.highWatermark()) {
      await this.#begin(source)
      return 0
    }
    // What retention took meanwhile is not copied: a gap, below which all is deleted in the end.
    const from = Math.max(future.endOffset, source.logStartOffset)
    if (from >= source.highWatermark()) {
      if (from > future.endOffset) await this.#begin(source)
      return 0
    }
    const bytes = await this.#read(source, from, this.#readBytes)
    if (bytes === undefined || source.leaderEpoch !== leaderEpoch) return 0
    let position = 0
    while (position < bytes.length && this.failure === "") {
      const end = position + Math.max(1, batchSize(bytes, position, bytes.length))
      const isCopied = endOffsetOf(bytes, position) <= future.endOffset
      const refusal = isCopied ? 0 : future.copyUnsafe(bytes, position, end)
      if (refusal === BACKLOG) break
      if (refusal < 0) this.failure = `what it is copied to refused a batch (${refusal})`
      else position = end
    }
    this.copiedBytes += position
    return position
  }

  /** Begins the copy where the log in use begins: at the base of its first batch, or where it ends. */
  async #begin(source: PartitionLog): Promise<void> {
    const { leaderEpoch, logStartOffset } = source
    const isEmpty = logStartOffset >= source.highWatermark()
    const first = isEmpty ? undefined : await this.#read(source, logStartOffset, 1)
    const isThere = first !== undefined && first.length > 0
    if (!isEmpty && !isThere) return
    await this.future.begin(isThere ? baseOffset(first, 0) : logStartOffset, leaderEpoch)
    if (source.leaderEpoch === leaderEpoch) this.#epoch = leaderEpoch
  }

  /** Undefined where the log has meanwhile lost or forgotten what was asked for: then it is asked for something else. */
  async #read(source: PartitionLog, from: number, maxBytes: number): Promise<Uint8Array | undefined> {
    const { leaderEpoch } = source
    try {
      return source.readUnsafe(from, maxBytes) ?? (await source.read(from, maxBytes))
    } catch (error) {
      if (source.logStartOffset > from || source.leaderEpoch !== leaderEpoch) return undefined
      throw error
    }
  }

  async #deleteBefore(offset: number): Promise<void> {
    const { partition }: { readonly partition: Partition } = this.future
    await partition.deleteBefore(offset)
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#parts.clock.after(ms, resolve)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }
}
