/** `subscription`: the topic filters of all sessions, by client. */
import { Effect } from "effect"
import * as v from "valibot"
import { type Resource, ResourceError } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import * as rows from "../session-rows.ts"
import { readPages } from "../stored-sessions.ts"
import { findSession, type Listed, listSessions } from "./SessionDirectory.ts"
import { compareTexts } from "./text-order.ts"

const schema = v.strictObject({
  client_id: v.pipe(v.string(), v.description("client identifier")),
  topic: v.pipe(v.string(), v.description("topic filter")),
  qos: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2)),
  no_local: v.boolean(),
  retain_as_published: v.boolean(),
  identifier: v.pipe(v.number(), v.integer(), v.minValue(0), v.description("Subscription Identifier; 0 = none")),
  exclusive: v.pipe(v.boolean(), v.description("whether no other client may have it")),
  asked: v.pipe(
    v.array(v.string()),
    v.description("how its client calls it, where rules of rewriting made it of that")
  ),
  connected: v.pipe(v.boolean(), v.description("whether its client is"))
})
type Item = v.InferOutput<typeof schema>

/** Sessions that are looked at for one page. */
const SESSIONS_MAX = 100
/** Between the client identifier and the filter of a cursor: neither holds one. */
const BETWEEN = "\0"

/** Those of this shard. Every shard registers its own; the host shows them as one resource. */
export function subscriptionResource(broker: Broker): Resource {
  return {
    name: "subscription",
    plural: "subscriptions",
    description: "Topic filters of all sessions, connected or not",
    schema,
    list: ({ limit, cursor, filter }) =>
      Effect.suspend(() => {
        const [client = "", after = ""] = cursor.split(BETWEEN)
        if (cursor !== "" && !cursor.includes(BETWEEN)) {
          const message = `${JSON.stringify(cursor.slice(0, 80))} is no cursor of a list of subscriptions`
          return Effect.fail(new ResourceError({ reason: "invalid", code: "invalid-cursor", message }))
        }
        return Effect.promise(() => page(broker, client, after, limit, filter))
      })
  }
}

/** Behind the filter `after` of `client`, of whose identifiers or filters one holds `part`. */
async function page(broker: Broker, client: string, after: string, limit: number, part: string) {
  const items: Array<Item> = []
  // The session that a page ended in is looked at once more.
  const own = client === "" ? undefined : findSession(broker, client)
  const { sessions, next } = listSessions(broker, client, SESSIONS_MAX, "")
  for (const listed of [...(own === undefined ? [] : [own]), ...sessions]) {
    const from = listed.clientIdentifier === client ? after : ""
    for (const item of await itemsOf(broker, listed)) {
      if (compareTexts(item.topic, from) <= 0) continue
      if (!item.topic.includes(part) && !item.client_id.includes(part)) continue
      if (items.length === limit) {
        const last = items.at(-1)
        return { items, cursor: `${last?.client_id}${BETWEEN}${last?.topic}` }
      }
      items.push(item)
    }
  }
  return next === undefined ? { items } : { items, cursor: `${next}${BETWEEN}\u{10ffff}` }
}

/** In the order of the filters. */
async function itemsOf(broker: Broker, { clientIdentifier, session, row }: Listed): Promise<ReadonlyArray<Item>> {
  const items: Array<Item> = []
  const connected = session?.connection !== undefined
  for (const { filter, qos, noLocal, retainAsPublished, identifier, exclusive } of session?.wishes() ?? []) {
    items.push({
      client_id: clientIdentifier,
      topic: filter,
      qos,
      no_local: noLocal,
      retain_as_published: retainAsPublished,
      identifier,
      exclusive,
      asked: [...(session?.namesOf(filter) ?? [])],
      connected
    })
  }
  if (session === undefined && row !== undefined) {
    await readPages(broker.services.store, rows.rangeOf("ss", row.number), (page) => {
      for (const { key, value } of page) {
        const { filter } = rows.ofSubscriptionKey(key)
        const { qos, noLocal, retainAsPublished, identifier, exclusive, asked } = rows.decodeSubscription(value)
        items.push({
          client_id: clientIdentifier,
          topic: filter,
          qos,
          no_local: noLocal,
          retain_as_published: retainAsPublished,
          identifier,
          exclusive,
          asked: [...asked],
          connected
        })
      }
    })
  }
  return items.sort((one, other) => compareTexts(one.topic, other.topic))
}
