/** Runs groups of tests, some beside others, and adds up what they report. */
import { spawn } from "node:child_process"
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { addCounts, type Counts, readReport } from "./report.ts"

const ROOT = resolve(import.meta.dirname, "..")
/** A group that takes longer hangs: it is ended and counts as failed. */
const GROUP_TIMEOUT_MS = 1_150_000
const NOTHING: Counts = { passed: 0, failed: 0, failures: [], skipped: [] }

export interface TestGroup {
  readonly name: string
  /** What runs it, beside this runtime; `report` is where its JUnit report is to be. */
  readonly command: (report: string) => ReadonlyArray<string>
}

/**
 * Each lane's groups one after the other, the lanes at once: most tests wait, for a broker or a clock. Of several lanes a group's output
 * is told when it has ended; a lone one's as it comes.
 */
export async function runGroups(lanes: ReadonlyArray<ReadonlyArray<TestGroup>>): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), "manifold-report-"))
  const wanted = lanes.filter((lane) => lane.length > 0)
  try {
    const counts = await Promise.all(wanted.map((lane) => runLane(lane, folder, wanted.length === 1)))
    return counts.reduce(addCounts, NOTHING)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What was skipped and why, what failed, and the line of counts. */
export function tellCounts({ passed, failed, failures, skipped }: Counts): void {
  const reasons = Map.groupBy(skipped, (reason) => reason)
  for (const [reason, tests] of reasons) console.log(`skipped ${tests.length}: ${reason}`)
  for (const failure of failures) console.log(`failed: ${failure}`)
  console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`)
}

async function runLane(groups: ReadonlyArray<TestGroup>, folder: string, isAlone: boolean): Promise<Counts> {
  let total = NOTHING
  for (const group of groups) total = addCounts(total, await runGroup(group, folder, isAlone))
  return total
}

async function runGroup({ name, command }: TestGroup, folder: string, isAlone: boolean): Promise<Counts> {
  const report = join(folder, `${name}.xml`)
  const output = join(folder, `${name}.log`)
  const args = command(report)
  const startedMs = performance.now()
  console.log(`\n${name}: ${args.join(" ")}`)
  const ended = await run(args, isAlone ? undefined : output)
  if (!isAlone) process.stdout.write(readFileSync(output))
  console.log(`${name}: ended with ${ended}, ${Math.round((performance.now() - startedMs) / 1_000)} s`)
  const counts = readReport(existsSync(report) ? readFileSync(report, "utf8") : "")
  if (ended === 0 || counts.failed > 0) return counts
  return { ...counts, failed: 1, failures: [`${name}: ended with ${ended} and no failed test: counted as one failure`] }
}

/** The exit code, or the signal that ended it. */
function run(args: ReadonlyArray<string>, output: string | undefined): Promise<number | string> {
  const file = output === undefined ? "inherit" : openSync(output, "w")
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: ["ignore", file, file],
    timeout: GROUP_TIMEOUT_MS
  })
  return new Promise((resolved, rejected) => {
    child.once("error", rejected)
    child.once("exit", (code, signal) => {
      if (typeof file === "number") closeSync(file)
      resolved(code ?? signal ?? "nothing")
    })
  })
}
