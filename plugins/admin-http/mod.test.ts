import assert from "node:assert/strict"
import { test } from "node:test"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as v from "valibot"
import {
  Clock,
  Files,
  type HttpHandler,
  InvariantViolation,
  ListenError,
  type ListenerFact,
  Listeners,
  Log,
  MetricsRegistry,
  makeResources,
  Net,
  type NetShape,
  NodeFacts,
  type PlatformServices,
  Random,
  Resources,
  Telemetry
} from "../../core/mod.ts"
import { FakeClock, singleton } from "./fakes.ts"
import { plugin } from "./mod.ts"

/** A node's platform around the plugin: a network that keeps the handlers, and everything that can be looked at. */
function makePlatform(refuse?: string) {
  const handlers = new Map<string, HttpHandler>()
  const listeners = new Set<ListenerFact>()
  const registry = new MetricsRegistry()
  const resources = makeResources()
  const lines: Array<unknown> = []
  const clock = new FakeClock()
  const unused = () => Effect.die("not for this plugin")
  const net: NetShape = {
    listenTcp: unused,
    listenQuic: unused,
    listenUnix: unused,
    listenWebSocket: unused,
    connectTcp: unused,
    serveHttp: (address, handler) =>
      address === refuse
        ? Effect.fail(new ListenError({ address, reason: "the port is in use" }))
        : Effect.acquireRelease(
            Effect.sync(() => handlers.set(address, handler)),
            () => Effect.sync(() => handlers.delete(address))
          ).pipe(Effect.as({ address: address.replace(/:0$/, ":4711") }))
  }
  const facts: typeof NodeFacts.Service = {
    id: "node-1",
    dataDirectory: "data",
    version: "0.1.0",
    shards: 1,
    startedAtMs: 0,
    state: () => "ready",
    plugins: () => [],
    topicDefaults: { engine: "memory", mode: "memory", partitions: 1 },
    topicCount: () => 0
  }
  const quiet = () => {}
  const log = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (...event: ReadonlyArray<unknown>) => void lines.push(event),
    isEnabled: () => true
  }
  const services: Context.Context<PlatformServices> = Context.make(Net, net).pipe(
    Context.add(Clock, clock),
    Context.add(Random, { uint32: () => 7, fill: (target: Uint8Array) => void target.fill(7) }),
    Context.add(Files, {} as never),
    Context.add(Telemetry, registry),
    Context.add(Log, log),
    Context.add(Resources, resources),
    Context.add(Listeners, {
      announce: (fact: ListenerFact) =>
        Effect.acquireRelease(
          Effect.sync(() => listeners.add(fact)),
          () => Effect.sync(() => listeners.delete(fact))
        ).pipe(Effect.asVoid),
      all: () => [...listeners]
    }),
    Context.add(NodeFacts, facts)
  )
  const build = (given: unknown, context: Context.Context<PlatformServices>, scope: Scope.Scope) =>
    Effect.runPromiseExit(
      Layer.buildWithScope(
        plugin.layer(v.parse(plugin.options, given)).pipe(Layer.provide(Layer.succeedContext(context))),
        scope
      )
    )
  return { handlers, listeners, registry, resources, services, clock, lines, build }
}

test("it listens on every address, announces the real ports, answers, and leaves nothing behind", async () => {
  const platform = makePlatform()
  const scope = Scope.makeUnsafe()
  const built = await platform.build({ tcp: ["127.0.0.1:0", "192.0.2.1:80"] }, platform.services, scope)
  assert.ok(Exit.isSuccess(built))
  assert.deepEqual(
    [...platform.listeners],
    [
      { plugin: "admin-http", listener: "tcp", address: "127.0.0.1:4711" },
      { plugin: "admin-http", listener: "tcp", address: "192.0.2.1:80" }
    ]
  )
  const send = async (address: string, host: string) => {
    const handler = platform.handlers.get(address)
    assert.ok(handler !== undefined)
    return (await handler(new Request("http://x/health/ready", { headers: { host } }), "127.0.0.1")).status
  }
  assert.deepEqual(
    [
      await send("127.0.0.1:0", "localhost"),
      await send("127.0.0.1:0", "broker.example"),
      await send("192.0.2.1:80", "broker.example")
    ],
    [200, 421, 200]
  )
  const text = platform.registry.renderPrometheus()
  assert.match(text, /^manifold_http_responses_total\{status="200"\} 2$/m)
  assert.match(text, /^manifold_http_responses_total\{status="421"\} 1$/m)
  assert.match(text, /^manifold_http_requests 0$/m)
  await Effect.runPromise(Scope.close(scope, Exit.void))
  assert.deepEqual([platform.handlers.size, platform.listeners.size, platform.registry.renderPrometheus()], [0, 0, ""])
})

