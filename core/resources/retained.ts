/** `retained`: the retained messages of all shards, by topic name; read one by one, and removed so that no subscriber hears of it. */
import { Effect } from "effect"
import * as v from "valibot"
import type { IngressShape } from "../ingress/Ingress.ts"
import type { Message } from "../ingress/Message.ts"
import type { RetainedPages } from "../ingress/RetainedPages.ts"
import type { RetainedRemovals } from "../ingress/RetainedRemovals.ts"
import { HeaderCursor } from "../log/HeaderCursor.ts"
import { checkTopicFilter, checkTopicName, parseShared, TOPIC_REFUSALS, TOPIC_VALID } from "../router/topic-filter.ts"
import { type ListQuery, type Page, type Resource, ResourceError } from "./Resources.ts"

/** Requests that name no tenant are those of this one. */
const TENANT = 0
/** Longest payload that is shown as text, and at all, in bytes. */
const TEXT_BYTES_MAX = 65_536
const PAYLOAD_BYTES_MAX = 4_194_304
/** Longest topic name that is a cursor itself, percent-encoded. */
const CURSOR_NAME_LENGTH_MAX = 900
/** Pages that ended with a longer one, and can be gone on from. */
const LONG_CURSORS_MAX = 64

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const property = v.strictObject({
  name: v.string(),
  value: v.pipe(v.optional(v.string()), v.description("where it is text")),
  value_base64: v.pipe(v.optional(v.string()), v.description("where it is not"))
})

const schema = v.strictObject({
  topic: v.pipe(v.string(), v.description("topic name")),
  qos: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2)),
  retained_at: v.pipe(v.string(), v.isoTimestamp(), v.description("when the broker got it")),
  expires: v.pipe(v.nullable(v.pipe(v.string(), v.isoTimestamp())), v.description("null = never")),
  payload_bytes: v.pipe(v.number(), v.integer(), v.minValue(1)),
  payload: v.pipe(
    v.optional(v.string()),
    v.description(`of one item: the payload, where it is UTF-8 of at most ${TEXT_BYTES_MAX} bytes`)
  ),
  payload_base64: v.pipe(
    v.optional(v.string()),
    v.description(`of one item: any other payload of at most ${PAYLOAD_BYTES_MAX} bytes`)
  ),
  properties: v.pipe(
    v.optional(v.array(property)),
    v.description("of one item: user properties and, as mqtt.*, the others, in their order")
  )
})
type Item = v.InferOutput<typeof schema>

const input = v.strictObject({
  filter: v.pipe(v.string(), v.description("topic filter; a name without wildcards is one"))
})

/** What the resource needs of its shard. */
export interface RetainedServices {
  readonly ingress: Pick<IngressShape, "replayRetained">
  readonly pages: Pick<RetainedPages, "read">
  readonly removals: Pick<RetainedRemovals, "remove" | "removeMatching">
}

/** A shard lists what it owns; what one does with an item any shard can do, and asks the owner. */
export function retainedResource({ ingress, pages, removals }: RetainedServices): Resource {
  const cursors = new Cursors()
  /** What `show` makes of the message of a name, on whichever shard that is; fails where there is none. */
  const find = <Shown>(name: string, show: (message: Message) => Shown): Effect.Effect<Shown, ResourceError> =>
    Effect.callback((resume) => {
      let shown: Shown | undefined
      const ended = (): void => resume(shown === undefined ? Effect.fail(gone(name)) : Effect.succeed(shown))
      if (checkTopicName(name) !== TOPIC_VALID) return ended()
      ingress.replayRetained(
        TENANT,
        name,
        (message) => {
          shown = show(message)
        },
        ended
      )
    })
  return {
    name: "retained",
    description: "Retained messages, by topic name",
    schema,
    idMember: "topic",
    list: (query) =>
      Effect.gen(function* () {
        const after = cursors.nameOf(query.cursor)
        if (after === undefined) return yield* invalidCursor(query)
        const { filter, limit } = query
        const { items, next } = yield* Effect.tryPromise({
          try: () => pages.read({ tenant: TENANT, after, filter, limit }, itemOf),
          catch: () => unavailable("the disk cannot be read now")
        })
        const page: Page<Item> = next === undefined ? { items } : { items, cursor: cursors.cursorOf(next) }
        return page
      }),
    get: (id) => find(id, wholeOf),
    verbs: [
      {
        name: "delete",
        description: "Removes a retained message; subscribers hear nothing of it",
        kind: "delete",
        input: v.strictObject({}),
        run: (id) =>
          find(id, () => true).pipe(
            Effect.andThen(
              Effect.callback<void, ResourceError>((resume) =>
                removals.remove(TENANT, id, (removal) => {
                  if (removal === "removed") resume(Effect.void)
                  else resume(Effect.fail(removal === "none" ? gone(id) : failed(removal)))
                })
              )
            )
          )
      },
      {
        name: "delete-matching",
        description:
          "Removes the retained messages whose names match a topic filter, and says how many; subscribers hear nothing of it",
        target: "collection",
        isEverywhere: true,
        isSummed: true,
        input,
        run: (_id, given) => {
          const { filter } = v.parse(input, given)
          const refusal = checkTopicFilter(filter)
          if (refusal !== TOPIC_VALID) return Effect.fail(invalidFilter(filter, TOPIC_REFUSALS[refusal] ?? "is none"))
          if (parseShared(filter) !== undefined) return Effect.fail(invalidFilter(filter, "is a shared one"))
          return Effect.callback<{ readonly deleted: number }, ResourceError>((resume) => {
            const stop = removals.removeMatching(TENANT, filter, ({ removed, isRefused }) =>
              resume(isRefused ? Effect.fail(failed("refused")) : Effect.succeed({ deleted: removed }))
            )
            return Effect.sync(stop)
          })
        }
      }
    ]
  }
}

