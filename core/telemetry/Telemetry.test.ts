import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import { InvariantViolation } from "../assert.ts"
import { LABEL_VALUES_MAX, MetricsRegistry, SERIES_MAX } from "./Telemetry.ts"

/** Runs what registers series in a scope that stays open while `body` looks. */
function inScope(registered: Effect.Effect<unknown, never, Scope.Scope>, body: () => void): Promise<void> {
  return Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        yield* registered
        body()
      })
    )
  )
}

/** The samples alone, without HELP and TYPE. */
function samples(registry: MetricsRegistry): ReadonlyArray<string> {
  return registry
    .renderPrometheus()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
}

test("an empty registry renders nothing, not an empty line", () => {
  assert.equal(new MetricsRegistry().renderPrometheus(), "")
})

test("a family is HELP, TYPE and its samples; families come in the order of their names, series in that of their labels", () => {
  const registry = new MetricsRegistry()
  const registered = Effect.gen(function* () {
    yield* registry.gauge("z_bytes", "Bytes", () => 1.5)
    const b = yield* registry.counter("a_total", "Things", { kind: "b" })
    const a = yield* registry.counter("a_total", "Things", { kind: "a" })
    b.value += 2
    a.value += 1
  })
  const expected = [
    "# HELP a_total Things",
    "# TYPE a_total counter",
    'a_total{kind="a"} 1',
    'a_total{kind="b"} 2',
    "# HELP z_bytes Bytes",
    "# TYPE z_bytes gauge",
    "z_bytes 1.5",
    ""
  ]
  return inScope(registered, () => assert.equal(registry.renderPrometheus(), expected.join("\n")))
})

test("a counter is read at scrape, each time anew", () => {
  const registry = new MetricsRegistry()
  let count = 1
  return inScope(
    registry.counterOf("a_total", "A", () => count),
    () => {
      assert.deepEqual(samples(registry), ["a_total 1"])
      count = 7
      assert.deepEqual(samples(registry), ["a_total 7"])
    }
  )
})

test("equal series of several shards are added up, whatever the order of their labels", () => {
  const registry = new MetricsRegistry()
  const registered = Effect.gen(function* () {
    yield* registry.gauge("open", "Open", () => 3, { shard: "x", plugin: "p" })
    yield* registry.gauge("open", "Open", () => 4, { plugin: "p", shard: "x" })
    yield* registry.gauge("open", "Open", () => 5, { plugin: "p", shard: "y" })
  })
  return inScope(registered, () =>
    assert.deepEqual(samples(registry), ['open{plugin="p",shard="x"} 7', 'open{plugin="p",shard="y"} 5'])
  )
})

test("series whose labels come up while running are added up too, and those beyond the bound as other", () => {
  const registry = new MetricsRegistry()
  const causes = new Map<string, number>([["other", 5]])
  const registered = Effect.gen(function* () {
    yield* registry.counters("closed_total", "Closed", "reason", () => causes)
    yield* registry.counters("closed_total", "Closed", "reason", () => [["b", 2] as const])
  })
  return inScope(registered, () => {
    causes.set("a", 1).set("b", 1)
    assert.deepEqual(samples(registry), [
      'closed_total{reason="a"} 1',
      'closed_total{reason="b"} 3',
      'closed_total{reason="other"} 5'
    ])
    for (let index = 0; index < LABEL_VALUES_MAX + 7; index++) causes.set(`n${index}`, 1)
    const lines = samples(registry)
    assert.equal(lines.length, LABEL_VALUES_MAX)
    assert.equal(
      lines.find((line) => line.includes('"other"')),
      'closed_total{reason="other"} 15'
    )
  })
})

const numbers: ReadonlyArray<readonly [value: number, text: string]> = [
  [Number.NaN, "NaN"],
  [Number.POSITIVE_INFINITY, "+Inf"],
  [Number.NEGATIVE_INFINITY, "-Inf"],
  [0, "0"],
  [-0, "0"],
  [-1.25, "-1.25"],
  [1e21, "1e+21"],
  [Number.MAX_SAFE_INTEGER, "9007199254740991"]
]
for (const [value, text] of numbers) {
  test(`${text} is rendered as Prometheus reads it`, () => {
    const registry = new MetricsRegistry()
    return inScope(
      registry.gauge("g", "G", () => value),
      () => assert.deepEqual(samples(registry), [`g ${text}`])
    )
  })
}

