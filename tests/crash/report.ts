/** What a run of the crash harness tells a person: counts, and of a failure everything that helps to find its cause. */
import type { RunOptions, RunResult } from "./run.ts"

export function report(result: RunResult, options: RunOptions): string {
  const { violations, counts, ledger, directory, seconds } = result
  const seen = Object.entries(counts).map(([name, count]) => `${name} ${count}`)
  const lines = [`${seconds.toFixed(1)} s, ${ledger.messages.length} messages: ${seen.join(", ")}`]
  const [first] = violations
  if (first === undefined) {
    if (options.keep) lines.push(`kept: ${directory}`)
    return lines.join("\n")
  }
  lines.push(`FAILED with seed ${options.seed}: ${first.message}`)
  for (const { message } of violations.slice(1)) lines.push(`also: ${message}`)
  lines.push("the clients' journal about it:")
  for (const line of ledger.linesAbout(first.message)) lines.push(`  ${line}`)
  lines.push(`data, the clients' journal and the broker's log are kept in ${directory}`)
  const { seed, cycles, shards, mode, engines } = options
  const engined = engines === undefined ? "" : ` --engines ${engines.join(",")}`
  lines.push(
    `again: bun tests/crash/main.ts --seed ${seed} --cycles ${cycles} --shards ${shards} --mode ${mode}${engined}`
  )
  return lines.join("\n")
}
