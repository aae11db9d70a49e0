/**
 * `bun tests/sim/main.ts --seed N [--runs N] [--shards 1|2] [--steps N] [--tail N] [--grep TEXT]`: runs the whole-broker simulation
 * for the seeds N, N + 1, ... and prints one line a run with the hash of its trace. Without --shards each seed runs with 1 and 2.
 *
 * The hash covers all that the simulated platform did and all that the simulated clients saw, in order. It is the same for the same
 * seed and source on every machine; Bun's promises and its compression (gzip, zstd) are the only parts that are not ours.
 *
 * The first failure prints what broke, when, the last notes (--tail lines, those with --grep in them) and the command that replays it.
 */
import { parseArgs } from "node:util"
import { run } from "./run.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    runs: { type: "string", default: "1" },
    shards: { type: "string" },
    steps: { type: "string", default: "300" },
    tail: { type: "string", default: "40" },
    grep: { type: "string", default: "" },
    "keep-going": { type: "boolean", default: false }
  }
})
const whole = (name: "seed" | "runs" | "steps" | "tail"): number => {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value >= 0) return value
  console.error(`--${name}: expected a whole number, found "${values[name]}"`)
  process.exit(2)
}
if (values.shards !== undefined && values.shards !== "1" && values.shards !== "2") {
  console.error(`--shards: expected 1 or 2, found "${values.shards}"`)
  process.exit(2)
}
const first = whole("seed")
const steps = whole("steps")
const shardCounts = values.shards === undefined ? [1, 2] : [Number(values.shards)]
let failures = 0
for (let seed = first; seed < first + whole("runs"); seed++) {
  for (const shards of shardCounts) {
    const { hash, events, virtualMs, counts, failure, recent } = await run({ seed, shards, steps })
    const seen = Object.entries(counts).map(([name, count]) => `${name} ${count}`)
    const line = `seed ${seed} shards ${shards} hash ${hash} events ${events} virtual ${Math.round(virtualMs)} ms`
    if (failure === undefined) {
      console.log(`${line}: ${seen.join(", ")}`)
      continue
    }
    failures += 1
    console.log(`${line}: FAILED ${failure.message}`)
    if (values["keep-going"]) continue
    for (const note of recent(whole("tail"), values.grep)) console.log(`  ${note}`)
    if (failure.name !== "Violation") console.log(failure.stack)
    console.log(`again: bun tests/sim/main.ts --seed ${seed} --shards ${shards} --steps ${steps}`)
    process.exit(1)
  }
}
process.exit(failures === 0 ? 0 : 1)
