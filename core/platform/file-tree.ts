/** The files below a directory, with their sizes: for reports and backups. What vanishes while it is looked at is left out. */
import { join } from "node:path"
import { Effect } from "effect"
import { FileError, type FilesShape } from "./Files.ts"

/** Directories within directories, at most. */
const DEPTH_MAX = 16

export interface FoundFile {
  /** From the directory that was asked for, parts joined by "/". */
  readonly name: string
  readonly bytes: number
}

/** Every file below `directory`, by name. Fails where the directory itself cannot be listed, or a file not be opened. */
export function fileTree(files: FilesShape, directory: string): Effect.Effect<ReadonlyArray<FoundFile>, FileError> {
  return walk(files, directory, "", 0).pipe(
    Effect.map((found) => found.toSorted((one, other) => (one.name < other.name ? -1 : 1)))
  )
}

function walk(
  files: FilesShape,
  directory: string,
  prefix: string,
  depth: number
): Effect.Effect<Array<FoundFile>, FileError> {
  return Effect.gen(function* () {
    const pathname = join(directory, prefix.slice(0, -1))
    if (depth > DEPTH_MAX) return yield* new FileError({ pathname, code: "failed", reason: "directories lie too deep" })
    const found: Array<FoundFile> = []
    for (const name of yield* files.list(pathname)) {
      const below = name.endsWith("/")
        ? walk(files, directory, `${prefix}${name}`, depth + 1)
        : Effect.map(sizeOf(files, join(pathname, name)), (bytes) => [{ name: `${prefix}${name}`, bytes }])
      found.push(
        ...(yield* below.pipe(Effect.catch((error) => (isGone(error) ? Effect.succeed([]) : Effect.fail(error)))))
      )
    }
    return found
  })
}

function sizeOf(files: FilesShape, pathname: string): Effect.Effect<number, FileError> {
  return Effect.suspend(() => {
    try {
      const file = files.openUnsafe(pathname, "read")
      try {
        return Effect.succeed(file.sizeUnsafe())
      } finally {
        file.close()
      }
    } catch (error) {
      if (error instanceof FileError) return Effect.fail(error)
      throw error
    }
  })
}

function isGone({ code }: FileError): boolean {
  return code === "not-found"
}
