/**
 * Looks through a data directory, or a backup of one: the journal of each store, what each plugin keeps there, and what nobody knows.
 *
 * Invariants
 *  - Nothing is changed, no lock is taken: it may run beside the node.
 *  - A part that cannot be read is damage of that part; the others are looked at all the same.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { JOURNAL_DIRECTORY, readFormat, storeDirectoryOf } from "../node/data-directory.ts"
import type { StartError } from "../node/StartError.ts"
import type { FileError, FilesShape } from "../platform/Files.ts"
import { fileTree } from "../platform/file-tree.ts"
import type { Pace } from "../platform/pace.ts"
import type { Damage, InspectionRequest, PartReport } from "../plugin/Inspection.ts"
import type { Plugin } from "../plugin/Plugin.ts"
import { thrownMessage } from "../plugin/PluginFault.ts"
import { decodeMove, decodeTopic, META_PREFIX, MOVES_PREFIX, REMOVED_PREFIX } from "../topics/topic-codec.ts"
import { checkReports } from "./check-reports.ts"
import { FIRST_INDEX, JOURNAL_INDEX } from "./inspect-journal.ts"

/** What stands for a part of core's own. */
export const CORE = "core"
export interface InspectedPart extends PartReport {
  readonly store: number
  /** Whose it is: {@link CORE} or a plugin's name. */
  readonly owner: string
}

export interface DirectoryReport {
  readonly directory: string
  readonly id: string
  readonly createdBy: string
  readonly stores: number
  readonly parts: ReadonlyArray<InspectedPart>
  /** Names of topics by their ids, as far as the state that the nodes agree on tells them. */
  readonly topicNames: ReadonlyMap<string, string>
}

export interface InspectDirectoryOptions {
  readonly directory: string
  readonly files: FilesShape
  readonly depth: InspectionRequest["depth"]
  /** Those that the configuration starts, with their settings. */
  readonly plugins: ReadonlyArray<{ readonly plugin: Plugin; readonly options: unknown }>
  readonly pace: Pace
  /** Looks at the journal of a store. */
  readonly inspectJournal: (request: InspectionRequest) => Effect.Effect<ReadonlyArray<PartReport>, FileError>
}

/** Fails only where `format` says that the directory is none of ours, or cannot be read. */
export function inspectDirectory(options: InspectDirectoryOptions): Effect.Effect<DirectoryReport, StartError> {
  const { directory, files } = options
  return Effect.gen(function* () {
    const { id, createdBy, stores } = yield* readFormat(files, directory)
    const parts: Array<InspectedPart> = []
    const topicNames = new Map<string, string>()
    for (let store = 0; store < stores; store++) parts.push(...(yield* inspectStore(options, store, topicNames)))
    return { directory, id, createdBy, stores, parts, topicNames }
  })
}

function inspectStore(
  { directory, files, depth, plugins, pace, inspectJournal }: InspectDirectoryOptions,
  store: number,
  topicNames: Map<string, string>
): Effect.Effect<ReadonlyArray<InspectedPart>> {
  return Effect.gen(function* () {
    const metaEntry = (key: string, value: Uint8Array): void => noteTopic(topicNames, key, value)
    const own = storeDirectoryOf(directory, store)
    const request: InspectionRequest = { depth, store, directory: own, files, pace, metaEntry }
    const found: Array<InspectedPart> = []
    const add = (owner: string, reports: ReadonlyArray<PartReport>): void => {
      for (const report of reports) found.push({ ...report, store, owner })
    }
    const listed = yield* Effect.result(files.list(request.directory))
    if (listed._tag === "Failure") {
      add(CORE, [unreadable("store", request.directory, listed.failure.reason)])
      return found
    }
    add(
      CORE,
      yield* inspectJournal(request).pipe(
        Effect.catch(({ pathname, reason }) => Effect.succeed([unreadable("journal", pathname, reason)]))
      )
    )
    for (const { plugin, options } of plugins) {
      if (plugin.kind !== "storage" && !(plugin.kind === "meta" && store === 0)) continue
      add(plugin.name, yield* askPlugin(plugin, options, request))
    }
    add(CORE, missingEntries(found, request.directory))
    add(CORE, yield* unknownFiles(listed.success, found, request))
    return found
  })
}