const hostile: ReadonlyArray<readonly [value: string, rendered: string]> = [
  ['a"b', 'a\\"b'],
  ["a\\b", "a\\\\b"],
  ["a\nb 1", "a\\nb 1"],
  ["\\n", "\\\\n"],
  ['\\"} 1\nfake_total 9', '\\\\\\"} 1\\nfake_total 9'],
  ["\ud800", "\ufffd"],
  ["", ""]
]
for (const [value, rendered] of hostile) {
  test(`the label value ${JSON.stringify(value)} stays inside its quotes`, () => {
    const registry = new MetricsRegistry()
    const registered = registry.counters("a_total", "A", "name", () => [[value, 1] as const])
    return inScope(registered, () => assert.deepEqual(samples(registry), [`a_total{name="${rendered}"} 1`]))
  })
}

test("help text cannot begin a line of its own", () => {
  const registry = new MetricsRegistry()
  return inScope(
    registry.gauge("g", "one\ntwo \\n three", () => 1),
    () => assert.equal(registry.renderPrometheus().split("\n")[0], "# HELP g one\\ntwo \\\\n three")
  )
})

test("any label values: one line a series, no series twice, all values told apart as UTF-8 tells them", () =>
  fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.string({ unit: "binary" }), { maxLength: 8 }), (values) => {
      const registry = new MetricsRegistry()
      const registered = registry.counters("a_total", "A", "name", () => values.map((value) => [value, 1] as const))
      return inScope(registered, () => {
        const lines = samples(registry)
        for (const line of lines) assert.match(line, /^a_total\{name="(\\[\\"n]|[^"\\\n])*"\} \d+$/)
        const told = new Set(values.map((value) => value.toWellFormed()))
        assert.equal(new Set(lines).size, lines.length)
        assert.equal(lines.length, told.size)
      })
    })
  ))

