/** Reads and copies whole files in pieces, with the SHA-256 of what was read. */
import { createHash } from "node:crypto"
import { Effect } from "effect"
import { FileError, type FilesShape, type OpenFile } from "../platform/Files.ts"
import type { Pace } from "../platform/pace.ts"

/** Bytes that are moved at a time: what the loop is held up by. */
const PIECE_BYTES = 262_144

export interface CopiedFile {
  readonly bytes: number
  /** 64 hexadecimal digits. */
  readonly sha256: string
}

/** The size and checksum of `[0, end)` of a file; `end` absent = all of it. */
export function hashFile(
  files: FilesShape,
  pathname: string,
  pace: Pace,
  end?: number
): Effect.Effect<CopiedFile, FileError> {
  return using(files, pathname, "read", (file) => attempt(pathname, () => pieces(file, pace, end, () => {})))
}

/** Copies `[0, end)` of `from` to a new file `to`, synced; its name is not. */
export function copyFile(
  files: FilesShape,
  from: string,
  to: string,
  pace: Pace,
  end?: number
): Effect.Effect<CopiedFile, FileError> {
  return using(files, from, "read", (source) =>
    using(files, to, "create-new", (target) =>
      attempt(to, async () => {
        const copied = await pieces(source, pace, end, (bytes, count, position) =>
          target.writeUnsafe(bytes, 0, count, position)
        )
        await target.sync()
        return copied
      })
    )
  )
}

async function pieces(
  source: OpenFile,
  pace: Pace,
  end: number | undefined,
  visit: (bytes: Uint8Array, count: number, position: number) => void
): Promise<CopiedFile> {
  const hash = createHash("sha256")
  const buffer = new Uint8Array(PIECE_BYTES)
  let position = 0
  for (;;) {
    const wanted = Math.min(PIECE_BYTES, (end ?? Number.POSITIVE_INFINITY) - position)
    const count = wanted === 0 ? 0 : await source.read(buffer, 0, wanted, position)
    if (count > 0) {
      hash.update(buffer.subarray(0, count))
      visit(buffer, count, position)
      position += count
      await pace(count)
    }
    if (count < PIECE_BYTES) break
  }
  if (end !== undefined && position < end) {
    const { pathname } = source
    throw new FileError({ pathname, code: "failed", reason: `it ends at byte ${position}; ${end} were expected` })
  }
  return { bytes: position, sha256: hash.digest("hex") }
}

function using<Value>(
  files: FilesShape,
  pathname: string,
  mode: "read" | "create-new",
  work: (file: OpenFile) => Effect.Effect<Value, FileError>
): Effect.Effect<Value, FileError> {
  return Effect.acquireUseRelease(
    attempt(pathname, async () => files.openUnsafe(pathname, mode)),
    work,
    (file) => Effect.sync(() => file.close())
  )
}

function attempt<Value>(pathname: string, work: () => Promise<Value>): Effect.Effect<Value, FileError> {
  return Effect.tryPromise({
    try: work,
    catch: (error) =>
      error instanceof FileError ? error : new FileError({ pathname, code: "failed", reason: String(error) })
  })
}
