/**
 * One partition in one file of JSON lines.
 *
 * Invariants
 *  - Mode hybrid: the high watermark is the end of the log, for the operating system has what was written. Mode persistent: it is what a
 *    sync has made durable; one sync serves all that wait.
 *  - After a sync that failed nothing above the high watermark is there: the file is cut, the leader epoch rises, and that is durable
 *    before the next batch is taken.
 *  - What cuts or replaces the file runs one at a time (`#serial`).
 */
import { Effect } from "effect"
import {
  BACKLOG,
  copyBytes,
  DISK_FULL,
  FileError,
  type OffsetAndTimestamp,
  type Partition,
  type PartitionOptions,
  READ_ONLY,
  recordBatch
} from "manifold"
import { BlockReader } from "./BlockReader.ts"
import type { Blocks } from "./Blocks.ts"
import { damaged, storageError, unusable } from "./errors.ts"
import { LineFile, lineOf } from "./LineFile.ts"
import { encodeBatch, encodeState } from "./line.ts"
import type { PartitionParts } from "./PartitionParts.ts"
import { Serial } from "./Serial.ts"
import { SyncLoop } from "./SyncLoop.ts"
import { type Found, recover } from "./scan.ts"
import { nextOffset, Tail } from "./Tail.ts"

const EMPTY = new Uint8Array(0)

export class JsonlPartition implements Partition {
  logStartOffset: number
  highWatermark: number
  logEndOffset: number
  leaderEpoch: number
  readonly #parts: PartitionParts
  readonly #options: PartitionOptions
  readonly #file: LineFile
  readonly #blocks: Blocks
  readonly #reader: BlockReader
  readonly #tail: Tail
  readonly #loop: SyncLoop
  /** Where in the file what is not forgotten begins. */
  #live = 0
  /** Records below were synced; their lines end at `#durableSize` in the file. */
  #durable = 0
  #durableSize = 0
  /** Why no batch is taken now, or 0. */
  #refusal = 0
  #isClosed = false
  /** A write that failed and has not been told of. */
  #failure: unknown
  /** What cuts, replaces or closes the file. */
  readonly #serial = new Serial()
  #isRewriting = false
  #deadBytesMin: number

  /** Opens the file `name` in `folder`, or makes it, and reads it through. Rejects with `StorageError`. */
  static async open(
    parts: PartitionParts,
    folder: string,
    name: string,
    options: PartitionOptions
  ): Promise<JsonlPartition> {
    const file = new LineFile(parts.files, folder, name)
    try {
      await Effect.runPromise(parts.files.remove(file.newPathname))
      const found = await recover(file, parts.log)
      if (file.size > found.size) {
        const fields = { file: file.pathname, bytes: file.size - found.size, offset: found.end }
        parts.log.warn("storage-jsonl", "cut what a crash left half written", fields)
        file.cut(found.size)
      }
      const partition = new JsonlPartition(parts, options, file, found)
      partition.#live = (await partition.#reader.lineOf(found.start, found.end)).position
      partition.#writeState("open")
      await file.sync()
      partition.#synced(found.end, file.size)
      return partition
    } catch (error) {
      file.close()
      throw storageError(error)
    }
  }

  private constructor(parts: PartitionParts, options: PartitionOptions, file: LineFile, found: Found) {
    this.#parts = parts
    this.#options = options
    this.#file = file
    this.#blocks = found.blocks
    this.#reader = new BlockReader(file, found.blocks)
    this.#tail = new Tail(parts.tailBytesMax)
    const delayMs = options.mode === "persistent" ? 0 : parts.flushMs
    const isDue = (): boolean =>
      this.#failure !== undefined || (this.#refusal !== READ_ONLY && this.#durable < this.logEndOffset)
    this.#loop = new SyncLoop(parts.clock, delayMs, () => this.#syncOrLose(), isDue)
    this.#deadBytesMin = parts.deadBytesMin
    this.#durable = found.durable
    this.logStartOffset = found.start
    this.highWatermark = found.end
    this.logEndOffset = found.end
    this.leaderEpoch = found.isClean ? found.epoch : found.epoch + 1
  }

  get sizeBytes(): number {
    return this.logStartOffset === this.logEndOffset ? 0 : this.#file.size - this.#live
  }

  /** Bytes of the file, forgotten lines among them. */
  get fileBytes(): number {
    return this.#file.size
  }

