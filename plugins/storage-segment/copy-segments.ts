/**
 * A copy of a store's segments while it serves: of what its manifest says at one moment. Checkpoints go on meanwhile; what they would
 * remove or cut stays until the copy is done.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { FileError, type FilesShape, type OpenFile } from "../../core/mod.ts"
import { Manifest } from "./Manifest.ts"
import type { StoredPartition } from "./Segment.ts"
import { DIRECTORY_NAME, type SegmentStore } from "./SegmentStore.ts"
import { FOOTER_BYTES, INDEX_ENTRY_BYTES, indexName, logName } from "./segment-format.ts"
import { ensureMark } from "./store-mark.ts"

const PIECE_BYTES = 1_048_576

/** Puts a copy into `target`, synced; returns up to which entry of the journal it goes. Rejects with `FileError`. */
export async function copySegments(store: SegmentStore, files: FilesShape, target: string): Promise<number> {
  const { content, release } = await store.hold()
  try {
    const directory = join(target, DIRECTORY_NAME)
    await Effect.runPromise(files.makeDirectory(directory))
    for (const partition of content.partitions.values()) {
      if (partition.segments.length > 0) await copyPartition(store, files, directory, partition)
    }
    await Manifest.write(files, directory, content)
    await ensureMark(files, directory)
    return content.state.applied
  } finally {
    release()
  }
}

async function copyPartition(
  store: SegmentStore,
  files: FilesShape,
  directory: string,
  { id, segments }: StoredPartition
): Promise<void> {
  const own = join(directory, String(id))
  await Effect.runPromise(files.makeDirectory(own))
  const copy = (name: string, size: number): Promise<void> =>
    store.files.use(store.files.pathOf(id, name), "read", async (from) => {
      const to = files.openUnsafe(join(own, name), "create")
      try {
        await copyFile(from, to, size)
      } finally {
        to.close()
      }
    })
  for (const segment of segments) {
    const { bytes, isSealed, indexEntries } = segment
    await copy(logName(segment), bytes + (isSealed ? FOOTER_BYTES : 0))
    await copy(indexName(segment), indexEntries * INDEX_ENTRY_BYTES).catch((error: unknown) => {
      // It is made anew from the segment, here and there.
      if (!(error instanceof FileError) || error.code !== "not-found") throw error
    })
  }
  await Effect.runPromise(files.syncDirectory(own))
}

/** Copies what is there of `[0, size)`. */
async function copyFile(from: OpenFile, to: OpenFile, size: number): Promise<void> {
  const bytes = new Uint8Array(Math.min(PIECE_BYTES, size))
  for (let at = 0; at < size; ) {
    const count = await from.read(bytes, 0, Math.min(bytes.length, size - at), at)
    // What is missing here is missing in the copy, and told by whoever looks.
    if (count === 0) break
    await to.write(bytes, 0, count, at)
    at += count
  }
  await to.sync()
}
