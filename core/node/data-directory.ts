/**
 * The data directory of a node: made at the first start, locked while the node runs, refused where it is not ours or not whole.
 * docs/formats/data-directory.md describes the layout and lists every message.
 *
 * Invariants
 *  - One process at a time: what is done here beyond making the directory is done under the lock, which goes with its process.
 *  - `format` is given its name when all stores are there, as the last step of the first start. Until then the next start begins
 *    anew; from then on a store that is missing is a loss, and told.
 *  - Names that are not ours are left alone.
 */
import { dirname, join } from "node:path"
import { Effect, type Scope } from "effect"
import { assert } from "../assert.ts"
import type { FileError, FilesShape } from "../platform/Files.ts"
import { type RandomShape, randomUuid } from "../platform/Random.ts"
import { NEW_SUFFIX, readWhole, replaceFile } from "../platform/replace-file.ts"
import type { LogShape } from "../telemetry/Log.ts"
import {
  type DirectoryFormat,
  decodeFormat,
  encodeFormat,
  FORMAT_SIZE_MAX,
  FormatFault,
  STORES_MAX
} from "./directory-format.ts"
import { StartError } from "./StartError.ts"

export const FORMAT_FILE = "format"
export const LOCK_FILE = "lock"
/** Who holds the lock, for the message that refuses the next. */
export const HOLDER_FILE = "holder"
const HOLDER_LENGTH_MAX = 120
/** There while a backup is restored into the directory, until `format` is. */
export const RESTORE_FILE = "restore.started"
/** What only a backup holds (core/backup/backup-manifest.ts). */
const BACKUP_NAMES = ["backup.json", "backup.started"]
/** A journal's directory within its store's. */
export const JOURNAL_DIRECTORY = "journal"

/** Its own names; SQLite may leave a file beside the lock, and a probe may be left by a process that was killed. */
const OWN_NAME =
  /^(?:format|format\.new|restore\.started|lock(?:-journal|-wal|-shm)?|holder|holder\.new|store-(?:0|[1-9]\d{0,3})\/|\.probe-.*)$/

export interface DataDirectoryOptions {
  readonly directory: string
  readonly files: FilesShape
  readonly random: RandomShape
  /** Stores that a new directory gets, 1 to {@link STORES_MAX}. */
  readonly shards: number
  /** The release that runs. */
  readonly version: string
  readonly log: Pick<LogShape, "warn">
  /** Who this is, for whoever wants the directory meanwhile: "node-1". Absent = nobody is named. */
  readonly holder?: string
}

export interface DataDirectory {
  /** A UUID, made once. */
  readonly id: string
  /** Stores that the directory was made with; a node runs as many shards. */
  readonly stores: number
  /** Where a store lies; it is there and empty or in use. */
  storeDirectory(number: number): string
}

/** Where a store of a data directory lies. */
export function storeDirectoryOf(directory: string, number: number): string {
  return join(directory, `store-${number}`)
}

/** Opens the directory, making it where it is missing, and holds it for the life of the surrounding scope. */
export function openDataDirectory(
  options: DataDirectoryOptions
): Effect.Effect<DataDirectory, StartError, Scope.Scope> {
  const { directory, files, shards, log } = options
  assert(shards >= 1 && shards <= STORES_MAX, "a node has one shard or more, and no more than there are slots")
  return Effect.gen(function* () {
    yield* files.ensureWritableDirectory(directory).pipe(Effect.mapError(({ reason }) => refused(directory, reason)))
    yield* takeLock(options)
    const names = yield* list(files, directory, directory)
    yield* checkUse(directory, names)
    const known = names.includes(FORMAT_FILE) ? yield* readFormat(files, directory) : undefined
    const { id, stores } = known ?? (yield* makeDirectory(options, names))
    if (known !== undefined) yield* checkStores(options, known, names)
    if (stores !== shards) {
      const message = `node.shards is ${shards}, but ${JSON.stringify(directory)} was made with ${stores} stores`
      log.warn("node", `${message}: it is run by ${stores}`)
    }
    return {
      id,
      stores,
      storeDirectory: (number) => {
        assert(number >= 0 && number < stores, "a store has a number below the directory's count")
        return storeDirectoryOf(directory, number)
      }
    }
  })
}

