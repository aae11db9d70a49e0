import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import fc from "fast-check"
import * as v from "valibot"
import { type Resource, ResourceError } from "../../core/mod.ts"
import { makeHarness, outcome, problemOf, singleton, topicsResource, usersResource } from "./fakes.ts"
import { JSON_DEPTH_MAX } from "./json-body.ts"

const JSON_HEADERS = { "content-type": "application/json" }

const post = (body: RequestInit["body"], headers: Record<string, string> = JSON_HEADERS): RequestInit => ({
  headers,
  ...(body === undefined || body === null ? {} : { body })
})

test("a singleton is its value as JSON, whatever of JSON that is", async () => {
  for (const value of [{ a: [1, null] }, [], "text", 0, false, null, "\u2028<script>"]) {
    const answer = await makeHarness([singleton("cluster/info", () => Effect.succeed(value))]).send(
      "GET",
      "/api/v1/cluster/info"
    )
    assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, "application/json"])
    assert.deepEqual(await answer.json(), value)
  }
})

test("a resource that is registered later is there at once, and gone when it leaves", async () => {
  const resources: Array<Resource> = []
  const harness = makeHarness(resources)
  assert.equal(await outcome(await harness.send("GET", "/api/v1/topics")), "404 unknown-route")
  resources.push(topicsResource())
  assert.equal(await outcome(await harness.send("GET", "/api/v1/topics")), "200")
  resources.pop()
  assert.equal(await outcome(await harness.send("GET", "/api/v1/topics")), "404 unknown-route")
})

test("the resource with the longest name is meant, in any order of registration", async () => {
  const outer: Resource = { ...topicsResource(), name: "cluster" }
  const inner = singleton("cluster/info", () => Effect.succeed("inner"))
  for (const resources of [
    [outer, inner],
    [inner, outer]
  ]) {
    const harness = makeHarness(resources)
    assert.equal(await (await harness.send("GET", "/api/v1/cluster/info")).json(), "inner")
    assert.deepEqual(await (await harness.send("GET", "/api/v1/cluster/other")).json(), { id: "other" })
  }
})

test("a resource without list, get or verbs has no such routes", async () => {
  const bare = { name: "bare", description: "", schema: v.unknown() }
  const harness = makeHarness([bare, { ...topicsResource(), name: "listed", verbs: [] }])
  assert.equal(await outcome(await harness.send("GET", "/api/v1/bare")), "404 unknown-route")
  assert.equal(await outcome(await harness.send("GET", "/api/v1/bare/x")), "404 unknown-route")
  assert.equal(await outcome(await harness.send("POST", "/api/v1/bare/x/y")), "404 unknown-route")
  assert.equal(await outcome(await harness.send("POST", "/api/v1/listed/x/y")), "404 unknown-route")
})

test("a list gets limit, cursor and filter, decoded; the page comes back as it is", async () => {
  const harness = makeHarness([topicsResource()])
  const queries: ReadonlyArray<readonly [query: string, expected: object]> = [
    ["", { limit: 100, cursor: "", filter: "" }],
    ["?", { limit: 100, cursor: "", filter: "" }],
    ["?limit=1", { limit: 1, cursor: "", filter: "" }],
    ["?limit=1000&cursor=a%26b%3D%2B&filter=x+y", { limit: 1_000, cursor: "a&b=+", filter: "x y" }],
    ["?filter=%E2%82%AC%00", { limit: 100, cursor: "", filter: "\u20ac\u0000" }],
    ["?l%69mit=7", { limit: 7, cursor: "", filter: "" }],
    ["?cursor", { limit: 100, cursor: "", filter: "" }],
    ["?cursor=a=b", { limit: 100, cursor: "a=b", filter: "" }]
  ]
  for (const [query, expected] of queries) {
    const answer = await harness.send("GET", `/api/v1/topics${query}`)
    assert.deepEqual(await answer.json(), { items: [{ query: expected }], cursor: "next" })
  }
})

