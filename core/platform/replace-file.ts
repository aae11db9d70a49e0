/**
 * Writes a small file so that whoever looks for it, whenever the process or the power ends, finds the old one or the new one whole:
 * under another name first, synced, renamed, and the name synced.
 *
 * Invariant: the name is never given to bytes that are not synced. What a crash leaves beside it is `<name>.new`, which the next
 * call writes over.
 */
import { join } from "node:path"
import { Effect } from "effect"
import { FileError, type FilesShape, type OpenFile } from "./Files.ts"

/** Behind the name of a file that is being written. */
export const NEW_SUFFIX = ".new"

/** Puts `bytes` under `name` in `directory`, durable when it returns. */
export function replaceFile(
  files: FilesShape,
  directory: string,
  name: string,
  bytes: Uint8Array
): Effect.Effect<void, FileError> {
  const target = join(directory, name)
  const fresh = `${target}${NEW_SUFFIX}`
  const write = Effect.acquireUseRelease(
    tried(fresh, () => files.openUnsafe(fresh, "create")),
    (file) => writeWhole(file, bytes),
    (file) => Effect.sync(() => file.close())
  )
  return write.pipe(
    Effect.andThen(tried(target, () => files.renameUnsafe(fresh, target))),
    Effect.andThen(files.syncDirectory(directory))
  )
}

/** All bytes of a file of at most `sizeMax` bytes; fails with "failed" where it is larger. */
export function readWhole(
  files: FilesShape,
  pathname: string,
  sizeMax: number
): Effect.Effect<Uint8Array<ArrayBuffer>, FileError> {
  return Effect.acquireUseRelease(
    tried(pathname, () => files.openUnsafe(pathname, "read")),
    (file) =>
      tried(pathname, () => {
        const size = file.sizeUnsafe()
        if (size > sizeMax) {
          throw new FileError({ pathname, code: "failed", reason: `it has ${size} bytes; ${sizeMax} are the most` })
        }
        const bytes = new Uint8Array(size)
        return bytes.subarray(0, file.readUnsafe(bytes, 0, size, 0))
      }),
    (file) => Effect.sync(() => file.close())
  )
}

function writeWhole(file: OpenFile, bytes: Uint8Array): Effect.Effect<void, FileError> {
  const { pathname } = file
  return tried(pathname, () => {
    file.truncateUnsafe(0)
    file.writeUnsafe(bytes, 0, bytes.length, 0)
  }).pipe(Effect.andThen(Effect.tryPromise({ try: () => file.sync(), catch: (error) => asFileError(pathname, error) })))
}

function tried<Value>(pathname: string, work: () => Value): Effect.Effect<Value, FileError> {
  return Effect.try({ try: work, catch: (error) => asFileError(pathname, error) })
}

function asFileError(pathname: string, error: unknown): FileError {
  return error instanceof FileError ? error : new FileError({ pathname, code: "failed", reason: String(error) })
}
