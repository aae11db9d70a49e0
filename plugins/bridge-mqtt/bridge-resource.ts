/** `bridge`: each with its state and what waits for it; it can be paused, resumed and told to connect again. */
import { Effect } from "effect"
import * as v from "valibot"
import { type Resource, ResourceError } from "../../core/mod.ts"
import type { Bridge } from "./Bridge.ts"

const number = (what: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(what))
const time = (what: string) => v.pipe(v.nullable(v.pipe(v.string(), v.isoTimestamp())), v.description(what))

const schema = v.strictObject({
  name: v.string(),
  state: v.picklist(["starting", "connecting", "connected", "waiting", "paused"]),
  remote: v.pipe(v.string(), v.description("the remote broker")),
  protocol: v.picklist(["5.0", "3.1.1"]),
  since: v.pipe(v.string(), v.isoTimestamp(), v.description("when it came to this state")),
  attempts: number("attempts to connect since the node started"),
  connections: number("those that succeeded"),
  last_error: v.pipe(v.string(), v.description("why it was cut off, or could not connect, the last time")),
  last_error_at: time("when that was"),
  warning: v.pipe(v.string(), v.description("what the remote has not granted")),
  messages_out: number("messages sent to the remote, those sent again too"),
  bytes_out: number("bytes of their packets"),
  messages_in: number("messages that came from the remote, those that came again too"),
  bytes_in: number("bytes of their packets"),
  backlog_messages: number("messages that wait for the remote and were not sent yet"),
  backlog_bytes: number("their bytes, as they are held in memory"),
  backlog_since: time("when the oldest of them was published; null = none waits"),
  inflight: number("messages sent to the remote that it has not acknowledged"),
  gaps: number("times that messages were given up, in either direction"),
  dropped_out: number("messages for the remote that were given up, as far as they were counted"),
  dropped_in: number("messages of the remote that were given up"),
  looped: number("messages that had been here before, or had passed too many brokers"),
  client_id: v.pipe(v.string(), v.description("the client whose session here is the bridge's"))
})

/** Those of this shard. Every shard registers its own; the host shows them as one resource. */
export function bridgeResource(bridges: ReadonlyArray<Bridge>): Resource {
  const find = (id: string): Effect.Effect<Bridge, ResourceError> => {
    const found = bridges.find(({ settings }) => settings.name === id)
    const message = `there is no bridge ${JSON.stringify(id)}`
    return found === undefined
      ? Effect.fail(new ResourceError({ reason: "not-found", code: "bridge-not-found", message }))
      : Effect.succeed(found)
  }
  const act = (name: string, description: string, run: (bridge: Bridge) => void) => ({
    name,
    description,
    input: v.strictObject({}),
    run: (id: string) => Effect.map(find(id), run)
  })
  return {
    name: "bridge",
    plural: "bridges",
    description: "Bridges to remote brokers",
    schema,
    idMember: "name",
    list: ({ limit, cursor, filter }) => {
      const rest = bridges
        .filter(({ settings: { name } }) => name > cursor && name.includes(filter))
        .toSorted((one, other) => (one.settings.name < other.settings.name ? -1 : 1))
      const page = rest.slice(0, limit)
      const last = page.at(-1)
      return Effect.map(Effect.forEach(page, itemOf), (items) =>
        rest.length > limit && last !== undefined ? { items, cursor: last.settings.name } : { items }
      )
    },
    get: (id) => Effect.flatMap(find(id), itemOf),
    verbs: [
      act("pause", "Disconnects it; what is for the remote waits", (bridge) => bridge.pause()),
      act("resume", "Lets it connect again", (bridge) => bridge.resume()),
      act("reconnect", "Disconnects it and connects at once", (bridge) => bridge.reconnect())
    ]
  }
}

function itemOf(bridge: Bridge): Effect.Effect<v.InferOutput<typeof schema>> {
  return Effect.map(bridge.look(), (facts) => {
    const { settings, counts } = bridge
    return {
      name: settings.name,
      state: bridge.state,
      remote: settings.remote,
      protocol: settings.protocol,
      since: new Date(bridge.sinceMs).toISOString(),
      attempts: counts.attempts,
      connections: counts.connections,
      last_error: bridge.lastError,
      last_error_at: bridge.lastErrorAtMs === 0 ? null : new Date(bridge.lastErrorAtMs).toISOString(),
      warning: bridge.warning,
      messages_out: counts.messagesOut,
      bytes_out: counts.bytesOut,
      messages_in: counts.messagesIn,
      bytes_in: counts.bytesIn,
      backlog_messages: facts?.messages ?? 0,
      backlog_bytes: facts?.bytes ?? 0,
      backlog_since: facts?.since ?? null,
      inflight: facts?.inflight ?? 0,
      gaps: counts.gaps,
      dropped_out: counts.droppedOut,
      dropped_in: counts.droppedIn,
      looped: counts.looped,
      client_id: bridge.clientIdentifier
    }
  })
}
