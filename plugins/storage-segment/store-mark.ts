/**
 * What says that a store had segments, beside them: an empty file in the store's own directory, so that a manifest that is lost, alone or with all
 * that lies around it, is not taken for that of a new store, whose numbers would begin anew and be written over what is left.
 *
 * Invariants
 *  - The mark is given its name when a manifest is durable: where it is and no manifest is, something was lost.
 *  - A store without a mark starts: those that older releases made get theirs when their manifest is next written.
 */
import { basename, dirname, join } from "node:path"
import { Effect } from "effect"
import { FileError, type FilesShape, replaceFile } from "../../core/mod.ts"
import { baseOfName } from "./segment-format.ts"

export const MARK_NAME = "segments.mark"
/** With what a crash may leave while it is written. */
export const MARK_NAMES = [MARK_NAME, `${MARK_NAME}.new`]
/** What a person can do where a manifest is lost or damaged. */
export const LOST_MANIFEST_REMEDY =
  "put it back, restore a backup, or make one of the segments that are left: manifold storage repair --rebuild-manifest"
const NOTHING = new Uint8Array(0)
/** A partition's directory. */
const NUMBER = /^(?:0|[1-9]\d{0,15})\/$/

/** Puts the mark beside a directory of segments, unless it is there; durable when this settles. Rejects with `FileError`. */
export async function ensureMark(files: FilesShape, directory: string): Promise<void> {
  const store = dirname(directory)
  if (isMarked(files, store)) return
  await Effect.runPromise(replaceFile(files, store, MARK_NAME, NOTHING))
}

/**
 * Why a directory of segments that has no manifest is not that of a new store, half a sentence for a person; undefined where it may be.
 * Rejects with `FileError`.
 */
export async function whyNotNew(files: FilesShape, directory: string): Promise<string | undefined> {
  const mark = join(dirname(directory), MARK_NAME)
  if (isMarked(files, dirname(directory))) return `it is missing, and ${mark} says that there was one`
  // The manifest is written before the first segment is.
  for (const name of await namesIn(files, directory)) {
    if (!NUMBER.test(name)) continue
    const own = join(directory, name.slice(0, -1))
    const found = (await namesIn(files, own)).find((each) => baseOfName(each) !== undefined)
    if (found !== undefined) return `it is missing, and segments are there: ${join(basename(own), found)}`
  }
  return undefined
}

function isMarked(files: FilesShape, store: string): boolean {
  try {
    files.openUnsafe(join(store, MARK_NAME), "read").close()
    return true
  } catch (error) {
    if (error instanceof FileError && error.code === "not-found") return false
    throw error
  }
}

async function namesIn(files: FilesShape, directory: string): Promise<ReadonlyArray<string>> {
  const listed = await Effect.runPromise(Effect.result(files.list(directory)))
  if (listed._tag === "Success") return listed.success
  if (listed.failure.code === "not-found") return []
  throw listed.failure
}
