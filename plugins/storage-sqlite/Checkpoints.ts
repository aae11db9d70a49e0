/**
 * The store as the journal feeds it: what was committed is held in memory and put away now and then, in one transaction that also says
 * up to which entry it goes.
 *
 * Invariants
 *  - A checkpoint holds all that entries up to its index did and nothing of later ones, and is sent when these entries are synced.
 *  - One that failed is tried again as it was, until it is in the database; what comes meanwhile waits, reads go on.
 */
import {
  assert,
  ByteWriter,
  type ClockShape,
  type Durability,
  decodeWrites,
  type JournalConsumer,
  type JournalShape,
  KIND_KEY_VALUE,
  KIND_SQLITE,
  type LogShape,
  StorageError,
  type Timer,
  Unusable
} from "../../core/mod.ts"
import type { Operation } from "./Batch.ts"
import type { CommitAnswer, Failure, StoreState } from "./database/messages.ts"
import type { Epochs } from "./Epochs.ts"
import { type Partitions, writePiece } from "./Partitions.ts"
import { replayedOperation } from "./replayed-operation.ts"
import type { SqliteKeyValueStore } from "./SqliteKeyValueStore.ts"
import type { StoreThread } from "./StoreThread.ts"

const AREA = "storage-sqlite"
/** Bytes of a part; the loop turns between two of them. */
const PART_BYTES = 262_144
const RETRY_MS = 1_000
/** How often batches are forgotten for their age where nothing else is to be done. */
const AGE_INTERVAL_MS = 30_000
/** Between two sweeps, so that others get at the database. */
const SWEEP_PAUSE_MS = 20

export interface CheckpointsParts {
  readonly journal: JournalShape
  readonly thread: StoreThread
  readonly store: SqliteKeyValueStore
  readonly partitions: Partitions
  readonly epochs: Epochs
  readonly clock: ClockShape
  readonly log: LogShape
  readonly applied: number
  readonly intervalMs: number
  /** Bytes in memory above which a checkpoint begins at once. */
  readonly bytes: number
}

/** One that is under way. */
interface UnderWay {
  readonly index: number
  /** What it puts away; known when it is sent. */
  operations: ReadonlyArray<Operation>
  readonly isFinal: boolean
  startedMs: number
}

export class Checkpoints implements JournalConsumer {
  readonly name = AREA
  readonly kinds = [KIND_KEY_VALUE, KIND_SQLITE]
  appliedIndex: number
  /** Counters since the start. */
  checkpoints = 0
  failures = 0
  rows = 0
  lastMs = 0
  totalMs = 0
  readonly #parts: CheckpointsParts
  /** Entries up to this one are wholly in memory or in the database. */
  #index: number
  #underWay: UnderWay | undefined
  #timer: Timer | undefined
  #ageTimer: Timer | undefined
  #sweepTimer: Timer | undefined
  #isSweepDue = false
  #isAgeDue = false
  #isFailing = false
  #isWanted = false
  #isStopped = false
  /** The journal has been recovered: before, nothing is written, so that a start that fails leaves the files as they are. */
  #isLive = false
  /** Told when no checkpoint is under way. */
  #idle: Array<() => void> = []

  constructor(parts: CheckpointsParts) {
    this.#parts = parts
    this.appliedIndex = parts.applied
    this.#index = parts.applied
  }

  replayUnsafe(index: number, kind: number, bytes: Uint8Array, start: number, end: number): void {
    const { store, partitions, epochs } = this.#parts
    // The entry may have more operations.
    this.#index = Math.max(this.#index, index - 1)
    if (kind === KIND_KEY_VALUE) {
      epochs.replayed(0)
      store.apply(decodeWrites(bytes, start, end))
    } else partitions.replayed(index, replayedOperation(bytes, start, end))
    this.#later()
  }

  committed(index: number, durability: Durability): void {
    const { journal, partitions, epochs } = this.#parts
    epochs.resolve()
    this.#isLive = true
    // Key-value writes are applied when what this node asks for its state is committed; what is synced is applied in any case.
    if (durability === "persistent" || journal.tickets === journal.ticketsOf(durability)) {
      this.#index = Math.max(this.#index, index)
    }
    partitions.committed(index, durability)
    this.#look()
  }