/** Notes a topic's name; one that was removed has one as long as something of it is kept. Values are what a plugin read: anything. */
function noteTopic(topicNames: Map<string, string>, key: string, value: Uint8Array): void {
  const isMove = key.startsWith(MOVES_PREFIX)
  if (!key.startsWith(META_PREFIX) && !key.startsWith(REMOVED_PREFIX) && !isMove) return
  try {
    const {
      id,
      logId = id,
      name
    }: { id?: unknown; logId?: unknown; name?: unknown } = isMove ? decodeMove(value).to : decodeTopic(key, value)
    if (typeof logId === "string" && typeof name === "string") topicNames.set(logId, name)
  } catch {
    // It is shown by its id.
  }
}

/** What a plugin says of its files; a defect of its own, or an answer that is none, is told as damage that it could not look for. */
function askPlugin(
  plugin: Extract<Plugin, { kind: "storage" | "meta" }>,
  options: unknown,
  request: InspectionRequest
): Effect.Effect<ReadonlyArray<PartReport>> {
  const { inspect } = plugin
  if (inspect === undefined) return Effect.succeed([])
  const failed = (message: string): ReadonlyArray<PartReport> => [
    unreadable("files", request.directory, `${plugin.name} cannot look at its files: ${message}`)
  ]
  const asked = (): ReturnType<typeof inspect> => {
    const answer = inspect(options, request)
    return Effect.isEffect(answer) ? answer : Effect.die(new Error("it answers with no effect"))
  }
  return Effect.suspend(asked).pipe(
    Effect.map((answer) => {
      const reports = checkReports(answer)
      return typeof reports === "string" ? failed(`it answers with ${reports}`) : reports
    }),
    Effect.catch((error) => Effect.succeed(failed(error.message))),
    Effect.catchDefect((defect) => Effect.succeed(failed(thrownMessage(defect))))
  )
}

function unreadable(part: string, pathname: string, message: string): PartReport {
  const damage: Damage = { pathname, message, remedy: "make it readable, or restore the directory from a backup" }
  return { part, names: [], bytes: 0, counts: {}, damage: [damage], notes: [] }
}

/** States and a journal that are whole each for itself, and do not meet. */
function missingEntries(found: ReadonlyArray<InspectedPart>, directory: string): ReadonlyArray<PartReport> {
  const journal = found.find(({ owner, part }) => owner === CORE && part === "journal")
  const first = journal?.counts[FIRST_INDEX]
  const pathname = join(directory, JOURNAL_DIRECTORY)
  const damage = found.flatMap(({ owner, part, counts }): ReadonlyArray<Damage> => {
    const applied = counts[JOURNAL_INDEX]
    if (owner === CORE || applied === undefined) return []
    const remedy = "bring back its missing files, or restore the directory from a backup"
    if (journal === undefined && applied > 0) {
      return [
        { pathname, message: `the ${part} of ${owner} goes up to entry ${applied}, and the journal is missing`, remedy }
      ]
    }
    if (first === undefined || applied + 1 >= first) return []
    const message = `it begins with entry ${first}, and the ${part} of ${owner} goes up to entry ${applied}`
    return [{ pathname, message: `${message}: those between are missing`, remedy }]
  })
  return damage.length === 0 ? [] : [{ part: "journal", names: [], bytes: 0, counts: {}, damage, notes: [] }]
}

/** Names that no part says are its own. */
function unknownFiles(
  listed: ReadonlyArray<string>,
  found: ReadonlyArray<InspectedPart>,
  { directory, files }: InspectionRequest
): Effect.Effect<ReadonlyArray<PartReport>> {
  const known = new Set(found.flatMap(({ names }) => names))
  // Whose files could not be looked at may own them.
  const isUnreadable = found.some(
    ({ part, names, damage }) => part === "files" && names.length === 0 && damage.length > 0
  )
  const names = listed.filter((name) => !known.has(name.replace(/\/$/, "")) && !name.startsWith(".probe-"))
  if (names.length === 0 || isUnreadable) return Effect.succeed([])
  const sizes = fileTree(files, directory).pipe(Effect.catch(() => Effect.succeed([])))
  return Effect.map(sizes, (tree) => {
    const unknown = tree.filter(({ name }) =>
      names.some((own) => name === own || (own.endsWith("/") && name.startsWith(own)))
    )
    // A directory without a file in it is nobody's loss.
    if (unknown.length === 0) return []
    const bytes = unknown.reduce((sum, file) => sum + file.bytes, 0)
    const some = unknown
      .map(({ name }) => name)
      .slice(0, 5)
      .join(", ")
    const note = `no plugin of this configuration knows ${some}: not checked`
    return [{ part: "unknown", names, bytes, counts: { files: unknown.length }, damage: [], notes: [note] }]
  })
}