test("a list refuses what is out of range, malformed, unknown or there twice", async () => {
  const harness = makeHarness([topicsResource()])
  const limits = ["0", "1001", "-1", "1.5", "1e2", "", " 1", "0x10", "NaN", "9".repeat(400)]
  for (const limit of limits) {
    const found = await problemOf(await harness.send("GET", `/api/v1/topics?limit=${encodeURIComponent(limit)}`))
    assert.deepEqual([found.status, found.code, found.key], [400, "invalid-query-value", "limit"])
    assert.match(found.detail, /allowed: 1 to 1000/)
  }
  const queries: ReadonlyArray<readonly [query: string, outcome: string]> = [
    [`cursor=${"a".repeat(1_025)}`, "400 invalid-query-value"],
    [`filter=${"a".repeat(1_025)}`, "400 invalid-query-value"],
    ["limit=1&limit=2", "400 malformed-query"],
    ["limit=1&", "400 unknown-query-key"],
    ["=1", "400 unknown-query-key"],
    ["Limit=1", "400 unknown-query-key"],
    ["limit=%ff", "400 malformed-query"],
    ["limit=%", "400 malformed-query"],
    ["__proto__=1", "400 unknown-query-key"]
  ]
  for (const [query, expected] of queries) {
    assert.equal(
      `${query} ${await outcome(await harness.send("GET", `/api/v1/topics?${query}`))}`,
      `${query} ${expected}`
    )
  }
})

test("a cursor and a filter may be as long as the bound", async () => {
  const harness = makeHarness([topicsResource()])
  const longest = "a".repeat(1_024)
  assert.equal(await outcome(await harness.send("GET", `/api/v1/topics?cursor=${longest}&filter=${longest}`)), "200")
})

test("a list that returns more than it was asked for is at fault", async () => {
  const list = () => Effect.succeed({ items: [1, 2, 3] })
  const harness = makeHarness([{ ...topicsResource(), list }])
  assert.equal(await outcome(await harness.send("GET", "/api/v1/topics?limit=3")), "200")
  assert.equal(await outcome(await harness.send("GET", "/api/v1/topics?limit=2")), "500 internal")
  assert.equal(harness.faults.length, 1)
})

test("an id is one decoded segment; any text that is no path trick gets through unchanged", async () => {
  const harness = makeHarness([topicsResource()])
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }), async (id) => {
      const encoded = encodeURIComponent(id)
      // The constructor of Request resolves a whole dot segment before anybody sees it.
      fc.pre(id !== "." && id !== "..")
      const isTrick = /[\p{Cc}]/u.test(id) || id.split(/[/\\]/).some((part) => part === "." || part === "..")
      const answer = await harness.send("GET", `/api/v1/topics/${encoded}`)
      if (isTrick) assert.equal(await outcome(answer), "400 malformed-path")
      else if (id !== "gone") assert.deepEqual(await answer.json(), { id })
    }),
    { numRuns: 300, examples: [["a/b"], ["a/../b"], ["a\\b"], ["50%"], ["a?b#c"], ["create"], ["__proto__"], ["+"]] }
  )
})

const reasons = [
  ["not-found", 404],
  ["invalid", 422],
  ["conflict", 409],
  ["refused", 403],
  ["unavailable", 503]
] as const
for (const [reason, status] of reasons) {
  test(`a resource's "${reason}" is ${status} with the resource's own code and message`, async () => {
    const get = () => Effect.fail(new ResourceError({ reason, code: `my-${reason}`, message: `it was ${reason}` }))
    const answer = await makeHarness([singleton("thing", get)]).send("GET", "/api/v1/thing")
    assert.equal(answer.headers.get("retry-after"), status === 503 ? "1" : null)
    const found = await problemOf(answer)
    assert.deepEqual(
      [found.status, found.code, found.detail, found.type],
      [status, `my-${reason}`, `it was ${reason}`, `urn:manifold:problem:my-${reason}`]
    )
  })
}

test("a resource's error thrown as a defect is answered like one that failed", async () => {
  const get = () => Effect.die(new ResourceError({ reason: "conflict", code: "c", message: "m" }))
  assert.equal(await outcome(await makeHarness([singleton("thing", get)]).send("GET", "/api/v1/thing")), "409 c")
})

test("verbs of the collection and of an item run with their id and their checked input", async () => {
  const calls: Array<unknown> = []
  const harness = makeHarness([topicsResource(calls)])
  const created = await harness.send("POST", "/api/v1/topics/create", post('{"name":"a"}'))
  assert.deepEqual([created.status, await created.json()], [200, { created: true }])
  const deleted = await harness.send("POST", "/api/v1/topics/a%2Fb/delete")
  assert.deepEqual([deleted.status, await deleted.text()], [204, ""])
  assert.deepEqual(calls, [
    ["", { name: "a", partitions: 1 }],
    ["a/b", {}]
  ])
  assert.equal(await outcome(await harness.send("POST", "/api/v1/topics/delete")), "405 method-not-allowed")
  assert.equal(await outcome(await harness.send("POST", "/api/v1/topics/a/create")), "404 unknown-route")
  assert.equal(await outcome(await harness.send("GET", "/api/v1/topics/a/delete")), "405 method-not-allowed")
  assert.equal(await outcome(await harness.send("POST", "/api/v1/topics/a/toString")), "404 unknown-route")
  assert.equal(await outcome(await harness.send("POST", "/api/v1/topics/a/delete/b")), "404 unknown-route")
  assert.equal(calls.length, 2)
})

