/** What the operating system says when a file cannot be used, as a {@link FileError}. */
import { FileError, type FileErrorCode } from "./Files.ts"

const KNOWN: ReadonlyMap<string, readonly [FileErrorCode, string]> = new Map([
  ["EACCES", ["not-permitted", "not permitted to write there"]],
  ["EPERM", ["not-permitted", "not permitted to write there"]],
  ["EROFS", ["not-permitted", "not permitted to write there"]],
  ["ENOTDIR", ["wrong-kind", "the path is a file, not a directory"]],
  ["EISDIR", ["wrong-kind", "the path is a directory, not a file"]],
  ["EEXIST", ["exists", "the file is already there"]],
  ["ENOENT", ["not-found", "no such file"]],
  ["ENOSPC", ["disk-full", "the disk is full"]],
  ["EDQUOT", ["disk-full", "the disk quota is spent"]],
  ["EFBIG", ["disk-full", "files may not grow larger there"]],
  ["EMFILE", ["too-many-open", "too many open files"]],
  ["ENFILE", ["too-many-open", "too many open files"]],
  ["EIO", ["failed", "the disk failed"]]
])

/** Any error of node:fs. */
export function fileError(pathname: string, error: unknown): FileError {
  if (error instanceof FileError) return error
  const known = KNOWN.get(error instanceof Error && "code" in error ? String(error.code) : "")
  if (known !== undefined) return new FileError({ pathname, code: known[0], reason: known[1] })
  const message = error instanceof Error ? error.message : String(error)
  return new FileError({ pathname, code: "failed", reason: message.split("\n")[0] ?? "" })
}
