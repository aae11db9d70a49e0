/**
 * A backup of a node that runs: copies of each store's state, then what the journals hold behind them, all up to one moment.
 *
 * How it comes to be consistent: from the beginning nothing is recycled in any journal. Each part copies its state, which is that of
 * some entry. At the end, when everything that was submitted is synced, the synced ends of all journals are taken in one step of the
 * loop: the files up to there are what a power failure in that moment would have left, and recovery makes of them what it would make
 * of those.
 *
 * Invariants
 *  - What was acknowledged before the call is in the backup.
 *  - `backup.json` gets its name when all it lists is synced; `backup.started` stands there until then.
 *  - Nothing is written but below the target, which was missing or empty.
 */
import { basename, join, relative, resolve } from "node:path"
import { Effect, type Scope } from "effect"
import { assert } from "../assert.ts"
import { FORMAT_FILE, JOURNAL_DIRECTORY, readFormat, storeDirectoryOf } from "../node/data-directory.ts"
import type { FileError, FilesShape } from "../platform/Files.ts"
import { fileTree } from "../platform/file-tree.ts"
import type { Pace } from "../platform/pace.ts"
import { replaceFile } from "../platform/replace-file.ts"
import type { StoredPart } from "../plugin/Inspection.ts"
import { type BackupError, failure, ofFile, refusal } from "./BackupError.ts"
import {
  BACKUP_FILE,
  BACKUP_FORMAT,
  type BackupManifest,
  encodeManifest,
  isBackupName,
  STARTED_FILE
} from "./backup-manifest.ts"
import { checkEmpty } from "./check-empty.ts"
import { copyFile, hashFile } from "./copy-file.ts"

/** Files of a journal as far as they are synced, oldest first. */
export interface SyncedJournal {
  /** The last entry that is synced. */
  readonly index: number
  readonly segments: ReadonlyArray<{ readonly pathname: string; readonly end: number }>
}

/** A store that runs, as far as a backup is concerned. */
export interface BackupStore {
  readonly number: number
  readonly parts: () => ReadonlyArray<StoredPart>
  /** Settles when everything that was submitted before the call is synced. Nothing is recycled from the call on until `release`. */
  readonly hold: () => Promise<{ readonly release: () => void }>
  /** At this moment. */
  readonly synced: () => SyncedJournal
}

export interface CreateBackupOptions {
  /** The data directory, and where the backup goes: missing or empty. */
  readonly directory: string
  readonly target: string
  readonly files: FilesShape
  readonly stores: ReadonlyArray<BackupStore>
  readonly node: string
  readonly version: string
  readonly nowMs: () => number
  readonly pace: Pace
}

/** Makes the backup; returns what is in it. */
export function createBackup(options: CreateBackupOptions): Effect.Effect<BackupManifest, BackupError> {
  const { directory, target, files, stores, nowMs } = options
  return Effect.gen(function* () {
    yield* checkTarget(files, directory, target)
    const { id } = yield* readFormat(files, directory).pipe(Effect.mapError(({ message }) => refusal(message)))
    yield* filed(files.ensureWritableDirectory(target))
    const startedAt = new Date(nowMs()).toISOString()
    const started = `began at ${startedAt}: it is no backup until ${BACKUP_FILE} is here\n`
    yield* filed(replaceFile(files, target, STARTED_FILE, new TextEncoder().encode(started)))
    const { journals, takenAtMs } = yield* Effect.scoped(copyStores(options))
    yield* filed(copyFile(files, join(directory, FORMAT_FILE), join(target, FORMAT_FILE), options.pace))
    const listed = yield* listFiles(options)
    for (const { number } of stores) yield* syncBelow(files, storeDirectoryOf(target, number))
    yield* filed(files.syncDirectory(target))
    const manifest: BackupManifest = {
      manifold: "backup",
      format: BACKUP_FORMAT,
      taken_at: new Date(takenAtMs).toISOString(),
      node: options.node,
      directory: id,
      created_by: options.version,
      stores: journals.map(({ number, index }) => ({ store: number, journal_index: index })),
      files: listed
    }
    yield* filed(replaceFile(files, target, BACKUP_FILE, encodeManifest(manifest)))
    yield* filed(files.remove(join(target, STARTED_FILE)))
    yield* filed(files.syncDirectory(target))
    return manifest
  })
}

