/** Why a node did not start: one line that names who and what, for the operator. */
import { Schema } from "effect"

export class StartError extends Schema.TaggedError<StartError>()("StartError", {
  message: Schema.String
}) {}
