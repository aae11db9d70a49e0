/**
 * Tells a torn tail from damage, and says which entries of a journal are to be replayed.
 *
 * The first entry that is not whole ends what can be read. If any later entry says that it had been synced, the journal is damaged
 * and refused; else the power went while it was written: it was never acknowledged as synced, and with all behind it is left out.
 *
 * Nothing on disk is changed. What is left out becomes void when the first entry of a new segment says what is the entry before it.
 *
 * Source: docs/formats/journal.md, "Recovery"; Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage" (FAST '18).
 */
import type { FilesShape, OpenFile } from "../platform/Files.ts"
import { type Checksum, ENTRY_HEADER_BYTES, KIND_CLOSED } from "./entry-format.ts"
import { JournalError } from "./JournalError.ts"
import { ENTRY_BROKEN, ENTRY_WHOLE, SegmentReader } from "./SegmentReader.ts"
import { SEGMENT_HEADER_BYTES } from "./segment-format.ts"
import { holdsEntries, type Survey, type SurveyedSegment } from "./survey.ts"

/** A segment with the entries that hold in it. */
export interface ValidSegment {
  readonly segment: SurveyedSegment
  readonly firstIndex: number
  readonly lastIndex: number
  /** Where its last entry that holds ends. */
  readonly endPosition: number
}

export interface Validated {
  /** What is needed, in order; their entries follow each other. */
  readonly needed: ReadonlyArray<ValidSegment>
  /** The last entry that holds, or `above` where there is none. */
  readonly lastIndex: number
  readonly entries: number
  readonly operations: number
  /** The last entry says that the journal was closed with nothing left to sync. */
  readonly isClosed: boolean
  /** Bytes of a tail that was torn, and where it begins; 0 where there is none. */
  readonly tornBytes: number
  readonly tornPathname: string
  readonly tornPosition: number
}

/** Validates what lies above entry `above`. Throws {@link JournalError} where it is damaged, and what Files throws. */
export function validateJournal(files: FilesShape, survey: Survey, above: number, checksum: Checksum): Validated {
  const { segments } = survey
  const start = segments.findLastIndex((segment) => holdsEntries(segment) && segment.previous <= above)
  const walk = new Walk(files, segments, above, checksum)
  if (start < 0) {
    walk.lastIndex = above
    walk.tail(0)
  } else walk.from(start)
  return walk
}

class Walk implements Validated {
  readonly needed: Array<ValidSegment> = []
  lastIndex = 0
  entries = 0
  operations = 0
  isClosed = false
  tornBytes = 0
  tornPathname = ""
  tornPosition = 0
  readonly #files: FilesShape
  readonly #segments: ReadonlyArray<SurveyedSegment>
  readonly #above: number
  readonly #checksum: Checksum

  constructor(files: FilesShape, segments: ReadonlyArray<SurveyedSegment>, above: number, checksum: Checksum) {
    this.#above = above
    this.#files = files
    this.#segments = segments
    this.#checksum = checksum
  }

