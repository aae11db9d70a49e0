/** The files of one segment, as a checkpoint writes them. */
import { copyBytes, type OpenFile } from "../../core/mod.ts"
import type { SegmentWrite } from "./CheckpointPlan.ts"
import { encodeFooter, HEADER_BYTES, INDEX_ENTRY_BYTES } from "./segment-format.ts"

/** Bytes that are written at a time. */
const WRITE_BYTES = 1_048_576

/** Writes what is new of a segment behind what it has, a footer where it ends, and syncs it. `header` is that of a new one. */
export async function writeLog(file: OpenFile, write: SegmentWrite, header: Uint8Array): Promise<void> {
  const { after, pieces, position } = write
  // What a crash or a failure left behind, or a footer that does not hold any more.
  if (file.sizeUnsafe() > position) file.truncateUnsafe(position === HEADER_BYTES ? 0 : position)
  let at = position === HEADER_BYTES ? 0 : position
  for (const run of runsOf([
    ...(at === 0 ? [header] : []),
    ...pieces,
    ...(after.isSealed ? [encodeFooter(after)] : [])
  ])) {
    await file.write(run, 0, run.length, at)
    at += run.length
  }
  await file.sync()
}

/** Adds to a segment's index what is new; it is not synced, for it can be made anew. */
export async function writeIndex(file: OpenFile, { entries, before }: SegmentWrite): Promise<void> {
  const position = (before?.indexEntries ?? 0) * INDEX_ENTRY_BYTES
  if (file.sizeUnsafe() > position) file.truncateUnsafe(position)
  await file.write(entries, 0, entries.length, position)
}

/** The same bytes in fewer pieces, of about {@link WRITE_BYTES}; one that is larger stays as it is. */
function* runsOf(pieces: ReadonlyArray<Uint8Array>): Iterable<Uint8Array> {
  for (let first = 0; first < pieces.length; ) {
    let size = 0
    let end = first
    while (end < pieces.length && (end === first || size + (pieces[end]?.length ?? 0) <= WRITE_BYTES)) {
      size += pieces[end]?.length ?? 0
      end += 1
    }
    const run = pieces.slice(first, end)
    first = end
    const [only] = run
    if (run.length === 1 && only !== undefined) {
      yield only
      continue
    }
    const joined = new Uint8Array(size)
    let at = 0
    for (const piece of run) at = copyBytes(piece, 0, piece.length, joined, at)
    yield joined
  }
}
