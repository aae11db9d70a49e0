/** Stores to be backed up whose journal and state are plain files, on a simulated disk: for tests of what becomes of the files. */
import { join } from "node:path"
import { Effect, Exit, Scope } from "effect"
import { openDataDirectory, storeDirectoryOf } from "../node/data-directory.ts"
import { SimulatedFiles } from "../platform/simulated-files.ts"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import type { BackupError } from "./BackupError.ts"
import type { BackupManifest } from "./backup-manifest.ts"
import { type BackupStore, createBackup } from "./create-backup.ts"
import { restoreBackup } from "./restore-backup.ts"

export const DATA = "/srv/data"
export const BACKUP = "/srv/backup"
export const NEW = "/srv/new"

/** The process ends here. */
class Crash extends Error {}

export class Disk {
  operations = 0
  crashesAt = Number.POSITIVE_INFINITY
  files = new SimulatedFiles({
    trace: () => {
      if (this.operations >= this.crashesAt) throw new Crash()
      this.operations += 1
    },
    later: (task) => setImmediate(task)
  })
  /** Holds on journals that were not released. */
  held = 0
  readonly damaged: Array<string> = []
  /** Drawn from by each start: no two directories get one id. */
  #seed = 0

  constructor() {
    this.files.isLossy = true
  }

  put(pathname: string, text: string): void {
    const bytes = new TextEncoder().encode(text)
    const file = this.files.openUnsafe(pathname, "create")
    file.truncateUnsafe(0)
    file.writeUnsafe(bytes, 0, bytes.length, 0)
    file.close()
  }

  text(pathname: string): string {
    return new TextDecoder().decode(this.files.contentUnsafe(pathname))
  }

  async names(pathname: string): Promise<ReadonlyArray<string>> {
    return (await Effect.runPromise(this.files.list(pathname))).toSorted()
  }

  /** Opens a data directory, and gives it back at once; its id. */
  async start(directory = DATA): Promise<string> {
    const scope = Scope.makeUnsafe()
    const opening = openDataDirectory({
      directory,
      files: this.files,
      random: Xoshiro128.seeded(++this.#seed, 0),
      shards: 2,
      version: "0.1.0",
      log: { warn: () => {} }
    })
    try {
      return (await Effect.runPromise(Scope.provide(opening, scope))).id
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void)).catch(() => {})
    }
  }

  /** A data directory of two stores, each with a journal of two segments. */
  async fill(): Promise<void> {
    await this.start()
    for (const number of [0, 1]) {
      const journal = join(storeDirectoryOf(DATA, number), "journal")
      await Effect.runPromise(this.files.ensureWritableDirectory(journal))
      this.put(join(journal, "1.journal"), `store ${number}: first segment|unused`)
      this.put(join(journal, "2.journal"), `store ${number}: second segment|not synced`)
    }
  }

  store(number: number): BackupStore {
    const journal = join(storeDirectoryOf(DATA, number), "journal")
    return {
      number,
      parts: () => [
        {
          name: "state",
          copy: (directory) =>
            Effect.promise(async () => {
              await Effect.runPromise(this.files.ensureWritableDirectory(join(directory, "deep")))
              this.put(join(directory, "deep", "state.db"), `state of store ${number}`)
              const file = this.files.openUnsafe(join(directory, "deep", "state.db"), "write")
              await file.sync()
              file.close()
              return 5
            })
        }
      ],
      hold: async () => {
        this.held += 1
        return { release: () => void (this.held -= 1) }
      },
      synced: () => ({
        index: 9,
        segments: ["1.journal", "2.journal"].map((name) => {
          const pathname = join(journal, name)
          return { pathname, end: this.text(pathname).indexOf("|") }
        })
      })
    }
  }

  backup(target = BACKUP, stores = [this.store(0), this.store(1)]): Promise<BackupManifest> {
    return Effect.runPromise(
      createBackup({
        directory: DATA,
        target,
        files: this.files,
        stores,
        node: "node-1",
        version: "0.1.0",
        nowMs: () => 1_700_000_000_000,
        pace: async () => {}
      })
    )
  }

  restore(backup = BACKUP, target = NEW): Promise<BackupManifest> {
    return Effect.runPromise(this.restoring(backup, target))
  }

  restoring(backup = BACKUP, target = NEW): Effect.Effect<BackupManifest, BackupError> {
    return restoreBackup({
      backup,
      target,
      files: this.files,
      pace: async () => {},
      damaged: (message) => void this.damaged.push(message)
    })
  }
}
