/**
 * The crash harness in small: a run without kills, which proves the harness; a run of a broker that keeps nothing, which proves that
 * losses are found; and 20 kills of a broker that has to keep everything. `main.ts` runs hundreds.
 */
import { expect, test } from "bun:test"
import { rmSync } from "node:fs"
import { HAS_DURABLE_STORAGE } from "./has-durable-storage.ts"
import { report } from "./report.ts"
import { type RunOptions, run } from "./run.ts"

/** The instants of the kills differ from run to run whatever the seed; what is done between them does not. */
const SEED = Number(process.env.MANIFOLD_CRASH_SEED ?? 1)
const COMMON = {
  seed: SEED,
  shards: 1,
  mode: "persistent",
  drainEvery: 5,
  lifeMsMin: 150,
  lifeMsMax: 900,
  kills: true,
  keepGoing: false,
  keep: false
} as const

async function passes(options: RunOptions): Promise<void> {
  console.log(`seed ${options.seed}: ${options.cycles} cycles, ${options.shards} shard(s), ${options.mode}`)
  const result = await run(options)
  if (result.violations.length > 0) throw new Error(report(result, options))
  const { acknowledged, delivered, owed, produced, records, retained } = result.counts
  // What is not seen is not checked.
  for (const count of [acknowledged, delivered, owed, produced, records, retained]) expect(count).toBeGreaterThan(20)
}

for (const shards of [1, 2]) {
  test(`connections that are cut, shards = ${shards}: nothing is wrong where nothing dies`, async () => {
    await passes({ ...COMMON, cycles: 3, shards, mode: "lossy", kills: false })
  }, 60_000)
}

test("a broker that keeps nothing is found out", async () => {
  const { violations, directory } = await run({ ...COMMON, cycles: 4, mode: "lossy", keepGoing: true })
  rmSync(directory, { recursive: true })
  const found = violations.map(({ message }) => message).join("\n")
  expect(found).toContain("session present is false, the session is present")
  expect(found).toMatch(/was told for .* and for /)
  expect(found).toMatch(/is retained on|ends at offset|was acknowledged and is not in/)
}, 90_000)

test.skipIf(!HAS_DURABLE_STORAGE)(
  "12 kills, shards = 1, persistent",
  async () => {
    await passes({ ...COMMON, cycles: 13 })
  },
  120_000
)

test.skipIf(!HAS_DURABLE_STORAGE)(
  "8 kills, shards = 2, hybrid",
  async () => {
    await passes({ ...COMMON, cycles: 9, shards: 2, mode: "hybrid" })
  },
  120_000
)