/**
 * Where pages go on. A cursor is the topic name that the page ended with; of a name that is too long for that a number, with a sign that no
 * name holds, which stands for it while it is among the newest.
 */
class Cursors {
  readonly #long = new Map<string, string>()
  #last = 0

  cursorOf(name: string): string {
    if (encodeURIComponent(name).length <= CURSOR_NAME_LENGTH_MAX) return name
    this.#last += 1
    const cursor = `+${this.#last}`
    this.#long.set(cursor, name)
    this.#long.delete(`+${this.#last - LONG_CURSORS_MAX}`)
    return cursor
  }

  /** Undefined where no page ended so. */
  nameOf(cursor: string): string | undefined {
    return cursor === "" || checkTopicName(cursor) === TOPIC_VALID ? cursor : this.#long.get(cursor)
  }
}

function itemOf(message: Message): Item {
  const { name, qos, timestamp, expiresAtMs, payloadStart, payloadEnd } = message
  return {
    topic: name,
    qos,
    retained_at: new Date(timestamp).toISOString(),
    expires: expiresAtMs === 0 ? null : new Date(expiresAtMs).toISOString(),
    payload_bytes: payloadEnd - payloadStart
  }
}

function wholeOf(message: Message): Item {
  const payload = message.payload.subarray(message.payloadStart, message.payloadEnd)
  const text = payload.length <= TEXT_BYTES_MAX ? textOf(payload) : undefined
  return {
    ...itemOf(message),
    ...(text === undefined ? {} : { payload: text }),
    ...(text !== undefined || payload.length > PAYLOAD_BYTES_MAX ? {} : { payload_base64: payload.toBase64() }),
    properties: propertiesOf(message)
  }
}

function propertiesOf(message: Message): Array<v.InferOutput<typeof property>> {
  const found: Array<v.InferOutput<typeof property>> = []
  const cursor = new HeaderCursor()
  cursor.reset(message.headers, message.headersStart, message.headersEnd, message.headerCount)
  while (cursor.next()) {
    const bytes = cursor.bytes.subarray(cursor.valueStart, cursor.valueEnd)
    const value = textOf(bytes)
    const name = textOf(cursor.bytes.subarray(cursor.nameStart, cursor.nameEnd)) ?? ""
    found.push({ name, ...(value === undefined ? { value_base64: bytes.toBase64() } : { value }) })
  }
  return found
}

/** Undefined where the bytes are no well-formed UTF-8. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

function gone(name: string): ResourceError {
  const message = `nothing is retained on ${JSON.stringify(name)}`
  return new ResourceError({ reason: "not-found", code: "retained-not-found", message })
}

function failed(failure: "refused" | "moving"): ResourceError {
  if (failure === "refused") return unavailable("the disk takes nothing now; what was not removed stays")
  const message = "names are being moved between shards; try again"
  return new ResourceError({ reason: "unavailable", code: "retained-moving", message })
}

function unavailable(message: string): ResourceError {
  return new ResourceError({ reason: "unavailable", code: "storage-unavailable", message })
}

function invalidFilter(filter: string, why: string): ResourceError {
  const message = `the filter ${JSON.stringify(filter.slice(0, 80))} ${why}`
  return new ResourceError({ reason: "invalid", code: "invalid-topic-filter", message })
}

function invalidCursor({ cursor }: ListQuery): ResourceError {
  const message = `${JSON.stringify(cursor.slice(0, 80))} is no cursor of a list of retained`
  return new ResourceError({ reason: "invalid", code: "invalid-cursor", message })
}
