/**
 * Makes a manifest of the segments that are there, where it is lost or damaged. Reads alone; what is to be done with files that cannot be
 * part of it is in the answer.
 *
 * What segments do not say is lost: where in the first one the log began, the end of a log that keeps nothing, what was cut off and not
 * written over yet. What the journal still holds is replayed over all of it, so that the state says that it has no entry that is left.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { FileError, type FilesShape, type PartitionKey } from "../../core/mod.ts"
import type { ManifestContent, ManifestState } from "./Manifest.ts"
import { QUARANTINE_NAME } from "./Quarantine.ts"
import { readSegment, type SeenSegment } from "./read-segment.ts"
import type { StoredPartition } from "./Segment.ts"
import { HEADER_BYTES, indexName, logName, type SegmentName, segmentOfName } from "./segment-format.ts"

/** Leader epochs that may have been given out above the highest that a batch has. */
const UNSEEN_EPOCHS = 1_000_000
const NUMBER = /^(?:0|[1-9]\d{0,15})\/$/

/** Files that cannot be named, and why: they are moved, or a copy of them is kept. */
export interface Aside {
  readonly pathnames: ReadonlyArray<string>
  readonly how: "move" | "copy"
  readonly message: string
}

export interface Rebuilt {
  readonly content: ManifestContent
  readonly aside: ReadonlyArray<Aside>
}

export interface RebuildParts {
  readonly files: FilesShape
  /** That of all partitions. */
  readonly directory: string
  readonly nowMs: number
  /** Entries up to this one are gone from the journal. */
  readonly applied: number
  pace(bytes: number): Promise<void>
}

/** Rejects with `FileError`. */
export async function rebuildManifest(parts: RebuildParts): Promise<Rebuilt> {
  const { files, directory, applied } = parts
  const aside: Array<Aside> = []
  const partitions = new Map<number, StoredPartition>()
  const byKey = new Map<string, number>()
  const ids = (await namesIn(files, directory))
    .filter((name) => NUMBER.test(name))
    .map((name) => Number(name.slice(0, -1)))
  for (const id of ids.toSorted((one, other) => other - one)) {
    const { partition, aside: own } = await rebuildPartition(parts, id)
    aside.push(...own)
    if (partition === undefined) continue
    const name = JSON.stringify(partition.key)
    const newer = byKey.get(name)
    if (newer === undefined) {
      partitions.set(id, partition)
      byKey.set(name, id)
      continue
    }
    const pathnames = partition.segments.flatMap((segment) => filesOf(directory, id, segment))
    aside.push({ pathnames, how: "move", message: `partition ${id} was made anew as partition ${newer}` })
  }
  const known = (await namesIn(files, join(directory, QUARANTINE_NAME))).filter((name) => NUMBER.test(name))
  const highest = Math.max(0, ...ids, ...known.map((name) => Number(name.slice(0, -1))))
  const epochLast = Math.max(0, ...[...partitions.values()].map(({ leaderEpoch }) => leaderEpoch))
  const state: ManifestState = {
    applied,
    nextId: highest + 1,
    isClean: false,
    epochBase: 0,
    epochLast,
    epochLimit: epochLast + UNSEEN_EPOCHS
  }
  return { content: { partitions, state }, aside }
}

