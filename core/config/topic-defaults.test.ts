import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { matchesPattern, topicDefaults } from "./topic-defaults.ts"

const rows: ReadonlyArray<readonly [string, string, boolean]> = [
  ["agents.*", "agents.one.two", true],
  ["agents.*", "agents.", true],
  ["agents.*", "agents", false],
  ["*", "", true],
  ["*", "anything", true],
  ["", "", true],
  ["", "a", false],
  ["*.log", "a.b.log", true],
  ["*.log", "a.b.logs", false],
  ["a*b*c", "a-b-b-c", true],
  ["a*b*c", "acb", false],
  ["**", "x", true],
  ["a.c", "abc", false],
  ["a+", "aa", false],
  ["[ab]", "a", false],
  ["*aab", "aaab", true]
]
for (const [pattern, name, expected] of rows) {
  test(`"${pattern}" ${expected ? "matches" : "does not match"} "${name}"`, () => {
    assert.equal(matchesPattern(pattern, name), expected)
  })
}

test("a pattern matches as a regular expression with .* for each star does", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", ".", "*"), maxLength: 8 })
  fc.assert(
    fc.property(text, text, (pattern, name) => {
      const expression = new RegExp(
        `^${pattern
          .split("*")
          .map((part) => part.replaceAll(".", "\\."))
          .join(".*")}$`
      )
      assert.equal(matchesPattern(pattern, name), expression.test(name))
    }),
    { numRuns: 2_000 }
  )
})

test("a pattern of many stars takes no time", () => {
  const startedAt = performance.now()
  assert.equal(matchesPattern(`${"*a".repeat(60)}*b`, "a".repeat(249)), false)
  assert.ok(performance.now() - startedAt < 50)
})

test("the first rule that matches wins, and what it leaves out comes from the defaults", () => {
  const defaults = topicDefaults({
    auto_create: false,
    auto_create_mqtt: "off",
    partitions: 3,
    engine: "memory",
    mode: "memory",
    retention_time: 60,
    retention_bytes: 1_000,
    compression: "zstd",
    rule: [
      { match: "a.*", mode: "hybrid" },
      { match: "a.b", partitions: 9, engine: "never" },
      { match: "b", engine: "segment", partitions: 5, retention_time: 0 },
      { match: "d", retention_bytes: 0 },
      { match: "e", compression: "none" }
    ]
  })
  assert.deepEqual([defaults.autoCreate, defaults.autoCreateMqtt], [false, "off"])
  const retention = { ms: 60_000, bytes: 1_000 }
  const c = { partitions: 3, engine: "memory", mode: "memory", retention, compression: "zstd" }
  assert.deepEqual(defaults.forName("a.b"), { ...c, mode: "hybrid" })
  assert.deepEqual(defaults.forName("b"), {
    ...c,
    partitions: 5,
    engine: "segment",
    retention: { ms: 0, bytes: 1_000 }
  })
  assert.deepEqual(defaults.forName("c"), c)
  assert.deepEqual(defaults.forName("d"), { ...c, retention: { ms: 60_000, bytes: 0 } })
  assert.deepEqual(defaults.forName("e"), { ...c, compression: "none" })
})
