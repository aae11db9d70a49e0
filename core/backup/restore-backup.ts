/**
 * Makes a data directory of a backup, while nothing runs there.
 *
 * Invariants
 *  - Every file of the backup is read and compared with its checksum before anything is written, and again while it is copied.
 *  - `format` gets its name last: until then no node starts in the directory, and `restore.started` says why.
 *  - Nothing is written but below the target, which was missing or empty.
 */
import { dirname, join } from "node:path"
import { Effect, type Scope } from "effect"
import { FORMAT_FILE, LOCK_FILE, RESTORE_FILE, storeDirectoryOf } from "../node/data-directory.ts"
import { FORMAT_SIZE_MAX } from "../node/directory-format.ts"
import type { FileError, FilesShape } from "../platform/Files.ts"
import type { Pace } from "../platform/pace.ts"
import { readWhole, replaceFile } from "../platform/replace-file.ts"
import { type BackupError, failure, ofFile, refusal } from "./BackupError.ts"
import {
  BACKUP_FILE,
  type BackupManifest,
  decodeManifest,
  MANIFEST_SIZE_MAX,
  ManifestFault,
  STARTED_FILE
} from "./backup-manifest.ts"
import { checkEmpty } from "./check-empty.ts"
import { type CopiedFile, copyFile, hashFile } from "./copy-file.ts"

export interface RestoreOptions {
  readonly backup: string
  /** The data directory that is made: missing or empty. */
  readonly target: string
  readonly files: FilesShape
  readonly pace: Pace
  /** Told of each file that is not as it was backed up, before the restore fails. */
  readonly damaged: (message: string) => void
}

/** Restores; returns what was in the backup. */
export function restoreBackup(options: RestoreOptions): Effect.Effect<BackupManifest, BackupError> {
  const { files, target } = options
  return Effect.gen(function* () {
    const manifest = yield* readManifest(options)
    yield* checkAll(options, manifest)
    yield* checkEmpty(files, target, (name) =>
      name === RESTORE_FILE ? "what a restore left that was cut short" : name
    )
    yield* filed(files.ensureWritableDirectory(target))
    yield* Effect.scoped(write(options, manifest))
    return manifest
  })
}

/** What a backup says of itself. Fails where it was not finished, or is damaged. */
export function readManifest({ backup, files }: RestoreOptions): Effect.Effect<BackupManifest, BackupError> {
  return Effect.gen(function* () {
    const pathname = join(backup, BACKUP_FILE)
    const names = yield* files
      .list(backup)
      .pipe(Effect.mapError(({ reason }) => refusal(`cannot read the backup ${JSON.stringify(backup)}: ${reason}`)))
    if (!names.includes(BACKUP_FILE)) {
      const why = names.includes(STARTED_FILE)
        ? "was not finished: it cannot be restored; make another"
        : `is no backup: it holds no ${BACKUP_FILE}`
      return yield* refusal(`${JSON.stringify(backup)} ${why}`)
    }
    const bytes = yield* readWhole(files, pathname, MANIFEST_SIZE_MAX).pipe(Effect.mapError(ofFile))
    return yield* Effect.try({
      try: () => decodeManifest(bytes),
      catch: (error) => refusal(`${pathname}: ${error instanceof ManifestFault ? error.message : String(error)}`)
    })
  })
}

/** Reads all of the backup; every file that is not as it was is told. */
function checkAll(options: RestoreOptions, manifest: BackupManifest): Effect.Effect<void, BackupError> {
  const { backup, files, pace } = options
  return Effect.gen(function* () {
    if (!manifest.files.some(({ name }) => name === FORMAT_FILE)) {
      return yield* refusal(
        `${join(backup, BACKUP_FILE)}: it lists no ${FORMAT_FILE}: it is no backup of a data directory`
      )
    }
    let count = 0
    for (const expected of manifest.files) {
      const pathname = join(backup, expected.name)
      const fault = yield* hashFile(files, pathname, pace).pipe(
        Effect.map((found) => difference(expected, found)),
        Effect.catch(({ reason }) => Effect.succeed(reason))
      )
      if (fault === undefined) continue
      count += 1
      options.damaged(`${pathname}: ${fault}`)
    }
    if (count === 0) return
    const what = `${count} of ${manifest.files.length} files of the backup are not as they were`
    return yield* refusal(`${what}: nothing was restored; use another backup`)
  })
}

function difference(expected: CopiedFile, found: CopiedFile): string | undefined {
  if (found.bytes !== expected.bytes) return `it has ${found.bytes} bytes; it was backed up with ${expected.bytes}`
  return found.sha256 === expected.sha256 ? undefined : "its content is not what was backed up (SHA-256)"
}

function write(
  { backup, target, files, pace }: RestoreOptions,
  manifest: BackupManifest
): Effect.Effect<void, BackupError, Scope.Scope> {
  return Effect.gen(function* () {
    yield* filed(files.lock(join(target, LOCK_FILE)))
    yield* filed(replaceFile(files, target, RESTORE_FILE, new TextEncoder().encode(`of ${manifest.taken_at}\n`)))
    const directories = new Set<string>([target])
    for (const expected of manifest.files) {
      if (expected.name === FORMAT_FILE) continue
      const pathname = join(target, expected.name)
      for (let at = dirname(pathname); !directories.has(at); at = dirname(at)) {
        yield* filed(files.ensureWritableDirectory(at))
        directories.add(at)
      }
      const copied = yield* filed(copyFile(files, join(backup, expected.name), pathname, pace))
      const fault = difference(expected, copied)
      if (fault !== undefined)
        return yield* failure(`${join(backup, expected.name)}: ${fault}: the restore is not done`)
    }
    // A store that had nothing is a store all the same.
    for (const { store } of manifest.stores)
      yield* filed(files.ensureWritableDirectory(storeDirectoryOf(target, store)))
    for (const directory of directories) yield* filed(files.syncDirectory(directory))
    const format = yield* filed(readWhole(files, join(backup, FORMAT_FILE), FORMAT_SIZE_MAX))
    yield* filed(replaceFile(files, target, FORMAT_FILE, format))
    yield* filed(files.remove(join(target, RESTORE_FILE)))
    yield* filed(files.syncDirectory(target))
    yield* Effect.ignore(files.syncDirectory(dirname(target)))
  })
}

function filed<Value, Needs>(work: Effect.Effect<Value, FileError, Needs>): Effect.Effect<Value, BackupError, Needs> {
  return Effect.mapError(work, ofFile)
}
