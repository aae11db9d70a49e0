import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { topicFilter, topicName } from "./topic-arbitraries.ts"
import {
  checkTopicFilter,
  checkTopicName,
  checkTopicNameBytes,
  hasWildcard,
  literalPrefix,
  matches,
  NAME_HAS_WILDCARD,
  parseShared,
  SHARE_FILTER_MISSING,
  SHARE_NAME_EMPTY,
  SHARE_NAME_HAS_WILDCARD,
  SHARE_NESTED,
  TOPIC_BYTES_MAX,
  TOPIC_EMPTY,
  TOPIC_LEVELS_MAX,
  TOPIC_NOT_WELL_FORMED,
  TOPIC_REFUSALS,
  TOPIC_TOO_DEEP,
  TOPIC_TOO_LONG,
  TOPIC_VALID,
  WILDCARD_NOT_ALONE,
  WILDCARD_NOT_LAST
} from "./topic-filter.ts"

const encoder = new TextEncoder()
const deepest = "/".repeat(TOPIC_LEVELS_MAX - 1)

/** MQTT 5.0, section 4.7; sizes at their borders. */
const names: ReadonlyArray<readonly [name: string, result: number]> = [
  ["a", TOPIC_VALID],
  ["/", TOPIC_VALID],
  ["//", TOPIC_VALID],
  ["/finance", TOPIC_VALID],
  ["Accounts payable", TOPIC_VALID],
  ["$SYS/broker", TOPIC_VALID],
  ["$share/a/b", TOPIC_VALID],
  ["a\u0001b\u007f", TOPIC_VALID],
  ["\ufeffa", TOPIC_VALID],
  ["é€😀", TOPIC_VALID],
  [deepest, TOPIC_VALID],
  ["x".repeat(TOPIC_BYTES_MAX), TOPIC_VALID],
  [`${"é".repeat(32_767)}x`, TOPIC_VALID],
  ["", TOPIC_EMPTY],
  ["a\u0000", TOPIC_NOT_WELL_FORMED],
  ["+", NAME_HAS_WILDCARD],
  ["a/#", NAME_HAS_WILDCARD],
  ["a+b", NAME_HAS_WILDCARD],
  [`${deepest}/`, TOPIC_TOO_DEEP],
  ["x".repeat(TOPIC_BYTES_MAX + 1), TOPIC_TOO_LONG],
  ["é".repeat(32_768), TOPIC_TOO_LONG]
]
for (const [name, result] of names) {
  test(`name ${JSON.stringify(name.slice(0, 20))} of ${name.length}: ${TOPIC_REFUSALS[result] ?? "valid"}`, () => {
    assert.strictEqual(checkTopicName(name), result)
    const bytes = encoder.encode(`#${name}+`)
    assert.strictEqual(checkTopicNameBytes(bytes, 1, bytes.length - 1), result)
  })
}

test("half a surrogate pair is no name, nor its bytes", () => {
  assert.strictEqual(checkTopicName("a\ud800"), TOPIC_NOT_WELL_FORMED)
  assert.strictEqual(checkTopicFilter("+/\udc00"), TOPIC_NOT_WELL_FORMED)
  assert.strictEqual(checkTopicNameBytes(Uint8Array.of(0x61, 0xed, 0xa0, 0x80), 0, 4), TOPIC_NOT_WELL_FORMED)
})

const filters: ReadonlyArray<readonly [filter: string, result: number]> = [
  ["#", TOPIC_VALID],
  ["+", TOPIC_VALID],
  ["/#", TOPIC_VALID],
  ["+/+/#", TOPIC_VALID],
  ["sport/+/player1", TOPIC_VALID],
  ["a//+", TOPIC_VALID],
  ["$SYS/#", TOPIC_VALID],
  [`${deepest}#`, TOPIC_VALID],
  ["", TOPIC_EMPTY],
  ["a\u0000/+", TOPIC_NOT_WELL_FORMED],
  ["sport/tennis#", WILDCARD_NOT_ALONE],
  ["#a", WILDCARD_NOT_ALONE],
  ["sport+", WILDCARD_NOT_ALONE],
  ["+a/b", WILDCARD_NOT_ALONE],
  ["a/++/b", WILDCARD_NOT_ALONE],
  ["a/+#", WILDCARD_NOT_ALONE],
  ["##", WILDCARD_NOT_ALONE],
  ["sport/tennis/#/ranking", WILDCARD_NOT_LAST],
  ["#/", WILDCARD_NOT_LAST],
  ["#/#", WILDCARD_NOT_LAST],
  [`${deepest}/+`, TOPIC_TOO_DEEP],
  [`${"x".repeat(TOPIC_BYTES_MAX)}/`, TOPIC_TOO_LONG]
]
for (const [filter, result] of filters) {
  test(`filter ${JSON.stringify(filter.slice(0, 20))} of ${filter.length}: ${TOPIC_REFUSALS[result] ?? "valid"}`, () => {
    assert.strictEqual(checkTopicFilter(filter), result)
  })
}

