/**
 * Opens the journal of a store and brings back what it holds: look at the files, let consumers register, then replay to each what it
 * has not put away.
 *
 * Nothing on disk is changed before everything that is needed was found whole.
 */
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import type { FileError } from "../platform/Files.ts"
import { DiskJournal } from "./DiskJournal.ts"
import type { DiskJournalParts } from "./disk-journal-parts.ts"
import { type Checksum, entryChecksum, forEachOperation, KIND_CLOSED } from "./entry-format.ts"
import type { JournalConsumer } from "./Journal.ts"
import { JournalError } from "./JournalError.ts"
import { ENTRY_WHOLE } from "./SegmentReader.ts"
import type { Segment } from "./Segments.ts"
import { JOURNAL_ID_BYTES, SEGMENT_HEADER_BYTES } from "./segment-format.ts"
import { attempt, type Survey, surveyJournal } from "./survey.ts"
import { type Validated, type ValidSegment, validateJournal, withReader } from "./validate.ts"

export interface OpenedJournal {
  readonly journal: DiskJournal
  /** To be run once, when all consumers are registered; the journal takes nothing before it has ended. */
  readonly recover: Effect.Effect<void, JournalError | FileError>
}

/**
 * Opens the journal in `parts.directory`; closing the scope writes what is there, syncs it and says so. Fails where a file is damaged,
 * of a newer format or of another journal.
 */
export function openDiskJournal(
  parts: DiskJournalParts
): Effect.Effect<OpenedJournal, JournalError | FileError, Scope.Scope> {
  return Effect.gen(function* () {
    const checksum = parts.checksum ?? entryChecksum
    const survey = yield* surveyJournal(parts.files, parts.directory, checksum)
    const journal = new DiskJournal(parts)
    yield* Effect.addFinalizer(() => Effect.promise(() => journal.close()))
    return { journal, recover: recover(journal, survey, checksum) }
  })
}

function recover(
  journal: DiskJournal,
  survey: Survey,
  checksum: Checksum
): Effect.Effect<void, JournalError | FileError> {
  const { consumers, parts } = journal
  const { files, log, random, directory } = parts
  return Effect.gen(function* () {
    // One that is new to the journal has nothing to miss in what is gone; in what is there it may.
    const begins = survey.segments.find(({ firstIndex }) => firstIndex > 0)?.previous ?? 0
    for (const consumer of consumers) if (consumer.isFresh === true) consumer.beginsBehind?.(begins)
    const applied = consumers.map(({ isFresh, appliedIndex }) => (isFresh === true ? begins : appliedIndex))
    const above = applied.length === 0 ? 0 : Math.min(...applied)
    const ahead = consumers.find(({ appliedIndex }) => appliedIndex > 0)
    // A journal that was ever written to has files: what was acknowledged and not put away is gone with them.
    if (ahead !== undefined && survey.segments.length === 0 && survey.spares.length === 0) {
      const reason = `no segment is there, but ${ahead.name} holds what entry ${ahead.appliedIndex} and those before it did`
      const remedy = "Put the files back, or restore a backup"
      return yield* new JournalError({ pathname: directory, position: 0, reason, remedy })
    }
    const validated = yield* attempt(() => validateJournal(files, survey, above, checksum))
    const { needed, lastIndex, tornBytes, tornPathname, tornPosition } = validated
    yield* attempt(() => checkOwners(journal, validated, above, checksum))
    // What is replayed must not be lost by a later power failure: it may be the operating system's alone.
    for (const { segment } of needed) yield* syncFile(journal, segment.pathname)
    if (tornBytes > 0) {
      const fields = { path: tornPathname, byte: tornPosition, bytes: tornBytes, last_entry: lastIndex }
      log.warn("journal", "what was being written when the power went is left out", fields)
    }
    yield* attempt(() => replay(journal, validated, above, checksum))
    journal.recoveredEntries = validated.entries
    const segments = journal.segmentFiles
    for (const name of survey.spares) segments.adoptSpare(join(directory, name))
    const journalId = survey.segments[0]?.journalId ?? drawId(random)
    yield* Effect.promise(() => journal.start(lastIndex, needed.map(liveSegment), journalId, survey.nextNumber))
    if (journal.refusal !== 0) return
    // Only now: what is left out is void since the first entry of the new segment is synced.
    const isNeeded = new Set(needed.map(({ segment }) => segment.number))
    for (const { pathname, number } of survey.segments) if (!isNeeded.has(number)) segments.discard(pathname, number)
    journal.released()
  })
}

function drawId(random: DiskJournalParts["random"]): Uint8Array {
  const id = new Uint8Array(JOURNAL_ID_BYTES)
  random.fill(id, 0, id.length)
  return id
}

function syncFile({ parts }: DiskJournal, pathname: string): Effect.Effect<void, JournalError | FileError> {
  return Effect.acquireUseRelease(
    attempt(() => parts.files.openUnsafe(pathname, "write")),
    (file) => Effect.tryPromise({ try: () => file.sync(), catch: (error) => error as FileError }),
    (file) => Effect.sync(() => file.close())
  )
}

function liveSegment({ segment, lastIndex, endPosition }: ValidSegment): Segment {
  const { number, pathname, mark, sizeBytes } = segment
  return {
    number,
    pathname,
    mark,
    file: undefined,
    sizeBytes,
    position: endPosition,
    syncedPosition: endPosition,
    lastIndex,
    isSuspect: false,
    isRecovered: true
  }
}

function ownersOf(consumers: ReadonlyArray<JournalConsumer>): ReadonlyMap<number, JournalConsumer> {
  return new Map(consumers.flatMap((consumer) => consumer.kinds.map((kind) => [kind, consumer] as const)))
}

/** Refuses operations that nobody takes: their segments would go, and they with them. */
function checkOwners(journal: DiskJournal, validated: Validated, above: number, checksum: Checksum): void {
  const owners = ownersOf(journal.consumers)
  forEachNeeded(journal, validated, above, checksum, (index, kind, _bytes, _start, _end, pathname, position) => {
    if (owners.has(kind)) return
    const reason = `entry ${index} holds operations of kind ${kind}, which no plugin of this node takes`
    const remedy = "Start the node with the plugin that wrote them"
    throw new JournalError({ pathname, position, reason, remedy })
  })
}

function replay(journal: DiskJournal, validated: Validated, above: number, checksum: Checksum): void {
  const owners = ownersOf(journal.consumers)
  forEachNeeded(journal, validated, above, checksum, (index, kind, bytes, start, end) => {
    const owner = owners.get(kind)
    if (owner !== undefined && index > owner.appliedIndex) owner.replayUnsafe(index, kind, bytes, start, end)
  })
}

/** Visits the operations of entries above `above`, in order, except the journal's own. */
function forEachNeeded(
  { parts: { files } }: DiskJournal,
  { needed }: Validated,
  above: number,
  checksum: Checksum,
  visit: (
    index: number,
    kind: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    pathname: string,
    position: number
  ) => void
): void {
  for (const { segment, lastIndex } of needed) {
    withReader(files, segment, checksum, (reader) => {
      let state = reader.at(SEGMENT_HEADER_BYTES)
      while (state === ENTRY_WHOLE && reader.index <= lastIndex) {
        const { index, bytes, start, length, position } = reader
        if (index > above) {
          forEachOperation(bytes, start, start + length, (kind, _durability, from, to) => {
            if (kind !== KIND_CLOSED) visit(index, kind, bytes, from, to, segment.pathname, position)
          })
        }
        state = reader.next()
      }
    })
  }
}
