import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { EngineFact, Plugin } from "../plugin/Plugin.ts"
import { builtins, fakeStorage, load } from "./fakes.ts"
import { formatFault } from "./faults.ts"
import { fillModes, topicDefaultsOf } from "./fill-modes.ts"

const memory: EngineFact = { name: "memory", modes: ["memory"] }
const segment: EngineFact = { name: "segment", modes: ["hybrid", "persistent"] }
const sqlite: EngineFact = { name: "sqlite", modes: ["hybrid", "persistent"] }
const other: EngineFact = { name: "other", modes: ["hybrid", "memory"] }
const every: EngineFact = { name: "every", modes: ["persistent", "memory", "hybrid"] }

type Raw = Record<string, unknown>

/** What `raw` becomes, and what was told of it. */
function filled(raw: Raw, engines: ReadonlyArray<EngineFact>): readonly [Raw, ReadonlyArray<string>] {
  const told: Array<string> = []
  const plugins: ReadonlyArray<Plugin> = engines.map((engine) => fakeStorage(`storage-${engine.name}`, [engine]))
  const copy = structuredClone(raw)
  fillModes(copy, { builtins: plugins, leftOut: [], external: new Map() }, (path, origin) => {
    told.push(`${path.join(".")}: ${origin}`)
  })
  return [copy, told]
}

const of = (engine: string): string => `default of engine ${engine}`

const topicRows: ReadonlyArray<readonly [string, Raw, Raw, ReadonlyArray<string>]> = [
  ["nothing is said", {}, {}, []],
  ["another engine", { engine: "memory" }, { engine: "memory", mode: "memory" }, [`mode: ${of("memory")}`]],
  ["one with two modes", { engine: "other" }, { engine: "other", mode: "hybrid" }, [`mode: ${of("other")}`]],
  ["one that has the default mode", { engine: "every" }, { engine: "every" }, []],
  ["a mode alone", { mode: "hybrid" }, { mode: "hybrid" }, []],
  [
    "a mode that the engine does not have",
    { engine: "memory", mode: "hybrid" },
    { engine: "memory", mode: "hybrid" },
    []
  ],
  ["an engine that is not there", { engine: "unknown" }, { engine: "unknown" }, []]
]
for (const [name, topics, expected, told] of topicRows) {
  test(`[topics]: ${name}`, () => {
    const [raw, lines] = filled({ topics }, [memory, segment, sqlite, other, every])
    assert.deepEqual(raw, Object.keys(expected).length === 0 ? { topics: {} } : { topics: expected })
    assert.deepEqual(
      lines,
      told.map((line) => `topics.${line}`)
    )
  })
}

/** [topics], an entry, and the mode that is filled in; undefined = none is, and what is inherited holds. */
const entryRows: ReadonlyArray<readonly [Raw, Raw, string | undefined]> = [
  [{}, {}, undefined],
  [{}, { engine: "sqlite" }, undefined],
  [{}, { engine: "memory" }, "memory"],
  [{}, { engine: "other" }, "hybrid"],
  [{}, { engine: "memory", mode: "hybrid" }, undefined],
  [{ mode: "hybrid" }, { engine: "memory" }, "memory"],
  [{ mode: "hybrid" }, { engine: "every" }, undefined],
  // What was filled in above is no wish of anybody.
  [{ engine: "memory" }, { engine: "sqlite" }, "persistent"],
  [{ engine: "memory" }, { engine: "every" }, "persistent"],
  [{ engine: "memory" }, { engine: "other" }, "hybrid"],
  [{ engine: "memory", mode: "memory" }, { engine: "every" }, undefined],
  [{ engine: "memory" }, {}, undefined]
]
for (const [topics, entry, mode] of entryRows) {
  test(`rule and binding ${JSON.stringify(entry)} under ${JSON.stringify(topics)}: ${mode ?? "nothing is filled in"}`, () => {
    const expected = mode === undefined ? entry : { ...entry, mode }
    const told = mode === undefined ? [] : [`.0.mode: ${of(String(entry["engine"]))}`]
    const engines = [memory, segment, sqlite, other, every]
    const own = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
      lines.filter((line) => !line.startsWith("topics.mode"))
    const [ruled, ruleLines] = filled({ topics: { ...topics, rule: [{ match: "a", ...entry }] } }, engines)
    assert.deepEqual((ruled["topics"] as Raw)["rule"], [{ match: "a", ...expected }])
    assert.deepEqual(
      own(ruleLines),
      told.map((line) => `topics.rule${line}`)
    )
    const [bound, boundLines] = filled({ topics, binding: [{ topic: "a", ...entry }] }, engines)
    assert.deepEqual(bound["binding"], [{ topic: "a", ...expected }])
    assert.deepEqual(
      own(boundLines),
      told.map((line) => `binding${line}`)
    )
  })
}

