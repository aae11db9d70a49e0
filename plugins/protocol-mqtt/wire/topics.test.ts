import assert from "node:assert"
import { test } from "node:test"
import { checkPublishTopic } from "./publish.ts"
import { utf8 } from "./testing.ts"
import { checkTopicFilter, countTopicLevels, isSharedFilter } from "./topics.ts"

// MQTT 5.0, sections 4.7.1 (examples of valid and invalid filters), 4.7.3, 4.8.2.
const valid = [
  "#",
  "+",
  "sport/#",
  "+/tennis/#",
  "sport/+/player1",
  "/finance",
  "+/+",
  "/+",
  "/",
  "a//b",
  "$SYS/#",
  "a b"
]
const shared = ["$share/g/#", "$share/g/a/+/b", "$share/g//", "$share/$share/x"]
const invalid = [
  "",
  "sport/tennis#",
  "sport/tennis/#/ranking",
  "sport+",
  "#/a",
  "a+",
  "a#",
  "+a",
  "a/+b/c",
  "##",
  "++",
  "+#"
]
const invalidShared = [
  "$share/",
  "$share/g",
  "$share/g/",
  "$share//t",
  "$share/g+/x",
  "$share/#/x",
  "$share/g#/x",
  "$share/g/a#"
]

for (const filter of [...valid, ...shared]) {
  test(`the filter ${JSON.stringify(filter)} is allowed`, () => assert.equal(judge(filter), 0))
}
for (const filter of [...invalid, ...invalidShared]) {
  test(`the filter ${JSON.stringify(filter)} is refused with 0x8f`, () => assert.equal(judge(filter), 0x8f))
}

function judge(filter: string): number {
  const bytes = utf8(`/${filter}/`)
  return checkTopicFilter(bytes, 1, bytes.length - 1)
}

test("only `$share/` begins a Shared Subscription", () => {
  assert.equal(isSharedFilter(utf8("$share/g"), 0, 8), true)
  assert.equal(isSharedFilter(utf8("$share/"), 0, 6), false)
  assert.equal(isSharedFilter(utf8("$shared/g"), 0, 9), false)
  assert.equal(judge("$shared/"), 0)
})

test("topic names: 0x90 for wildcards and nothing, 0x81 for what is no string", () => {
  const name = (bytes: Uint8Array) => checkPublishTopic(bytes, 0, bytes.length)
  assert.equal(name(utf8("a/b c/$x")), 0)
  assert.equal(name(utf8("/")), 0)
  assert.equal(name(utf8("")), 0x90)
  assert.equal(name(utf8("a/+")), 0x90)
  assert.equal(name(utf8("#")), 0x90)
  assert.equal(name(utf8("a\u0000")), 0x81)
  assert.equal(name(Uint8Array.of(0x61, 0xed, 0xa0, 0x80)), 0x81)
  assert.equal(checkPublishTopic(utf8("#a+"), 1, 2), 0)
})

test("levels, and 65,535 of them in one pass", () => {
  assert.equal(countTopicLevels(utf8("a"), 0, 1), 1)
  assert.equal(countTopicLevels(utf8("/a/"), 0, 3), 3)
  const slashes = new Uint8Array(65_535).fill(0x2f)
  assert.equal(countTopicLevels(slashes, 0, slashes.length), 65_536)
  assert.equal(checkTopicFilter(slashes, 0, slashes.length), 0)
})
