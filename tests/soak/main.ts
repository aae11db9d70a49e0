/**
 * `bun tests/soak/main.ts [--minutes N] [--clients N] [--seed N] [--shards N] [--rate N] [--rest S] [--command "dist/manifold-linux-x64"]`: clients that
 * come and go for minutes, and what is left of them: {@link soak}. One line a fault, and the exit code 1 where there is one.
 *
 * The same seed is the same plan of every client; how their packets meet is not. `--rate`: steps of all clients a second; `--rest`: seconds.
 */
import { parseArgs } from "node:util"
import { startBroker } from "../support/broker.ts"
import { GROWTH, SOAK_CONFIG, SOAK_SETTINGS, soak } from "./run.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    clients: { type: "string", default: "5000" },
    seed: { type: "string", default: String(1 + (Date.now() % 1_000_000)) },
    shards: { type: "string", default: "1" },
    rate: { type: "string", default: "1000" },
    rest: { type: "string", default: "30" },
    command: { type: "string" }
  }
})
const number = (name: "minutes" | "clients" | "seed" | "shards" | "rate" | "rest"): number => {
  const value = Number(values[name])
  if (value > 0 && (name === "minutes" || Number.isSafeInteger(value))) return value
  console.error(`--${name}: expected a number above 0, found "${values[name]}"`)
  process.exit(2)
}
const loadMs = number("minutes") * 60_000
const shards = number("shards")
const options = { seed: number("seed"), clients: number("clients"), shards, rate: number("rate"), loadMs }
if (values.command !== undefined) process.env["MANIFOLD_TEST_COMMAND"] = values.command
console.log(
  `--seed ${options.seed} --minutes ${values.minutes} --clients ${options.clients} --shards ${values.shards} --rate ${options.rate}`
)
const broker = await startBroker({ shards, config: SOAK_CONFIG, set: SOAK_SETTINGS })
let faults: ReadonlyArray<string> = []
try {
  // Long enough for all to have come and gone once, or the memory has not been where the load takes it.
  const warmMs = Math.max(5_000, Math.min(120_000, loadMs / 2))
  const progress = (line: string): void => console.log(line)
  faults = (await soak(broker, { ...options, warmMs, restMs: number("rest") * 1_000, growth: GROWTH, progress })).faults
} finally {
  await broker.stop()
}
for (const fault of faults) console.log(`FAULT ${fault}`)
console.log(faults.length === 0 ? "no fault" : `${faults.length} lines of faults`)
process.exit(faults.length === 0 ? 0 : 1)
