import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import * as v from "valibot"
import { messageOf } from "../ingress/fakes.ts"
import type { Message } from "../ingress/Message.ts"
import type { RetainedQuery } from "../ingress/RetainedPages.ts"
import type { Removal, Removals } from "../ingress/RetainedRemovals.ts"
import { makeResources, type Resource, type ResourceError } from "./Resources.ts"
import { retainedResource } from "./retained.ts"

const encoder = new TextEncoder()

/** One header, as a record has it; lengths are below 64. */
function header(name: string, value: Uint8Array): ReadonlyArray<number> {
  const bytes = encoder.encode(name)
  return [bytes.length * 2, ...bytes, value.length * 2, ...value]
}

function make(messages: ReadonlyArray<Message> = []) {
  const asked: Array<unknown> = []
  const outcomes: { removal: Removal; removals: Removals; isBroken: boolean } = {
    removal: "removed",
    removals: { removed: 3, isRefused: false },
    isBroken: false
  }
  let stopped = 0
  const resource = retainedResource({
    ingress: {
      replayRetained: (_tenant, name, visit, ended = () => {}) => {
        for (const message of messages) if (message.name === name) visit(message)
        ended()
      }
    },
    pages: {
      read: async <Item>({ after, limit, filter }: RetainedQuery, show: (message: Message) => Item) => {
        if (outcomes.isBroken) throw new Error("a disk")
        const rest = messages.filter(({ name }) => name > after && name.includes(filter))
        const next = rest.length > limit ? rest[limit - 1]?.name : undefined
        return { items: rest.slice(0, limit).map(show), next }
      }
    },
    removals: {
      remove: (_tenant, name, done) => {
        asked.push(name)
        done(outcomes.removal)
      },
      removeMatching: (_tenant, filter, ended) => {
        asked.push(filter)
        if (outcomes.removals.removed >= 0) ended(outcomes.removals)
        return () => void (stopped += 1)
      }
    }
  })
  return { resource, asked, outcomes, stopped: () => stopped }
}

const run = <A>(effect: Effect.Effect<A, ResourceError> | undefined): Promise<A> =>
  Effect.runPromise(effect ?? Effect.die("not there"))
const codeOf = async (effect: Effect.Effect<unknown, ResourceError> | undefined): Promise<string> => {
  const { reason, code } = await Effect.runPromise(Effect.flip(effect ?? Effect.die("not there")))
  return `${reason} ${code}`
}
const verb = ({ verbs }: Resource, name: string) => verbs?.find((each) => each.name === name)

test("items of a list and a whole one are what the schema says; a list has no payloads", async () => {
  const message = messageOf("a/b", "text \u00e9", { qos: 2, expiresAtMs: 1_700_000_060_000 })
  const headers = [
    ...header("k", encoder.encode("v")),
    ...header("k", encoder.encode("w")),
    ...header("mqtt.correlation-data", Uint8Array.of(0xff, 0))
  ]
  message.headers = Uint8Array.from(headers)
  message.headersEnd = headers.length
  message.headerCount = 3
  const { resource } = make([message])
  await Effect.runPromise(Effect.scoped(makeResources().register(resource)))
  const item = {
    topic: "a/b",
    qos: 2,
    retained_at: "2023-11-14T22:13:20.000Z",
    expires: "2023-11-14T22:14:20.000Z",
    payload_bytes: 7
  }
  const whole = {
    ...item,
    payload: "text \u00e9",
    properties: [
      { name: "k", value: "v" },
      { name: "k", value: "w" },
      { name: "mqtt.correlation-data", value_base64: "/wA=" }
    ]
  }
  const page = await run(resource.list?.({ limit: 1, cursor: "", filter: "" }))
  assert.deepEqual([page, await run(resource.get?.("a/b"))], [{ items: [item] }, whole])
  for (const each of [item, whole]) assert.ok(v.is(resource.schema, each))
})

