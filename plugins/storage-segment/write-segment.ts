/** The files of one segment, as a checkpoint writes them. */
import { ByteWriter, type OpenFile } from "../../core/mod.ts"
import type { SegmentWrite } from "./CheckpointPlan.ts"
import { encodeFooter, encodeRuns, HEADER_BYTES, INDEX_ENTRY_BYTES } from "./segment-format.ts"

/** Bytes that are written at a time. */
const WRITE_BYTES = 1_048_576

/** Writes what is new of a segment behind what it has, a footer where it ends, and syncs it. `header` is that of a new one. */
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

/** Adds to a segment's index what is new; it is not synced, for it can be made anew. */
export async function writeIndex(file: OpenFile, { entries, before }: SegmentWrite): Promise<void> {
  const bytes = encodeRuns(entries)
  const position = (before?.indexEntries ?? 0) * INDEX_ENTRY_BYTES
  if (file.sizeUnsafe() > position) file.truncateUnsafe(position)
  await file.write(bytes, 0, bytes.length, position)
}
