/** The file system, as far as core needs it: the data directory. Engines that keep files will widen it. */
import { Context, type Effect, Schema } from "effect"

export class FileError extends Schema.TaggedError<FileError>()("FileError", {
  pathname: Schema.String,
  reason: Schema.String
}) {}

export interface FilesShape {
  /** Makes the directory and its parents unless it is there, and proves that files can be made and removed in it. */
  ensureWritableDirectory(pathname: string): Effect.Effect<void, FileError>
  readText(pathname: string): Effect.Effect<string, FileError>
}

export class Files extends Context.Service<Files, FilesShape>()("manifold/core/platform/Files") {}
