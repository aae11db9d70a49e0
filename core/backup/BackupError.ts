/** Why a backup was not made or not restored: one line for the operator, with the path and what to do. */
import { Schema } from "effect"
import type { FileError } from "../platform/Files.ts"

export class BackupError extends Schema.TaggedError<BackupError>()("BackupError", {
  /** Whether what was asked for cannot be: nothing was begun. */
  isRefusal: Schema.Boolean,
  message: Schema.String
}) {}

/** Asked for in a way that cannot be. */
export function refusal(message: string): BackupError {
  return new BackupError({ isRefusal: true, message })
}

/** Begun, and not done. */
export function failure(message: string): BackupError {
  return new BackupError({ isRefusal: false, message })
}

export function ofFile({ pathname, reason }: FileError): BackupError {
  return failure(`${pathname}: ${reason}`)
}
