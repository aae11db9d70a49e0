/**
 * The journal of a shard on its disk: what the turns of the loop submitted, each an entry, in segments.
 *
 * One sync at a time. While it is under way, entries that ask for it wait in memory and are written together when it ends; one with
 * hybrid operations is written at the end of its turn, with all that wait before it. At low load nothing stands between the end of a
 * turn, the write, the sync and the commit.
 *
 * Invariants
 *  - Told at commit, in this order: the key-value store, the consumers, who waits for tickets.
 *  - After a write or a sync that failed every operation that was not told as committed is lost, its ticket ends with a refusal, and
 *    what was told as committed and not synced is written again.
 *  - What was refused for one operation of a turn is refused for all that come in this turn: an action is never half there.
 */
import { assert } from "../assert.ts"
import type { KeyValueStoreShape } from "../kv/KeyValueStore.ts"
import { BACKLOG, DISK_FULL, FAILED, StorageError } from "../log/Engines.ts"
import type { Timer } from "../platform/Clock.ts"
import type { FileError } from "../platform/Files.ts"
import type { TurnTask } from "../platform/Turn.ts"
import type { LogFields } from "../telemetry/log-line.ts"
import { Backlog } from "./Backlog.ts"
import { Consumers } from "./Consumers.ts"
import type { DiskJournalParts, JournalPosition } from "./disk-journal-parts.ts"
import { type Entry, EntryBatch } from "./EntryBatch.ts"
import { EntryWriter, type EntryWriterEvents } from "./EntryWriter.ts"
import { entryChecksum, KIND_CLOSED } from "./entry-format.ts"
import { Gatherer } from "./Gatherer.ts"
import type { Durability, JournalConsumer, JournalEntry, JournalShape } from "./Journal.ts"
import { rewriteEntries } from "./rewrite-entries.ts"
import type { Segment, Segments } from "./Segments.ts"
import { SyncWaiters, whyLost } from "./SyncWaiters.ts"
import { TicketStream } from "./TicketStream.ts"

/** Between two attempts to go on after a failure. */
const RETRY_MS = 1_000
const NOTHING = new Uint8Array(0)

export class DiskJournal implements JournalShape, TurnTask {
  nextIndex = 1
  syncedIndex = 0
  /** Counters since the start: entries and operations that were closed, failures of the disk, entries that recovery read. */
  entries = 0
  operations = 0
  failures = 0
  recoveredEntries = 0
  readonly parts: DiskJournalParts
  readonly #consumers = new Consumers()
  readonly #writer: EntryWriter
  readonly #hybrid = new TicketStream()
  readonly #persistent = new TicketStream()
  #store: KeyValueStoreShape | undefined
  #isStarted = false
  #isClosed = false
  #isDeferred = false
  #refusal = 0
  /** Something was refused in this turn. */
  #isRefusing = false
  /** The refusal ends with this turn. */
  #refusalEnds = false
  readonly #gatherer = new Gatherer()
  readonly #backlog: Backlog
  readonly #syncWaiters = new SyncWaiters()
  #failure: FileError | undefined
  /** Until the first entry of a new segment is synced. */
  #isRenewing = false
  #timer: Timer | undefined
  #started: (() => void) | undefined

