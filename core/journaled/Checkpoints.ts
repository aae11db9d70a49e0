/**
 * A store as the journal feeds it: what was committed is held in memory and put away now and then, with the number of the entry up to
 * which that goes.
 *
 * Invariants
 *  - A checkpoint holds all that entries up to its index did and nothing of later ones, and is sent when these entries are synced.
 *  - One that failed is tried again as it was, until it is put away; what comes meanwhile waits, reads go on.
 */
import { assert } from "../assert.ts"
import type { Deletion } from "../budget/StorageAccount.ts"
import type { Durability, JournalConsumer, JournalShape } from "../journal/Journal.ts"
import { StorageError, Unusable } from "../log/Engines.ts"
import type { ClockShape, Timer } from "../platform/Clock.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { Operation } from "./Batch.ts"
import type { EpochState, Epochs } from "./Epochs.ts"
import type { JournaledPartitions } from "./JournaledPartitions.ts"
import { replayedOperation } from "./replayed-operation.ts"
import type { PartitionFigures, TrimTask } from "./Shelf.ts"

const RETRY_MS = 1_000
/** How often batches are forgotten for their age where nothing else is to be done. */
const AGE_INTERVAL_MS = 30_000
/** What was replayed stays in memory for so long where nobody asks for its room: who reads the store to start would wait behind it. */
export const REPLAYED_REST_MS = 5_000

/** What a checkpoint puts away. */
export interface Checkpoint extends EpochState {
  /** Entries of the journal up to this one are in it. */
  readonly applied: number
  /** What was done to partitions, in order. */
  readonly operations: ReadonlyArray<Operation>
  readonly trims: ReadonlyArray<TrimTask>
  /** What else retention takes, from whichever partitions have it. */
  readonly deletions: ReadonlyArray<Deletion>
}

/** Where checkpoints go, and what is put away beside partitions. */
export interface CheckpointTarget {
  /** Bytes in memory of what is not partitions', about. */
  readonly residentBytes: number
  /** There is something beside what partitions have. */
  readonly isDirty: boolean
  /** Recovery: an operation of another kind than the partitions' own. */
  replayed(kind: number, bytes: Uint8Array, start: number, end: number): void
  /** A checkpoint begins: what is there now belongs to it, what comes later does not. One that puts operations away begins so, and ends by `put` or is put again. */
  freeze(): void
  /** Puts a checkpoint away as a whole or not at all; tells how that left the partitions that it touched. Rejects with a reason. */
  put(checkpoint: Checkpoint): Promise<ReadonlyArray<PartitionFigures>>
}

export interface CheckpointsParts {
  /** For messages and the journal: "storage-sqlite"; its engine: "sqlite". */
  readonly name: string
  readonly engine: string
  /** Of the partitions' operations in the journal, and of others that are the target's. */
  readonly kind: number
  readonly otherKinds: ReadonlyArray<number>
  readonly journal: JournalShape
  readonly target: CheckpointTarget
  readonly partitions: JournaledPartitions
  readonly epochs: Epochs
  readonly clock: ClockShape
  readonly log: LogShape
  readonly applied: number
  /** The store is not there yet. */
  readonly isFresh?: boolean
  readonly intervalMs: number
  /** Bytes in memory above which a checkpoint begins at once. */
  readonly bytes: number
}

/** One that is under way. */
interface UnderWay {
  readonly index: number
  readonly isFinal: boolean
  readonly deletions: ReadonlyArray<WantedDeletion>
}

interface WantedDeletion {
  readonly deletion: Deletion
  readonly done: () => void
}

export class Checkpoints implements JournalConsumer {
  readonly name: string
  readonly kinds: ReadonlyArray<number>
  readonly isFresh: boolean
  appliedIndex: number
  /** Counters since the start. */
  checkpoints = 0
  failures = 0
  lastMs = 0
  totalMs = 0
  readonly #parts: CheckpointsParts
  /** Entries up to this one are wholly in memory or put away. */
  #index: number
  #underWay: UnderWay | undefined
  #timer: Timer | undefined
  #ageTimer: Timer | undefined
  #isAgeDue = false
  #isFailing = false
  #isWanted = false
  #isStopped = false
  /** The journal has been recovered: before, nothing is written, so that a start that fails leaves the files as they are. */
  #isLive = false
  /** Nothing of what was replayed is put away yet. */
  #isResting = false
  #prepared: Promise<void> | undefined
  /** Told when no checkpoint is under way. */
  #idle: Array<() => void> = []
  /** What the next checkpoint is to delete. */
  #deletions: Array<WantedDeletion> = []

  constructor(parts: CheckpointsParts) {
    this.#parts = parts
    this.name = parts.name
    this.kinds = [...parts.otherKinds, parts.kind]
    this.isFresh = parts.isFresh === true
    this.appliedIndex = parts.applied
    this.#index = parts.applied
  }

  beginsBehind(index: number): void {
    this.appliedIndex = index
    this.#index = index
  }

