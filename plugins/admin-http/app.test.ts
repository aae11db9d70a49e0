import assert from "node:assert/strict"
import { test } from "node:test"
import { Deferred, Effect } from "effect"
import { HEADER_LENGTH_MAX } from "./check-request.ts"
import { makeHarness, outcome, problemOf, singleton, topicsResource, usersResource } from "./fakes.ts"

const JSON_HEADERS = { "content-type": "application/json" }

test("live is 200 in every state; ready only when the node serves, else it says what is missing", async () => {
  const harness = makeHarness()
  for (const state of ["starting", "ready", "stopping"] as const) {
    harness.state = state
    const live = await harness.send("GET", "/health/live")
    assert.equal(live.status, 200)
    assert.deepEqual(await live.json(), { status: "live" })
    const ready = await harness.send("GET", "/health/ready")
    if (state === "ready") {
      assert.equal(ready.status, 200)
      assert.deepEqual(await ready.json(), { status: "ready" })
      continue
    }
    assert.equal(ready.headers.get("retry-after"), "1")
    const found = await problemOf(ready)
    assert.deepEqual([found.status, found.code, found.state], [503, "not-ready", state])
    assert.match(found.detail, state === "starting" ? /listener/ : /stopping/)
  }
})

test("metrics are the registry's text, as the format's own content type", async () => {
  const answer = await makeHarness([], {}, () => 'a{b="\u00e9"} 1\n').send("GET", "/metrics")
  assert.equal(answer.status, 200)
  assert.equal(answer.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
  assert.equal(answer.headers.get("content-length"), "12")
  assert.equal(await answer.text(), 'a{b="\u00e9"} 1\n')
})

test("every answer carries the security headers, and none allows another origin", async () => {
  const harness = makeHarness([topicsResource()], {}, () => {
    throw new Error("inside")
  })
  const answers = [
    await harness.send("GET", "/health/live"),
    await harness.send("GET", "/api/v1/topics", { headers: { origin: "http://evil.example" } }),
    await harness.send("OPTIONS", "/api/v1/topics", {
      headers: { origin: "http://127.0.0.1:8080", host: "127.0.0.1:8080" }
    }),
    await harness.send("POST", "/api/v1/topics/t/delete"),
    await harness.send("GET", "/nothing"),
    await harness.send("GET", "/metrics"),
    await harness.send("HEAD", "/nothing"),
    await harness.send("GET", "/health/live", { headers: { host: "evil.example" } })
  ]
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 204, 204, 404, 500, 404, 421]
  )
  for (const { headers } of answers) {
    assert.equal(headers.get("cache-control"), "no-store")
    assert.equal(headers.get("x-content-type-options"), "nosniff")
    assert.equal(headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'")
    assert.equal(headers.get("x-frame-options"), "DENY")
    assert.equal(headers.get("referrer-policy"), "no-referrer")
    assert.equal(headers.get("cross-origin-resource-policy"), "same-origin")
    assert.deepEqual(
      [...headers.keys()].filter((name) => name.startsWith("access-control")),
      []
    )
  }
})

test("HEAD is GET without the body: the same status and headers", async () => {
  const harness = makeHarness([topicsResource()])
  harness.state = "starting"
  for (const path of [
    "/health/live",
    "/health/ready",
    "/metrics",
    "/api/v1/topics",
    "/api/v1/topics/gone",
    "/nothing"
  ]) {
    const get = await harness.send("GET", path)
    const head = await harness.send("HEAD", path)
    assert.equal(head.status, get.status)
    assert.deepEqual([...head.headers], [...get.headers])
    assert.equal(head.headers.get("content-length"), String((await get.arrayBuffer()).byteLength))
    assert.equal(head.body, null)
  }
  const refused = await harness.send("HEAD", "/health/live", { headers: { host: "evil.example" } })
  assert.deepEqual([refused.status, refused.body], [421, null])
  assert.ok(Number(refused.headers.get("content-length")) > 0)
})