const payloads: ReadonlyArray<readonly [what: string, payload: Uint8Array, shownAs: string]> = [
  ["the longest text", new Uint8Array(65_536).fill(97), "payload"],
  ["a longer one", new Uint8Array(65_537).fill(97), "payload_base64"],
  ["no UTF-8", Uint8Array.of(0xc3), "payload_base64"],
  ["half a surrogate pair", Uint8Array.of(0xed, 0xa0, 0x80), "payload_base64"],
  ["U+0000", Uint8Array.of(0), "payload"],
  ["a byte order mark", Uint8Array.of(0xef, 0xbb, 0xbf), "payload"],
  ["the longest that is shown", new Uint8Array(4_194_304), "payload_base64"],
  ["a longer one than that", new Uint8Array(4_194_305), "payload_bytes"]
]
for (const [what, payload, shownAs] of payloads) {
  test(`a payload: ${what}`, async () => {
    const { resource } = make([messageOf("a", payload)])
    const {
      payload: text,
      payload_base64: base64,
      payload_bytes: bytes
    } = v.parse(
      v.object({ payload: v.optional(v.string()), payload_base64: v.optional(v.string()), payload_bytes: v.number() }),
      await run(resource.get?.("a"))
    )
    const shown = text !== undefined ? "payload" : base64 !== undefined ? "payload_base64" : "payload_bytes"
    assert.deepEqual([shown, bytes], [shownAs, payload.length])
    if (text !== undefined) assert.deepEqual(encoder.encode(text), payload)
    if (base64 !== undefined) assert.deepEqual(Uint8Array.fromBase64(base64), payload)
  })
}

test("a page goes on behind the last name of the one before, however long that is", async () => {
  const long = (each: string): string => `${each}${"\u{1f600}".repeat(300)}`
  const names = ["a", long("b"), long("c"), "d"]
  const { resource } = make(names.map((name) => messageOf(name, "x")))
  const read = (cursor: string) => run(resource.list?.({ limit: 1, cursor, filter: "" }))
  const seen: Array<unknown> = []
  const cursors: Array<string> = []
  for (let cursor: string | undefined = ""; cursor !== undefined; ) {
    const page = await read(cursor)
    seen.push(...page.items.map((item) => v.parse(v.object({ topic: v.string() }), item).topic))
    cursor = page.cursor
    if (cursor !== undefined) cursors.push(cursor)
  }
  assert.deepEqual([seen, cursors], [names, ["a", "+1", "+2"]])
  // An old one is forgotten, the newest ones are not.
  for (let each = 3; each <= 65; each++) await read("a")
  assert.equal(await codeOf(resource.list?.({ limit: 1, cursor: "+1", filter: "" })), "invalid invalid-cursor")
  assert.equal((await read("+2")).items.length, 1)
  for (const cursor of ["+", "+x", "#", "a/#", "+66", "a\u0000"]) {
    assert.equal(await codeOf(resource.list?.({ limit: 1, cursor, filter: "" })), "invalid invalid-cursor", cursor)
  }
})

test("what is not there is said to be, whatever it is asked by; a filter is no name", async () => {
  const { resource, asked, outcomes } = make([messageOf("a", "x")])
  for (const id of ["b", "#", "+", "", "a\u0000", "x".repeat(70_000)]) {
    assert.equal(await codeOf(resource.get?.(id)), "not-found retained-not-found")
    assert.equal(await codeOf(verb(resource, "delete")?.run(id, {})), "not-found retained-not-found")
  }
  assert.deepEqual(asked, [])
  assert.equal(await run(verb(resource, "delete")?.run("a", {})), undefined)
  const rows: ReadonlyArray<readonly [removal: Removal, told: string]> = [
    ["none", "not-found retained-not-found"],
    ["refused", "unavailable storage-unavailable"],
    ["moving", "unavailable retained-moving"]
  ]
  for (const [removal, told] of rows) {
    outcomes.removal = removal
    assert.equal(await codeOf(verb(resource, "delete")?.run("a", {})), told)
  }
  assert.deepEqual(asked, ["a", "a", "a", "a"])
  outcomes.isBroken = true
  assert.equal(await codeOf(resource.list?.({ limit: 1, cursor: "", filter: "" })), "unavailable storage-unavailable")
})

test("what matches a topic filter is removed; what is none is refused; who leaves stops it", async () => {
  const { resource, asked, outcomes, stopped } = make()
  const matching = (filter: string) => verb(resource, "delete-matching")?.run("", { filter })
  assert.deepEqual(await run(matching("a/#")), { deleted: 3 })
  for (const filter of ["", "a/#/b", "a+", "$share/g/a", "$share/g", "a\u0000"]) {
    assert.equal(await codeOf(matching(filter)), "invalid invalid-topic-filter", filter)
  }
  assert.deepEqual(asked, ["a/#"])
  outcomes.removals = { removed: 2, isRefused: true }
  assert.equal(await codeOf(matching("#")), "unavailable storage-unavailable")
  outcomes.removals = { removed: -1, isRefused: false }
  await Effect.runPromise((matching("#") ?? Effect.die("verb")).pipe(Effect.timeoutOption(1)))
  assert.equal(stopped(), 1)
})
