/** Why a journal cannot be used: one line with the path, the place, what was found and what can be done. */
import { Schema } from "effect"

export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  pathname: Schema.String,
  /** Byte of the file at which it was found. */
  position: Schema.Number,
  reason: Schema.String,
  /** What can be done. */
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.pathname}: byte ${this.position}: ${this.reason}. ${this.remedy}`
  }
}
