/** What tests of the journal put behind it: a store and a consumer that note what they are given, and a journal on a simulated disk. */
import { Effect, Exit, Scope } from "effect"
import type { KeyValueStoreShape, KeyValueWrite } from "../kv/KeyValueStore.ts"
import { Simulation } from "../platform/simulated.ts"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { TurnLoop } from "../platform/Turn.ts"
import type { LogShape } from "../telemetry/Log.ts"
import type { LogFields } from "../telemetry/log-line.ts"
import type { DiskJournal } from "./DiskJournal.ts"
import type { DiskJournalOptions, DiskJournalParts } from "./disk-journal-parts.ts"
import type { Durability, JournalConsumer } from "./Journal.ts"
import { openDiskJournal } from "./open-disk-journal.ts"

export const DIRECTORY = "/store"

/** A store that notes the batches it was given. */
export class NotingStore implements KeyValueStoreShape {
  readonly applied: Array<ReadonlyArray<KeyValueWrite>> = []
  readonly size = 0
  get = (): undefined => undefined
  range = (): [] => []
  rangeLater = (): Promise<[]> => Promise.resolve([])
  apply(writes: ReadonlyArray<KeyValueWrite>): void {
    this.applied.push(writes)
  }
}

export interface Replayed {
  readonly index: number
  readonly kind: number
  readonly text: string
}

const decoder = new TextDecoder()

/** A consumer that notes what it is told. */
export class NotingConsumer implements JournalConsumer {
  readonly name = "noting"
  readonly kinds: ReadonlyArray<number>
  appliedIndex = 0
  readonly replayed: Array<Replayed> = []
  readonly events: Array<string> = []
  checkpoints = 0
  onCheckpoint: (() => void) | undefined

  constructor(kinds: ReadonlyArray<number> = [1, 2, 3]) {
    this.kinds = kinds
  }

  replayUnsafe(index: number, kind: number, bytes: Uint8Array, start: number, end: number): void {
    this.replayed.push({ index, kind, text: decoder.decode(bytes.subarray(start, end)) })
  }

  committed(index: number, durability: Durability): void {
    this.events.push(`${durability} ${index}`)
  }

  lost(index: number, refusal: number): void {
    this.events.push(`lost ${index} ${refusal}`)
  }

  checkpoint(): void {
    this.checkpoints += 1
    this.onCheckpoint?.()
  }
}

export class NotingLog implements LogShape {
  readonly lines: Array<string> = []
  debug = (_area: string, message: string, fields?: LogFields): void => this.#note("debug", message, fields)
  info = (_area: string, message: string, fields?: LogFields): void => this.#note("info", message, fields)
  warn = (_area: string, message: string, fields?: LogFields): void => this.#note("warn", message, fields)
  error = (_area: string, message: string, fields?: LogFields): void => this.#note("error", message, fields)
  isEnabled = (): boolean => true

  #note(level: string, message: string, fields: LogFields | undefined): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`)
  }
}

export const smallOptions: DiskJournalOptions = { segmentBytes: 1_024, journalBytesMax: 4_096, flushIntervalMs: 200 }

/** A journal that was opened, with what stands around it. */
export interface Rig {
  readonly simulation: Simulation
  readonly files: SimulatedFiles
  readonly journal: DiskJournal
  readonly store: NotingStore
  readonly consumer: NotingConsumer
  readonly log: NotingLog
  /** Submits one operation of kind 2. */
  readonly put: (text: string, durability?: Durability) => number
  /** Carries out what is due, promises among it. */
  readonly settle: (untilMs?: number) => Promise<void>
  readonly close: () => Promise<void>
}

const encoder = new TextEncoder()
const NOTHING = new Uint8Array(0)

export interface RigOptions {
  readonly seed?: number
  readonly files?: SimulatedFiles
  readonly consumer?: NotingConsumer
  /** Whether the disk notes what a crash loses. */
  readonly isLossy?: boolean
  readonly parts?: Partial<DiskJournalParts>
  readonly options?: Partial<DiskJournalOptions>
}

/** Opens and recovers a journal on a simulated disk; rejects with what that fails with. */
export async function openRig(given: RigOptions = {}): Promise<Rig> {
  const simulation = new Simulation(given.seed ?? 1)
  const files =
    given.files ?? new SimulatedFiles({ trace: () => {}, later: (task) => simulation.clock.immediate(task) })
  if (given.files !== undefined) files.later = (task) => simulation.clock.immediate(task)
  if (given.isLossy === true) files.isLossy = true
  await Effect.runPromise(files.ensureWritableDirectory(DIRECTORY))
  const log = new NotingLog()
  const store = new NotingStore()
  const consumer = given.consumer ?? new NotingConsumer()
  const scope = Scope.makeUnsafe()
  const parts: DiskJournalParts = {
    directory: DIRECTORY,
    files,
    clock: simulation.clock,
    turn: new TurnLoop(simulation.clock),
    log,
    random: simulation.random,
    options: { ...smallOptions, ...given.options },
    stateDurability: "persistent",
    ...given.parts
  }
  const opening = Effect.gen(function* () {
    const { journal, recover } = yield* openDiskJournal(parts)
    journal.bind(store)
    journal.register(consumer)
    yield* recover
    return journal
  })
  const during = async <Value>(work: Promise<Value>): Promise<Value> => {
    let isDone = false
    const done = work.finally(() => (isDone = true))
    done.catch(() => {})
    while (!isDone) await simulation.runAsync(simulation.clock.monotonicMs())
    return done
  }
  const journal = await during(Effect.runPromise(Scope.provide(opening, scope)))
  return {
    simulation,
    files,
    journal,
    store,
    consumer,
    log,
    put: (text, durability = "persistent") => {
      const bytes = encoder.encode(text)
      return journal.submitOperation(2, durability, NOTHING, bytes, 0, bytes.length)
    },
    settle: (untilMs = simulation.clock.monotonicMs()) => simulation.runAsync(untilMs),
    close: () => during(Effect.runPromise(Scope.close(scope, Exit.void)))
  }
}