  /** Reads from the segment at `first` on, as far as entries follow each other. */
  from(first: number): void {
    this.lastIndex = this.#segments[first]?.previous ?? 0
    for (let at = first; at < this.#segments.length; at++) {
      const segment = this.#segments[at]
      if (segment === undefined || !holdsEntries(segment)) continue
      const ended = this.#read(segment)
      const next = this.#segments.findIndex((each, index) => index > at && holdsEntries(each))
      if (next >= 0 && this.#segments[next]?.previous === this.lastIndex) continue
      this.tail(at, segment, ended)
      return
    }
  }

  /**
   * Nothing follows entry `lastIndex`: looks for one that says it should. `segment` is where it would stand, at `ended.position`.
   */
  tail(at: number, segment?: SurveyedSegment, ended?: Ended): void {
    const position = ended?.position ?? SEGMENT_HEADER_BYTES
    let found: Place | undefined = segment && { segment, position, fault: ended?.fault ?? "" }
    // What all have put away may be gone: files that were removed come back and others do not when the power goes.
    const neededAbove = Math.max(this.lastIndex, this.#above)
    let tornBytes = 0
    for (let index = at; index < this.#segments.length; index++) {
      const later = this.#segments[index]
      if (later === undefined) continue
      const from = later === segment ? position : SEGMENT_HEADER_BYTES
      withReader(this.#files, later, this.#checksum, (reader) => {
        const isBroken = reader.at(from) === ENTRY_BROKEN
        let end = isBroken ? from + brokenBytes(reader) : from
        // Where entries of one segment end well, the first of the next is what is missing.
        const isHere = isBroken || (later.firstIndex === 0 && reader.seek(from))
        if (isHere && (found === undefined || (found.fault === "" && later !== segment))) {
          found = { segment: later, position: from, fault: isBroken ? reader.fault : "nothing begins with its mark" }
        }
        // Whole entries may lie behind, and within what a broken one says is its length.
        for (let behind = from; reader.seek(behind); end = Math.max(end, behind)) {
          if (reader.synced > neededAbove) throw this.#damaged(found, reader.index, later)
          behind = reader.position + reader.length
        }
        tornBytes += end - from
      })
    }
    this.tornBytes = tornBytes
    this.tornPathname = segment?.pathname ?? this.#segments[at]?.pathname ?? ""
    this.tornPosition = position
  }

  #damaged(place: Place | undefined, index: number, later: SurveyedSegment): JournalError {
    const { segment, position, fault } = place ?? { segment: later, position: SEGMENT_HEADER_BYTES, fault: "" }
    const entry = this.lastIndex + 1
    const found = fault === "" ? `entry ${entry} is missing` : `entry ${entry} is damaged: ${fault}`
    const reason = `${found}; entry ${index} in ${later.pathname} says that it had been synced`
    const from = segment.firstIndex === 0 ? entry : segment.firstIndex
    const remedy = `Restore a backup, or move this file and those with higher numbers away, knowing that entries from ${from} on are lost`
    return new JournalError({ pathname: segment.pathname, position, reason, remedy })
  }

  /** Reads the entries of one segment up to its limit; says where and why they end. */
  #read(segment: SurveyedSegment): Ended {
    return withReader(this.#files, segment, this.#checksum, (reader) => {
      const firstIndex = segment.firstIndex
      let endPosition = SEGMENT_HEADER_BYTES
      let state = reader.at(SEGMENT_HEADER_BYTES)
      while (state === ENTRY_WHOLE && reader.index <= segment.limit) {
        const isFirst = reader.position === SEGMENT_HEADER_BYTES
        if (reader.previous !== this.lastIndex || (!isFirst && reader.index !== this.lastIndex + 1)) {
          const reason = `entry ${reader.index}, which follows entry ${reader.previous}, stands where entry ${this.lastIndex + 1} was expected`
          const remedy = "Restore a backup"
          throw new JournalError({ pathname: segment.pathname, position: reader.position, reason, remedy })
        }
        this.lastIndex = reader.index
        this.entries += 1
        this.operations += reader.operations
        this.isClosed = reader.operations === 1 && reader.bytes[reader.start + ENTRY_HEADER_BYTES] === KIND_CLOSED
        endPosition = reader.position + reader.length
        state = reader.next()
      }
      this.needed.push({ segment, firstIndex, lastIndex: this.lastIndex, endPosition })
      return { position: endPosition, fault: state === ENTRY_BROKEN ? reader.fault : "" }
    })
  }
}

/** Where the first entry that is not whole should stand. */
interface Place {
  readonly segment: SurveyedSegment
  readonly position: number
  /** "" where nothing is there. */
  readonly fault: string
}

interface Ended {
  readonly position: number
  /** What is wrong with the entry there; "" where none begins. */
  readonly fault: string
}

/** What a broken entry says of its length, as far as the file goes. */
function brokenBytes(reader: SegmentReader): number {
  return Math.min(reader.claimedLength, reader.size - reader.position)
}

/** Opens a segment for `work`, and closes it whatever happens. */
export function withReader<Value>(
  files: FilesShape,
  segment: SurveyedSegment,
  checksum: Checksum,
  work: (reader: SegmentReader, file: OpenFile) => Value
): Value {
  const file = files.openUnsafe(segment.pathname, "read")
  try {
    return work(new SegmentReader(file, segment.mark, checksum), file)
  } finally {
    file.close()
  }
}
