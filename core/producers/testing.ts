/** For tests: one log with its journal on a simulated disk, in processes that crash; and producers that repeat what was not answered. */
import { Effect, Scope } from "effect"
import type { DiskJournal } from "../journal/DiskJournal.ts"
import { DIRECTORY, NotingConsumer, NotingLog, smallOptions } from "../journal/fakes.ts"
import { type Durability, KIND_KEY_VALUE } from "../journal/Journal.ts"
import { decodeWrites } from "../journal/key-value-writes.ts"
import { openDiskJournal } from "../journal/open-disk-journal.ts"
import { AppendLine } from "../log/AppendLine.ts"
import { FAILED, type Partition, type PartitionEvents } from "../log/Engines.ts"
import { whenCommitted } from "../log/local-answers.ts"
import { PartitionLog } from "../log/PartitionLog.ts"
import * as recordBatch from "../log/record-batch.ts"
import type { Simulation } from "../platform/simulated.ts"
import type { SimulatedFiles } from "../platform/simulated-files.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { OrderedStore } from "../queue/fakes.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { ShardProducers } from "./ShardProducers.ts"

const KIND_BATCH = 9
const NOTHING = new Uint8Array(0)

interface Stored {
  readonly base: number
  readonly next: number
  readonly bytes: Uint8Array
  readonly index: number
}

/** A log whose batches it holds in an array; who has committed them is the kind's own. */
abstract class ArrayLog implements Partition {
  batches: Array<Stored> = []
  logStartOffset = 0
  highWatermark = 0
  leaderEpoch = 0
  events: PartitionEvents | undefined
  get logEndOffset(): number {
    return this.batches.at(-1)?.next ?? 0
  }
  get sizeBytes(): number {
    return this.batches.length
  }
  abstract tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, records: number): number
  protected put(bytes: Uint8Array, records: number, index: number): number {
    const base = this.logEndOffset
    recordBatch.writeBaseOffset(bytes, 0, base)
    this.batches.push({ base, next: base + records, bytes, index })
    return base
  }
  /** What is not committed is gone. */
  lose(): void {
    const before = this.batches.length
    this.batches = this.batches.filter(({ next }) => next <= this.highWatermark)
    if (this.batches.length === before) return
    this.leaderEpoch += 1
    this.events?.failed("the disk said no")
  }
  readUnsafe(offset: number): Uint8Array | undefined {
    const found = this.batches.find(({ next }) => next > offset)
    return found === undefined || found.next > this.highWatermark ? NOTHING : found.bytes
  }
  read(offset: number): Promise<Uint8Array> {
    return Promise.resolve(this.readUnsafe(offset) ?? NOTHING)
  }
  offsetForTimestamp(): Promise<undefined> {
    return Promise.resolve(undefined)
  }
  deleteBefore(): Promise<number> {
    return Promise.resolve(0)
  }
  truncateTo(): Promise<number> {
    return Promise.resolve(0)
  }
}

/** Its appends are operations of the journal. */
class JournaledLog extends ArrayLog {
  journal: DiskJournal | undefined
  readonly consumer: NotingConsumer

  constructor(store: OrderedStore) {
    super()
    const log = this
    this.consumer = new (class extends NotingConsumer {
      override replayUnsafe(index: number, kind: number, bytes: Uint8Array, start: number, end: number): void {
        if (kind === KIND_KEY_VALUE) store.apply(decodeWrites(bytes, start, end))
        else {
          const batch = bytes.slice(start, end)
          log.put(batch, recordBatch.recordCount(batch, 0), index)
          log.highWatermark = log.logEndOffset
        }
      }
      override committed(index: number, durability: Durability): void {
        if (durability !== "persistent") return
        const done = log.batches.findLast((batch) => batch.index <= index)
        if (done === undefined || done.next <= log.highWatermark) return
        log.highWatermark = done.next
        log.events?.committed()
      }
      override lost(): void {
        log.lose()
      }
    })([KIND_KEY_VALUE, KIND_BATCH])
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, records: number): number {
    const journal = this.journal
    if (journal === undefined || journal.refusal !== 0) return FAILED
    const batch = bytes.slice(start, end)
    recordBatch.writeBaseOffset(batch, 0, this.logEndOffset)
    journal.submitOperation(KIND_BATCH, "persistent", NOTHING, batch, 0, batch.length)
    return this.put(batch, records, journal.nextIndex)
  }
}

/** What an engine with a disk of its own has there. */
export class OwnDisk {
  batches: Array<Stored> = []
}

/** It commits by itself, later. */
class OwnLog extends ArrayLog {
  readonly #simulation: Simulation
  readonly #disk: OwnDisk
  isOver = false

