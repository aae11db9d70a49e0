/** Answers an administrator when what was done is on disk. */
import { Effect } from "effect"
import { ResourceError } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"

/** Succeeds with `answer` when all that has been submitted until now is committed. */
export function whenKept<Answer>(broker: Broker, answer: Answer): Effect.Effect<Answer, ResourceError> {
  return Effect.callback<Answer, ResourceError>((resume) => {
    broker.whenCommitted((outcome) => {
      const message = "the disk takes nothing now; it is done all the same, unless the node stops before it does"
      resume(
        outcome >= 0
          ? Effect.succeed(answer)
          : Effect.fail(new ResourceError({ reason: "unavailable", code: "storage-unavailable", message }))
      )
    })
  })
}
