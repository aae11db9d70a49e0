/** The runner of the micro benchmarks: `npm run bench -- micro [NAME...]`. */
import { Bench } from "tinybench"
import { machineLines } from "../machine.ts"
import type { MicroCase } from "./suite.ts"
import { SUITES } from "./suites.ts"

/** Runs the suites whose names begin with one of `names` (all for none); `isQuick` samples for a tenth of the time. */
export async function runMicro(names: readonly string[], isQuick: boolean): Promise<void> {
  for (const line of machineLines().slice(0, 1)) console.log(line)
  for (const [name, load] of Object.entries(SUITES)) {
    if (names.length > 0 && !names.some((wanted) => name.startsWith(wanted))) continue
    const { suite } = await load()
    console.log(`\n${suite.name}`)
    for (const micro of suite.cases) console.log(await lineOf(micro, isQuick ? 50 : 500))
  }
}

async function lineOf(micro: MicroCase, timeMs: number): Promise<string> {
  const check = micro.run()
  let seen = check
  const bench = new Bench({ time: timeMs, warmupTime: timeMs / 2 })
  bench.add(micro.name, () => {
    seen = micro.run()
  })
  await bench.run()
  if (seen !== check) throw new Error(`${micro.name}: the check value changed from ${check} to ${seen}`)
  const result = bench.tasks[0]?.result
  if (result === undefined || !("latency" in result)) throw new Error(`${micro.name}: did not run`)
  const { latency } = result
  const nanos = (latency.p50 * 1e6) / micro.operations
  const spread = ((latency.p75 - latency.p50) / latency.p50) * 100
  const rate = micro.bytes >= 64 ? `  ${(micro.bytes / nanos).toFixed(2)} GB/s` : ""
  return (
    `  ${micro.name.padEnd(36)} ${nanos.toFixed(1).padStart(9)} ns/op  ${String(micro.bytes).padStart(7)} B  ` +
    `p75 +${spread.toFixed(0)} %  check ${check}${rate}`
  )
}
