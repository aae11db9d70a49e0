/** What this broker says of a bridge's session: asked of the resource `session`, as an administrator would. */
import { Cause, Effect } from "effect"
import * as v from "valibot"
import { InvariantViolation, type Resource, ResourceError } from "../../core/mod.ts"
import { LinkError } from "./LinkError.ts"

const item = v.object({
  connected: v.boolean(),
  inflight: v.number(),
  queued_messages: v.number(),
  queued_bytes: v.number(),
  queued_since: v.nullable(v.string()),
  received: v.number()
})

export interface SessionFacts {
  /** Sent to the remote and not acknowledged. */
  readonly inflight: number
  /** Waits to be sent. */
  readonly messages: number
  readonly bytes: number
  readonly since: string | null
  /** QoS 2 messages of the remote that were not released. */
  readonly received: number
}

/** Undefined = there is no such session. That it cannot be told is another matter: it fails then. */
export function sessionFacts(
  all: () => ReadonlyArray<Resource>,
  clientIdentifier: string
): Effect.Effect<SessionFacts | undefined, LinkError> {
  return Effect.suspend(() => {
    const get = all().find(({ name }) => name === "session")?.get
    return get?.(clientIdentifier) ?? Effect.die("nobody tells of sessions")
  }).pipe(
    Effect.catchCause((cause) => {
      const error = Cause.squash(cause)
      if (error instanceof InvariantViolation) return Effect.die(error)
      if (error instanceof ResourceError && error.reason === "not-found") return Effect.succeed(undefined)
      const why = error instanceof Error ? error.message : String(error)
      return Effect.fail(new LinkError({ reason: `this broker cannot tell what waits for the bridge: ${why}` }))
    }),
    Effect.map((found) => {
      if (found === undefined) return undefined
      const { inflight, queued_messages, queued_bytes, queued_since: since, received } = v.parse(item, found)
      return { inflight, messages: queued_messages, bytes: queued_bytes, since, received }
    })
  )
}