test("a series leaves with its scope, its family with the last one", async () => {
  const registry = new MetricsRegistry()
  const [first, second] = [Scope.makeUnsafe(), Scope.makeUnsafe()]
  const register = (scope: Scope.Scope, value: number) =>
    Effect.runPromise(registry.gauge("g", "G", () => value).pipe(Scope.provide(scope)))
  await register(first, 1)
  await register(second, 2)
  assert.deepEqual(samples(registry), ["g 3"])
  await Effect.runPromise(Scope.close(first, Exit.void))
  assert.deepEqual(samples(registry), ["g 2"])
  await Effect.runPromise(Scope.close(second, Exit.void))
  assert.equal(registry.renderPrometheus(), "")
  await inScope(registry.histogram("g", "Now a histogram", [1]), () =>
    assert.match(registry.renderPrometheus(), /^# TYPE g histogram$/m)
  )
})

test("the names of a histogram's series are free again when it leaves, and only then", async () => {
  const registry = new MetricsRegistry()
  const [first, second] = [Scope.makeUnsafe(), Scope.makeUnsafe()]
  for (const scope of [first, second]) {
    await Effect.runPromise(registry.histogram("h", "H", [1]).pipe(Scope.provide(scope)))
  }
  await Effect.runPromise(Scope.close(first, Exit.void))
  await assert.rejects(
    inScope(
      registry.gauge("h_count", "H", () => 1),
      () => {}
    ),
    /belongs to one family/
  )
  await Effect.runPromise(Scope.close(second, Exit.void))
  await inScope(
    registry.gauge("h_count", "H", () => 1),
    () => assert.deepEqual(samples(registry), ["h_count 1"])
  )
})

test("the bounds of a histogram are its own, whatever becomes of the list they were given in", () => {
  const registry = new MetricsRegistry()
  const bounds = [1, 2]
  const registered = Effect.gen(function* () {
    yield* registry.histogram("h", "H", bounds)
    bounds[1] = 7
    yield* registry.histogram("h", "H", [1, 2])
  })
  return inScope(registered, () => assert.equal(samples(registry)[1], 'h_bucket{le="2"} 0'))
})

test("a registry that is included twice counts twice, and each ends by itself", async () => {
  const [node, thread] = [new MetricsRegistry(), new MetricsRegistry()]
  const look = (expected: string) => Effect.sync(() => assert.deepEqual(samples(node), [expected]))
  const included = node.include(thread.snapshot)
  await inScope(
    Effect.gen(function* () {
      yield* thread.gauge("g", "G", () => 1)
      yield* included
      yield* Effect.scoped(included.pipe(Effect.andThen(look("g 2"))))
      yield* look("g 1")
    }),
    () => {}
  )
})

test("the registry is bounded, and what leaves makes room", async () => {
  const registry = new MetricsRegistry()
  const full = Effect.forEach(Array.from({ length: SERIES_MAX }), () => registry.gauge("g", "G", () => 1))
  await inScope(full, () => assert.deepEqual(samples(registry), [`g ${SERIES_MAX}`]))
  const tooMany = full.pipe(Effect.andThen(registry.gauge("one_more", "One", () => 1)))
  await assert.rejects(
    inScope(tooMany, () => {}),
    /metrics are bounded/
  )
  assert.equal(registry.renderPrometheus(), "")
  await inScope(
    registry.gauge("g", "G", () => 1),
    () => assert.deepEqual(samples(registry), ["g 1"])
  )
})

test("one value that cannot be read costs that value, not the scrape, and is counted", () => {
  const registry = new MetricsRegistry()
  const registered = Effect.gen(function* () {
    yield* registry.gauge("bad", "Bad", () => {
      throw new Error("gone")
    })
    yield* registry.counters("half_total", "Half", "kind", function* () {
      yield ["first", 1] as const
      throw new Error("gone")
    })
    yield* registry.gauge("good", "Good", () => 1)
  })
  return inScope(registered, () =>
    assert.deepEqual(samples(registry), ["good 1", "manifold_metrics_unreadable_total 2"])
  )
})

test("a broken invariant is not hidden by a scrape", () => {
  const registry = new MetricsRegistry()
  const registered = registry.gauge("g", "G", () => {
    throw new InvariantViolation("state is right")
  })
  return inScope(registered, () => assert.throws(() => registry.renderPrometheus(), InvariantViolation))
})

test("a name, a label, a type, a help text and buckets that do not fit are defects, and leave nothing behind", async () => {
  const registry = new MetricsRegistry()
  const { counter, gauge, histogram } = {
    counter: (name: string, help = "A") => registry.counter(name, help),
    gauge: (name: string) => registry.gauge(name, "A", () => 1),
    histogram: (name: string, bounds: ReadonlyArray<number> = [1]) => registry.histogram(name, "A", bounds)
  }
  const faults: ReadonlyArray<readonly [Effect.Effect<unknown, never, Scope.Scope>, RegExp]> = [
    [counter("no spaces_total"), /Prometheus name/],
    [counter("0a_total"), /Prometheus name/],
    [counter("a\n_total"), /Prometheus name/],
    [gauge(""), /Prometheus name/],
    [counter("a"), /ends in _total/],
    [gauge("a_total"), /ends in _total/],
    [histogram("a_total"), /ends in _total/],
    [registry.counter("a_total", "A", { 'x="1",y': "z" }), /label name/],
    [registry.counter("a_total", "A", { __name__: "z" }), /label name/],
    [registry.counters("a_total", "A", "a b", () => []), /label name/],
    [registry.histogram("a", "A", [1], { le: "1" }), /registry's own/],
    [histogram("a", []), /bounded/],
    [histogram("a", [2, 1]), /rise/],
    [counter("manifold_metrics_unreadable_total"), /registry's own/],
    [gauge("a").pipe(Effect.andThen(histogram("a"))), /one type/],
    [counter("a_total").pipe(Effect.andThen(counter("a_total", "B"))), /one help text/],
    [histogram("a").pipe(Effect.andThen(histogram("a", [2]))), /one set of buckets/],
    [histogram("a").pipe(Effect.andThen(gauge("a_count"))), /belongs to one family/],
    [gauge("a_bucket").pipe(Effect.andThen(histogram("a"))), /belongs to one family/],
    [histogram("a").pipe(Effect.andThen(histogram("a_sum"))), /belongs to one family/]
  ]
  for (const [fault, reason] of faults) {
    await assert.rejects(
      inScope(fault, () => {}),
      reason
    )
    assert.equal(registry.renderPrometheus(), "")
  }
  const all = Effect.all([histogram("a"), gauge("b_count"), gauge("b_bucket"), gauge("b_sum")])
  await inScope(all, () => assert.equal(samples(registry).length, 7))
})

test("a histogram is cumulative buckets, sum and count; those of several shards are added up", () => {
  const registry = new MetricsRegistry()
  const registered = Effect.gen(function* () {
    const first = yield* registry.histogram("wait_seconds", "Wait", [0.1, 1], { area: "a" })
    const second = yield* registry.histogram("wait_seconds", "Wait", [0.1, 1], { area: "a" })
    yield* registry.histogram("wait_seconds", "Wait", [0.1, 1])
    first.observe(0.1)
    first.observe(0.5)
    second.observe(0.5)
    second.observe(7)
  })
  const expected = [
    "# HELP wait_seconds Wait",
    "# TYPE wait_seconds histogram",
    'wait_seconds_bucket{le="0.1"} 0',
    'wait_seconds_bucket{le="1"} 0',
    'wait_seconds_bucket{le="+Inf"} 0',
    "wait_seconds_sum 0",
    "wait_seconds_count 0",
    'wait_seconds_bucket{area="a",le="0.1"} 1',
    'wait_seconds_bucket{area="a",le="1"} 3',
    'wait_seconds_bucket{area="a",le="+Inf"} 4',
    'wait_seconds_sum{area="a"} 8.1',
    'wait_seconds_count{area="a"} 4',
    ""
  ]
  return inScope(registered, () => assert.equal(registry.renderPrometheus(), expected.join("\n")))
})

test("a plugin's value that is no number costs that value: it is not added up as text", () => {
  // A third party's plugin need not be TypeScript.
  const values: ReadonlyArray<unknown> = ["1\nfake_total 9", 1n, undefined, null, {}]
  const registry = new MetricsRegistry()
  const registered = Effect.gen(function* () {
    for (const value of values) yield* registry.gauge("g", "G", () => value as number)
    yield* registry.gauge("g", "G", () => 1)
    yield* registry.counters("c_total", "C", "kind", () => [
      ["a", 1] as const,
      ["b", "2" as unknown as number] as const
    ])
  })
  return inScope(registered, () =>
    assert.deepEqual(samples(registry), ["g 1", `manifold_metrics_unreadable_total ${values.length + 1}`])
  )
})

test("another registry's snapshot is added up at every scrape, until its scope ends", async () => {
  const [node, thread] = [new MetricsRegistry(), new MetricsRegistry()]
  const register = (registry: MetricsRegistry, shard: string) =>
    Effect.gen(function* () {
      const counter = yield* registry.counter("sent_total", "Sent")
      counter.value = 2
      yield* registry.gauge("open", "Open", () => 3, { shard })
      const histogram = yield* registry.histogram("wait_seconds", "Wait", [1])
      histogram.observe(0.5)
    })
  const both = Effect.all([register(node, "0"), register(thread, "1")])
  const look = (expected: ReadonlyArray<string>) => Effect.sync(() => assert.deepEqual(samples(node), expected))
  const alone = [
    'open{shard="0"} 3',
    "sent_total 2",
    'wait_seconds_bucket{le="1"} 1',
    'wait_seconds_bucket{le="+Inf"} 1',
    "wait_seconds_sum 0.5",
    "wait_seconds_count 1"
  ]
  const together = [
    'open{shard="0"} 3',
    'open{shard="1"} 3',
    "sent_total 4",
    'wait_seconds_bucket{le="1"} 2',
    'wait_seconds_bucket{le="+Inf"} 2',
    "wait_seconds_sum 1",
    "wait_seconds_count 2"
  ]
  const included = Effect.scoped(
    // As from another thread: plain data, copied.
    node.include(() => structuredClone(thread.snapshot())).pipe(Effect.andThen(look(together)))
  )
  await Effect.runPromise(Effect.scoped(Effect.all([both, look(alone), included, look(alone)], { discard: true })))
})

test("a registry that cannot be read, or contradicts this one, costs its own values and is counted", () => {
  const [node, thread] = [new MetricsRegistry(), new MetricsRegistry()]
  const registered = Effect.gen(function* () {
    yield* node.gauge("a", "A", () => 1)
    yield* node.gauge("h_count", "H", () => 1)
    yield* thread.gauge("a", "Another help", () => 5)
    yield* thread.histogram("h", "H", [1])
    yield* thread.gauge("bad", "Bad", () => {
      throw new Error("gone")
    })
    yield* thread.gauge("b", "B", () => 2)
    yield* node.include(thread.snapshot)
    yield* node.include(() => {
      throw new Error("gone")
    })
  })
  return inScope(registered, () =>
    assert.deepEqual(samples(node), ["a 1", "b 2", "h_count 1", "manifold_metrics_unreadable_total 4"])
  )
})
