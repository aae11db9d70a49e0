import assert from "node:assert/strict"
import { test } from "node:test"
import { TopicAliases } from "./TopicAliases.ts"

test("an alias is set, replaced, and its own copy; one that was not set is unknown", () => {
  const aliases = new TopicAliases()
  const bytes = Uint8Array.of(9, 97, 47, 98, 9)
  aliases.set(1, bytes, 1, 4)
  bytes.fill(0)
  assert.deepEqual(aliases.get(1), Uint8Array.of(97, 47, 98))
  assert.equal(aliases.get(2), undefined)
  aliases.set(1, Uint8Array.of(99), 0, 1)
  assert.deepEqual(aliases.get(1), Uint8Array.of(99))
})
