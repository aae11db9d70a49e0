/** Runs groups of tests, some beside others, and adds up what they report. */
import { spawn } from "node:child_process"
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { addCounts, type Counts, readReport } from "./report.ts"

const ROOT = resolve(import.meta.dirname, "..")
/** A group that takes longer hangs: it is ended and counts as failed. */
const GROUP_TIMEOUT_MS = 1_150_000
const NOTHING: Counts = { passed: 0, failed: 0, failures: [], failedFiles: [], passedTests: new Set(), skipped: [] }
/** Files of a whole run that are run a second time. Where more have failed, it is not for want of time. */
const AGAIN_MAX = 5

export interface TestGroup {
  readonly name: string
  readonly paths: ReadonlyArray<string>
  /** What runs these files and folders, beside this runtime; `report` is where its JUnit report is to be. */
  readonly command: (report: string, paths: ReadonlyArray<string>) => ReadonlyArray<string>
}

interface Ran {
  readonly group: TestGroup
  readonly counts: Counts
}

/**
 * Each lane's groups one after the other, the lanes at once: most tests wait, for a broker or a clock. Of several lanes a group's output
 * is told when it has ended; a lone one's as it comes.
 *
 * Beside others a test may have less time than it counts on: a few files that failed are run once more when all else is over, and what they
 * say then counts. It is told which they were, and what they said the first time.
 */
export async function runGroups(lanes: ReadonlyArray<ReadonlyArray<TestGroup>>): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), "manifold-report-"))
  const wanted = lanes.filter((lane) => lane.length > 0)
  try {
    const ran = (await Promise.all(wanted.map((lane) => runLane(lane, folder, wanted.length === 1)))).flat()
    const isAlone = wanted.flat().length === 1
    const failed = ran.flatMap(({ counts }) => counts.failedFiles).length
    if (isAlone || failed > AGAIN_MAX) return ran.map(({ counts }) => counts).reduce(addCounts, NOTHING)
    let total = NOTHING
    for (const { group, counts } of ran) total = addCounts(total, await again(group, counts, folder))
    return total
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What a group's files that failed say when they run alone, in the place of what they said. */
async function again(group: TestGroup, counts: Counts, folder: string): Promise<Counts> {
  let { passed, failures } = counts
  const failedFiles: Array<string> = []
  for (const file of counts.failedFiles) {
    const first = failures.filter((failure) => failure.startsWith(`${file}: `))
    const name = `again-${file.replaceAll("/", "-")}`
    const alone = await runGroup({ ...group, name, paths: [file] }, folder, true)
    // Each has to have run: a runtime may name another file than the one that it is in.
    const hasPassed = (failure: string): boolean =>
      [...alone.passedTests].some((test) => failure.startsWith(`${file}: ${test.slice(test.indexOf(": ") + 2)} (`))
    if (alone.failed > 0 || first.length === 0 || !first.every(hasPassed)) {
      failedFiles.push(file)
      continue
    }
    for (const failure of first) console.log(`passed when it ran alone: ${failure}`)
    failures = failures.filter((failure) => !first.includes(failure))
    passed += first.length
  }
  return { ...counts, passed, failed: failures.length, failures, failedFiles }
}

/** What a person reads last: what was skipped and why, what failed, and the line of counts. */
export function tellCounts({ passed, failed, failures, skipped }: Counts): void {
  const reasons = Map.groupBy(skipped, (reason) => reason)
  for (const [reason, tests] of reasons) console.log(`skipped ${tests.length}: ${reason}`)
  for (const failure of failures) console.log(`failed: ${failure}`)
  console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`)
}

async function runLane(
  groups: ReadonlyArray<TestGroup>,
  folder: string,
  isAlone: boolean
): Promise<ReadonlyArray<Ran>> {
  const ran: Array<Ran> = []
  for (const group of groups) ran.push({ group, counts: await runGroup(group, folder, isAlone) })
  return ran
}

async function runGroup({ name, command, paths }: TestGroup, folder: string, isAlone: boolean): Promise<Counts> {
  const report = join(folder, `${name}.xml`)
  const output = join(folder, `${name}.log`)
  const args = command(report, paths)
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