  constructor(parts: DiskJournalParts) {
    this.parts = parts
    const { directory, files, clock, random, options } = parts
    const { segmentBytes, flushIntervalMs } = options
    const events: EntryWriterEvents = {
      written: (entries) => this.#written(entries),
      synced: (entries) => this.#synced(entries),
      failed: (error) => this.#failed(error)
    }
    const checksum = parts.checksum ?? entryChecksum
    this.#writer = new EntryWriter({ directory, files, clock, random, segmentBytes, flushIntervalMs, checksum, events })
    const look = (): void => {
      if (!this.#isDeferred) this.#regulate()
    }
    this.#backlog = new Backlog(clock, this.#consumers, this.#writer.segments, options.journalBytesMax, look)
  }

  get tickets(): TicketStream {
    return this.ticketsOf(this.parts.stateDurability)
  }

  get refusal(): number {
    return this.#refusal
  }

  get isHeldUp(): boolean {
    return this.#refusal === BACKLOG && this.#backlog.givesWay
  }

  /** Of entries, written since the start. */
  get bytes(): number {
    return this.#writer.bytes
  }

  get writes(): number {
    return this.#writer.writes
  }

  get syncs(): number {
    return this.#writer.syncs
  }

  get lastSyncMs(): number {
    return this.#writer.lastSyncMs
  }

  /** Live segments; their sizes are in `segmentBytes`. */
  get segments(): number {
    return this.#writer.segments.live.length
  }

  get segmentBytes(): number {
    return this.#writer.segments.liveBytes
  }

  /** What its files take: those that are in use, or about to be, and those that wait to be used again. */
  get fileBytes(): { readonly usedBytes: number; readonly freeBytes: number } {
    return this.#writer.segments.fileBytes
  }

  get consumers(): ReadonlyArray<JournalConsumer> {
    return this.#consumers.all
  }

  ticketsOf(durability: Durability): TicketStream {
    return durability === "persistent" ? this.#persistent : this.#hybrid
  }

  /** Sets the store that key-value writes are applied to; once, before the first of them. */
  bind(store: KeyValueStoreShape): void {
    this.#store = store
  }

  register(consumer: JournalConsumer): void {
    assert(!this.#isStarted, "a consumer is registered before the journal is replayed")
    this.#consumers.all.push(consumer)
  }

  submit(entry: JournalEntry): number {
    const durability = this.parts.stateDurability
    const ticket = this.#ticket(durability)
    if (this.#refusal === 0) this.#gatherer.addWrites(entry.writes, durability, ticket)
    return ticket
  }

  submitOperation(
    kind: number,
    durability: Durability,
    head: Uint8Array,
    bytes: Uint8Array,
    start: number,
    end: number
  ): number {
    const ticket = this.#ticket(durability)
    if (this.#refusal === 0) this.#gatherer.add(kind, durability, ticket, head, bytes, start, end)
    return ticket
  }

  released(): void {
    if (!this.#isStarted) return
    this.#writer.segments.recycle(Math.min(this.syncedIndex, this.#consumers.applied))
    if (!this.#isDeferred) this.#regulate()
  }

  whenSynced(index: number): Promise<void> {
    assert(index <= this.nextIndex, "what is waited for has an entry")
    const wanted = Math.min(index, this.#gatherer.isGathering ? this.nextIndex : this.nextIndex - 1)
    if (wanted <= this.syncedIndex) return Promise.resolve()
    if (this.#failure !== undefined || this.#isClosed) return Promise.reject(whyLost(this.#failure))
    const synced = this.#syncWaiters.wait(wanted)
    this.#writer.want(wanted)
    this.#writer.flush()
    return synced
  }

  /**
   * Goes on after recovery, whose last entry was `lastIndex` and which left `live` behind. Settled when the disk has taken the first
   * entry of a new segment, or has refused it: then the journal refuses, too, until the disk takes it.
   */
  start(lastIndex: number, live: ReadonlyArray<Segment>, journalId: Uint8Array, nextNumber: number): Promise<void> {
    assert(!this.#isStarted, "a journal is replayed once")
    this.#isStarted = true
    const { segments } = this.#writer
    segments.journalId = journalId
    segments.nextNumber = nextNumber
    segments.live.push(...live)
    this.#writer.lastSynced = lastIndex
    this.nextIndex = Math.max(lastIndex, this.#consumers.appliedByOne) + 1
    this.syncedIndex = this.nextIndex - 1
    this.#refusal = FAILED
    return new Promise((resolve) => {
      this.#started = resolve
      this.#renew([])
    })
  }

  /** Segments, for recovery: it gives files another use. */
  get segmentFiles(): Segments {
    return this.#writer.segments
  }

  /** Where the journal stands once everything that was submitted is synced: for a copy of its files. */
  async position(): Promise<JournalPosition> {
    const release = this.#writer.segments.hold(() => this.released())
    try {
      await this.whenSynced(this.nextIndex)
    } catch (error) {
      release()
      throw error
    }
    return { index: this.#writer.lastSynced, segments: this.#writer.segments.synced(), release }
  }

  /** Writes and syncs what is there, says so in a last entry, and closes the files. What is submitted from then on is refused. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    if (this.#isStarted && this.#failure === undefined) {
      try {
        if (this.#gatherer.isGathering) this.#seal()
        await this.whenSynced(this.nextIndex)
        this.#gatherer.add(KIND_CLOSED, "persistent", this.#persistent.issued, NOTHING, NOTHING, 0, 0)
        this.#seal()
        await this.whenSynced(this.nextIndex)
      } catch (error) {
        // It is closed as a crash would close it: everything that was acknowledged is there.
        if (!(error instanceof StorageError)) throw error
      }
    }
    this.#isClosed = true
    this.#refusal = FAILED
    this.#timer?.cancel()
    this.#backlog.close()
    await this.#writer.close()
  }

  endTurn(): void {
    this.#isDeferred = false
    if (this.#gatherer.isGathering) this.#seal()
    if (this.#isRefusing) this.#endRefused()
    this.#writer.flush()
    if (!this.#isDeferred) this.#regulate()
  }

  #ticket(durability: Durability): number {
    assert(this.#isStarted, "a journal takes nothing before it was replayed")
    const stream = this.ticketsOf(durability)
    const ticket = stream.issue()
    if (this.#refusal !== 0) {
      stream.fail(ticket, ticket, this.#refusal)
      this.#isRefusing = true
    }
    if (!this.#isDeferred) {
      this.#isDeferred = true
      this.parts.turn.deferFlush(this)
    }
    return ticket
  }

  #seal(): void {
    const entry = this.#gatherer.seal(this.nextIndex)
    this.nextIndex += 1
    this.entries += 1
    this.operations += entry.operations
    this.#writer.add(entry)
  }

  /** What was refused in this turn ends, behind what was submitted before it. */
  #endRefused(): void {
    this.#isRefusing = false
    this.#consumers.lost(this.nextIndex, this.#refusal)
    // After a failure nothing that is under way has a ticket.
    const isAlone = this.#failure !== undefined || this.#isClosed
    const unwritten = isAlone ? undefined : this.#writer.lastWaiting
    const unsynced = isAlone ? undefined : this.#writer.lastPending
    if (unwritten === undefined) this.#hybrid.commit(this.#hybrid.issued)
    else unwritten.hybridTicket = this.#hybrid.issued
    if (unsynced === undefined) this.#persistent.commit(this.#persistent.issued)
    else unsynced.persistentTicket = this.#persistent.issued
  }

  #written(entries: ReadonlyArray<Entry>): void {
    this.#gatherer.turnOver(this.#writer.lastWaiting)
    let ticket = 0
    let index = 0
    for (const entry of entries) {
      ticket = Math.max(ticket, entry.hybridTicket)
      if (!entry.hasHybrid || entry.isHandedOver) continue
      index = entry.index
      entry.isHandedOver = true
      if (this.parts.stateDurability === "hybrid") this.#apply(entry)
    }
    if (index > 0) this.#consumers.committed(index, "hybrid")
    this.#hybrid.commit(ticket)
  }

  #synced(entries: ReadonlyArray<Entry>): void {
    let ticket = 0
    for (const entry of entries) {
      this.syncedIndex = entry.index
      ticket = Math.max(ticket, entry.persistentTicket)
      this.#apply(entry)
      this.#gatherer.giveBack(entry)
    }
    if (this.#isRenewing) this.#renewed()
    this.#consumers.committed(this.syncedIndex, "persistent")
    this.#persistent.commit(ticket)
    this.#syncWaiters.synced(this.syncedIndex)
    if (!this.#isDeferred) this.#regulate()
  }

  /** Ends what was not committed, and goes on in a new segment: at once the first time, later now and then. */
  #failed(error: FileError): void {
    const isFirst = this.#failure === undefined
    const from = this.syncedIndex + 1
    const abandoned = this.#writer.abandon()
    this.failures += 1
    this.#failure = error
    this.#isRenewing = false
    this.#refusalEnds = false
    this.#refusal = error.code === "disk-full" ? DISK_FULL : FAILED
    const { pathname: path, reason } = error
    if (isFirst) this.#log("error", "the journal takes nothing until the disk does", { path, reason })
    this.#gatherer.drop()
    const kept = rewriteEntries(abandoned)
    this.#consumers.lost(from, this.#refusal)
    for (const stream of [this.#hybrid, this.#persistent]) stream.failAll(this.#refusal)
    this.#syncWaiters.lost(error)
    if (isFirst && this.#started === undefined) this.#renew(kept)
    else this.#later(() => this.#renew(kept))
    this.#tellStarted()
  }

  /** Begins a new segment with these entries, or with an empty one that voids what the disk may have beyond the last sync. */
  #renew(entries: ReadonlyArray<Entry>): void {
    const added = entries.length > 0 ? entries : [new EntryBatch().sealEmpty(this.nextIndex++)]
    this.#isRenewing = true
    this.#writer.restart()
    for (const entry of added) this.#writer.add(entry)
    this.#writer.want(this.nextIndex - 1)
    this.#writer.flush()
  }

  #renewed(): void {
    this.#isRenewing = false
    if (this.#failure !== undefined) this.#log("info", "the journal takes what comes again", {})
    this.#failure = undefined
    // Of the turn that is under way a part may have been refused.
    if (this.#isDeferred) this.#refusalEnds = true
    else this.#refusal = 0
    this.#tellStarted()
  }

  #tellStarted(): void {
    this.#started?.()
    this.#started = undefined
  }

  /** Keeps the journal within its bounds; called when no turn is under way. */
  #regulate(): void {
    if (this.#isClosed) return
    if (this.#refusalEnds) {
      this.#refusalEnds = false
      this.#refusal = 0
    }
    const isOver = this.#backlog.isOver(this.#writer.waitingBytes)
    if (this.#refusal === 0 && isOver) this.#refusal = BACKLOG
    else if (this.#refusal === BACKLOG && !isOver) this.#refusal = 0
  }

  /** Tries again after a while. */
  #later(task: () => void): void {
    if (this.#isClosed) return
    this.#timer ??= this.parts.clock.after(RETRY_MS, () => {
      this.#timer = undefined
      if (!this.#isClosed) task()
    })
  }

  #apply(entry: Entry): void {
    const { writes } = entry
    if (writes === undefined) return
    entry.writes = undefined
    assert(this.#store !== undefined, "a journal that takes key-value writes has a store to apply them to")
    for (const each of writes) this.#store.apply(each)
  }

  #log(level: "error" | "info", message: string, fields: LogFields): void {
    this.parts.log[level]("journal", message, { directory: this.parts.directory, ...fields })
  }
}
