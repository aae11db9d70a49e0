/** `client`: those that are connected; they can be sent away, and subscribed and unsubscribed on their behalf. */
import { Effect } from "effect"
import * as v from "valibot"
import { checkTopicFilter, type Resource, ResourceError } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Connection } from "../Connection.ts"
import { exclusiveFilterOf } from "../exclusive/exclusive-filter.ts"
import { whole } from "../listener-options.ts"
import { ADMINISTRATIVE_ACTION } from "../reasons.ts"
import { replayFilter, withoutReplay } from "../replay/replay-from.ts"
import { rewriteFilter } from "../rewrite/rewrite-filters.ts"
import type { Session } from "../Session.ts"
import { subscribeTo } from "../subscribing.ts"
import { clientUnsubscribed } from "../system/client-events.ts"
import { DISCONNECT } from "../wire/packet-types.ts"
import { reasonCodeAllowed, reasonName } from "../wire/reason-codes.ts"
import type { Subscription } from "../wire/subscribe.ts"
import { backlogOf } from "./backlog.ts"
import { findSession, type Listed, listConnected } from "./SessionDirectory.ts"
import { clientItem, clientSchema } from "./session-facts.ts"
import { whenKept } from "./when-kept.ts"

/** Messages that are counted, in each queue log, for one of a list and for one alone. */
export const COUNTED_MAX = { list: 10_000, one: 1_000_000 }

const filter = v.pipe(
  v.string(),
  v.check((text) => checkTopicFilter(text) === 0, "expected a topic filter"),
  v.check(
    (text) => exclusiveFilterOf(text) === undefined && replayFilter(text) === undefined,
    "expected none that begins with $exclusive/ or $replay/, also behind a share name"
  ),
  v.description("topic filter, also $share/name/filter")
)
const wish = v.strictObject({
  topic: filter,
  qos: v.pipe(v.optional(whole(0, 2), 0), v.description("highest QoS of what it gets by it")),
  no_local: v.pipe(v.optional(v.boolean(), false), v.description("whether its own messages are left out")),
  retain_as_published: v.pipe(v.optional(v.boolean(), false), v.description("whether RETAIN stays as it was sent")),
  retain_handling: v.pipe(
    v.optional(whole(0, 2), 0),
    v.description("retained messages: 0 = all, 1 = where new, 2 = none")
  )
})
const unwished = v.strictObject({ topic: v.pipe(v.string(), v.minLength(1), v.description("as it was subscribed to")) })
const kick = v.strictObject({
  reason_code: v.pipe(
    v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.check(
          (code) => reasonCodeAllowed(DISCONNECT, code),
          "expected a Reason Code that a server may send with DISCONNECT"
        )
      ),
      ADMINISTRATIVE_ACTION
    ),
    v.description("Reason Code of its DISCONNECT, version 5: 152 = Administrative action")
  )
})

/** Those of this shard. Every shard registers its own; the host shows them as one resource. */
export function clientResource(broker: Broker): Resource {
  const gone = (id: string): ResourceError => {
    const message = `no client ${JSON.stringify(id)} is connected`
    return new ResourceError({ reason: "not-found", code: "client-not-found", message })
  }
  const item = async (listed: Listed, max: number): Promise<unknown> => {
    const connection = listed.session?.connection
    const backlog = await backlogOf(broker, listed, max)
    return connection === undefined ? undefined : clientItem(connection, listed, backlog)
  }
  /** Acts on a client that is connected and open. */
  const act = <Result>(
    id: string,
    run: (connection: Connection, session: Session) => Effect.Effect<Result, ResourceError>
  ): Effect.Effect<Result, ResourceError> =>
    Effect.suspend(() => {
      const connection = broker.sessions.connectionOf(0, id)
      const session = connection?.session
      return connection === undefined || session === undefined ? Effect.fail(gone(id)) : run(connection, session)
    })
  return {
    name: "client",
    plural: "clients",
    description: "Clients that are connected",
    schema: clientSchema,
    idMember: "client_id",
    list: ({ limit, cursor, filter: part }) =>
      Effect.promise(async () => {
        const { sessions, next } = listConnected(broker, cursor, limit, part)
        const items: Array<unknown> = []
        for (const listed of sessions) items.push(await item(listed, COUNTED_MAX.list))
        // One that has left meanwhile is none.
        const present = items.filter((each) => each !== undefined)
        return next === undefined ? { items: present } : { items: present, cursor: next }
      }),
    get: (id) =>
      Effect.promise(async () => {
        const listed = findSession(broker, id)
        return listed === undefined ? undefined : item(listed, COUNTED_MAX.one)
      }).pipe(Effect.flatMap((found) => (found === undefined ? Effect.fail(gone(id)) : Effect.succeed(found)))),
    verbs: [
      {
        name: "kick",
        description: "Ends its connection; its will is published, its session stays as long as it would anyway",
        input: kick,
        run: (id, input) =>
          Effect.suspend(() => {
            const connection = broker.sessions.connectionOf(0, id)
            if (connection === undefined) return Effect.fail(gone(id))
            connection.close(v.parse(kick, input).reason_code)
            return Effect.void
          })
      },
      {
        name: "subscribe",
        description: "Subscribes it, as if it had asked for that itself; it gets no SUBACK",
        input: wish,
        run: (id, input) =>
          act(id, (connection, session) => {
            const { topic, qos, no_local, retain_as_published, retain_handling } = v.parse(wish, input)
            const asked: Subscription = {
              filter: topic,
              qos: qos as Subscription["qos"],
              noLocal: no_local,
              retainAsPublished: retain_as_published,
              retainHandling: retain_handling as Subscription["retainHandling"],
              reasonCode: 0
            }
            const [code = 0] = subscribeTo(connection, session, [rewriteFilter(connection, asked)])
            if (code < 0x80) return whenKept(broker, { topic, qos: code })
            const message = `it may not have ${JSON.stringify(topic)}: ${reasonName(code)}`
            return Effect.fail(new ResourceError({ reason: "conflict", code: "client-subscription-refused", message }))
          })
      },
      {
        name: "unsubscribe",
        description: "Takes a subscription of its off, by the name that it has for it",
        input: unwished,
        run: (id, input) =>
          act(id, (connection, session) => {
            const { topic } = v.parse(unwished, input)
            const plain = withoutReplay(topic)
            if (!session.unsubscribeAsked(exclusiveFilterOf(plain) ?? plain)) {
              const message = `it has no subscription to ${JSON.stringify(topic)}`
              return Effect.fail(
                new ResourceError({ reason: "conflict", code: "client-subscription-not-found", message })
              )
            }
            clientUnsubscribed(connection, topic)
            return whenKept(broker, undefined)
          })
      }
    ]
  }
}
