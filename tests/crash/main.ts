/**
 * `bun tests/crash/main.ts [--cycles N] [--seed N] [--shards N] [--mode persistent|hybrid|state|lossy] [--engines NAME,...] [--drain-every N]
 * [--kills none] [--keep-going] [--keep]`: kills a broker with SIGKILL again and again under load, and compares what is there with what its clients
 * were told.
 *
 * The same seed is the same plan: clients, actions, lives of the broker. How far the broker has come when it dies is not.
 * `--engines sqlite,segment,jsonl` says what topics are kept in, in turn; without it they are in the first two.
 * `--mode lossy` keeps nothing on disk and must fail; `--kills none` cuts connections instead, and must pass with any broker.
 */
import { parseArgs } from "node:util"
import { CRASH_ENGINES, type CrashMode } from "./cast.ts"
import { report } from "./report.ts"
import { run } from "./run.ts"

const { values } = parseArgs({
  options: {
    cycles: { type: "string", default: "200" },
    seed: { type: "string", default: String(1 + (Date.now() % 1_000_000)) },
    shards: { type: "string", default: "1" },
    mode: { type: "string", default: "persistent" },
    engines: { type: "string", default: "sqlite,segment" },
    "drain-every": { type: "string", default: "10" },
    kills: { type: "string", default: "all" },
    "keep-going": { type: "boolean", default: false },
    keep: { type: "boolean", default: false }
  }
})
const whole = (name: "cycles" | "seed" | "shards" | "drain-every"): number => {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`--${name}: expected a whole number from 1 on, found "${values[name]}"`)
  process.exit(2)
}
const MODES: ReadonlyArray<CrashMode> = ["persistent", "hybrid", "state", "lossy"]
const mode = MODES.find((known) => known === values.mode)
if (mode === undefined) {
  console.error(`--mode: expected ${MODES.join(", ")}, found "${values.mode}"`)
  process.exit(2)
}
const engines = values.engines.split(",").map((name) => CRASH_ENGINES.find((known) => known === name))
if (engines.includes(undefined)) {
  console.error(`--engines: expected some of ${CRASH_ENGINES.join(", ")}, found "${values.engines}"`)
  process.exit(2)
}
const options = {
  seed: whole("seed"),
  cycles: whole("cycles"),
  shards: whole("shards"),
  mode,
  engines: engines.filter((name) => name !== undefined),
  drainEvery: whole("drain-every"),
  lifeMsMin: 150,
  lifeMsMax: 1_500,
  kills: values.kills !== "none",
  keepGoing: values["keep-going"],
  keep: values.keep
}
console.log(`seed ${options.seed}, ${options.cycles} cycles, ${options.shards} shard(s), ${mode}, ${values.engines}`)
const result = await run({ ...options, progress: (line) => console.log(line) })
console.log(report(result, options))
process.exit(result.violations.length === 0 ? 0 : 1)
