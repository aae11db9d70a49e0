/**
 * What the connections of one shard share: settings, services, counts; and the resource that shows them to an administrator.
 */
import { Effect } from "effect"
import {
  type AccessShape,
  addressList,
  type ClockShape,
  type IngressShape,
  type LogsShape,
  Message,
  RecordCursor,
  type Resource,
  ResourceError,
  type RouterShape,
  type ShardShape,
  type TopicsShape,
  type TurnShape
} from "manifold"
import * as v from "valibot"
import type { Connection } from "./Connection.ts"
import { LineWriter } from "./lines.ts"

const whole = (minimum: number, maximum: number) =>
  v.pipe(v.number(), v.integer(), v.minValue(minimum), v.maxValue(maximum))

/** `[plugin.options]`: an unknown key is refused, and the nearest one named. */
export const options = v.strictObject({
  tcp: v.pipe(v.optional(addressList, ["127.0.0.1:7007"]), v.description("where to listen")),
  line_bytes_max: v.pipe(
    v.optional(whole(128, 1_048_576), 65_536),
    v.description("bytes of the longest line that a client may send")
  ),
  output_bytes_max: v.pipe(
    v.optional(whole(4_096, 1_073_741_824), 262_144),
    v.description("bytes that wait for one client; what is published beyond them is dropped for it, and counted")
  ),
  subscriptions_max: v.pipe(v.optional(whole(1, 100_000), 100), v.description("topic filters of one client")),
  connections_max: v.pipe(v.optional(whole(1, 1_000_000), 1_000), v.description("clients of one shard"))
})

export type Settings = v.InferOutput<typeof options>

/** The services of the shard, as plain objects. */
export interface Services {
  readonly access: AccessShape
  readonly clock: ClockShape
  readonly ingress: IngressShape
  readonly logs: LogsShape
  readonly router: RouterShape
  readonly shard: ShardShape
  readonly topics: TopicsShape
  readonly turn: TurnShape
}

const MSG = new TextEncoder().encode("MSG")

export class Server {
  readonly settings: Settings
  readonly services: Services
  /** By number, in the order in which they came. */
  readonly connections = new Map<number, Connection>()
  readonly counts = { connections: 0, published: 0, delivered: 0, droppedSlow: 0, replayed: 0 }
  readonly refusals = new Map<string, number>()
  /** Scratch of all connections: used within one call, never across two. */
  readonly message = new Message()
  readonly line = new LineWriter()
  readonly records = new RecordCursor()
  readonly #delivered = new LineWriter()
  #deliveredSequence = 0

  constructor(settings: Settings, services: Services) {
    this.settings = settings
    this.services = services
  }

  /** The line that tells of a message: made once, however many connections get it. Undefined where none could hold it. */
  lineOf(message: Message): LineWriter | undefined {
    if (message.sizeBytes > this.settings.output_bytes_max) return undefined
    const line = this.#delivered
    if (message.sequence !== this.#deliveredSequence) {
      this.#deliveredSequence = message.sequence
      line.begin(MSG)
      line.escaped(message.topic, message.topicStart, message.topicEnd, true)
      line.escaped(message.payload, message.payloadStart, message.payloadEnd, false)
      line.end()
    }
    return line
  }

  /** Counts a refused command by the code of its answer. */
  refused(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1)
  }

  /** Bytes that wait for clients. */
  outputSize(): number {
    let size = 0
    for (const connection of this.connections.values()) size += connection.outputSize
    return size
  }

  /** This shard's clients. Every shard registers its own; the host shows them as one resource. */
  resource(): Resource {
    const find = (id: string): Effect.Effect<Connection, ResourceError> => {
      const [shard, number] = id.split("-")
      const found = this.connections.get(Number(number))
      if (found !== undefined && shard === String(this.services.shard.index)) return Effect.succeed(found)
      const message = `no client is connected as ${JSON.stringify(id)}`
      return Effect.fail(new ResourceError({ reason: "not-found", code: "line-client-not-found", message }))
    }
    return {
      name: "line-client",
      plural: "line-clients",
      description: "Clients of the line protocol that are connected now",
      schema: client,
      idMember: "id",
      list: ({ limit, cursor, filter }) =>
        Effect.sync(() => {
          const items: Array<Client> = []
          let last = 0
          for (const [number, connection] of this.connections) {
            if (number <= Number(cursor) || !connection.id.includes(filter)) continue
            if (items.length === limit) return { items, cursor: String(last) }
            items.push(connection.facts())
            last = number
          }
          return { items }
        }),
      get: (id) => find(id).pipe(Effect.map((connection) => connection.facts())),
      verbs: [
        {
          name: "kick",
          description: "Tells a client to go, and closes its connection",
          input: v.strictObject({ reason: v.optional(v.pipe(v.string(), v.regex(/^[ -~]{1,100}$/)), "kicked") }),
          run: (id, input) =>
            find(id).pipe(
              Effect.map((connection) => {
                const facts = connection.facts()
                connection.close((input as { readonly reason: string }).reason)
                return facts
              })
            )
        }
      ]
    }
  }
}

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const client = v.strictObject({
  id: v.string(),
  address: v.string(),
  subscriptions: count,
  published: count,
  delivered: count,
  dropped: count,
  output_bytes: count
})
export type Client = v.InferOutput<typeof client>
