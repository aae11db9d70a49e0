/** `session`: all sessions, of clients that are connected and of those that are not; they can be ended, and what waits for them dropped. */
import { Effect } from "effect"
import * as v from "valibot"
import { type Resource, ResourceError } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import { backlogOf } from "./backlog.ts"
import { COUNTED_MAX } from "./client-resource.ts"
import { dropQueue, endSession } from "./end-session.ts"
import { findSession, listSessions } from "./SessionDirectory.ts"
import { sessionItem, sessionSchema } from "./session-facts.ts"
import { whenKept } from "./when-kept.ts"

/** Those of this shard. Every shard registers its own; the host shows them as one resource. */
export function sessionResource(broker: Broker): Resource {
  const gone = (id: string): ResourceError => {
    const message = `there is no session of a client ${JSON.stringify(id)}`
    return new ResourceError({ reason: "not-found", code: "session-not-found", message })
  }
  return {
    name: "session",
    plural: "sessions",
    description: "Sessions of clients, connected or not",
    schema: sessionSchema,
    idMember: "client_id",
    list: ({ limit, cursor, filter }) =>
      Effect.promise(async () => {
        const { sessions, next } = listSessions(broker, cursor, limit, filter)
        const items: Array<unknown> = []
        for (const listed of sessions) {
          items.push(sessionItem(broker, listed, await backlogOf(broker, listed, COUNTED_MAX.list)))
        }
        return next === undefined ? { items } : { items, cursor: next }
      }),
    get: (id) =>
      Effect.promise(async () => {
        const listed = findSession(broker, id)
        if (listed === undefined) return undefined
        return sessionItem(broker, listed, await backlogOf(broker, listed, COUNTED_MAX.one))
      }).pipe(Effect.flatMap((found) => (found === undefined ? Effect.fail(gone(id)) : Effect.succeed(found)))),
    verbs: [
      {
        name: "delete",
        description: "Ends it with all that waits for it, and its client's connection",
        kind: "delete",
        input: v.strictObject({}),
        run: (id) =>
          Effect.suspend(() => (endSession(broker, id) ? whenKept(broker, undefined) : Effect.fail(gone(id))))
      },
      {
        name: "drop-queue",
        description: "Forgets what waits for it; what is in flight stays",
        input: v.strictObject({}),
        run: (id) =>
          Effect.promise(async () => {
            const listed = findSession(broker, id)
            if (listed === undefined) return undefined
            const { messages } = await backlogOf(broker, listed, COUNTED_MAX.one)
            if (!(await dropQueue(broker, listed))) return undefined
            broker.counts.droppedQueue += messages
            return { dropped: messages }
          }).pipe(
            Effect.flatMap((dropped) => (dropped === undefined ? Effect.fail(gone(id)) : whenKept(broker, dropped)))
          )
      }
    ]
  }
}
