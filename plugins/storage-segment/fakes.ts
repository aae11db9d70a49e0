/** A store of segments on a folder of this machine, or on simulated files, with a journal of its own, for tests. */
import { mkdirSync } from "node:fs"
import { Effect, Exit, Scope } from "effect"
import type { DiskJournal } from "../../core/journal/DiskJournal.ts"
import { type DiskJournalOptions, diskJournalDefaults } from "../../core/journal/disk-journal-parts.ts"
import { openDiskJournal } from "../../core/journal/open-disk-journal.ts"
import type { ClockShape, Engine, FilesShape, LogShape, TurnShape } from "../../core/mod.ts"
import { makeNodeFiles } from "../../core/platform/node-files.ts"
import { systemClock, systemRandom } from "../../core/platform/system.ts"
import { TurnLoop } from "../../core/platform/Turn.ts"
import { copyFolder } from "../../core/platform/testing.ts"
import { makeSegmentEngine } from "./engine.ts"
import { SegmentStore } from "./SegmentStore.ts"
import { defaultSettings, type Settings } from "./Settings.ts"

export interface TestStoreOptions {
  readonly clock?: ClockShape
  readonly files?: FilesShape
  readonly settings?: Partial<Settings>
  readonly journal?: Partial<DiskJournalOptions>
}

export interface TestStore {
  readonly store: SegmentStore
  readonly journal: DiskJournal
  readonly turn: TurnShape
  readonly engine: Engine
  readonly lines: ReadonlyArray<string>
  /** A graceful stop. */
  close(): Promise<void>
  /** Gives everything back without putting anything away. */
  kill(): Promise<void>
  /** Copies the store's directory as it is now. */
  copy(directory: string): void
}

export async function openTestStore(directory: string, options: TestStoreOptions = {}): Promise<TestStore> {
  if (options.files === undefined) mkdirSync(directory, { recursive: true })
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
        stateDurability: "persistent"
      }),
      scope
    )
  )
  const settings = { ...defaultSettings, ...options.settings }
  const endJournal = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  const store = await SegmentStore.open({ directory, journal, files, clock, log, settings }).catch(async (error) => {
    await endJournal()
    throw error
  })
  journal.register(store.checkpoints)
  await Effect.runPromise(recover)
  let isOver = false
  return {
    store,
    journal,
    turn,
    engine: makeSegmentEngine(store),
    lines,
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
