/** For tests: a journal that a test commits, loses and starts again, and a store on it. */
import { Effect, type Scope } from "effect"
import {
  type ClockShape,
  type Durability,
  type FilesShape,
  type JournalConsumer,
  type JournalEntry,
  type JournalShape,
  type LogShape,
  TicketStream
} from "../../core/mod.ts"
import { JournaledStore } from "./JournaledStore.ts"
import { MetaState } from "./MetaState.ts"
import { SnapshotFile } from "./SnapshotFile.ts"

interface Kept {
  readonly index: number
  readonly kind: number
  readonly bytes: Uint8Array
}

/** One entry an operation. What is committed outlives `restarted`. */
export class FakeJournal implements JournalShape {
  readonly tickets = new TicketStream()
  refusal = 0
  nextIndex = 1
  syncedIndex = 0
  releases = 0
  /** Commits by itself, soon. */
  isCommitting = true
  consumer: JournalConsumer | undefined
  readonly kept: Array<Kept> = []
  #open: Array<Kept> = []
  readonly #clock: ClockShape

  constructor(clock: ClockShape) {
    this.#clock = clock
  }

  ticketsOf(): TicketStream {
    return this.tickets
  }
  submit(_entry: JournalEntry): number {
    return this.tickets.issue()
  }
  submitOperation(
    kind: number,
    _durability: Durability,
    head: Uint8Array,
    bytes: Uint8Array,
    start: number,
    end: number
  ): number {
    const whole = new Uint8Array([...head, ...bytes.subarray(start, end)])
    this.#open.push({ index: this.nextIndex++, kind, bytes: whole })
    if (this.isCommitting) this.#clock.microtask(() => this.commit())
    return this.tickets.issue()
  }
  register(consumer: JournalConsumer): void {
    this.consumer = consumer
  }
  released(): void {
    this.releases += 1
  }
  whenSynced(): Promise<void> {
    return Promise.resolve()
  }

  /** Entries that are submitted and neither committed nor lost. */
  get openCount(): number {
    return this.#open.length
  }

  commit(): void {
    const open = this.#open
    this.#open = []
    if (open.length === 0) return
    this.kept.push(...open)
    this.syncedIndex = this.nextIndex - 1
    this.consumer?.committed(this.syncedIndex, "persistent")
    this.tickets.commit(this.tickets.issued)
  }

  /** What is open is lost; its indexes are given again. `isLeftBehind`: its bytes are found by the next start all the same. */
  lose(refusal: number, isLeftBehind = false): void {
    const first = this.#open[0]
    if (first === undefined) return
    const open = this.#open
    this.#open = []
    this.nextIndex = first.index
    if (isLeftBehind) {
      this.kept.push(...open)
      this.nextIndex += open.length
    }
    this.consumer?.lost(first.index, refusal)
    this.tickets.fail(this.tickets.committed + 1, this.tickets.issued, refusal)
    this.tickets.commit(this.tickets.issued)
  }

  /** The journal as the next process finds it; entries up to `recycledIndex` are gone. */
  restarted(recycledIndex = 0): FakeJournal {
    const next = new FakeJournal(this.#clock)
    next.kept.push(...this.kept.filter(({ index }) => index > recycledIndex))
    next.nextIndex = (this.kept.at(-1)?.index ?? 0) + 1
    next.syncedIndex = next.nextIndex - 1
    return next
  }

  /** Replays to the consumer what it has not applied. */
  recover(): void {
    const { consumer } = this
    if (consumer === undefined) return
    const above = consumer.appliedIndex
    for (const { index, kind, bytes } of this.kept) {
      // Within other bytes, as a journal on disk gives it.
      const around = new Uint8Array([7, ...bytes, 7])
      if (index > above) consumer.replayUnsafe(index, kind, around, 1, around.length - 1)
    }
  }
}

export const silent: LogShape = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  isEnabled: () => false
}

export interface OpenStoreParts {
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly journal: FakeJournal
  readonly log?: LogShape
  readonly appendedBytesMin?: number
}

/** A store over `/store`, its journal recovered. Fails as the plugin would. */
export function openStore({
  files,
  clock,
  journal,
  log = silent,
  ...more
}: OpenStoreParts): Effect.Effect<JournaledStore, string, Scope.Scope> {
  return Effect.gen(function* () {
    yield* Effect.ignore(files.ensureWritableDirectory("/store"))
    const file = new SnapshotFile(files, clock, "/store")
    const state = new MetaState()
    const head = yield* file.load(state)
    const store = new JournaledStore({ journal, clock, log, file, state, head, ...more })
    yield* Effect.addFinalizer(() => store.close())
    journal.recover()
    return store
  })
}

/** A clock whose time a simulation has, and whose microtasks are the host's: so promises settle without anybody's help. */
export function hostTurns(clock: ClockShape): ClockShape {
  return {
    nowMs: () => clock.nowMs(),
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, task) => clock.after(delayMs, task),
    microtask: (task) => queueMicrotask(task),
    immediate: (task) => void setImmediate(task)
  }
}