  replayUnsafe(index: number, kind: number, bytes: Uint8Array, start: number, end: number): void {
    const { target, partitions, epochs } = this.#parts
    // The entry may have more operations.
    this.#index = Math.max(this.#index, index - 1)
    if (kind === this.#parts.kind) partitions.replayed(index, replayedOperation(bytes, start, end))
    else {
      epochs.replayed(0)
      target.replayed(kind, bytes, start, end)
    }
    this.#later()
  }

  committed(index: number, durability: Durability): void {
    const { journal, partitions, epochs } = this.#parts
    epochs.resolve()
    if (!this.#isLive) {
      this.#isLive = true
      // So that nobody has to wait for it; who opens a partition sees to it where it failed.
      this.prepare().catch(() => {})
      this.#isResting = this.#index > this.appliedIndex
      this.#timer?.cancel()
      this.#timer = undefined
    }
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

  /** Bytes in memory that are not put away, about. */
  get pendingBytes(): number {
    return this.#parts.target.residentBytes + this.#parts.partitions.pendingBytes
  }

  /** Has a checkpoint delete what is oldest; settled when it is put away, or none will be any more. */
  deleteOldest(deletion: Deletion): Promise<void> {
    if (this.#isStopped) return Promise.resolve()
    return new Promise((done) => {
      this.#deletions.push({ deletion, done })
      this.#begin()
    })
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

  /** Whether leader epochs are reserved: partitions may be opened. */
  isPrepared = false

  /**
   * To be awaited before a partition is opened: leader epochs are reserved, so that none that was seen is given out again. Only then is
   * something written, so that a start which fails before leaves the files as they are. Rejects as the target does, or with `StorageError`.
   */
  prepare(): Promise<void> {
    this.#prepared ??= this.#reserve().catch((error) => {
      this.#prepared = undefined
      throw error
    })
    return this.#prepared
  }

  /** Runs `work` while no checkpoint is under way; none begins before it has settled. Rejects with `StorageError`. */
  async between<Value>(work: () => Promise<Value>): Promise<Value> {
    while (this.#underWay !== undefined) {
      if (this.#isFailing) {
        const message = "no checkpoint can be put away now"
        throw new StorageError({ engine: this.#parts.engine, reason: new Unusable({ message }) })
      }
      await this.#whenIdle()
    }
    const hold: UnderWay = { index: this.appliedIndex, isFinal: false, deletions: [] }
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
    for (const timer of [this.#timer, this.#ageTimer]) timer?.cancel()
    for (const { done } of [...this.#deletions, ...(this.#underWay?.deletions ?? [])]) done()
    this.#deletions = []
  }

  #reserve(): Promise<void> {
    const { epochs, target } = this.#parts
    return this.between(async () => {
      epochs.resolve()
      const { state } = epochs
      await target.put({
        ...state,
        applied: this.appliedIndex,
        isClean: false,
        operations: [],
        trims: [],
        deletions: []
      })
      epochs.reserved(state.epochLimit)
      this.isPrepared = true
    })
  }

  /** What was committed may be enough for a checkpoint. */
  #look(): void {
    if (this.#underWay !== undefined || this.#isStopped) return
    const { target, partitions } = this.#parts
    if (!target.isDirty && partitions.pendingBytes === 0 && !partitions.hasOperations) {
      // Entries of others: their segments may go, too.
      if (this.#index > this.appliedIndex) this.#later()
      return
    }
    if (this.pendingBytes >= this.#parts.bytes && !this.#isFailing && !this.#isResting) this.#begin()
    else this.#later()
  }

  #later(): void {
    const { clock, intervalMs } = this.#parts
    this.#timer ??= clock.after(this.#isResting ? Math.max(intervalMs, REPLAYED_REST_MS) : intervalMs, () => {
      this.#timer = undefined
      this.#begin()
    })
  }

  #begin(isFinal = false): void {
    if (this.#underWay !== undefined || this.#isStopped || !this.#isLive) return
    const { journal, target } = this.#parts
    const index = this.#index
    const isAsked = this.#isAgeDue || this.#deletions.length > 0
    if (index === this.appliedIndex && !isAsked && !isFinal) return
    this.#isAgeDue = false
    this.#isWanted = false
    this.#isResting = false
    target.freeze()
    const underWay: UnderWay = { index, isFinal, deletions: this.#deletions }
    this.#deletions = []
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

  #send(underWay: UnderWay): void {
    const { target, partitions, epochs, clock } = this.#parts
    const { index: applied, isFinal: isClean } = underWay
    // Only now: what is synced is not lost any more.
    const operations = partitions.operationsUpTo(applied)
    const startedMs = clock.monotonicMs()
    const { state } = epochs
    const trims = partitions.trimTasks(operations)
    const deletions = underWay.deletions.map(({ deletion }) => deletion)
    target.put({ ...state, applied, isClean, operations, trims, deletions }).then(
      (figures) => {
        assert(this.#underWay === underWay, "checkpoints come one after the other")
        this.lastMs = clock.monotonicMs() - startedMs
        this.totalMs += this.lastMs
        epochs.reserved(state.epochLimit)
        partitions.putAway(operations, figures)
        this.#done(underWay)
      },
      (error: unknown) => this.#failed(underWay, error)
    )
  }

  #done({ index, deletions }: UnderWay): void {
    const { log, journal } = this.#parts
    this.checkpoints += 1
    this.appliedIndex = index
    if (this.#isFailing) {
      this.#isFailing = false
      log.info(this.name, "the store takes checkpoints again", { entry: index })
    }
    journal.released()
    for (const { done } of deletions) done()
    this.#ended()
  }

  #failed(underWay: UnderWay, error: unknown): void {
    this.failures += 1
    if (!this.#isFailing) {
      this.#isFailing = true
      const reason = error instanceof Error ? error.message : String(error)
      this.#parts.log.error(
        this.name,
        "a checkpoint failed and is tried again; what was acknowledged is in the journal",
        { reason }
      )
    }
    this.#again(() => this.#send(underWay))
  }

  #ended(): void {
    this.#underWay = undefined
    this.#tellIdle()
    if (this.#underWay !== undefined) return
    if (this.#isWanted || this.#deletions.length > 0) this.#begin()
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
}