test("verbs that create, alter and delete have the methods that are usual for it, and no path of their own", async () => {
  const calls: Array<unknown> = []
  const harness = makeHarness([usersResource(calls)])
  const users = "/api/v1/access/users"
  const created = await harness.send("POST", users, post('{"name":"a/b \u00e9"}'))
  assert.deepEqual([created.status, await created.json()], [201, { name: "a/b \u00e9" }])
  const location = created.headers.get("location")
  assert.equal(location, `${users}/a%2Fb%20%C3%A9`)
  assert.deepEqual(await (await harness.send("GET", location)).json(), { name: "a/b \u00e9" })
  const altered = await harness.send("PATCH", `${users}/x`, post('{"level":1}'))
  assert.deepEqual([altered.status, altered.headers.get("location"), await altered.json()], [200, null, { level: 1 }])
  assert.equal(await outcome(await harness.send("DELETE", `${users}/x`)), "204")
  assert.equal(await outcome(await harness.send("POST", `${users}/x/lock`)), "204")
  assert.equal(await outcome(await harness.send("POST", `${users}/import`)), "200")
  assert.deepEqual(calls, [
    ["create", "", { name: "a/b \u00e9" }],
    ["alter", "x", { level: 1 }],
    ["delete", "x", {}],
    ["lock", "x", {}],
    ["import", "", {}]
  ])
  const refused: ReadonlyArray<readonly [method: string, path: string, outcome: string]> = [
    ["POST", `${users}/create`, "405 method-not-allowed"],
    ["POST", `${users}/x/alter`, "404 unknown-route"],
    ["POST", `${users}/x/delete`, "404 unknown-route"],
    ["POST", `${users}/x/import`, "404 unknown-route"],
    ["PATCH", users, "405 method-not-allowed"],
    ["DELETE", users, "405 method-not-allowed"],
    ["GET", "/api/v1/user", "404 unknown-route"],
    ["GET", "/api/v1/access", "404 unknown-route"]
  ]
  for (const [method, path, expected] of refused) {
    assert.equal(`${path} ${await outcome(await harness.send(method, path))}`, `${path} ${expected}`)
  }
  assert.equal(await outcome(await harness.send("PATCH", `${users}/x`, post("[]"))), "422 invalid")
  assert.equal(await outcome(await harness.send("POST", `${users}?x`, post('{"name":"a"}'))), "400 unknown-query-key")
  assert.equal(calls.length, 5)
})

test("what was created says where it is only if its id is known, and cannot inject a header with it", async () => {
  const [create, ...others] = usersResource().verbs ?? []
  assert.ok(create !== undefined)
  const send = async (item: unknown, more: Partial<Resource> = {}) => {
    const verbs = [{ ...create, run: () => Effect.succeed(item) }, ...others]
    const answer = await makeHarness([{ ...usersResource(), ...more, verbs }]).send("POST", "/api/v1/access/users")
    return [answer.status, answer.headers.get("location"), await answer.text()]
  }
  const at = (id: string): string => `/api/v1/access/users/${id}`
  assert.deepEqual(await send({ name: "a\r\nX: 1" }), [201, at("a%0D%0AX%3A%201"), '{"name":"a\\r\\nX: 1"}'])
  assert.deepEqual(await send({ name: "\ud800" }), [201, at("%EF%BF%BD"), '{"name":"\\ud800"}'])
  assert.deepEqual(await send({ name: 1 }), [201, null, '{"name":1}'])
  assert.deepEqual(await send({ id: "a" }), [201, null, '{"id":"a"}'])
  assert.deepEqual(await send({}, { idMember: "constructor" }), [201, null, "{}"])
  assert.deepEqual(await send(Object.create({ name: "inherited" })), [201, null, "{}"])
  assert.deepEqual(await send(null), [201, null, "null"])
  assert.deepEqual(await send(undefined), [201, null, ""])
})

