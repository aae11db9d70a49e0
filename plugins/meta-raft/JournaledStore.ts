/**
 * The meta store of a node that keeps its state: the driver of one voter. A command becomes an entry of the log, the log lies in the
 * journal of the first store, what is committed is applied to the state, and a snapshot lets the journal recycle what is in it.
 *
 * It begins with the first call, which comes when the journal has been recovered.
 *
 * Invariants
 *  - A command is answered when its entry is stored and applied; everything that is read afterwards shows it. Reads need no round
 *    of their own: nobody but this voter can be the leader, and what it has applied holds all that was ever answered.
 *  - `appliedIndex` rises only when a snapshot that holds the entries up to it is durable.
 *  - Times of leases are the leader's own and not part of the state: after a start every lease runs anew.
 */
import { Effect, type Scope } from "effect"
import {
  assert,
  ByteWriter,
  type ClockShape,
  DISK_FULL,
  type Durability,
  type JournalConsumer,
  type JournalShape,
  KIND_META,
  type LogShape,
  type MetaChange,
  type MetaEntry,
  type MetaFound,
  MetaStoreError,
  type MetaStoreShape,
  type MetaTransaction,
  type MetaTransactionResult,
  TicketFifo,
  type Timer
} from "../../core/mod.ts"
import { type Entry, NOTHING_STORED, type Ready, StoredStateFault } from "./Consensus.ts"
import { COMMAND_BYTES_MAX, decodeCommand, encodeCommand, type MetaCommand, MetaFormatFault } from "./commands.ts"
import { LeaseTimes } from "./LeaseTimes.ts"
import { StoredLog, writeRecord } from "./log-record.ts"
import type { MetaOutcome, MetaState } from "./MetaState.ts"
import { SingleVoter } from "./SingleVoter.ts"
import type { SnapshotFile } from "./SnapshotFile.ts"
import { Snapshots } from "./Snapshots.ts"
import type { SnapshotHead } from "./snapshot-format.ts"
import { WAITING_MAX, WaitingCommands } from "./WaitingCommands.ts"
import { Watches } from "./Watches.ts"

/** This voter, among one. */
const VOTER = 1
/** While there is no leader the voter's clock ticks so often; an election is due after {@link ELECTION_TICKS}. */
export const TICK_MS = 100
export const ELECTION_TICKS = 10

const NO_BYTES = new Uint8Array(0)

export interface JournaledStoreParts {
  readonly journal: JournalShape
  readonly clock: ClockShape
  readonly log: LogShape
  readonly file: SnapshotFile
  /** As {@link SnapshotFile.load} has left it; it is the store's from then on. */
  readonly state: MetaState
  /** What that found. */
  readonly head: SnapshotHead | undefined
  /** Bytes that may be appended to a small snapshot, where a test says so. */
  readonly appendedBytesMin?: number
}

export class JournaledStore implements MetaStoreShape, JournalConsumer {
  readonly name = "meta-raft"
  readonly kinds = [KIND_META]
  readonly #journal: JournalShape
  readonly #clock: ClockShape
  readonly #watches = new Watches()
  readonly #state: MetaState
  readonly #leases: LeaseTimes
  readonly #snapshots: Snapshots
  readonly #stored: StoredLog
  readonly #writer = new ByteWriter()
  readonly #fifo: TicketFifo
  #voter = new SingleVoter({ id: VOTER, electionTicks: ELECTION_TICKS, stored: NOTHING_STORED })
  #hasBegun = false
  /** The journal has asked for a snapshot before it could be taken. */
  #isSnapshotWanted = false
  /** Why nothing can be read or written: a half sentence; "" = it can. */
  #fault = ""
  /** Why the last attempt to store was lost, while there is no leader since; "" = it was not. */
  #loss = ""
  readonly #waiting = new WaitingCommands()
  #pumpIsDue = false
  #isPumping = false
  #ticking: Timer | undefined
  /** The entry of the journal that holds what is being stored; 0 = nothing is. */
  #storingIndex = 0
  #committedIndex = 0
  #appliedTerm: number
  #appliedIndex: number

