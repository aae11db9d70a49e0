import assert from "node:assert/strict"
import { test } from "node:test"
import { RememberedNames } from "./RememberedNames.ts"

test("a name is asked for once, a long one each time, and not too many are held", () => {
  const remembered = new RememberedNames<string>()
  let asked = 0
  const find = (name: string): string => {
    asked += 1
    return name.toUpperCase()
  }
  for (let round = 0; round < 3; round++) assert.equal(remembered.of("a/b", find), "A/B")
  assert.equal(asked, 1)
  const long = "x".repeat(257)
  for (let round = 0; round < 3; round++) assert.equal(remembered.of(long, find), long.toUpperCase())
  assert.equal(asked, 4)
  for (let each = 0; each < 10_000; each++) remembered.of(`n/${each}`, find)
  asked = 0
  remembered.of("a/b", find)
  assert.equal(asked, 1)
  remembered.clear()
  remembered.of("a/b", find)
  assert.equal(asked, 2)
})