test("a singleton is altered by PATCH at its own path", async () => {
  const calls: Array<unknown> = []
  const alter = usersResource(calls).verbs?.find(({ kind }) => kind === "alter")
  assert.ok(alter !== undefined)
  const harness = makeHarness([{ ...singleton("config", () => Effect.succeed({})), verbs: [alter] }])
  assert.equal(await outcome(await harness.send("PATCH", "/api/v1/config", post('{"a":1}'))), "200")
  assert.equal(await outcome(await harness.send("PATCH", "/api/v1/config/x", post("{}"))), "404 unknown-route")
  assert.equal(await outcome(await harness.send("POST", "/api/v1/config/alter", post("{}"))), "404 unknown-route")
  assert.deepEqual(calls, [["alter", "", { a: 1 }]])
})

test("a singleton's verbs stand behind its name, whatever their target", async () => {
  const calls: Array<unknown> = []
  const verbs = topicsResource(calls).verbs ?? []
  const harness = makeHarness([{ ...singleton("config", () => Effect.succeed({})), verbs }])
  assert.equal(await outcome(await harness.send("POST", "/api/v1/config/delete")), "204")
  assert.equal(await outcome(await harness.send("POST", "/api/v1/config/create", post('{"name":"a"}'))), "200")
  assert.equal(await outcome(await harness.send("GET", "/api/v1/config/delete")), "405 method-not-allowed")
  assert.equal(await outcome(await harness.send("POST", "/api/v1/config/x/delete")), "404 unknown-route")
  assert.deepEqual(calls, [
    ["", {}],
    ["", { name: "a", partitions: 1 }]
  ])
})

test("input that does not fit its schema is 422, and each fault is named by its path", async () => {
  const calls: Array<unknown> = []
  const verb = {
    name: "create",
    description: "",
    target: "collection" as const,
    input: v.strictObject({ "a/b~c": v.strictObject({ list: v.array(v.number()) }), name: v.string() }),
    run: () => Effect.sync(() => void calls.push(1))
  }
  const harness = makeHarness([{ ...topicsResource(), verbs: [verb] }])
  const send = (body: unknown) => harness.send("POST", "/api/v1/topics/create", post(JSON.stringify(body)))
  const found = await problemOf(await send({ "a/b~c": { list: [1, "two"] }, name: 3, more: true }))
  assert.deepEqual([found.status, found.code], [422, "invalid"])
  assert.deepEqual(
    found.errors?.map(({ pointer }) => pointer),
    ["/a~1b~0c/list/1", "/name", "/more"]
  )
  assert.match(found.detail, /^\/a~1b~0c\/list\/1: .*number/)
  for (const noObject of [[], null, 1, "x", true]) {
    assert.deepEqual((await problemOf(await send(noObject))).errors, [{ pointer: "", detail: "expected an object" }])
  }
  const empty = { ...verb, name: "empty", input: v.strictObject({}) }
  const strict = makeHarness([{ ...topicsResource(), verbs: [empty] }])
  assert.equal(await outcome(await strict.send("POST", "/api/v1/topics/empty", post("[]"))), "422 invalid")
  const many = await problemOf(await send({ name: "a", "a/b~c": { list: Array(500).fill("x".repeat(1_000)) } }))
  assert.equal(many.errors?.length, 20)
  assert.ok(many.errors?.every(({ detail }) => detail.length <= 200))
  for (const hostile of ['{"__proto__":{"name":"a"}}', '{"constructor":1}', "null", "1", '"x"']) {
    const answer = await harness.send("POST", "/api/v1/topics/create", post(hostile))
    assert.equal(await outcome(answer), "422 invalid")
  }
  assert.deepEqual(calls, [])
})

test("a body that is no JSON is refused before its schema is asked", async () => {
  const calls: Array<unknown> = []
  const harness = makeHarness([topicsResource(calls)])
  const deep = (levels: number): string => `${"[".repeat(levels)}${"]".repeat(levels)}`
  const bodies: ReadonlyArray<readonly [body: string | Uint8Array<ArrayBuffer>, outcome: string]> = [
    ["{", "400 malformed-json"],
    ["{'name':'a'}", "400 malformed-json"],
    ['{"name":"a"} x', "400 malformed-json"],
    ['{"name":"a",}', "400 malformed-json"],
    ['{"name":NaN}', "400 malformed-json"],
    [" ", "400 malformed-json"],
    ["\u0000", "400 malformed-json"],
    [new Uint8Array([0x22, 0xff, 0x22]), "400 malformed-json"],
    [new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), "400 malformed-json"],
    [deep(JSON_DEPTH_MAX), "422 invalid"],
    [`{"list":[${"[],{},".repeat(JSON_DEPTH_MAX)}0]}`, "422 invalid"],
    [deep(JSON_DEPTH_MAX + 1), "400 json-too-deep"],
    ["[".repeat(500_000), "400 json-too-deep"],
    ['{"a":'.repeat(100_000), "400 json-too-deep"],
    [`{"name":"${"[".repeat(100)}\\"${"{".repeat(100)}"}`, "200"],
    ['{"name":"\\\\"}', "200"]
  ]
  for (const [body, expected] of bodies) {
    const shown = String(body).slice(0, 30)
    const answer = await harness.send("POST", "/api/v1/topics/create", post(body))
    assert.equal(`${shown} ${await outcome(answer)}`, `${shown} ${expected}`)
  }
  assert.equal(calls.length, 2)
})

