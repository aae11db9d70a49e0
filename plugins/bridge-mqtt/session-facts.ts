/** What this broker says of a bridge's session: asked of the resource `session`, as an administrator would. */
import { Effect } from "effect"
import * as v from "valibot"
import type { Resource } from "../../core/mod.ts"

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

/** Undefined = there is no such session, or nobody who could tell. */
export function sessionFacts(
  all: () => ReadonlyArray<Resource>,
  clientIdentifier: string
): Effect.Effect<SessionFacts | undefined> {
  return Effect.suspend(() => {
    const session = all().find(({ name }) => name === "session")
    return session?.get?.(clientIdentifier) ?? Effect.succeed(undefined)
  }).pipe(
    Effect.map((found) => {
      const parsed = v.safeParse(item, found)
      if (!parsed.success) return undefined
      const { inflight, queued_messages: messages, queued_bytes: bytes, queued_since: since, received } = parsed.output
      return { inflight, messages, bytes, since, received }
    }),
    Effect.catch(() => Effect.succeed(undefined))
  )
}
