/** A directory that something whole is to be written to: missing or empty, so that nothing of anybody's is lost or mixed in. */
import { Effect } from "effect"
import type { FilesShape } from "../platform/Files.ts"
import { type BackupError, refusal } from "./BackupError.ts"

/** Fails where `target` holds anything, is no directory, or cannot be looked at. `nameOf` says what a name in it is, for a person. */
export function checkEmpty(
  files: FilesShape,
  target: string,
  nameOf: (name: string) => string = (name) => name
): Effect.Effect<void, BackupError> {
  const named = JSON.stringify(target)
  const none: ReadonlyArray<string> = []
  return files.list(target).pipe(
    Effect.catch((error) =>
      error.code === "not-found" ? Effect.succeed(none) : Effect.fail(refusal(`cannot use ${named}: ${error.reason}`))
    ),
    Effect.flatMap(([first]) =>
      first === undefined
        ? Effect.void
        : Effect.fail(refusal(`${named} is not empty: it holds ${nameOf(first)}; name one that is missing or empty`))
    )
  )
}