async function rebuildPartition(
  parts: RebuildParts,
  id: number
): Promise<{ readonly partition: StoredPartition | undefined; readonly aside: ReadonlyArray<Aside> }> {
  const { files, directory } = parts
  const aside: Array<Aside> = []
  const move = (name: SegmentName, message: string): void =>
    void aside.push({ pathnames: filesOf(directory, id, name), how: "move", message })
  let seen: Array<SeenSegment> = []
  let key: PartitionKey | undefined
  for (const name of await namesOfSegments(files, join(directory, String(id)))) {
    const found = await readSegment(parts, id, name, Number.MAX_SAFE_INTEGER)
    key ??= found.key
    if (found.segment === undefined) move(name, found.message)
    else seen.push(found as SeenSegment)
  }
  if (key === undefined) {
    for (const { segment } of seen) move(segment, "no header says whose it is")
    return { partition: undefined, aside }
  }
  const unended = seen.filter((each) => isUnended(each) && seen.some((other) => other !== each && overlap(other, each)))
  for (const { segment } of unended) move(segment, "a compaction had not ended it")
  seen = seen.filter((each) => !unended.includes(each))
  const replaced = seen.filter((each) => seen.some((other) => replaces(other, each)))
  for (const { segment } of replaced) move(segment, "a compaction has put another one in its place")
  seen = seen.filter((each) => !replaced.includes(each))
  const ordered: Array<SeenSegment> = []
  for (const next of seen.toSorted((one, other) => one.segment.base - other.segment.base)) {
    const last = ordered.at(-1)
    if (last === undefined || fits(last, next)) {
      ordered.push(next)
      continue
    }
    if (next.firstEpoch <= last.lastEpoch) {
      move(next.segment, `it goes on where the segment before it does, with leader epoch ${next.firstEpoch}`)
      continue
    }
    // The one before was cut there, and not written over.
    const cut = await readSegment(parts, id, last.segment, next.segment.base)
    ordered.pop()
    if (cut.segment === undefined) move(last.segment, "all of it was cut off")
    else ordered.push(cut as SeenSegment)
    ordered.push(next)
  }
  seen = ordered
  for (const { segment, pathname, rest } of seen) {
    if (rest === 0) continue
    const message = `the ${rest} bytes from byte ${segment.bytes} on are no batches that follow: a copy is kept`
    aside.push({ pathnames: [pathname], how: "copy", message })
  }
  const segments = seen.map(({ segment }) => segment)
  const [first] = segments
  const last = segments.at(-1)
  if (first === undefined || last === undefined) return { partition: undefined, aside }
  const leaderEpoch = Math.max(...seen.map(({ lastEpoch }) => lastEpoch))
  const bounds = { logStart: first.base, logEnd: last.end, startPosition: HEADER_BYTES }
  // How far the last compaction went nobody says: the next one begins with the first offset.
  return { partition: { id, key, ...bounds, leaderEpoch, segments }, aside }
}

/** A segment follows one that ends before it begins, and under no older leader epoch. */
function fits(last: SeenSegment, next: SeenSegment): boolean {
  return next.segment.base >= last.segment.end && next.firstEpoch >= last.lastEpoch
}

/**
 * Whether a compaction has written `one` in the place of `other`: it is of a later generation and has offsets of it, and these were not
 * written anew since.
 */
function replaces(one: SeenSegment, other: SeenSegment): boolean {
  const isLater = (one.segment.generation ?? 0) > (other.segment.generation ?? 0)
  return isLater && overlap(one, other) && other.firstEpoch <= one.lastEpoch
}

function overlap({ segment: one }: SeenSegment, { segment: other }: SeenSegment): boolean {
  return one.base < other.end && other.base < one.end
}

/** A compaction was writing it; or it was ended, cut, and goes on: then there is no other with its offsets. */
function isUnended({ segment }: SeenSegment): boolean {
  return segment.generation !== undefined && !segment.isSealed
}

function filesOf(directory: string, id: number, segment: SegmentName): ReadonlyArray<string> {
  return [logName(segment), indexName(segment)].map((name) => join(directory, String(id), name))
}

async function namesOfSegments(files: FilesShape, directory: string): Promise<ReadonlyArray<SegmentName>> {
  const logs = (await namesIn(files, directory)).filter((name) => name.endsWith(".log"))
  return logs.flatMap((name) => segmentOfName(name) ?? []).toSorted((one, other) => one.base - other.base)
}

async function namesIn(files: FilesShape, directory: string): Promise<ReadonlyArray<string>> {
  const listed = await Effect.runPromise(Effect.result(files.list(directory)))
  if (listed._tag === "Success") return listed.success
  if (listed.failure instanceof FileError && listed.failure.code === "not-found") return []
  throw listed.failure
}
