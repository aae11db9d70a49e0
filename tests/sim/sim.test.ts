/** A few seeds of the whole-broker simulation, and that the same seed is the same run. `main.ts` runs thousands. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { matches } from "./matches.ts"
import { run } from "./run.ts"

const SEEDS = 40
const STEPS = 200

for (const shards of [1, 2]) {
  test(`${SEEDS} seeds with ${shards} shard(s) keep every promise`, { timeout: 60_000 }, async () => {
    const sums = { delivered: 0, owed: 0, records: 0, replays: 0, wills: 0, resumed: 0, takeOvers: 0, acknowledged: 0 }
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { failure, counts } = await run({ seed, shards, steps: STEPS })
      const again = `bun tests/sim/main.ts --seed ${seed} --shards ${shards} --steps ${STEPS}`
      assert.equal(failure, undefined, `${failure?.message}; again: ${again}`)
      for (const name of Object.keys(sums) as Array<keyof typeof sums>) sums[name] += counts[name]
    }
    // What is not seen is not checked.
    for (const [name, sum] of Object.entries(sums)) assert.ok(sum > SEEDS / 2, `only ${sum} ${name} in ${SEEDS} runs`)
  })
}

test("the same seed is the same run, another one is not", { timeout: 60_000 }, async () => {
  const hashes = new Set<string>()
  for (const seed of [1, 2, 3]) {
    for (const shards of [1, 2]) {
      const first = await run({ seed, shards, steps: 100 })
      const second = await run({ seed, shards, steps: 100 })
      assert.deepEqual([second.hash, second.events], [first.hash, first.events])
      hashes.add(first.hash)
    }
  }
  assert.equal(hashes.size, 6)
})

test("the model's own idea of topic filters", () => {
  const table: ReadonlyArray<readonly [filter: string, name: string, expected: boolean]> = [
    ["a/b", "a/b", true],
    ["a/b", "a", false],
    ["a", "a/b", false],
    ["a/+", "a/b", true],
    ["a/+", "a", false],
    ["a/+", "a/b/c", false],
    ["a/#", "a", true],
    ["a/#", "a/b/c", true],
    ["+/+", "a/b", true],
    ["+/+", "/b", true],
    ["#", "a/b", true],
    ["#", "$sim/c", false],
    ["+/c", "$sim/c", false],
    ["$sim/#", "$sim/c", true]
  ]
  for (const [filter, name, expected] of table) assert.equal(matches(filter, name), expected, `${filter} ${name}`)
})