  constructor(simulation: Simulation, disk: OwnDisk) {
    super()
    this.#simulation = simulation
    this.#disk = disk
    this.batches = [...disk.batches]
    this.highWatermark = this.logEndOffset
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, records: number): number {
    const base = this.put(bytes.slice(start, end), records, 0)
    const { chance, clock } = this.#simulation
    const batch = this.batches.at(-1)
    clock.after(chance.below(8), () => {
      const at = batch === undefined ? -1 : this.batches.indexOf(batch)
      if (this.isOver || at < 0) return
      if (chance.below(40) === 0) {
        this.lose()
        return
      }
      // In their order: what lies before it is on the disk when it is.
      for (const each of this.batches.slice(this.#disk.batches.length, at + 1)) this.#disk.batches.push(each)
      this.highWatermark = Math.max(this.highWatermark, batch?.next ?? 0)
      this.events?.committed()
    })
    return base
  }
}

const TOPIC: TopicInfo = {
  tenant: 0,
  name: "t",
  id: "t",
  partitions: 1,
  engine: "e",
  mode: "persistent",
  origin: "kafka"
}

export interface LifeOptions {
  readonly simulation: Simulation
  readonly files: SimulatedFiles
  /** Undefined = appends stand in the journal. */
  readonly disk: OwnDisk | undefined
}

/** One process on the disk. */
export class Life {
  readonly engine: ArrayLog
  readonly producers: ShardProducers
  readonly faults: Array<string> = []
  log: PartitionLog
  readonly #line = new AppendLine()
  readonly #parts: { readonly clock: Simulation["clock"]; readonly turn: TurnLoop; readonly producers: ShardProducers }

  private constructor({ simulation }: LifeOptions, engine: ArrayLog, journal: DiskJournal, store: OrderedStore) {
    this.engine = engine
    const { clock } = simulation
    const log = (line: string): void => void this.faults.push(line)
    this.producers = new ShardProducers({ clock, rows: { journal, store }, log, snapshotBytes: 600 })
    this.#parts = { clock, turn: new TurnLoop(clock), producers: this.producers }
    engine.events = { committed: () => this.log.committed(), failed: () => this.log.failed() }
    this.log = new PartitionLog(TOPIC, 0, engine, this.#parts)
  }

  static async begin(options: LifeOptions): Promise<Life> {
    const { simulation, files, disk } = options
    const { clock, random } = simulation
    await Effect.runPromise(files.ensureWritableDirectory(DIRECTORY))
    const store = new OrderedStore()
    const journaled = new JournaledLog(store)
    const parts = { directory: DIRECTORY, files, clock, turn: new TurnLoop(clock), log: new NotingLog(), random }
    const opening = Effect.gen(function* () {
      const { journal, recover } = yield* openDiskJournal({
        ...parts,
        stateDurability: "persistent",
        options: { ...smallOptions, segmentBytes: 262_144, journalBytesMax: 8_000_000 }
      })
      journal.bind(store)
      journal.register(journaled.consumer)
      yield* recover
      return journal
    })
    let isDone = false
    const scope = Scope.makeUnsafe()
    const opened = Effect.runPromise(Scope.provide(opening, scope)).finally(() => (isDone = true))
    opened.catch(() => {})
    while (!isDone) await simulation.runAsync(clock.monotonicMs())
    const journal = await opened
    journaled.journal = journal
    return new Life(options, disk === undefined ? journaled : new OwnLog(simulation, disk), journal, store)
  }

  /** The partition is closed, as when nobody has used it for a while, and opened again. */
  reopen(): void {
    if (!this.log.isSettled) return
    this.log.close()
    this.log = new PartitionLog(TOPIC, 0, this.engine, this.#parts)
  }

  /** The process is gone. */
  end(): void {
    if (this.engine instanceof OwnLog) this.engine.isOver = true
    this.engine.events = undefined
  }

  /** Appends a batch as a shard does; settled with the offset or a refusal. */
  async produce(bytes: Uint8Array): Promise<number> {
    if (!this.#line.mustWait(() => "t", this.log, bytes, 0)) return this.#append(this.log, bytes)
    return this.#line.wait({
      key: "t",
      bytes,
      findLog: () => this.log,
      append: (log) => (log === undefined ? FAILED : this.#append(log, bytes)),
      refused: (refusal) => refusal
    })
  }

  #append(log: PartitionLog, bytes: Uint8Array): number | Promise<number> {
    const offset = log.appendUnsafe(bytes, 0, bytes.length, recordBatch.recordCount(bytes, 0))
    const { tickets, producedTicket } = log
    if (offset < 0 || tickets === undefined) return offset
    return whenCommitted(tickets, producedTicket, (outcome) => Math.min(offset, outcome < 0 ? outcome : offset))
  }
}
