/**
 * The report of a store's journal, of a node that runs or of one that does not.
 *
 * A running node appends, and gives files another use, while they are read; what is seen half may look like damage. So what is wrong
 * counts only where a second look finds the same at the same place; a running journal has moved on by then.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { type JournalReport, verifyJournal } from "../journal/verify-journal.ts"
import { JOURNAL_DIRECTORY } from "../node/data-directory.ts"
import type { FileError, FilesShape } from "../platform/Files.ts"
import { fileTree } from "../platform/file-tree.ts"
import type { InspectionRequest, PartReport } from "../plugin/Inspection.ts"

/** Looks at a journal that does not hold still, at most, and the time between two. */
const LOOKS_MAX = 10
const BETWEEN_MS = 300

/** A part's figure of this name is the entry of the journal up to which its state goes. */
export const JOURNAL_INDEX = "journal_index"
/** The journal's first and last entry; left out where it holds none. */
export const FIRST_INDEX = "first_index"
export const LAST_INDEX = "last_index"

/** Nothing where the store has no journal. `pause` waits so many milliseconds. Fails where a file cannot be read. */
export function inspectJournal(
  { directory, files, pace }: InspectionRequest,
  pause: (milliseconds: number) => Promise<void>
): Effect.Effect<ReadonlyArray<PartReport>, FileError> {
  const pathname = join(directory, JOURNAL_DIRECTORY)
  return Effect.gen(function* () {
    if (!(yield* files.list(directory)).includes(`${JOURNAL_DIRECTORY}/`)) return []
    let found = yield* look(files, pathname)
    for (let looks = 1, before = ""; found.place !== "" && found.place !== before && looks < LOOKS_MAX; looks++) {
      before = found.place
      yield* Effect.promise(() => pause(BETWEEN_MS))
      found = yield* look(files, pathname)
    }
    if (found.report === undefined) return yield* found.error
    const { report } = found
    const tree = yield* fileTree(files, pathname)
    yield* Effect.promise(() => pace(report.bytes))
    return [
      partOf(
        report,
        tree.reduce((sum, file) => sum + file.bytes, 0)
      )
    ]
  })
}

/** What one look found; `place` is where something is wrong, "" = nowhere. */
type Look =
  | { readonly report: JournalReport; readonly place: string }
  | { readonly report: undefined; readonly error: FileError; readonly place: string }

function look(files: FilesShape, pathname: string): Effect.Effect<Look> {
  return verifyJournal(files, pathname).pipe(
    Effect.map(
      (report): Look => ({
        report,
        place: report.fault === undefined ? "" : `${report.fault.pathname} ${report.fault.position}`
      })
    ),
    Effect.catch((error) => Effect.succeed<Look>({ report: undefined, error, place: error.pathname }))
  )
}

function partOf(report: JournalReport, bytes: number): PartReport {
  const { segments, entries, operations, firstIndex, lastIndex, tornBytes, fault } = report
  const range = entries === 0 ? {} : { [FIRST_INDEX]: firstIndex, [LAST_INDEX]: lastIndex }
  const torn = `${tornBytes} bytes behind entry ${lastIndex} are not whole, and were never said to be: they are being written, or were when the power went`
  return {
    part: "journal",
    names: [JOURNAL_DIRECTORY],
    bytes,
    counts: fault === undefined ? { segments, entries, operations, ...range } : { segments },
    damage:
      fault === undefined
        ? []
        : [
            { pathname: fault.pathname, position: fault.position, message: fault.reason, remedy: lowered(fault.remedy) }
          ],
    notes: tornBytes > 0 ? [torn] : []
  }
}

/** As it stands behind a colon. */
function lowered(sentence: string): string {
  return `${sentence.slice(0, 1).toLowerCase()}${sentence.slice(1)}`
}
