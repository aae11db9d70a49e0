/** A short run of the fuzz target, so that it does not rot. */
import { ok } from "node:assert"
import { test } from "node:test"
import { fuzz } from "./wire.fuzz.ts"

test("mutated requests decode or are malformed, nothing else", () => {
  const { decoded, malformed } = fuzz(1, 2_000)
  ok(decoded > 500 && malformed > 500, `${decoded} decoded, ${malformed} malformed`)
})
