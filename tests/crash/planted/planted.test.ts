/**
 * Bugs that are planted into a broker are each found by the crash harness, and said to be what they are. `MANIFOLD_CRASH_BUG=NAME` tries
 * one alone.
 */
import { expect, test } from "bun:test"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { brokerCommand, RUNS_ON_DENO } from "../../support/broker.ts"
import { ROOT } from "../../support/runtime.ts"
import { HAS_DURABLE_STORAGE } from "../has-durable-storage.ts"
import { run } from "../run.ts"
import { BUGS, type Bug } from "./bugs.ts"

const FIRST_SEED = 1
/** A kill hits the moment that a bug needs in one run of a few. */
const RUNS_MAX = 6
const COMMON = { shards: 1, drainEvery: 3, lifeMsMin: 200, lifeMsMax: 700, keepGoing: false, keep: false } as const
/** A compiled broker holds no source to plant in. */
const canPlant = process.env.MANIFOLD_TEST_COMMAND === undefined && !RUNS_ON_DENO
const command = [process.execPath, "--preload", join(import.meta.dir, "preload.ts"), ...brokerCommand().slice(1)]

/** What the harness said first, of the first run that found something; undefined where none did. */
async function hunt({ name, needsKills }: Bug): Promise<string | undefined> {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS_MAX; seed++) {
    const mode = needsKills ? "persistent" : "lossy"
    const cycles = needsKills ? 10 : 2
    const env = { MANIFOLD_PLANTED: name }
    const { violations, directory } = await run({ ...COMMON, seed, mode, cycles, kills: needsKills, command, env })
    rmSync(directory, { recursive: true, force: true })
    const said = violations.map(({ message }) => message).join("\n")
    if (said !== "") return said
  }
  return undefined
}

test("every planting finds its ground", () => {
  for (const { name, replacements } of BUGS) {
    for (const { file, text, by } of replacements) {
      const count = readFileSync(join(ROOT, file), "utf8").split(text).length - 1
      expect([name, file, text, count]).toEqual([name, file, text, 1])
      expect(by).not.toBe(text)
    }
  }
})

/** Those that need a kill at the right moment are found in one run of a few, which takes minutes: on demand. */
const withKills = process.env.MANIFOLD_CRASH_PLANTED === "1" || process.env.MANIFOLD_CRASH_BUG !== undefined

for (const bug of BUGS) {
  const isAsked = (process.env.MANIFOLD_CRASH_BUG ?? bug.name) === bug.name
  const canRun = canPlant && isAsked && (!bug.needsKills || (HAS_DURABLE_STORAGE && withKills))
  const why = canRun ? "" : " [skipped: it needs kills at the right moment: MANIFOLD_CRASH_PLANTED=1]"
  test.skipIf(!canRun)(
    `${bug.name}: ${bug.what}${why}`,
    async () => {
      expect((await hunt(bug)) ?? "nothing was found").toMatch(bug.says)
    },
    240_000
  )
}
