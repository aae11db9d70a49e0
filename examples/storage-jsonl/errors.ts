/** What goes wrong with files, as the contract of storage wants to have it told. */
import { ChecksumMismatch, DiskFull, FileError, StorageError, Unusable } from "manifold"

/** The engine's name, in manifests and errors. */
export const ENGINE = "jsonl"

/** The line that should begin with the batch at `baseOffset` is not what was written. */
export function damaged(baseOffset: number): StorageError {
  return new StorageError({ engine: ENGINE, reason: new ChecksumMismatch({ baseOffset }) })
}

export function unusable(message: string): StorageError {
  return new StorageError({ engine: ENGINE, reason: new Unusable({ message }) })
}

export function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  if (error instanceof FileError && error.code === "disk-full") {
    return new StorageError({ engine: ENGINE, reason: new DiskFull({ pathname: error.pathname }) })
  }
  return unusable(error instanceof Error ? error.message : String(error))
}