  constructor({ journal, clock, log, file, state, head, appendedBytesMin }: JournaledStoreParts) {
    this.#journal = journal
    this.#clock = clock
    this.#state = state
    state.changed = (changes) => {
      for (const { key } of changes) this.#snapshots.keyChanged(key)
      this.#watches.publish(changes)
    }
    this.#leases = new LeaseTimes(clock, (leases) => this.#expire(leases))
    this.#appliedIndex = head?.lastIndex ?? 0
    this.#appliedTerm = head?.lastTerm ?? 0
    this.#committedIndex = head?.journalIndex ?? 0
    this.#stored = new StoredLog({
      hardState: head?.hardState ?? NOTHING_STORED.hardState,
      snapshotIndex: this.#appliedIndex,
      snapshotTerm: this.#appliedTerm
    })
    this.#snapshots = new Snapshots({
      file,
      clock,
      log,
      journalIndex: this.#committedIndex,
      source: {
        entriesFrom: (start) => state.entriesFrom(start),
        stored: (key) => state.stored(key),
        head: () => this.#head()
      },
      durable: () => journal.released(),
      appendedBytesMin
    })
    this.#fifo = new TicketFifo({ released: (outcome) => this.#storingEnded(outcome), releasedAll: () => this.#pump() })
    journal.register(this)
  }

  // What the journal calls.

  get appliedIndex(): number {
    return this.#snapshots.journalIndex
  }

  replayUnsafe(_index: number, _kind: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#fault !== "") return
    try {
      this.#stored.add(bytes, start, end)
    } catch (error) {
      this.#broken(error)
    }
  }

  committed(index: number, durability: Durability): void {
    if (durability === "persistent") this.#committedIndex = index
  }

  lost(): void {
    // The tickets say so too, each its own.
  }

  checkpoint(): void {
    // Before it has begun its state is not yet that of the journal.
    if (!this.#hasBegun) this.#isSnapshotWanted = true
    else if (this.#fault === "") this.#snapshots.wanted()
  }

  // What the node calls.

  get(key: string): Effect.Effect<MetaEntry | undefined, MetaStoreError> {
    return this.#read(() => this.#state.get(key))
  }

  range(prefix: string, cursor: string, limit: number): Effect.Effect<ReadonlyArray<MetaEntry>, MetaStoreError> {
    return this.#read(() => this.#state.range(prefix, cursor, limit))
  }

  transact(transaction: MetaTransaction): Effect.Effect<MetaTransactionResult, MetaStoreError> {
    return this.#run({ kind: "transact", transaction }).pipe(
      Effect.map((outcome) =>
        outcome.kind === "transacted" ? outcome.result : { committed: false, revision: this.#state.revision }
      )
    )
  }

  watch(
    prefix: string,
    changed: (change: MetaChange) => void,
    found?: MetaFound
  ): Effect.Effect<void, MetaStoreError, Scope.Scope> {
    const begin = this.#read(() => this.#watches.add(prefix, changed, this.#state, found))
    return Effect.acquireRelease(begin, (end) => Effect.sync(end)).pipe(Effect.asVoid)
  }

  grantLease(ttlMs: number): Effect.Effect<number, MetaStoreError> {
    if (!(ttlMs > 0 && ttlMs <= Number.MAX_SAFE_INTEGER)) {
      return Effect.fail(new MetaStoreError({ message: `a lease of ${ttlMs} ms cannot be granted` }))
    }
    return this.#run({ kind: "grant", ttlMs: Math.ceil(ttlMs) }).pipe(Effect.map(leaseOf))
  }

  keepLeaseAlive(lease: number): Effect.Effect<void, MetaStoreError> {
    const ended = new MetaStoreError({ message: `lease ${lease} has ended` })
    return Effect.suspend(() => {
      const ttlMs = this.#state.ttlMsOf(lease)
      if (ttlMs === undefined) return Effect.fail(ended)
      // While the command is on its way its lease must not be found to have ended.
      this.#leases.renew(lease, ttlMs)
      return this.#run({ kind: "keep-alive", lease }).pipe(
        Effect.flatMap((outcome) => (leaseOf(outcome) === 0 ? Effect.fail(ended) : Effect.void))
      )
    })
  }

  revokeLease(lease: number): Effect.Effect<void, MetaStoreError> {
    return this.#run({ kind: "revoke", lease }).pipe(Effect.asVoid)
  }

  /** Writes all that was answered until now into a copy of the store; tells up to which entry of the journal it goes. */
  copyTo(file: SnapshotFile): Effect.Effect<number, string> {
    return Effect.suspend(() => {
      const fault = this.#begin()
      if (fault !== "") return Effect.fail(fault)
      return Effect.tryPromise({
        try: () => this.#snapshots.whole((write) => file.copy(write)),
        catch: (error) => {
          if (typeof error === "string") return error
          throw error
        }
      })
    })
  }

  /** Ends what waits; done when nothing is being written any more. */
  close(): Effect.Effect<void> {
    return Effect.promise(async () => {
      this.#fault ||= "the node is stopping"
      this.#ticking?.cancel()
      this.#leases.close()
      this.#waiting.fail(this.#fault)
      await this.#snapshots.close()
    })
  }

  /** Begins where that has not been done; returns why it cannot, or "". */
  #begin(): string {
    if (this.#hasBegun || this.#fault !== "") return this.#fault
    this.#hasBegun = true
    try {
      this.#voter = new SingleVoter({ id: VOTER, electionTicks: ELECTION_TICKS, stored: this.#stored })
      this.#stored.entries.length = 0
      // All that was stored is committed, and applied before anything else is done.
      this.#pump()
    } catch (error) {
      this.#broken(error)
      return this.#fault
    }
    this.#committedIndex = Math.max(this.#committedIndex, this.#journal.syncedIndex)
    for (const { lease, ttlMs } of this.#state.leases()) this.#leases.renew(lease, ttlMs)
    this.#voter.campaign()
    this.#pumpSoon()
    if (this.#isSnapshotWanted) this.#snapshots.wanted()
    return ""
  }

  #broken(error: unknown): void {
    if (!(error instanceof MetaFormatFault || error instanceof StoredStateFault)) throw error
    this.#fault = `the log in the journal cannot be used: ${error.message}; restore the data directory from a backup`
  }

  #read<Value>(look: () => Value): Effect.Effect<Value, MetaStoreError> {
    return Effect.suspend(() => {
      const fault = this.#begin()
      return fault === "" ? Effect.succeed(look()) : Effect.fail(new MetaStoreError({ message: fault }))
    })
  }

  #run(command: MetaCommand): Effect.Effect<MetaOutcome, MetaStoreError> {
    return Effect.callback((resume) => {
      const refusal = this.#begin() || this.#loss
      const data = encodeCommand(command)
      const refuse = (message: string): void => resume(Effect.fail(new MetaStoreError({ message })))
      if (refusal !== "") refuse(refusal)
      else if (data.length > COMMAND_BYTES_MAX) {
        refuse(`the change has ${data.length} bytes; ${COMMAND_BYTES_MAX} are the most`)
      } else if (this.#waiting.isFull) {
        refuse(`${WAITING_MAX} changes wait to be stored; try again`)
      } else {
        const index = this.#voter.propose(data)
        assert(index > 0, "a voter that has lost nothing is the leader")
        this.#waiting.add(index, resume)
        this.#pumpSoon()
      }
    })
  }

  #expire(leases: ReadonlyArray<number>): void {
    Effect.runFork(Effect.ignore(this.#run({ kind: "expire", leases })))
  }

  /** What is proposed in one go is stored in one go. */
  #pumpSoon(): void {
    if (this.#pumpIsDue) return
    this.#pumpIsDue = true
    this.#clock.microtask(() => {
      this.#pumpIsDue = false
      this.#pump()
    })
  }

  /** The driver's loop: goes on until something is being stored or nothing is left to do. */
  #pump(): void {
    if (this.#isPumping) return
    this.#isPumping = true
    try {
      while (this.#storingIndex === 0 && this.#voter.hasReady) {
        const ready = this.#voter.ready()
        for (const entry of ready.committed) this.#apply(entry)
        if (ready.hardState === undefined) this.#voter.advance()
        else this.#store(ready, ready.hardState)
      }
    } finally {
      this.#isPumping = false
    }
  }

  #store({ entries }: Ready, hardState: NonNullable<Ready["hardState"]>): void {
    const writer = this.#writer
    writer.reset()
    writeRecord(writer, hardState, entries)
    this.#storingIndex = this.#journal.nextIndex
    const { bytes, length } = writer
    const ticket = this.#journal.submitOperation(KIND_META, "persistent", NO_BYTES, bytes, 0, length)
    this.#fifo.push(this.#journal.ticketsOf("persistent"), ticket, 0, 0)
  }

  #storingEnded(outcome: number): void {
    this.#storingIndex = 0
    if (outcome === 0) {
      this.#loss = ""
      this.#voter.advance()
      return
    }
    this.#voter.lost()
    const why = outcome === DISK_FULL ? "the disk is full" : "a write or a sync of the journal failed"
    this.#loss = `the change was not stored: ${why}; try again`
    this.#waiting.fail(this.#loss)
    this.#tickLater()
  }

  /** Until there is a leader again the voter's clock runs; it stands for election only where its vote can be stored. */
  #tickLater(): void {
    this.#ticking?.cancel()
    this.#ticking = this.#clock.after(TICK_MS, () => {
      if (this.#voter.role === "leader" || this.#fault !== "") return
      if (this.#journal.refusal === 0) this.#voter.tick()
      this.#tickLater()
      this.#pump()
    })
  }

  #apply(entry: Entry): void {
    const outcome = this.#applyStored(entry)
    if (outcome !== undefined) this.#waiting.applied(entry.index, outcome)
  }

  /** Applies an entry to the state; undefined where it holds no command. */
  #applyStored({ index, term, data }: Entry): MetaOutcome | undefined {
    this.#appliedIndex = index
    this.#appliedTerm = term
    if (data.length === 0) return undefined
    const command = decodeCommand(data)
    const outcome = this.#state.apply(command)
    if (command.kind !== "transact") this.#keepTime(command, outcome)
    this.#snapshots.applied()
    return outcome
  }

  #keepTime(command: MetaCommand, outcome: MetaOutcome): void {
    const lease = leaseOf(outcome)
    const ttlMs = this.#state.ttlMsOf(lease)
    if (command.kind === "expire") for (const each of command.leases) this.#leases.forget(each)
    else if (ttlMs === undefined) this.#leases.forget(lease)
    else this.#leases.renew(lease, ttlMs)
  }

  /** What a snapshot of now says beside the entries. */
  #head(): SnapshotHead {
    const journalIndex = this.#storingIndex === 0 ? this.#committedIndex : this.#storingIndex - 1
    return {
      journalIndex: Math.min(this.#committedIndex, journalIndex),
      lastIndex: this.#appliedIndex,
      lastTerm: this.#appliedTerm,
      hardState: { ...this.#voter.hardState, commit: this.#appliedIndex },
      revision: this.#state.revision,
      nextLease: this.#state.nextLease,
      leases: [...this.#state.leases()]
    }
  }
}

function leaseOf(outcome: MetaOutcome): number {
  return outcome.kind === "lease" ? outcome.lease : 0
}