test("a binding's wish is that of its rule, and what it inherits, too", () => {
  const modeOf = (rule: Raw, binding: Raw): unknown => {
    const raw = { topics: { rule: [{ match: "b" }, { match: "a*", ...rule }, { match: "*", mode: "memory" }] } }
    const [after] = filled({ ...raw, binding: [{ topic: "ab", ...binding }] }, [memory, segment, sqlite, other, every])
    return (after["binding"] as ReadonlyArray<Raw>)[0]?.["mode"]
  }
  assert.equal(modeOf({ mode: "hybrid" }, { engine: "sqlite" }), undefined)
  assert.equal(modeOf({ mode: "hybrid" }, { engine: "memory" }), "memory")
  assert.equal(modeOf({ engine: "memory" }, { engine: "sqlite" }), "persistent")
  assert.equal(modeOf({ engine: "memory" }, { engine: "memory" }), undefined)
  assert.equal(modeOf({ engine: "memory", mode: "memory" }, { engine: "sqlite" }), "persistent")
  assert.equal(modeOf({ engine: "memory" }, {}), undefined)
})

test("an executable without the default engine has another", () => {
  assert.deepEqual(topicDefaultsOf([memory, segment, sqlite]), { engine: "segment", mode: "persistent" })
  assert.deepEqual(topicDefaultsOf([memory, sqlite]), { engine: "sqlite", mode: "persistent" })
  assert.deepEqual(topicDefaultsOf([other, memory]), { engine: "memory", mode: "memory" })
  assert.deepEqual(topicDefaultsOf([other]), { engine: "other", mode: "hybrid" })
  assert.deepEqual(topicDefaultsOf([]), { engine: "segment", mode: "persistent" })
  assert.deepEqual(filled({}, [other, memory]), [
    { topics: { engine: "memory", mode: "memory" } },
    ["topics.engine: default without engine segment", `topics.mode: ${of("memory")}`]
  ])
  assert.deepEqual(filled({ topics: { engine: "sqlite" } }, [memory])[0], { topics: { engine: "sqlite" } })
})

test("where the default engine is switched off and no mode was asked for, topics have another", () => {
  const off = ["storage-segment", "storage-sqlite"].map((use) => ({ use, enabled: false }))
  const engines = [memory, segment, sqlite, every]
  const topics = { engine: "memory", mode: "memory" }
  assert.deepEqual(filled({ plugin: off }, engines)[0], { topics, plugin: off })
  assert.deepEqual(filled({ plugin: off, topics: { engine: "every" } }, engines)[0], {
    plugin: off,
    topics: { engine: "every" }
  })
  for (const mode of ["persistent", "hybrid", "memory"]) {
    assert.deepEqual(filled({ plugin: off, topics: { mode } }, engines)[0], { plugin: off, topics: { mode } })
  }
  const on = [
    { use: "storage-segment", enabled: true },
    { use: "storage-memory", enabled: false },
    null,
    { enabled: false }
  ]
  assert.deepEqual(filled({ plugin: on }, engines), [{ plugin: on }, []])
  const silent = [{ use: "storage-segment" }]
  assert.deepEqual(filled({ plugin: silent }, engines), [{ plugin: silent }, []])
})

test("what is no table or list is left to be told, and nothing that was given is changed", () => {
  const odd = [
    { topics: 1 },
    { topics: { rule: "x" } },
    { binding: 3 },
    { topics: { rule: [1, null, { engine: 5 }] }, binding: ["", { engine: [] }] }
  ]
  for (const raw of odd) assert.deepEqual(filled(raw, [memory, segment, sqlite]), [raw, []])
  const given = Object.freeze({
    engine: "memory",
    rule: Object.freeze([Object.freeze({ match: "a", engine: "every" })])
  })
  assert.deepEqual(load(undefined, { values: { topics: given } }).faults.length, 1)
})

test("where every engine is there and no mode was written, no configuration is refused for its mode", () => {
  const engines = [memory, segment, sqlite, other, every]
  const plugins = [...builtins.filter(({ kind }) => kind !== "storage"), fakeStorage("storage", engines)]
  const engine = fc.option(fc.constantFrom(...engines.map(({ name }) => name)), { nil: undefined })
  const strongest: Readonly<Record<string, string>> = {
    memory: "memory",
    segment: "persistent",
    sqlite: "persistent",
    other: "hybrid",
    every: "persistent"
  }
  fc.assert(
    fc.property(engine, fc.array(engine, { maxLength: 3 }), engine, (first, ruled, bound) => {
      const rule = ruled.map((one, index) => ({ match: `t${index}`, ...(one && { engine: one }) }))
      const topics = { ...(first && { engine: first }), rule }
      const binding = [{ topic: "t0", filter: "a/+", ...(bound && { engine: bound }) }]
      const { config, faults } = load(undefined, { builtins: plugins, values: { topics, binding } })
      assert.deepEqual(faults.map(formatFault), [])
      const made = [0, 1, 2].map((index) => config?.defaults.forName(`t${index}`))
      for (const one of [...made, ...(config?.declared ?? [])]) assert.equal(one?.mode, strongest[String(one?.engine)])
    })
  )
})
