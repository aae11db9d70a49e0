import assert from "node:assert/strict"
import { test } from "node:test"
import { textHash } from "./text-hash.ts"

test("published values of FNV-1a, where code units are bytes", () => {
  // RFC 9923, appendix C.
  assert.deepEqual(["", "a", "foobar"].map(textHash), [0x811c9dc5, 0xe40c292c, 0xbf9cf968])
})

test("code units beyond a byte count whole", () => {
  assert.notEqual(textHash("\u0161"), textHash("a"))
})