const shared: ReadonlyArray<readonly [filter: string, result: object | number | undefined]> = [
  ["$share/g/t", { group: "g", filter: "t" }],
  ["$share/g/+/x/#", { group: "g", filter: "+/x/#" }],
  ["$share/g//", { group: "g", filter: "/" }],
  ["$share/$share/x", { group: "$share", filter: "x" }],
  ["$share/g/$shared", { group: "g", filter: "$shared" }],
  ["a/b", undefined],
  ["$share", undefined],
  ["$Share/g/t", undefined],
  ["$shared/g/t", undefined],
  ["$share/", SHARE_NAME_EMPTY],
  ["$share//t", SHARE_NAME_EMPTY],
  ["$share/g", SHARE_FILTER_MISSING],
  ["$share/g/", SHARE_FILTER_MISSING],
  ["$share/g+/x", SHARE_NAME_HAS_WILDCARD],
  ["$share/#/x", SHARE_NAME_HAS_WILDCARD],
  ["$share/#", SHARE_NAME_HAS_WILDCARD],
  ["$share/g/$share/h/x", SHARE_NESTED],
  ["$share/g/a#", WILDCARD_NOT_ALONE],
  ["$share/g/#/a", WILDCARD_NOT_LAST],
  [`$share/g/${deepest}/`, TOPIC_TOO_DEEP],
  ["$share/g\u0000/a", TOPIC_NOT_WELL_FORMED],
  [`$share/g/${"x".repeat(TOPIC_BYTES_MAX)}`, TOPIC_TOO_LONG]
]
for (const [filter, result] of shared) {
  test(`shared ${JSON.stringify(filter.slice(0, 24))} of ${filter.length}`, () => {
    assert.deepStrictEqual(parseShared(filter), result)
  })
}

test("every refusal has a number and words of its own", () => {
  const words = Object.values(TOPIC_REFUSALS)
  assert.strictEqual(words.length, 11)
  assert.strictEqual(new Set(words).size, 11)
})

/** MQTT 5.0, section 4.7.1 and 4.7.2, examples. */
const matching: ReadonlyArray<readonly [filter: string, name: string, expected: boolean]> = [
  ["sport/tennis/player1/#", "sport/tennis/player1", true],
  ["sport/tennis/player1/#", "sport/tennis/player1/ranking", true],
  ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
  ["sport/tennis/player1/#", "sport/tennis/player10", false],
  ["sport/#", "sport", true],
  ["#", "a/b", true],
  ["#", "/", true],
  ["sport/tennis/+", "sport/tennis/player1", true],
  ["sport/tennis/+", "sport/tennis/player1/ranking", false],
  ["sport/+", "sport", false],
  ["sport/+", "sport/", true],
  ["+/+", "/finance", true],
  ["/+", "/finance", true],
  ["+", "/finance", false],
  ["+/monitor/Clients", "$SYS/monitor/Clients", false],
  ["#", "$SYS/x", false],
  ["+/#", "$SYS", false],
  ["$SYS/#", "$SYS/x", true],
  ["$SYS/monitor/+", "$SYS/monitor/Clients", true],
  ["a/+", "a/$b", true],
  ["a/#", "a/$b", true],
  ["ACCOUNTS", "Accounts", false],
  ["a", "a/", false],
  ["a/", "a", false]
]
for (const [filter, name, expected] of matching) {
  test(`${filter} ${expected ? "matches" : "does not match"} ${name}`, () => {
    assert.strictEqual(matches(filter, name), expected)
  })
}

test("matches says what a regular expression made from the filter says", () => {
  fc.assert(
    fc.property(topicFilter, topicName, (filter, name) => {
      const pattern = filter
        .replaceAll("$", "\\$")
        .replace(/^#$/, ".*")
        .replace(/\/#$/, "(/.*)?")
        .replaceAll("+", "[^/]*")
      const isBarred = /^[+#]/.test(filter) && name.startsWith("$")
      assert.strictEqual(matches(filter, name), !isBarred && new RegExp(`^${pattern}$`, "u").test(name))
    }),
    { numRuns: 3000 }
  )
})

test("literal prefixes", () => {
  const table: ReadonlyArray<readonly [filter: string, levels: number, prefix: string]> = [
    ["a/b/c", 2, "a/b"],
    ["a/b/+", 2, "a/b"],
    ["a/+/c", 2, "a"],
    ["a/#", 2, "a"],
    ["a", 2, "a"],
    ["a/", 2, "a/"],
    ["#", 2, ""],
    ["+/a", 2, ""],
    ["/+", 2, ""],
    ["/a/+", 2, "/a"],
    ["//#", 2, "/"],
    ["a/b/c/d", 3, "a/b/c"],
    ["a/b", 0, ""]
  ]
  for (const [filter, levels, prefix] of table) assert.strictEqual(literalPrefix(filter, levels), prefix, filter)
  assert.strictEqual(literalPrefix("a/b/c"), "a/b")
})

test("a name that a filter matches begins with the filter's literal prefix, as whole levels", () => {
  fc.assert(
    fc.property(topicFilter, topicName, (filter, name) => {
      const prefix = literalPrefix(filter)
      if (matches(filter, name) && prefix !== "") assert.ok(`${name}/`.startsWith(`${prefix}/`))
      if (!hasWildcard(filter)) assert.strictEqual(matches(filter, name), filter === name)
    })
  )
})