test("closing its scope interrupts what is under way", async () => {
  const platform = makePlatform()
  const scope = Scope.makeUnsafe()
  let interrupted = 0
  const slow = singleton("slow", () =>
    Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => void (interrupted += 1))))
  )
  await Effect.runPromise(platform.resources.register(slow).pipe(Scope.provide(scope)))
  await platform.build({ tcp: "127.0.0.1:0" }, platform.services, scope)
  const answer = platform.handlers.get("127.0.0.1:0")?.(new Request("http://localhost/api/v1/slow"), "127.0.0.1")
  await new Promise((resolve) => setImmediate(resolve))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  assert.equal((await answer)?.status, 503)
  assert.equal(interrupted, 1)
})

test("an address that cannot be had is one line that names it, and what stood before is closed", async () => {
  const platform = makePlatform("127.0.0.1:2")
  const scope = Scope.makeUnsafe()
  const built = await platform.build({ tcp: ["127.0.0.1:1", "127.0.0.1:2"] }, platform.services, scope)
  assert.ok(Exit.isFailure(built))
  assert.match(String(built.cause), /cannot listen on 127\.0\.0\.1:2: the port is in use/)
  await Effect.runPromise(Scope.close(scope, Exit.void))
  assert.deepEqual([platform.handlers.size, platform.listeners.size], [0, 0])
})

test("an internal error goes to the log under the incident that the caller was told, and stops nothing", async () => {
  for (const thrown of ["inside", new Error("inside")]) {
    const platform = makePlatform()
    const scope = Scope.makeUnsafe()
    const broken = singleton("broken", () => Effect.die(thrown))
    await Effect.runPromise(platform.resources.register(broken).pipe(Scope.provide(scope)))
    await platform.build({ tcp: "127.0.0.1:0" }, platform.services, scope)
    const answer = await platform.handlers.get("127.0.0.1:0")?.(new Request("http://localhost/api/v1/broken"), "")
    assert.equal(answer?.status, 500)
    const { incident } = v.parse(v.looseObject({ incident: v.string() }), await answer?.json())
    const error = new Error("inside")
    const event = ["admin-http", "a request could not be answered", { incident, path: "/api/v1/broken", error }]
    assert.deepEqual([platform.lines, platform.clock.immediates], [[event], []])
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
})

test("a broken invariant is answered and logged, then thrown where nothing catches it", async () => {
  const violation = new InvariantViolation("state is right")
  for (const get of [
    () => Effect.die(violation),
    () => {
      throw violation
    }
  ]) {
    const platform = makePlatform()
    const scope = Scope.makeUnsafe()
    await Effect.runPromise(platform.resources.register(singleton("broken", get)).pipe(Scope.provide(scope)))
    await platform.build({ tcp: "127.0.0.1:0" }, platform.services, scope)
    const answer = await platform.handlers.get("127.0.0.1:0")?.(new Request("http://localhost/api/v1/broken"), "")
    assert.deepEqual([answer?.status, platform.lines.length, platform.clock.immediates.length], [500, 1, 1])
    assert.throws(() => platform.clock.immediates[0]?.(), violation)
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
})

test("the options are strict; one address is a list of one", () => {
  assert.deepEqual(v.parse(plugin.options, {}), {
    tcp: ["127.0.0.1:8080"],
    hosts: [],
    body_bytes_max: 1_048_576,
    request_timeout: 20,
    requests_max: 256
  })
  assert.deepEqual(v.parse(v.looseObject({}), v.parse(plugin.options, { tcp: "[::1]:0", hosts: "a.example" })), {
    tcp: ["[::1]:0"],
    hosts: ["a.example"],
    body_bytes_max: 1_048_576,
    request_timeout: 20,
    requests_max: 256
  })
  for (const bad of [
    { tcp: "8080" },
    { tcp: "127.0.0.1:65536" },
    { tcp: [1] },
    { hosts: "a.example:80" },
    { hosts: ["*"] },
    { body_bytes_max: 0 },
    { request_timeout: 26 },
    { requests_max: 0 },
    { tls: true }
  ]) {
    assert.equal(v.safeParse(plugin.options, bad).success, false, JSON.stringify(bad))
  }
})