  get pathname(): string {
    return this.#file.pathname
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    if (this.#isClosed) return READ_ONLY
    if (this.#refusal !== 0) return this.#refusal
    const isPersistent = this.#options.mode === "persistent"
    const position = this.#file.size
    if (isPersistent && position - this.#durableSize > this.#parts.unsyncedBytesMax) return BACKLOG
    const offset = this.logEndOffset
    const at = this.#parts.clock.nowMs()
    const batch = this.#tail.append(bytes, start, end, offset, this.leaderEpoch)
    try {
      this.#file.append(encodeBatch(batch, 0, batch.length, at, this.#durable))
    } catch (error) {
      this.#tail.undo(batch)
      if (error instanceof FileError && error.code === "disk-full") return DISK_FULL
      this.#refusal = READ_ONLY
      this.#failure = error
      this.#loop.now()
      return READ_ONLY
    }
    this.#blocks.add(offset, position, recordBatch.maxTimestamp(batch, 0), at)
    this.logEndOffset += recordCount
    if (!isPersistent) this.highWatermark = this.logEndOffset
    this.#trim(at)
    this.#loop.soon()
    return offset
  }

  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined {
    if (offset < this.logStartOffset || offset > this.highWatermark) return undefined
    return offset === this.highWatermark ? EMPTY : this.#tail.read(offset, this.highWatermark, maxBytes)
  }

  async read(offset: number, maxBytes: number): Promise<Uint8Array> {
    const resident = this.readUnsafe(offset, maxBytes)
    if (resident !== undefined) return resident
    if (offset < this.logStartOffset || offset > this.highWatermark) return EMPTY
    const { highWatermark, leaderEpoch } = this
    const batches: Array<Uint8Array> = []
    let size = 0
    try {
      await this.#reader.visit(offset, maxBytes, (batch) => {
        const isFirst = batches.length === 0
        if (isFirst && nextOffset(batch, 0) <= offset) return true
        const isCommitted = recordBatch.baseOffset(batch, 0) < highWatermark
        if (!isCommitted || (!isFirst && size + batch.length > maxBytes)) return false
        batches.push(batch)
        size += batch.length
        return size < maxBytes
      })
    } catch (error) {
      // What was read before the damage is good; a log that was cut meanwhile was read amiss.
      if (batches.length === 0 && leaderEpoch === this.leaderEpoch) throw error
    }
    // What was asked for may have been forgotten or cut while the disk was read.
    if (offset < this.logStartOffset || leaderEpoch !== this.leaderEpoch) return EMPTY
    const [first] = batches
    if (first === undefined || recordBatch.baseOffset(first, 0) > offset) throw damaged(offset)
    if (batches.length === 1) return first
    const joined = new Uint8Array(size)
    let at = 0
    for (const batch of batches) at = copyBytes(batch, 0, batch.length, joined, at)
    return joined
  }

  offsetForTimestamp(timestamp: number): Promise<OffsetAndTimestamp | undefined> {
    return this.#reader.findTimestamp(timestamp, this)
  }

  deleteBefore(offset: number): Promise<number> {
    return this.#serial.run(async () => {
      const target = Math.min(offset, this.highWatermark)
      if (this.#refusal !== 0 || target <= this.logStartOffset) return this.logStartOffset
      const line = await this.#reader.lineOf(target, this.logEndOffset)
      this.#forget(target, line.position)
      this.#writeState("open")
      if (this.#options.mode === "persistent") await this.#file.sync()
      return this.logStartOffset
    })
  }

  truncateTo(offset: number): Promise<number> {
    return this.#serial.run(async () => {
      if (this.#refusal !== 0) return this.logEndOffset
      const { leaderEpoch } = this
      this.#refusal = BACKLOG
      await this.#loop.hold()
      try {
        const line = await this.#reader.lineOf(Math.max(offset, this.logStartOffset), this.logEndOffset)
        // Where no batch is kept the log ends where it was asked to, even below what was its start.
        const end = line.offset > this.logStartOffset ? line.offset : Math.min(line.offset, offset)
        if (end < this.logEndOffset) await this.#rewrite({ position: line.position, end })
        else {
          this.leaderEpoch += 1
          this.#writeState("open")
        }
        await this.#file.sync()
        this.#synced(end, this.#file.size)
      } catch (error) {
        // Cut, but nobody knows whether the disk has it.
        if (this.leaderEpoch > leaderEpoch) this.#refusal = READ_ONLY
        throw error
      } finally {
        if (this.#refusal === BACKLOG) this.#refusal = 0
        this.#loop.release()
      }
      return this.logEndOffset
    })
  }

  /** Commits what is there, marks the file as closed in good order, and gives it back. */
  close(): Promise<void> {
    this.#isClosed = true
    return this.#serial.run(async () => {
      await this.#loop.stop()
      try {
        if (this.#refusal !== 0) return
        await this.#sync()
        this.#writeState("closed")
        await this.#file.sync()
      } finally {
        this.#file.close()
      }
    })
  }

