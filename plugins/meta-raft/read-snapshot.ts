/** A snapshot of any version, read piece by piece. */
import { ByteReader, crc32cUpdate, type FilesShape, type OpenFile } from "../../core/mod.ts"
import { MetaFormatFault } from "./commands.ts"
import { SnapshotDecoder, type SnapshotEnd } from "./SnapshotDecoder.ts"
import { MARK, MARK_AND_VERSION_BYTES, SNAPSHOT_VERSION, type SnapshotTarget } from "./snapshot-format.ts"
import { decodeSnapshotV1 } from "./snapshot-v1.ts"

/** Bytes that are read at a time. */
const READ_BYTES = 1_048_576

export interface ReadSnapshot extends SnapshotEnd {
  /** Bytes of the file; what lies behind `end` counts as not written. */
  readonly size: number
  readonly isAppendable: boolean
}

/**
 * Tells `target` what the file holds; `pace` is awaited for the bytes of each piece. Rejects with `FileError`, or {@link MetaFormatFault}
 * where it holds no whole state: what was told is of no use then.
 */
export async function readSnapshot(
  files: FilesShape,
  pathname: string,
  target: SnapshotTarget,
  pace: (bytes: number) => Promise<void> = () => Promise.resolve()
): Promise<ReadSnapshot> {
  const file = files.openUnsafe(pathname, "read")
  try {
    const size = file.sizeUnsafe()
    const start = await readAt(file, 0, Math.min(size, MARK_AND_VERSION_BYTES))
    if (start.length < MARK_AND_VERSION_BYTES || MARK.some((byte, index) => start[index] !== byte)) {
      throw new MetaFormatFault("it is damaged: it does not begin as a snapshot does")
    }
    const version = new ByteReader().reset(start, MARK.length, start.length).uint32()
    if (version === 1) {
      const head = decodeSnapshotV1(await readAt(file, 0, size), target)
      return { head, end: size, checksum: 0, size, isAppendable: false }
    }
    if (version !== SNAPSHOT_VERSION) {
      if (!(await isWhole(file, size))) {
        throw new MetaFormatFault("it is damaged: its checksum is that of other content")
      }
      throw new MetaFormatFault(`it has version ${version}; this release reads ${SNAPSHOT_VERSION} and older`)
    }
    const decoder = new SnapshotDecoder(target, start)
    const piece = new Uint8Array(Math.min(size, READ_BYTES))
    for (let position = start.length; position < size; ) {
      const length = await file.read(piece, 0, Math.min(size - position, piece.length), position)
      if (length === 0) break
      decoder.feed(piece.subarray(0, length))
      position += length
      await pace(length)
    }
    return { ...decoder.finish(), size, isAppendable: true }
  } finally {
    file.close()
  }
}

/** Whether the file ends with the checksum of everything before, as one of any version does. */
async function isWhole(file: OpenFile, size: number): Promise<boolean> {
  let checksum = 0
  for (let position = 0; position < size - 4; ) {
    const bytes = await readAt(file, position, Math.min(size - 4, position + READ_BYTES))
    if (bytes.length === 0) return false
    checksum = crc32cUpdate(checksum, bytes, 0, bytes.length)
    position += bytes.length
  }
  const end = await readAt(file, Math.max(0, size - 4), size)
  return end.length === 4 && new ByteReader().reset(end, 0, 4).uint32() === checksum
}

async function readAt(file: OpenFile, start: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start)
  return bytes.subarray(0, await file.read(bytes, 0, bytes.length, start))
}
