/**
 * The file system, as far as core and its storage engines need it.
 *
 * Two kinds of call: what prepares and names files is an Effect; what reads and writes an open file is plain, and throws
 * {@link FileError} where it fails, because an engine does it once a batch and failure is rare. Nothing else is ever thrown.
 *
 * Invariants
 *  - Bytes that were written survive the process from the moment the call returns (kill -9), and power loss from the moment a
 *    {@link OpenFile.sync} that began after it has resolved. A new, removed or renamed file survives power loss once
 *    {@link FilesShape.syncDirectory} of its folder is done.
 *  - After a write or a sync that failed, what the file holds behind the last good sync is unknown: cut it, never just try again.
 */
import { Context, type Effect, Schema, type Scope } from "effect"

/** What a program can do about a fault; `reason` of {@link FileError} tells a person. */
export type FileErrorCode =
  | "not-found"
  | "exists"
  | "not-permitted"
  /** A directory where a file is wanted, or the other way round. */
  | "wrong-kind"
  /** No space, a quota that is spent, or a bound on the size of a file. */
  | "disk-full"
  | "too-many-open"
  /** Another process holds the lock. */
  | "locked"
  /** The device failed, or something that nobody foresaw. */
  | "failed"

export class FileError extends Schema.TaggedError<FileError>()("FileError", {
  pathname: Schema.String,
  code: Schema.Literals([
    "not-found",
    "exists",
    "not-permitted",
    "wrong-kind",
    "disk-full",
    "too-many-open",
    "locked",
    "failed"
  ]),
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.pathname}: ${this.reason}`
  }
}

/** How a file is opened. "create" opens it where it is there; "create-new" is refused then. */
export type OpenMode = "read" | "write" | "create" | "create-new"

/** An open file. Positions and sizes are bytes; there is no current position. */
export interface OpenFile {
  readonly pathname: string
  sizeUnsafe(): number
  /** Fills `target[start, end)` from `position` on; returns the bytes read, fewer only where the file ends. */
  readUnsafe(target: Uint8Array, start: number, end: number, position: number): number
  /** The same off the loop; `target` is borrowed until it settles. Rejects with {@link FileError}. */
  read(target: Uint8Array, start: number, end: number, position: number): Promise<number>
  /** Writes all of `bytes[start, end)` at `position`. Where it throws, a part may have been written. */
  writeUnsafe(bytes: Uint8Array, start: number, end: number, position: number): void
  /** The same off the loop; `bytes` are borrowed, and must not change, until it settles. Rejects with {@link FileError}. */
  write(bytes: Uint8Array, start: number, end: number, position: number): Promise<void>
  /** Cuts the file to `size`, or fills it up with zeros. */
  truncateUnsafe(size: number): void
  /** Makes what was written before the call durable (fdatasync), off the loop. Rejects with {@link FileError}. */
  sync(): Promise<void>
  /** Gives the file back; a second time does nothing. Syncs and reads under way end as if it were open. */
  close(): void
}

export interface FilesShape {
  /** Makes the directory and its parents unless it is there, and proves that files can be made and removed in it. */
  ensureWritableDirectory(pathname: string): Effect.Effect<void, FileError>
  /** Makes a directory and its parents; one that is there is no error. */
  makeDirectory(pathname: string): Effect.Effect<void, FileError>
  /** Removes a directory with all that is in it; one that is not there is no error. */
  removeDirectory(pathname: string): Effect.Effect<void, FileError>
  readText(pathname: string): Effect.Effect<string, FileError>
  /** Opens a file, for reading and, unless the mode is "read", for writing. The caller closes it. Throws {@link FileError}. */
  openUnsafe(pathname: string, mode: OpenMode): OpenFile
  /** The names in a directory, in no order; those of its directories end in "/". */
  list(pathname: string): Effect.Effect<ReadonlyArray<string>, FileError>
  /** Removes a file; one that is not there is no error. */
  remove(pathname: string): Effect.Effect<void, FileError>
  /**
   * Gives a file another name on the same disk, at once: whoever opens `to` finds the old file or the new one whole. A plain call, so
   * that nothing is written between the last look at the old file and the first use of the new one. Throws {@link FileError}.
   */
  renameUnsafe(from: string, to: string): void
  /** Bytes that this process may still write to the file system of a path that is there; infinite where nobody knows. */
  freeBytes(pathname: string): Effect.Effect<number, FileError>
  /** Makes names that were made, removed or changed in a directory durable. */
  syncDirectory(pathname: string): Effect.Effect<void, FileError>
  /**
   * Holds a lock on a file (made where it is missing, and left behind) for the life of the surrounding scope. Another process, or
   * another node of this one, is refused with the code "locked"; the shards of one node share the lock. It goes with the process,
   * however that ends.
   */
  lock(pathname: string): Effect.Effect<void, FileError, Scope.Scope>
}

export class Files extends Context.Service<Files, FilesShape>()("manifold/core/platform/Files") {}