/** Deno makes no request of this method. */
const TRACE: ReadonlyArray<string> = "Deno" in globalThis ? [] : ["TRACE"]

test("OPTIONS and a wrong method name what is allowed", async () => {
  const harness = makeHarness([topicsResource(), singleton("info", () => Effect.succeed({}))])
  const allowed: ReadonlyArray<readonly [path: string, allow: string]> = [
    ["/health/live", "GET, HEAD, OPTIONS"],
    ["/metrics", "GET, HEAD, OPTIONS"],
    ["/api/v1/info", "GET, HEAD, OPTIONS"],
    ["/api/v1/topics", "GET, HEAD, OPTIONS"],
    ["/api/v1/topics/x", "GET, HEAD, OPTIONS"],
    ["/api/v1/topics/create", "GET, HEAD, POST, OPTIONS"],
    ["/api/v1/topics/x/delete", "POST, OPTIONS"]
  ]
  for (const [path, allow] of allowed) {
    const options = await harness.send("OPTIONS", path)
    assert.deepEqual([options.status, options.headers.get("allow"), await options.text()], [204, allow, ""])
    for (const method of ["PUT", "PATCH", "DELETE", "PROPFIND", ...TRACE]) {
      const refused = await harness.send(method, path)
      assert.equal(refused.headers.get("allow"), allow)
      assert.equal(await outcome(refused), "405 method-not-allowed")
    }
  }
  assert.equal((await harness.send("HEAD", "/api/v1/topics/x/delete")).status, 405)
  const users = makeHarness([usersResource()])
  const ofKinds: ReadonlyArray<readonly [path: string, allow: string, refused: string]> = [
    ["/api/v1/access/users", "GET, HEAD, POST, OPTIONS", "DELETE"],
    ["/api/v1/access/users/x", "GET, HEAD, PATCH, DELETE, OPTIONS", "POST"],
    ["/api/v1/access/users/import", "GET, HEAD, POST, PATCH, DELETE, OPTIONS", "PUT"],
    ["/api/v1/access/users/x/lock", "POST, OPTIONS", "DELETE"]
  ]
  for (const [path, allow, method] of ofKinds) {
    for (const each of ["OPTIONS", method]) {
      const answer = await users.send(each, path)
      assert.deepEqual([answer.status, answer.headers.get("allow")], [each === "OPTIONS" ? 204 : 405, allow])
    }
  }
  assert.equal(await outcome(await harness.send("OPTIONS", "/nothing")), "404 unknown-route")
  assert.equal(await outcome(await harness.send("DELETE", "/api/v1/nothing")), "404 unknown-route")
})

test("what no route is at is 404, also near a route and at names that objects have", async () => {
  const harness = makeHarness([topicsResource(), singleton("info", () => Effect.succeed({}))])
  for (const path of [
    "/",
    "/health",
    "/health/Live",
    "/health/live/x",
    "/health/l%69ve",
    "/metricsx",
    "/api",
    "/api/v1",
    "/api/v2/topics",
    "/api/v1x/topics",
    "/API/v1/topics",
    "/api/v1/topicsx",
    "/api/v1/topic%73",
    "/api/v1/topics/a/b/c",
    "/api/v1/topics/a/b",
    "/api/v1/info/x",
    "/api/v1/__proto__",
    "/api/v1/constructor/prototype",
    "/api/v1/toString"
  ]) {
    assert.equal(`${path} ${await outcome(await harness.send("GET", path))}`, `${path} 404 unknown-route`)
  }
})

