/** `ban-log`: who was put on the blacklist and taken off it, the last change first. */
import { Effect } from "effect"
import * as v from "valibot"
import { type Resource, ResourceError } from "../../../core/mod.ts"
import type { BanEvent, BanLog } from "./BanLog.ts"
import { BAN_TYPES } from "./ban-rule.ts"

const schema = v.strictObject({
  id: v.pipe(v.string(), v.description("revision of the change and name of the entry")),
  time: v.pipe(v.string(), v.isoTimestamp(), v.description("when it was seen")),
  action: v.pipe(
    v.picklist(["banned", "lifted", "expired"]),
    v.description("put on the list, taken off it, or taken off because its time was over")
  ),
  blacklist_type: v.pipe(v.picklist(BAN_TYPES), v.description("what was banned")),
  resource_name: v.pipe(v.string(), v.description("its name, address, expression or network")),
  end_time: v.pipe(v.string(), v.description("until when; empty = for good")),
  desc: v.pipe(v.string(), v.description("for what reason")),
  name: v.pipe(v.string(), v.description("name of the entry"))
})

export function banLogResource(log: BanLog): Resource {
  const has = (event: BanEvent, text: string): boolean => event.id.includes(text) || event.resource_name.includes(text)
  return {
    name: "ban-log",
    description: "Who was put on the blacklist and taken off it",
    schema,
    idMember: "id",
    list: ({ limit, cursor, filter }) =>
      Effect.sync(() => {
        const all = log.events.filter((event) => has(event, filter))
        const [from = ""] = cursor.split("-")
        // Newest first: a page goes on behind its last event, also where that is gone meanwhile.
        const at = all.findIndex(({ id }) => id === cursor)
        const behind = all.findIndex(({ id }) => Number(id.split("-")[0]) < Number(from))
        const start = cursor === "" ? 0 : at >= 0 ? at + 1 : behind >= 0 ? behind : all.length
        const items = all.slice(start, start + limit)
        const last = items.at(-1)
        return all.length > start + limit && last !== undefined ? { items, cursor: last.id } : { items }
      }),
    get: (id) =>
      Effect.suspend(() => {
        const event = log.events.find((each) => each.id === id)
        if (event !== undefined) return Effect.succeed(event)
        const message = `the log has no ${JSON.stringify(id)}`
        return Effect.fail(new ResourceError({ reason: "not-found", code: "ban-log-not-found", message }))
      })
  }
}
