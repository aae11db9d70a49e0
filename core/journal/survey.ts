/**
 * What lies in a journal's directory: its segments in order, and which of their entries hold.
 *
 * Only headers and first entries are read here. Nothing on disk is changed.
 */
import { join } from "node:path"
import { Effect } from "effect"
import type { FileError, FilesShape } from "../platform/Files.ts"
import type { Checksum } from "./entry-format.ts"
import { JournalError } from "./JournalError.ts"
import { ENTRY_WHOLE, SegmentReader } from "./SegmentReader.ts"
import {
  decodeSegmentHeader,
  numberOfSegment,
  numberOfSpare,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader
} from "./segment-format.ts"

export interface SurveyedSegment extends SegmentHeader {
  readonly pathname: string
  readonly sizeBytes: number
  /** Of its first entry; 0 where that is not whole. */
  readonly firstIndex: number
  /** What its first entry says is the entry before it. */
  readonly previous: number
  /** Entries above this one are void: a later segment goes on from here. */
  readonly limit: number
}

export interface Survey {
  readonly directory: string
  /** By rising number. */
  readonly segments: ReadonlyArray<SurveyedSegment>
  /** Names of files that wait to become segments. */
  readonly spares: ReadonlyArray<string>
  /** Above every number that a name has. */
  readonly nextNumber: number
}

/** Whether the segment holds entries that no later segment made void. */
export const holdsEntries = ({ firstIndex, limit }: SurveyedSegment): boolean => firstIndex > 0 && firstIndex <= limit

export function surveyJournal(
  files: FilesShape,
  directory: string,
  checksum: Checksum
): Effect.Effect<Survey, JournalError | FileError> {
  return Effect.gen(function* () {
    const names = yield* files.list(directory)
    const numbers = names.flatMap((name) => numberOfSegment(name) ?? []).sort((left, right) => left - right)
    const spares = names.filter((name) => numberOfSpare(name) !== undefined).sort()
    const byNumber = new Map(names.map((name) => [numberOfSegment(name), name]))
    const found: Array<Omit<SurveyedSegment, "limit">> = []
    for (const number of numbers) {
      const pathname = join(directory, byNumber.get(number) ?? "")
      const segment = yield* openedFile(files, pathname, checksum)
      const id = found[0]?.journalId
      if (id !== undefined && id.toHex() !== segment.journalId.toHex()) {
        const reason = `the segment is of journal ${segment.journalId.toHex()}, those before it are of journal ${id.toHex()}`
        const remedy = "Move away the files that do not belong here"
        return yield* new JournalError({ pathname, position: 0, reason, remedy })
      }
      if (segment.number !== number) {
        const reason = `the segment has the number ${segment.number}, its name says ${number}: it was copied or renamed`
        const remedy = "Give it its name back, or move it away"
        return yield* new JournalError({ pathname, position: 0, reason, remedy })
      }
      found.push(segment)
    }
    let limit = Number.POSITIVE_INFINITY
    const segments: Array<SurveyedSegment> = []
    for (const segment of found.toReversed()) {
      segments.unshift({ ...segment, limit })
      if (segment.firstIndex > 0) limit = Math.min(limit, segment.previous)
    }
    const highest = Math.max(0, ...numbers, ...spares.map((name) => numberOfSpare(name) ?? 0))
    return { directory, segments, spares, nextNumber: highest + 1 }
  })
}

function openedFile(
  files: FilesShape,
  pathname: string,
  checksum: Checksum
): Effect.Effect<Omit<SurveyedSegment, "limit">, JournalError | FileError> {
  return attempt(() => {
    const file = files.openUnsafe(pathname, "read")
    try {
      const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
      const header = decodeSegmentHeader(bytes, file.readUnsafe(bytes, 0, bytes.length, 0))
      if ("reason" in header) {
        throw new JournalError({ pathname, position: 0, ...header })
      }
      const reader = new SegmentReader(file, header.mark, checksum)
      const isWhole = reader.at(SEGMENT_HEADER_BYTES) === ENTRY_WHOLE
      return {
        ...header,
        pathname,
        sizeBytes: reader.size,
        firstIndex: isWhole ? reader.index : 0,
        previous: isWhole ? reader.previous : 0
      }
    } finally {
      file.close()
    }
  })
}

/** Runs plain file work as an effect. */
export function attempt<Value>(work: () => Value): Effect.Effect<Value, JournalError | FileError> {
  return Effect.try({ try: work, catch: (error) => error }).pipe(
    Effect.catch((error) => (isExpected(error) ? Effect.fail(error) : Effect.die(error)))
  )
}

function isExpected(error: unknown): error is JournalError | FileError {
  if (!(error instanceof Error) || !("_tag" in error)) return false
  return error._tag === "JournalError" || error._tag === "FileError"
}
