import assert from "node:assert/strict"
import { test } from "node:test"
import { descriptorsMax, tooMany } from "./descriptors.ts"
import { launch } from "./launch.ts"

test("more connections than descriptors are told with both figures", () => {
  assert.equal(tooMany(10_000, 20_000), undefined)
  assert.equal(tooMany(10_000, undefined), undefined)
  assert.match(tooMany(19_900, 20_000) ?? "", /20,100 descriptors are needed, the hard limit is 20,000/)
})

test("what is launched has the hard limit, whatever the soft one was", {
  skip: process.platform !== "linux"
}, async () => {
  const child = launch(["sh", "-c", "echo limits $(ulimit -Sn) $(ulimit -Hn)"], undefined)
  const limits = await child.line((line) => /^limits (\S+) (\S+)$/.exec(line)?.slice(1))
  assert.equal(limits[0], limits[1])
  if (limits[0] !== "unlimited") assert.equal(descriptorsMax(), Number(limits[0]))
})