export interface HoldOptions extends Pick<DataDirectoryOptions, "directory" | "files"> {
  /** Who this is, for whoever wants the directory meanwhile. */
  readonly holder: string
}

/**
 * Holds a directory that is there for the life of the surrounding scope, so that no node starts on it meanwhile; tells what it says of
 * itself. Fails where somebody else holds it, it is a backup, or none of ours. It is not looked for whether all stores are there.
 */
export function holdDataDirectory(options: HoldOptions): Effect.Effect<DirectoryFormat, StartError, Scope.Scope> {
  const { directory, files } = options
  return Effect.gen(function* () {
    // Before anything is made in it.
    const format = yield* readFormat(files, directory)
    yield* checkUse(directory, yield* list(files, directory, directory))
    yield* takeLock(options)
    return format
  })
}

/** A backup is kept as it is; and half of one is no data directory. */
function checkUse(directory: string, names: ReadonlyArray<string>): Effect.Effect<void, StartError> {
  if (BACKUP_NAMES.some((name) => names.includes(name))) {
    const how = `manifold backup restore ${JSON.stringify(directory)} --data NEW`
    return Effect.fail(refused(directory, `it is a backup: ${how} makes a data directory of it`))
  }
  if (!names.includes(RESTORE_FILE) || names.includes(FORMAT_FILE)) return Effect.void
  return Effect.fail(
    refused(directory, "a backup was being restored into it, and that was cut short: remove it, restore again")
  )
}

/** What the directory says of itself; for a running node and for who reads a stopped one alike. Fails where it is none of ours. */
export function readFormat(files: FilesShape, directory: string): Effect.Effect<DirectoryFormat, StartError> {
  return readWhole(files, join(directory, FORMAT_FILE), FORMAT_SIZE_MAX).pipe(
    Effect.mapError(({ code, reason }) => {
      const isNone = code === "not-found" || code === "wrong-kind"
      return refused(
        directory,
        isNone ? `it is no data directory: ${FORMAT_FILE}: ${reason}` : `${FORMAT_FILE}: ${reason}`
      )
    }),
    Effect.flatMap((bytes) =>
      Effect.try({
        try: () => decodeFormat(bytes),
        catch: (error) => refused(directory, `${FORMAT_FILE}: ${error instanceof FormatFault ? error.message : error}`)
      })
    )
  )
}

function takeLock({
  directory,
  files,
  holder
}: Pick<DataDirectoryOptions, "directory" | "files" | "holder">): Effect.Effect<void, StartError, Scope.Scope> {
  const pathname = join(directory, HOLDER_FILE)
  const failed = (error: FileError): Effect.Effect<never, StartError> => {
    if (error.code !== "locked") return Effect.fail(refused(directory, `${LOCK_FILE}: ${error.reason}`))
    return readWhole(files, pathname, 1_024).pipe(
      Effect.map((bytes) => ` (${oneLine(bytes)})`),
      Effect.catch(() => Effect.succeed("")),
      Effect.flatMap((who) => Effect.fail(refused(directory, `another process uses it${who}`)))
    )
  }
  const forget = Effect.ignore(files.remove(pathname))
  // It helps a person and nobody else: a full disk may keep it from being written.
  const tell = holder === undefined ? forget : writeHolder(files, pathname, holder)
  return files
    .lock(join(directory, LOCK_FILE))
    .pipe(Effect.catch(failed), Effect.andThen(Effect.acquireRelease(tell, () => forget)), Effect.asVoid)
}

function writeHolder(files: FilesShape, pathname: string, holder: string): Effect.Effect<void> {
  return Effect.ignore(
    Effect.try(() => {
      const file = files.openUnsafe(pathname, "create")
      try {
        const bytes = new TextEncoder().encode(`${holder}\n`)
        file.truncateUnsafe(0)
        file.writeUnsafe(bytes, 0, bytes.length, 0)
      } finally {
        file.close()
      }
    })
  )
}

