/** `delayed`: messages that wait for their time, by that time; those of any shard can be read and taken back. */
import { Effect } from "effect"
import * as v from "valibot"
import { type Resource, ResourceError } from "../../../core/mod.ts"
import type { Broker } from "../Broker.ts"
import type { Delayed } from "./DelayedMessages.ts"

const schema = v.strictObject({
  id: v.pipe(v.string(), v.description("shard and number")),
  topic: v.pipe(v.string(), v.description("the topic name on which it will be published")),
  due: v.pipe(v.string(), v.isoTimestamp(), v.description("when")),
  accepted: v.pipe(v.string(), v.isoTimestamp(), v.description("when its publisher sent it")),
  publisher: v.pipe(v.string(), v.description("client identifier")),
  user: v.string(),
  qos: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2)),
  retain: v.boolean(),
  payloadBytes: v.pipe(v.number(), v.integer(), v.minValue(0)),
  messageExpirySeconds: v.pipe(
    v.nullable(v.pipe(v.number(), v.integer(), v.minValue(0))),
    v.description("how long it lives once it is published; null = for good")
  )
})

/** Those of this shard. Every shard registers its own; the host shows them as one resource. */
export function delayedResource(broker: Broker): Resource {
  const { delayed } = broker
  const shard = broker.services.shard.index
  const idOf = ({ number }: Delayed): string => `${shard}-${number}`
  const itemOf = (row: Delayed): v.InferOutput<typeof schema> => {
    const { message, messageExpiry, user } = row
    return {
      id: idOf(row),
      topic: message.name,
      due: new Date(row.dueAtMs).toISOString(),
      accepted: new Date(row.acceptedAtMs).toISOString(),
      publisher: message.publisher,
      user,
      qos: message.qos,
      retain: message.retain,
      payloadBytes: message.payloadEnd - message.payloadStart,
      messageExpirySeconds: messageExpiry < 0 ? null : messageExpiry
    }
  }
  const numberOf = (id: string): number => {
    const [, of = "", number = ""] = /^(\d{1,5})-(\d{1,15})$/.exec(id) ?? []
    return of === String(shard) ? Number(number) : -1
  }
  const gone = (id: string): ResourceError => {
    const message = `no message waits as ${JSON.stringify(id)}`
    return new ResourceError({ reason: "not-found", code: "delayed-not-found", message })
  }
  return {
    name: "delayed",
    description: "Messages published to $delayed/seconds/topic that wait for their time",
    schema,
    idMember: "id",
    list: ({ limit, cursor, filter }) =>
      Effect.suspend(() => {
        const [, time, number] = /^(\d{1,15})-(\d{1,15})$/.exec(cursor) ?? []
        if (cursor !== "" && time === undefined) {
          const message = `${JSON.stringify(cursor.slice(0, 80))} is no cursor of a list of delayed`
          return Effect.fail(new ResourceError({ reason: "invalid", code: "invalid-cursor", message }))
        }
        const after = cursor === "" ? undefined : { keyAtMs: Number(time), number: Number(number) }
        const isWanted = (row: Delayed): boolean => row.message.name.includes(filter) || idOf(row).includes(filter)
        const { rows, next } = delayed.list(after, limit, filter === "" ? undefined : isWanted)
        const items = rows.map(itemOf)
        return Effect.succeed(next === undefined ? { items } : { items, cursor: `${next.keyAtMs}-${next.number}` })
      }),
    get: (id) =>
      Effect.suspend(() => {
        const row = delayed.get(numberOf(id))
        return row === undefined ? Effect.fail(gone(id)) : Effect.succeed(itemOf(row))
      }),
    verbs: [
      {
        name: "delete",
        description: "Takes a message back: it will not be published",
        kind: "delete",
        input: v.strictObject({}),
        run: (id) =>
          Effect.callback<void, ResourceError>((resume) => {
            if (!delayed.cancel(numberOf(id))) {
              resume(Effect.fail(gone(id)))
              return
            }
            broker.whenCommitted((outcome) => {
              const message =
                "the disk takes nothing now; it is taken back all the same unless the node stops before that"
              resume(
                outcome >= 0
                  ? Effect.void
                  : Effect.fail(new ResourceError({ reason: "unavailable", code: "storage-unavailable", message }))
              )
            })
          })
      }
    ]
  }
}