test("path tricks are refused, not resolved", async () => {
  const harness = makeHarness([topicsResource()])
  for (const path of [
    "//health/live",
    "/health//live",
    "/health/live/",
    "/api/v1/topics/",
    "/api/v1//topics",
    "/api/v1/topics/%2e%2e%2f",
    "/api/v1/topics/..%2f..%2fetc",
    "/api/v1/topics/a%2f%2e%2e%2fb",
    "/api/v1/topics/%5c..%5cx",
    "/api/v1/topics/..%5cx",
    "/api/v1/topics/a%00",
    "/api/v1/topics/a%0d%0aX-Injected:%201",
    "/api/v1/topics/a%7f",
    "/api/v1/topics/a%c2%85",
    "/api/v1/topics/%ff",
    "/api/v1/topics/%c0%ae%c0%ae",
    "/api/v1/topics/%ed%a0%80",
    "/api/v1/topics/%",
    "/api/v1/topics/%zz"
  ]) {
    assert.equal(`${path} ${await outcome(await harness.send("GET", path))}`, `${path} 400 malformed-path`)
  }
  assert.equal(await outcome(await harness.send("GET", `/api/v1/topics/${"a".repeat(8_192)}`)), "414 target-too-long")
  assert.equal(await outcome(await harness.send("GET", `/metrics?${"a".repeat(8_192)}`)), "414 target-too-long")
})

test("a query key that is not known is refused, where no key is known too", async () => {
  const harness = makeHarness([topicsResource(), singleton("info", () => Effect.succeed({}))])
  for (const path of [
    "/health/live",
    "/health/ready",
    "/metrics",
    "/api/v1/info",
    "/api/v1/topics",
    "/api/v1/topics/x"
  ]) {
    const found = await problemOf(await harness.send("GET", `${path}?limits=5`))
    assert.deepEqual([found.status, found.code, found.key], [400, "unknown-query-key", "limits"])
  }
  const posted = await harness.send("POST", "/api/v1/topics/x/delete?force=1")
  assert.equal(await outcome(posted), "400 unknown-query-key")
})

test("a loopback listener answers for loopback names alone, and for names that were added", async () => {
  const harness = makeHarness([], { hosts: ["Broker.example"] })
  const hosts: ReadonlyArray<readonly [host: string, outcome: string]> = [
    ["localhost", "200"],
    ["LocalHost:8080", "200"],
    ["127.0.0.1", "200"],
    ["127.255.3.4:1", "200"],
    ["[::1]", "200"],
    ["[::1]:8080", "200"],
    ["broker.example:8080", "200"],
    ["evil.example", "421 host-not-allowed"],
    ["localhost.evil.example", "421 host-not-allowed"],
    ["127.0.0.1.evil.example", "421 host-not-allowed"],
    ["127.evil.example", "421 host-not-allowed"],
    ["127.0.0.256", "421 host-not-allowed"],
    ["127.0.0.1.", "421 host-not-allowed"],
    ["0.0.0.0", "421 host-not-allowed"],
    ["[::]", "421 host-not-allowed"],
    ["[::ffff:127.0.0.1]", "421 host-not-allowed"],
    ["sub.broker.example", "421 host-not-allowed"],
    ["", "400 malformed-host"],
    ["127.0.0.1, evil.example", "400 malformed-host"],
    ["127.0.0.1/x", "400 malformed-host"],
    ["user@127.0.0.1", "400 malformed-host"],
    ["127.0.0.1:port", "400 malformed-host"],
    ["[::1", "400 malformed-host"]
  ]
  for (const [host, expected] of hosts) {
    const answer = await harness.send("GET", "/health/live", { headers: { host } })
    assert.equal(`${host} ${await outcome(answer)}`, `${host} ${expected}`)
  }
})

test("another listener answers for every well-formed host", async () => {
  const { app } = makeHarness()
  const send = (host: string) =>
    app.fetch(new Request("http://a/health/live", { headers: { host } }), { isLoopbackListener: false })
  assert.equal(await outcome(await send("broker.example")), "200")
  assert.equal(await outcome(await send("broker.example/metrics?")), "400 malformed-host")
})

