import assert from "node:assert/strict"
import { test } from "node:test"
import { SUITES } from "./suites.ts"

for (const [name, load] of Object.entries(SUITES)) {
  test(`${name}: every case runs and gives the same check value again`, async () => {
    const { suite } = await load()
    assert.ok(suite.cases.length > 0)
    for (const micro of suite.cases) {
      const check = micro.run()
      assert.ok(Number.isSafeInteger(check) && check !== 0, `${micro.name} gave ${check}`)
      assert.equal(micro.run(), check, micro.name)
    }
  })
}