test("a body of another type, or compressed, is refused; an empty one needs no type", async () => {
  const harness = makeHarness([topicsResource()])
  const types: ReadonlyArray<readonly [headers: Record<string, string>, outcome: string]> = [
    [{ "content-type": "application/json" }, "200"],
    [{ "content-type": "Application/JSON; charset=UTF-8" }, "200"],
    [{ "content-type": 'application/json;charset="utf-8"' }, "200"],
    [{ "content-type": "application/json", "content-encoding": "identity" }, "200"],
    [{ "content-type": "application/json", "content-encoding": "gzip" }, "415 unsupported-media-type"],
    [{ "content-type": "application/json; charset=utf-16" }, "415 unsupported-media-type"],
    [{ "content-type": "application/jsonx" }, "415 unsupported-media-type"],
    [{ "content-type": "text/plain" }, "415 unsupported-media-type"],
    [{ "content-type": "application/x-www-form-urlencoded" }, "415 unsupported-media-type"],
    [{ "content-type": "multipart/form-data; boundary=application/json" }, "415 unsupported-media-type"],
    [{ "content-type": "" }, "415 unsupported-media-type"]
  ]
  for (const [headers, expected] of types) {
    const answer = await harness.send("POST", "/api/v1/topics/create", post('{"name":"a"}', headers))
    assert.equal(`${JSON.stringify(headers)} ${await outcome(answer)}`, `${JSON.stringify(headers)} ${expected}`)
  }
  assert.equal(await outcome(await harness.send("POST", "/api/v1/topics/x/delete", post("", {}))), "204")
})

test("a body beyond the bound is 413, declared or not, on every route; at the bound it is read", async () => {
  const harness = makeHarness([topicsResource()], { body_bytes_max: 1_024 })
  const body = (bytes: number): string => `{"name":"${"x".repeat(bytes - 11)}"}`
  const send = (given: RequestInit, path = "/api/v1/topics/create") => harness.send("POST", path, given)
  assert.equal(await outcome(await send(post(body(1_024)))), "200")
  assert.equal(await outcome(await send(post(body(1_024), { ...JSON_HEADERS, "content-length": "1024" }))), "200")
  const refused = await send(post(body(1_025)))
  assert.equal(refused.headers.get("connection"), "close")
  assert.deepEqual((await problemOf(refused)).bytes_max, 1_024)
  let pulled = 0
  let cancelled = 0
  const endless = new ReadableStream(
    {
      pull: (controller) => {
        pulled += 1
        controller.enqueue(new Uint8Array(512).fill(0x20))
      },
      cancel: () => void (cancelled += 1)
    },
    { highWaterMark: 0 }
  )
  assert.equal(await outcome(await send(post(endless))), "413 body-too-large")
  assert.deepEqual([pulled, cancelled], [3, 1])
  for (const declared of ["1025", "99999999999", "1e9", "Infinity"]) {
    const headers = { ...JSON_HEADERS, "content-length": declared }
    assert.equal(await outcome(await send(post("{}", headers), "/health/live")), "413 body-too-large")
  }
  const byDefault = makeHarness([topicsResource()])
  const oneMebibyte = await byDefault.send("POST", "/api/v1/topics/create", post(body(1_048_576)))
  assert.equal(await outcome(oneMebibyte), "200")
  const more = await byDefault.send("POST", "/api/v1/topics/create", post(body(1_048_577)))
  assert.equal(await outcome(more), "413 body-too-large")
})

test("what a caller sent is quoted short in a problem", async () => {
  const harness = makeHarness([topicsResource()])
  const found = await problemOf(await harness.send("GET", `/${"<script>".repeat(500)}`))
  assert.ok(found.detail.length <= 120)
  const get = () => Effect.fail(new ResourceError({ reason: "invalid", code: "c", message: "x".repeat(100_000) }))
  const long = await problemOf(await makeHarness([singleton("thing", get)]).send("GET", "/api/v1/thing"))
  assert.equal(long.detail.length, 400)
})