/** What another process wrote, as a line may show it. */
function oneLine(bytes: Uint8Array): string {
  const [line = ""] = new TextDecoder().decode(bytes).split("\n")
  return line.replace(/[^\x20-\x7e]/g, "?").slice(0, HOLDER_LENGTH_MAX)
}

/** The first start, or the first that comes to its end. */
function makeDirectory(
  { directory, files, random, shards, version, log }: DataDirectoryOptions,
  names: ReadonlyArray<string>
): Effect.Effect<DirectoryFormat, StartError> {
  return Effect.gen(function* () {
    for (const name of names) {
      if (!/^store-\d+\/$/.test(name)) continue
      const content = yield* list(files, directory, join(directory, name.slice(0, -1)))
      if (content.length === 0) continue
      const lost = `${FORMAT_FILE} is missing, but ${name.slice(0, -1)} holds ${content[0]}`
      return yield* refused(directory, `${lost}: put ${FORMAT_FILE} back from a backup, or name another directory`)
    }
    const foreign = names.filter((name) => !OWN_NAME.test(name))
    if (foreign.length > 0) {
      const some = foreign.toSorted().slice(0, 5).join(", ")
      log.warn("node", `${JSON.stringify(directory)} was not empty: what it held is left alone`, { found: some })
    }
    const format: DirectoryFormat = { id: randomUuid(random), stores: shards, createdBy: version }
    for (let number = 0; number < shards; number++) {
      const store = storeDirectoryOf(directory, number)
      yield* files.ensureWritableDirectory(store).pipe(Effect.mapError((error) => below(directory, error)))
    }
    // The names of the stores, and of the directory itself and what had to be made above it; who may not open one of those need not.
    yield* files.syncDirectory(directory).pipe(Effect.mapError((error) => below(directory, error)))
    for (let at = directory; dirname(at) !== at; at = dirname(at))
      yield* Effect.ignore(files.syncDirectory(dirname(at)))
    yield* replaceFile(files, directory, FORMAT_FILE, encodeFormat(format)).pipe(
      Effect.mapError((error) => below(directory, error))
    )
    return format
  })
}

/** A later start: every store is there and can be written to. */
function checkStores(
  { directory, files, log }: DataDirectoryOptions,
  { stores }: DirectoryFormat,
  names: ReadonlyArray<string>
): Effect.Effect<void, StartError> {
  return Effect.gen(function* () {
    for (let number = 0; number < stores; number++) {
      const name = `store-${number}`
      if (!names.includes(`${name}/`)) {
        const found = names.includes(name) ? "is a file, not a directory" : "is missing"
        return yield* refused(directory, `${name}, one of ${stores}, ${found}: restore the directory from a backup`)
      }
      const store = storeDirectoryOf(directory, number)
      yield* files.ensureWritableDirectory(store).pipe(Effect.mapError((error) => below(directory, error)))
    }
    for (const name of names) {
      const number = Number(/^store-(\d+)\/$/.exec(name)?.[1])
      if (!(number >= stores) || (yield* list(files, directory, join(directory, name.slice(0, -1)))).length === 0)
        continue
      log.warn(
        "node",
        `${JSON.stringify(directory)} was made with ${stores} stores: ${name.slice(0, -1)} is left alone`
      )
    }
    for (const left of [`${FORMAT_FILE}${NEW_SUFFIX}`, RESTORE_FILE]) {
      if (names.includes(left)) yield* Effect.ignore(files.remove(join(directory, left)))
    }
  })
}

function list(
  files: FilesShape,
  directory: string,
  pathname: string
): Effect.Effect<ReadonlyArray<string>, StartError> {
  return files.list(pathname).pipe(Effect.mapError((error) => below(directory, error)))
}

function below(directory: string, { pathname, reason }: FileError): StartError {
  return refused(directory, pathname === directory ? reason : `${pathname}: ${reason}`)
}

function refused(directory: string, why: string): StartError {
  return new StartError({ message: `node.data: cannot use ${JSON.stringify(directory)}: ${why}` })
}