  lost(index: number, refusal: number): void {
    this.#parts.partitions.lost(index, refusal)
  }

  checkpoint(): void {
    this.#isWanted = true
    this.#begin()
  }

  /** Bytes in memory that are not in the database, about. */
  get pendingBytes(): number {
    return this.#parts.store.residentBytes + this.#parts.partitions.pendingBytes
  }

  /** Begins to look after ages. */
  start(): void {
    const turn = (): void => {
      this.#ageTimer = this.#parts.clock.after(AGE_INTERVAL_MS, turn)
      if (!this.#parts.partitions.hasAges) return
      this.#isAgeDue = true
      this.#begin()
    }
    this.#ageTimer = this.#parts.clock.after(AGE_INTERVAL_MS, turn)
  }

  /**
   * Puts away everything that is committed now. Settled when it is done or an attempt has failed. `isFinal` marks the store as closed in
   * good order, until something else is put away.
   */
  async flush(isFinal = false): Promise<void> {
    const { journal, epochs } = this.#parts
    await journal.whenSynced(journal.nextIndex - 1).catch(() => {})
    while (this.#underWay !== undefined) {
      if (this.#isFailing) return
      await this.#whenIdle()
    }
    this.#index = Math.max(this.#index, journal.syncedIndex)
    epochs.resolve()
    this.#begin(isFinal)
    await this.#whenIdle()
  }

  /** Runs `work` while no checkpoint is under way; none begins before it has settled. Rejects with `StorageError`. */
  async between<Value>(work: () => Promise<Value>): Promise<Value> {
    while (this.#underWay !== undefined) {
      if (this.#isFailing) {
        const message = "the database takes no checkpoints now"
        throw new StorageError({ engine: "sqlite", reason: new Unusable({ message }) })
      }
      await this.#whenIdle()
    }
    const hold: UnderWay = { index: this.appliedIndex, operations: [], isFinal: false, startedMs: 0 }
    this.#underWay = hold
    try {
      return await work()
    } finally {
      this.#ended()
    }
  }

  /** The last checkpoint of this process, which marks the store as closed in good order; then nothing happens any more. */
  async stop(): Promise<void> {
    if (this.#isLive) {
      await this.flush()
      await this.flush(true)
    }
    this.abandon()
  }

  /** Nothing is put away any more. */
  abandon(): void {
    this.#isStopped = true
    for (const timer of [this.#timer, this.#ageTimer, this.#sweepTimer]) timer?.cancel()
  }

  /** What was committed may be enough for a checkpoint. */
  #look(): void {
    if (this.#underWay !== undefined || this.#isStopped) return
    const { store, partitions } = this.#parts
    if (!store.isDirty && partitions.pendingBytes === 0 && !partitions.hasOperations) {
      // Entries of others: their segments may go, too.
      if (this.#index > this.appliedIndex) this.#later()
      return
    }
    if (this.pendingBytes >= this.#parts.bytes && !this.#isFailing) this.#begin()
    else this.#later()
  }

  #later(): void {
    this.#timer ??= this.#parts.clock.after(this.#parts.intervalMs, () => {
      this.#timer = undefined
      this.#begin()
    })
  }

  #begin(isFinal = false): void {
    if (this.#underWay !== undefined || this.#isStopped || !this.#isLive) return
    const { journal, store } = this.#parts
    const index = this.#index
    if (index === this.appliedIndex && !this.#isAgeDue && !isFinal) return
    this.#isAgeDue = false
    this.#isWanted = false
    store.freeze()
    const underWay: UnderWay = { index, operations: [], isFinal, startedMs: 0 }
    this.#underWay = underWay
    const wait = (): void => {
      journal.whenSynced(index).then(
        () => this.#send(underWay),
        () => this.#again(wait)
      )
    }
    wait()
  }

  #again(attempt: () => void): void {
    this.#tellIdle()
    this.#timer?.cancel()
    this.#timer = this.#parts.clock.after(RETRY_MS, () => {
      this.#timer = undefined
      if (!this.#isStopped) attempt()
    })
  }

  /** Sends the pieces, a part a turn of the loop, then the commit. */
  #send(underWay: UnderWay): void {
    const { thread, store, partitions, epochs, clock } = this.#parts
    const { index, isFinal } = underWay
    // Only now: what is synced is not lost any more.
    const operations = partitions.operationsUpTo(index)
    underWay.operations = operations
    underWay.startedMs = clock.monotonicMs()
    const pieces = store.pieces()
    let at = 0
    const next = (): void => {
      const writer = new ByteWriter()
      while (writer.length < PART_BYTES) {
        const start = writer.length
        writer.uint32(0)
        const operation = operations[at]
        if (operation !== undefined) {
          at += 1
          writePiece(writer, operation)
        } else if (!pieces.next(writer)) {
          writer.length = start
          commit(writer)
          return
        }
        writer.setUint32(start, writer.length - start - 4)
      }
      thread.part(writer.bytes.slice(0, writer.length))
      clock.immediate(next)
    }
    const commit = (last: ByteWriter): void => {
      if (last.length > 0) thread.part(last.bytes.slice(0, last.length))
      const { limit } = epochs
      const state: Omit<StoreState, "keys"> = {
        applied: index,
        isClean: isFinal,
        epochBase: epochs.base,
        epochLast: epochs.last,
        epochLimit: limit
      }
      thread.ask<"commit">({ kind: "commit", state, trims: partitions.trimTasks(operations) }, (answer, failure) => {
        if (answer === undefined) this.#failed(underWay, failure)
        else {
          epochs.reserved(limit)
          this.#done(underWay, answer)
        }
      })
    }
    next()
  }

  #done(underWay: UnderWay, answer: CommitAnswer): void {
    const { store, partitions, clock, log, journal } = this.#parts
    assert(this.#underWay === underWay, "checkpoints come one after the other")
    this.checkpoints += 1
    this.rows += answer.rows
    this.lastMs = clock.monotonicMs() - underWay.startedMs
    this.totalMs += this.lastMs
    this.appliedIndex = underWay.index
    store.putAway(answer.keys)
    partitions.putAway(underWay.operations, answer.figures)
    if (this.#isFailing) {
      this.#isFailing = false
      log.info(AREA, "the database takes checkpoints again", { entry: underWay.index })
    }
    if (answer.isSweepDue) this.#sweep()
    journal.released()
    this.#ended()
  }

  #failed(underWay: UnderWay, failure: Failure | undefined): void {
    this.failures += 1
    if (!this.#isFailing) {
      this.#isFailing = true
      const reason = failure?.message ?? "unknown"
      this.#parts.log.error(AREA, "a checkpoint failed and is tried again; what was acknowledged is in the journal", {
        reason
      })
    }
    this.#again(() => this.#send(underWay))
  }

  #ended(): void {
    this.#underWay = undefined
    this.#tellIdle()
    if (this.#underWay !== undefined) return
    if (this.#isWanted) this.#begin()
    else this.#look()
  }

  #tellIdle(): void {
    const waiting = this.#idle
    this.#idle = []
    for (const tell of waiting) tell()
  }

  /** Settled when no checkpoint is under way, or the one that is has failed. */
  #whenIdle(): Promise<void> {
    if (this.#underWay === undefined || this.#isFailing) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  #sweep(): void {
    this.#isSweepDue = true
    this.#sweepTimer ??= this.#parts.clock.after(SWEEP_PAUSE_MS, () => {
      this.#sweepTimer = undefined
      if (this.#isStopped || !this.#isSweepDue) return
      this.#parts.thread.ask<"sweep">({ kind: "sweep" }, (answer) => {
        this.#isSweepDue = answer?.isSweepDue === true
        if (this.#isSweepDue) this.#sweep()
      })
    })
  }
}
