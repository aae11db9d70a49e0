import assert from "node:assert/strict"
import { test } from "node:test"
import { compareKeys } from "./KeyValueStore.ts"
import { KEY_PREFIXES, prefixEnd } from "./key-prefixes.ts"

test("no prefix of a key is the beginning of another", () => {
  const names = KEY_PREFIXES.map((prefix) => new TextDecoder().decode(prefix))
  assert.deepEqual(
    names.filter((name, index) => names.some((other, at) => at !== index && other.startsWith(name))),
    []
  )
})

test("a range over a prefix holds what begins with it, and nothing of another", () => {
  for (const prefix of KEY_PREFIXES) {
    const end = prefixEnd(prefix)
    const inside = [prefix, Uint8Array.of(...prefix, 0), Uint8Array.of(...prefix, 255, 255, 255)]
    for (const key of inside) assert.ok(compareKeys(prefix, key) <= 0 && compareKeys(key, end) < 0)
    for (const other of KEY_PREFIXES) {
      if (other !== prefix) assert.ok(compareKeys(other, prefix) < 0 || compareKeys(other, end) >= 0)
    }
  }
})