test("a change that a page of another origin sends is refused; reading is left to the browser's own rules", async () => {
  const calls: Array<unknown> = []
  const harness = makeHarness([topicsResource(calls)])
  const host = "127.0.0.1:8080"
  const origins: ReadonlyArray<readonly [headers: Record<string, string>, outcome: string]> = [
    [{ host, origin: "http://127.0.0.1:8080" }, "204"],
    [{ host, origin: "https://127.0.0.1:8080", "sec-fetch-site": "same-origin" }, "204"],
    [{ host, "sec-fetch-site": "none" }, "204"],
    [{ host }, "204"],
    [{ host, origin: "http://evil.example" }, "403 cross-origin"],
    [{ host, origin: "null" }, "403 cross-origin"],
    [{ host, origin: "http://127.0.0.1:8081" }, "403 cross-origin"],
    [{ origin: "http://127.0.0.1:8080" }, "403 cross-origin"],
    [{ host, "sec-fetch-site": "cross-site" }, "403 cross-origin"],
    [{ host, "sec-fetch-site": "same-site" }, "403 cross-origin"]
  ]
  for (const [headers, expected] of origins) {
    const answer = await harness.send("POST", "/api/v1/topics/x/delete", { headers })
    assert.equal(`${JSON.stringify(headers)} ${await outcome(answer)}`, `${JSON.stringify(headers)} ${expected}`)
  }
  assert.equal(calls.length, 4)
  const changed: Array<unknown> = []
  const users = makeHarness([usersResource(changed)])
  for (const [method, path] of [
    ["POST", "/api/v1/access/users"],
    ["PATCH", "/api/v1/access/users/x"],
    ["DELETE", "/api/v1/access/users/x"]
  ] as const) {
    const answer = await users.send(method, path, { headers: { host, "sec-fetch-site": "cross-site" } })
    assert.equal(`${method} ${await outcome(answer)}`, `${method} 403 cross-origin`)
  }
  assert.deepEqual(changed, [])
  const read = await harness.send("GET", "/api/v1/topics", { headers: { host, origin: "http://evil.example" } })
  assert.equal(read.status, 200)
})

test("the method cannot be overridden", async () => {
  const calls: Array<unknown> = []
  const harness = makeHarness([topicsResource(calls)])
  for (const name of ["X-HTTP-Method-Override", "x-http-method", "X-Method-Override"]) {
    const answer = await harness.send("GET", "/api/v1/topics/x/delete", { headers: { [name]: "POST" } })
    assert.equal(await outcome(answer), "400 method-override")
  }
  assert.equal(await outcome(await harness.send("GET", "/api/v1/topics?_method=POST")), "400 unknown-query-key")
  assert.deepEqual(calls, [])
})

test("headers are bounded together", async () => {
  const harness = makeHarness()
  const send = (length: number) => harness.send("GET", "/health/live", { headers: { a: "x".repeat(length) } })
  assert.equal(await outcome(await send(HEADER_LENGTH_MAX - 1)), "200")
  assert.equal(await outcome(await send(HEADER_LENGTH_MAX)), "431 header-too-large")
})

test("an internal error is 500 with an incident and nothing of the inside, which the log gets", async () => {
  const failures: ReadonlyArray<() => Effect.Effect<unknown>> = [
    () => Effect.die(new Error("secret at /etc/shadow")),
    () => {
      throw new TypeError("secret at /etc/shadow")
    },
    () => {
      const thrown: unknown = "secret at /etc/shadow"
      throw thrown
    },
    () => Effect.succeed({ secret: 1n }),
    () => Effect.succeed(() => "secret")
  ]
  for (const get of failures) {
    const harness = makeHarness([singleton("broken", get)])
    const answer = await harness.send("GET", "/api/v1/broken")
    const text = await answer.clone().text()
    assert.doesNotMatch(text, /secret|shadow|\.ts|BigInt/)
    const found = await problemOf(answer)
    assert.deepEqual([found.status, found.code, found.incident], [500, "internal", "incident-1"])
    assert.deepEqual(
      harness.faults.map(({ incident, path }) => [incident, path]),
      [["incident-1", "/api/v1/broken"]]
    )
  }
})

test("a registry that throws is 500, not a broken connection", async () => {
  for (const fault of [new Error("inside"), "inside"]) {
    const harness = makeHarness([], {}, () => {
      throw fault
    })
    assert.equal(await outcome(await harness.send("GET", "/metrics")), "500 internal")
    assert.equal(harness.faults[0]?.error, fault)
  }
})

