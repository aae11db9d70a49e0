/** Walks all entries of a journal without changing anything, also of one that another process writes to: for `storage verify`. */
import { Effect } from "effect"
import type { FileError, FilesShape } from "../platform/Files.ts"
import { entryChecksum } from "./entry-format.ts"
import { JournalError } from "./JournalError.ts"
import { SEGMENT_HEADER_BYTES } from "./segment-format.ts"
import { attempt, holdsEntries, type Survey, surveyJournal } from "./survey.ts"
import { validateJournal, withReader } from "./validate.ts"

export interface JournalReport {
  readonly segments: number
  /** Of the segments' files. */
  readonly bytes: number
  readonly entries: number
  readonly operations: number
  /** 0 where there is no entry. */
  readonly firstIndex: number
  readonly lastIndex: number
  /** The last entry says that nothing was left to sync. */
  readonly isClosed: boolean
  /** Bytes of a tail that is not whole and never was said to be: torn, or being written. */
  readonly tornBytes: number
  /** The first fault; the counts are then 0. */
  readonly fault: JournalError | undefined
}

/** Fails only where a file cannot be read; what is wrong in one is in the report. */
export function verifyJournal(files: FilesShape, directory: string): Effect.Effect<JournalReport, FileError> {
  return surveyJournal(files, directory, entryChecksum).pipe(
    Effect.flatMap((survey) => {
      const first = survey.segments.find(holdsEntries)
      const above = first?.previous ?? 0
      const bytes = survey.segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      const segments = survey.segments.length
      return attempt(() => {
        checkLeading(files, survey)
        return validateJournal(files, survey, above, entryChecksum)
      }).pipe(
        Effect.map((valid) => {
          const firstIndex = valid.needed[0]?.firstIndex ?? 0
          const { entries, operations, lastIndex, isClosed, tornBytes } = valid
          return { segments, bytes, entries, operations, firstIndex, lastIndex, isClosed, tornBytes, fault: undefined }
        }),
        Effect.catchTag("JournalError", (fault) => Effect.succeed({ ...nothing, segments, bytes, fault }))
      )
    }),
    Effect.catchTag("JournalError", (fault: JournalError) => Effect.succeed({ ...nothing, fault }))
  )
}

/**
 * A segment whose first entry is not whole looks as if it held nothing. Before the first one that does hold something, an entry that
 * no later segment made void says otherwise. Recovery has no need to ask: it knows which entries it needs.
 */
function checkLeading(files: FilesShape, { segments }: Survey): void {
  const first = segments.findIndex(holdsEntries)
  for (const segment of segments.slice(0, Math.max(0, first))) {
    withReader(files, segment, entryChecksum, (reader) => {
      if (!reader.seek(SEGMENT_HEADER_BYTES) || reader.index > segment.limit) return
      const reason = `the first entry is damaged; entry ${reader.index} behind it is whole`
      const remedy = "Restore a backup"
      throw new JournalError({ pathname: segment.pathname, position: SEGMENT_HEADER_BYTES, reason, remedy })
    })
  }
}

const nothing: JournalReport = {
  segments: 0,
  bytes: 0,
  entries: 0,
  operations: 0,
  firstIndex: 0,
  lastIndex: 0,
  isClosed: false,
  tornBytes: 0,
  fault: undefined
}
