/**
 * Carries out the plan for one partition. A process that ends anywhere within leaves a store in which another repair finds what is left
 * to be done.
 *
 * The order: what leaves the log is put aside, the newest first; the manifest says what is left, at once and as a whole; only then files
 * are cut and written anew, all of them from what the manifest says.
 */
import { Effect } from "effect"
import type { FilesShape, OpenFile } from "../../core/mod.ts"
import { BatchScan, scanLater } from "./BatchScan.ts"
import { Manifest, type ManifestContent } from "./Manifest.ts"
import type { PartitionPlan, Rewrite } from "./plan-repair.ts"
import type { Quarantine } from "./Quarantine.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import { encodeFooter, encodeHeader, encodeRuns, indexName, logName } from "./segment-format.ts"
import { segmentOf } from "./segment-of.ts"

export interface ApplyParts {
  readonly files: FilesShape
  /** That of all partitions. */
  readonly directory: string
  readonly quarantine: Quarantine
  /** What the manifest has to say now; the partition is changed in it. */
  readonly content: () => ManifestContent
}

/** Rejects with `FileError`. */
export async function applyRepair(parts: ApplyParts, plan: PartitionPlan): Promise<void> {
  const { files, directory, quarantine, content } = parts
  const { before, after, moved, cut, rewrites } = plan
  for (const { pathname, indexPathname } of moved) await quarantine.move([pathname, indexPathname])
  if (cut !== undefined) await quarantine.copy(cut.pathname)
  if (after !== before) {
    const { partitions, state } = content()
    partitions.set(after.id, after)
    await Manifest.write(files, directory, { partitions, state })
  }
  if (cut !== undefined) {
    const { bytes } = after.segments.at(-1) ?? cut.segment
    await written(files, cut.pathname, async (file) => file.truncateUnsafe(bytes))
  }
  for (const rewrite of rewrites) await rewriteFile(files, after, rewrite, `${directory}/${after.id}`)
}

async function rewriteFile(
  files: FilesShape,
  partition: StoredPartition,
  { what, segment, pathname }: Rewrite,
  own: string
): Promise<void> {
  if (what === "index") {
    const entries = await entriesOf(files, segment, `${own}/${logName(segment)}`)
    await written(files, `${own}/${indexName(segment)}`, async (file) => {
      await file.write(entries, 0, entries.length, 0)
      file.truncateUnsafe(entries.length)
    })
    await Effect.runPromise(files.syncDirectory(own))
    return
  }
  const bytes = what === "header" ? encodeHeader(partition.id, partition.key, segment.base) : encodeFooter(segment)
  const position = what === "header" ? 0 : segment.bytes
  await written(files, pathname, (file) => file.write(bytes, 0, bytes.length, position))
}

/** The bytes of a segment's index. */
async function entriesOf(files: FilesShape, segment: Segment, pathname: string): Promise<Uint8Array> {
  const file = files.openUnsafe(pathname, "read")
  try {
    const scan = await scanLater(file, new BatchScan(segment, pathname))
    segmentOf(segment, scan, segment.end)
    return encodeRuns(scan.runs.runs)
  } finally {
    file.close()
  }
}

async function written(files: FilesShape, pathname: string, work: (file: OpenFile) => Promise<void>): Promise<void> {
  const file = files.openUnsafe(pathname, "create")
  try {
    await work(file)
    await file.sync()
  } finally {
    file.close()
  }
}