/** Fails where no backup of `directory` can be made in `target`. */
export function checkTarget(files: FilesShape, directory: string, target: string): Effect.Effect<void, BackupError> {
  const named = JSON.stringify(target)
  const [from, to] = [resolve(directory), resolve(target)]
  if (isWithin(from, to) || isWithin(to, from)) {
    return Effect.fail(refusal(`${named} and the data directory lie one in the other: name another directory`))
  }
  return checkEmpty(files, target)
}

function isWithin(outer: string, inner: string): boolean {
  const path = relative(outer, inner)
  return path === "" || !(path === ".." || path.startsWith("../") || path.startsWith("/"))
}

interface CopiedJournal extends SyncedJournal {
  readonly number: number
}

/** Copies what plugins keep, then the journals' files. The scope holds the journals. */
function copyStores({ target, files, stores, pace, nowMs }: CreateBackupOptions) {
  return Effect.gen(function* () {
    yield* Effect.forEach(stores, hold, { concurrency: "unbounded", discard: true })
    const applied = new Map<BackupStore, number>()
    for (const store of stores) {
      const directory = storeDirectoryOf(target, store.number)
      yield* filed(files.ensureWritableDirectory(directory))
      for (const part of store.parts()) {
        const index = yield* part
          .copy(directory)
          .pipe(Effect.mapError(({ message }) => failure(`store ${store.number}: ${part.name}: ${message}`)))
        applied.set(store, Math.max(applied.get(store) ?? 0, index ?? 0))
      }
    }
    // What the copies hold may have been written a moment ago.
    yield* Effect.forEach(stores, hold, { concurrency: "unbounded", discard: true })
    const takenAtMs = nowMs()
    const journals = stores.map((store): CopiedJournal => ({ ...store.synced(), number: store.number }))
    for (const [index, { number, segments, index: last }] of journals.entries()) {
      const store = stores[index]
      assert(
        store === undefined || (applied.get(store) ?? 0) <= last,
        "a copy holds nothing that the journal has not synced"
      )
      const directory = join(storeDirectoryOf(target, number), JOURNAL_DIRECTORY)
      yield* filed(files.ensureWritableDirectory(directory))
      for (const { pathname, end } of segments) {
        yield* filed(copyFile(files, pathname, join(directory, basename(pathname)), pace, end))
      }
    }
    return { journals, takenAtMs }
  })
}

/** Holds a journal for the life of the surrounding scope. Who stops the backup does not wait for it: what comes late is released. */
function hold(store: BackupStore): Effect.Effect<void, BackupError, Scope.Scope> {
  return Effect.gen(function* () {
    const held = store.hold()
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        held.then(
          ({ release }) => release(),
          () => {}
        )
      })
    )
    yield* Effect.tryPromise({
      try: () => held,
      catch: (error) => failure(`store ${store.number}: its journal takes nothing: ${messageOf(error)}`)
    })
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)
}

/** Every file of the backup with its checksum: of what stands there now, so that a restored file is what was backed up. */
function listFiles({ target, files, pace }: CreateBackupOptions): Effect.Effect<BackupManifest["files"], BackupError> {
  return Effect.gen(function* () {
    const listed: BackupManifest["files"] = []
    for (const { name } of yield* filed(fileTree(files, target))) {
      if (name === STARTED_FILE) continue
      if (!isBackupName(name)) return yield* failure(`${join(target, name)}: a name that no backup can hold`)
      listed.push({ name, ...(yield* filed(hashFile(files, join(target, name), pace))) })
    }
    return listed
  })
}

/** Makes all names below a directory durable, the deepest first. */
function syncBelow(files: FilesShape, directory: string): Effect.Effect<void, BackupError> {
  return Effect.gen(function* () {
    for (const name of yield* filed(files.list(directory))) {
      if (name.endsWith("/")) yield* syncBelow(files, join(directory, name.slice(0, -1)))
    }
    yield* filed(files.syncDirectory(directory))
  })
}

function filed<Value>(work: Effect.Effect<Value, FileError>): Effect.Effect<Value, BackupError> {
  return Effect.mapError(work, ofFile)
}