  /** Gives the file back as it is: it is to be removed. */
  abandon(): Promise<void> {
    this.#isClosed = true
    return this.#serial.run(async () => {
      await this.#loop.stop()
      this.#file.close()
    })
  }

  /** One pass of the loop. */
  async #syncOrLose(): Promise<void> {
    try {
      if (this.#failure !== undefined) throw this.#failure
      await this.#sync()
    } catch (error) {
      await this.#lose(error)
    }
  }

  async #sync(): Promise<void> {
    const { logEndOffset } = this
    const { size } = this.#file
    await this.#file.sync()
    this.#synced(logEndOffset, size)
  }

  #synced(end: number, size: number): void {
    this.#durable = end
    this.#durableSize = size
    if (this.highWatermark >= end) return
    this.highWatermark = end
    this.#options.events.committed()
  }

  /** A write or a sync failed: what was promised stays, what was not is given up, and it is not tried again. */
  async #lose(error: unknown): Promise<void> {
    this.#failure = undefined
    const { events, mode } = this.#options
    this.leaderEpoch += 1
    if (mode === "hybrid") {
      // All of it was acknowledged, and nobody knows what of it the disk has: the next opening reads and tells.
      this.#refusal = READ_ONLY
      events.failed(`${lineOf(error)}; the partition takes no more batches until the next start`)
      return
    }
    this.#refusal = BACKLOG
    this.#cutTo(this.#durableSize, this.highWatermark)
    events.failed(lineOf(error))
    try {
      // Every epoch so far stands in what was synced, so the file can be cut in place. Synced twice: behind the new end nothing of the
      // old one may come back, whatever of the new line is on the disk.
      this.#file.cut(this.#durableSize)
      await this.#file.sync()
      this.#writeState("open")
      await this.#file.sync()
      this.#synced(this.logEndOffset, this.#file.size)
      this.#refusal = 0
    } catch (another) {
      this.#refusal = READ_ONLY
      const fields = { file: this.#file.pathname, reason: lineOf(another) }
      this.#parts.log.error("storage-jsonl", "a partition takes no more batches until the next start", fields)
    }
  }

  /** Ends the log, in memory, at `end`, whose line begins at `position`. */
  #cutTo(position: number, end: number): void {
    this.logEndOffset = end
    this.highWatermark = Math.min(this.highWatermark, end)
    this.logStartOffset = Math.min(this.logStartOffset, end)
    this.#durable = Math.min(this.#durable, end)
    this.#durableSize = Math.min(this.#durableSize, position)
    this.#live = Math.min(this.#live, position)
    this.#blocks.cut(this.logStartOffset === end ? 0 : position)
    this.#tail.clear()
  }

  #writeState(state: "open" | "closed"): void {
    const { logStartOffset: start, logEndOffset: next, leaderEpoch: epoch } = this
    const at = this.#parts.clock.nowMs()
    this.#file.append(encodeState({ state, start, next, epoch, at, durable: this.#durable }))
  }

  /** Forgets by whole blocks what the limits do not allow. */
  #trim(nowMs: number): void {
    const first = this.#blocks.firstWithin(this.#options.limits, nowMs, this, this.#file.size)
    if (first === undefined) return
    this.#forget(first.offset, first.position)
    try {
      this.#writeState("open")
    } catch {
      // Told by the next append, which fails too. Until it is written, a restart brings back what was forgotten, and forgets it anew.
    }
  }

  /** Moves the log start to `offset`; the line that holds it begins at `position`. */
  #forget(offset: number, position: number): void {
    this.logStartOffset = Math.max(this.logStartOffset, offset)
    this.#live = Math.max(this.#live, position)
    this.#blocks.dropFirst(this.#blocks.find(offset))
    if (this.#isRewriting || this.#live < this.#deadBytesMin || this.#live < this.#file.size - this.#live) return
    this.#isRewriting = true
    void this.#serial
      .run(() => this.#rewrite())
      .catch((error: unknown) => {
        if (this.#isClosed) return
        this.#deadBytesMin = this.#live * 2
        const fields = { file: this.#file.pathname, reason: lineOf(error) }
        this.#parts.log.warn("storage-jsonl", "a file keeps what was forgotten", fields)
      })
      .then(() => {
        this.#isRewriting = false
      })
  }

  /**
   * Writes the file anew without what was forgotten, while it goes on growing; or, to cut it, up to `cut` and under a new leader epoch.
   * A cut in place could lose, with the lines, that an epoch was ever given out.
   */
  async #rewrite(cut?: { readonly position: number; readonly end: number }): Promise<void> {
    const before = this.leaderEpoch
    const epoch = cut === undefined ? before : before + 1
    const isOff = (): boolean => this.#isClosed || this.leaderEpoch !== before
    const { size } = this.#file
    const end = cut?.end ?? this.logEndOffset
    const start = Math.min(this.logStartOffset, end)
    const line = start === end ? { position: size, offset: end } : await this.#reader.lineOf(start, end)
    const at = this.#parts.clock.nowMs()
    const durable = Math.min(this.#durable, end)
    const head = encodeState({ state: "open", start, next: line.offset, epoch, at, durable })
    const to = cut === undefined ? undefined : Math.max(line.position, cut.position)
    const copy = await this.#file.copy(head, line.position, to, isOff)
    if (copy === undefined) throw unusable(`${this.#file.pathname} was closed or cut meanwhile`)
    await this.#loop.hold()
    try {
      if (isOff()) {
        await this.#file.drop(copy)
        return
      }
      await this.#file.replaceBy(copy, () => {
        if (cut !== undefined) this.#cutTo(cut.position, end)
        this.leaderEpoch = epoch
        this.#blocks.shift(copy.shift, head.length)
        this.#live = Math.max(head.length, this.#live + copy.shift)
        this.#durableSize = Math.max(head.length, this.#durableSize + copy.shift)
        this.#deadBytesMin = this.#parts.deadBytesMin
      })
    } finally {
      if (cut === undefined) this.#loop.release()
    }
  }
}
