/** Writes what a plan says to the two files of a segment. */
import { ByteWriter, type OpenFile } from "../../core/mod.ts"
import type { SegmentWrite } from "./CheckpointPlan.ts"
import { encodeFooter, HEADER_BYTES, INDEX_ENTRY_BYTES } from "./segment-format.ts"

/** Bytes that are written at a time. */
const WRITE_BYTES = 1_048_576

/** Writes batches to the end of a segment, with its header and footer where they are due, and syncs it. Rejects with `FileError`. */
export async function writeLog(file: OpenFile, write: SegmentWrite, header: Uint8Array): Promise<void> {
  const { after, pieces, position } = write
  // What a crash or a failure left behind, or a footer that does not hold any more.
  if (file.sizeUnsafe() > position) file.truncateUnsafe(position === HEADER_BYTES ? 0 : position)
  const writer = new ByteWriter()
  let at = position
  if (position === HEADER_BYTES) {
    writer.raw(header)
    at = 0
  }
  const flush = async (): Promise<void> => {
    const { bytes, length } = writer
    await file.write(bytes, 0, length, at)
    at += length
    writer.reset()
  }
  for (const piece of pieces) {
    if (writer.length > 0 && writer.length + piece.length > WRITE_BYTES) await flush()
    writer.raw(piece)
  }
  if (after.isSealed) writer.raw(encodeFooter(after))
  if (writer.length > 0) await flush()
  await file.sync()
}

/** Adds the entries to a segment's index; it is not synced, for it can be made anew. Rejects the same way. */
export async function writeIndex(file: OpenFile, { entries, before }: SegmentWrite): Promise<void> {
  const position = (before?.indexEntries ?? 0) * INDEX_ENTRY_BYTES
  if (file.sizeUnsafe() > position) file.truncateUnsafe(position)
  await file.write(entries, 0, entries.length, position)
}
