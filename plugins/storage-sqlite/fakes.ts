/** A store on a folder of this machine with a journal of its own, for tests: opened, closed, killed, copied. */
import { mkdirSync } from "node:fs"
import { Effect, Exit, Scope } from "effect"
import type { DiskJournal } from "../../core/journal/DiskJournal.ts"
import { type DiskJournalOptions, diskJournalDefaults } from "../../core/journal/disk-journal-parts.ts"
import type { Durability } from "../../core/journal/Journal.ts"
import { MemoryJournal } from "../../core/journal/MemoryJournal.ts"
import { openDiskJournal } from "../../core/journal/open-disk-journal.ts"
import {
  type ClockShape,
  type Engine,
  type FilesShape,
  hostThreads,
  type LogShape,
  type SqliteDatabase,
  type TurnShape
} from "../../core/mod.ts"
import { makeNodeFiles } from "../../core/platform/node-files.ts"
import { systemClock, systemRandom } from "../../core/platform/system.ts"
import { TurnLoop } from "../../core/platform/Turn.ts"
import { copyFolder } from "../../core/platform/testing.ts"
import { StoreServer } from "./database/StoreServer.ts"
import { openDatabase } from "./database/schema.ts"
import { makeSqliteEngine } from "./engine.ts"
import { defaultSettings, type Settings } from "./Settings.ts"
import { SqliteStore } from "./SqliteStore.ts"
import { StoreThread } from "./StoreThread.ts"
import { threadSource } from "./thread-source.ts"

export interface TestStoreOptions {
  readonly clock?: ClockShape
  readonly files?: FilesShape
  readonly settings?: Partial<Settings>
  readonly journal?: Partial<DiskJournalOptions>
  readonly stateDurability?: Durability
  /** A thread of the runtime; else everything is done inline. */
  readonly isThreaded?: boolean
}

export interface TestStore {
  readonly store: SqliteStore
  readonly journal: DiskJournal
  readonly turn: TurnShape
  readonly engine: Engine
  readonly lines: ReadonlyArray<string>
  /** The database may have so many pages, or as many as it has; only of a store without a thread. */
  limitPages(pages: number): void
  /** A graceful stop. */
  close(): Promise<void>
  /** Gives everything back without putting anything away. */
  kill(): Promise<void>
  /** Copies the store's directory as it is now. */
  copy(directory: string): void
}

export async function openTestStore(directory: string, options: TestStoreOptions = {}): Promise<TestStore> {
  mkdirSync(directory, { recursive: true })
  const clock = options.clock ?? systemClock
  const files = options.files ?? makeNodeFiles()
  const lines: Array<string> = []
  const keep =
    (level: string) =>
    (_area: string, message: string, fields: object = {}): void =>
      void lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  const log: LogShape = {
    debug: keep("debug"),
    info: keep("info"),
    warn: keep("warn"),
    error: keep("error"),
    isEnabled: () => true
  }
  const turn = new TurnLoop(clock)
  const scope = Scope.makeUnsafe()
  const { journal, recover } = await Effect.runPromise(
    Scope.provide(
      openDiskJournal({
        directory,
        files,
        clock,
        turn,
        log,
        random: systemRandom,
        options: { ...diskJournalDefaults, ...options.journal },
        stateDurability: options.stateDurability ?? "persistent"
      }),
      scope
    )
  )
  let database: SqliteDatabase | undefined
  const server = new StoreServer((pathname, given) => {
    database = openDatabase(pathname, given)
    return database
  })
  const thread = options.isThreaded
    ? StoreThread.started(hostThreads, threadSource())
    : StoreThread.inline(clock, server)
  const settings = { ...defaultSettings, ...options.settings }
  const endJournal = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  const store = await SqliteStore.open({ directory, journal, thread, files, clock, log, settings }).catch(
    async (error) => {
      await endJournal()
      throw error
    }
  )
  journal.register(store.checkpoints)
  journal.bind(store.keyValue)
  await Effect.runPromise(recover)
  let isOver = false
  return {
    store,
    journal,
    turn,
    engine: makeSqliteEngine(store),
    lines,
    limitPages: (pages) => void database?.prepare(`PRAGMA max_page_count = ${Math.max(1, pages)}`).get(),
    close: async () => {
      if (isOver) return
      isOver = true
      await store.close()
      await endJournal()
    },
    kill: async () => {
      if (isOver) return
      isOver = true
      store.abandon()
      await endJournal()
    },
    copy: (target) => copyFolder(directory, target)
  }
}

/** A store whose journal syncs at once and keeps nothing: the test tells the checkpoints what is committed. */
export async function openBareStore(directory: string, isThreaded: boolean): Promise<SqliteStore> {
  mkdirSync(directory, { recursive: true })
  const journal = new MemoryJournal(new TurnLoop(systemClock))
  const nothing = (): void => {}
  const log: LogShape = { debug: nothing, info: nothing, warn: nothing, error: nothing, isEnabled: () => false }
  const thread = isThreaded ? StoreThread.started(hostThreads, threadSource()) : StoreThread.inline(systemClock)
  const settings = { ...defaultSettings, checkpoint_interval_ms: 3_600_000, checkpoint_bytes: 1_000_000_000 }
  const files = makeNodeFiles()
  return await SqliteStore.open({ directory, journal, thread, files, clock: systemClock, log, settings })
}