test("an answer that takes too long is given up, and what works on it is interrupted", async () => {
  let interrupted = 0
  const get = () => Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => void (interrupted += 1))))
  const harness = makeHarness([singleton("slow", get)], { request_timeout: 5 })
  const answer = harness.send("GET", "/api/v1/slow")
  await until(() => harness.clock.waiting === 1)
  harness.clock.advance(4_999)
  await settle()
  assert.equal(harness.app.underWayCount(), 1)
  harness.clock.advance(1)
  assert.equal(await outcome(await answer), "503 timed-out")
  await until(() => interrupted === 1)
  assert.deepEqual([harness.app.underWayCount(), harness.faults], [0, []])
})

test("a body that does not end is 408, and what came of it is not taken for the whole", async () => {
  const calls: Array<unknown> = []
  const harness = makeHarness([topicsResource(calls)], { request_timeout: 5 })
  let cancelled = 0
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode('{"name":"a"}')),
    cancel: () => void (cancelled += 1)
  })
  const answer = harness.send("POST", "/api/v1/topics/create", { body, headers: JSON_HEADERS })
  await settle()
  harness.clock.advance(5_000)
  assert.equal(await outcome(await answer), "408 body-timeout")
  await settle()
  assert.deepEqual([calls, cancelled, harness.faults], [[], 1, []])
})

test("a caller that breaks off its body gets nothing done", async () => {
  const calls: Array<unknown> = []
  const harness = makeHarness([topicsResource(calls)])
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode('{"name":"a"}')),
    pull: (controller) => controller.error(new Error("connection reset"))
  })
  const answer = await harness.send("POST", "/api/v1/topics/create", { body, headers: JSON_HEADERS })
  assert.equal(await outcome(answer), "400 body-incomplete")
  assert.deepEqual([calls, harness.faults], [[], []])
})

test("a caller that leaves, and a plugin that stops, interrupt what is under way; nobody is told of a fault", async () => {
  for (const leave of ["caller", "plugin"] as const) {
    let interrupted = 0
    const get = () => Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => void (interrupted += 1))))
    const harness = makeHarness([singleton("slow", get)])
    const caller = new AbortController()
    const answer = harness.send("GET", "/api/v1/slow", { signal: caller.signal })
    await settle()
    if (leave === "caller") caller.abort()
    else harness.app.stop()
    assert.equal(await outcome(await answer), "503 unavailable")
    assert.deepEqual([interrupted, harness.faults, harness.clock.waiting], [1, [], 0])
  }
})

test("requests under way are bounded; live still answers", async () => {
  const gate = Deferred.makeUnsafe<string>()
  const harness = makeHarness([singleton("slow", () => Deferred.await(gate))], { requests_max: 2 })
  const held = [harness.send("GET", "/api/v1/slow"), harness.send("GET", "/api/v1/slow")]
  const refused = await harness.send("GET", "/health/ready")
  assert.equal(refused.headers.get("retry-after"), "1")
  assert.equal(await outcome(refused), "503 busy")
  assert.equal(await outcome(await harness.send("GET", "/health/live")), "200")
  Deferred.doneUnsafe(gate, Effect.succeed("done"))
  for (const answer of held) assert.equal(await (await answer).json(), "done")
  assert.equal(await outcome(await harness.send("GET", "/health/ready")), "200")
})

test("answers are counted by status, and no timer stays behind", async () => {
  const harness = makeHarness([topicsResource()])
  for (const path of ["/health/live", "/metrics", "/nothing", "/health/live?x", "/health/live/"]) {
    await harness.send("GET", path)
  }
  assert.deepEqual(
    [...harness.app.answersByStatus].sort(([left], [right]) => left - right),
    [
      [200, 2],
      [400, 2],
      [404, 1]
    ]
  )
  assert.deepEqual([harness.app.underWayCount(), harness.clock.waiting], [0, 0])
})

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !isTrue(); turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.ok(isTrue())
}
