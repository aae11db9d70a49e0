/** `slow-subscribe`: the slowest deliveries by client and topic name, the slowest first. */
import { Effect } from "effect"
import * as v from "valibot"
import { type Resource, ResourceError } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { SlowEntry } from "./SlowTable.ts"

const ms = (what: string) => v.pipe(v.number(), v.minValue(0), v.description(what))

const schema = v.strictObject({
  id: v.pipe(v.string(), v.description("client identifier and topic name, each percent-encoded")),
  client_id: v.pipe(v.string(), v.description("client identifier")),
  topic: v.pipe(v.string(), v.description("topic name")),
  latency_ms: ms("the longest way of a message, from its receipt to its acknowledgement or write, ms"),
  internal_ms: ms("of that, until it was handed to the connection, ms"),
  count: v.pipe(v.number(), v.integer(), v.description("deliveries above the threshold since the entry is there")),
  time: v.pipe(v.string(), v.isoTimestamp(), v.description("when the last one ended"))
})

function itemOf({ clientIdentifier, topic, wholeMs, insideMs, count, lastAtMs }: SlowEntry) {
  return {
    id: `${encodeURIComponent(clientIdentifier)}:${encodeURIComponent(topic)}`,
    client_id: clientIdentifier,
    topic,
    latency_ms: wholeMs,
    internal_ms: insideMs,
    count,
    time: new Date(lastAtMs).toISOString()
  }
}

/** Those of this shard. Every shard registers its own; the host shows them as one resource. */
export function slowResource(broker: Broker): Resource {
  const items = () => (broker.slow?.table.list(broker.services.clock.nowMs()) ?? []).map(itemOf)
  return {
    name: "slow-subscribe",
    description: "The slowest deliveries, by client and topic name",
    schema,
    idMember: "id",
    order: { member: "latency_ms", isDescending: true },
    list: ({ limit, cursor, filter }) =>
      Effect.sync(() => {
        const all = items().filter(({ id, topic }) => id.includes(filter) || topic.includes(filter))
        const from = Number.parseInt(cursor, 10) || 0
        const page = all.slice(from, from + limit)
        return all.length > from + limit ? { items: page, cursor: String(from + limit) } : { items: page }
      }),
    get: (id) =>
      Effect.suspend(() => {
        const found = items().find((item) => item.id === id)
        if (found !== undefined) return Effect.succeed(found)
        const message = `nothing slow is known as ${JSON.stringify(id)}`
        return Effect.fail(new ResourceError({ reason: "not-found", code: "slow-subscribe-not-found", message }))
      }),
    verbs: [
      {
        name: "clear",
        description: "Forgets all of them",
        target: "collection",
        isEverywhere: true,
        input: v.strictObject({}),
        run: () => Effect.sync(() => broker.slow?.table.clear())
      }
    ]
  }
}
