/**
 * `deno task test [unit | e2e | FILE...]`: runs under Deno what needs no Bun, and ends with `N passed, N failed, N skipped`.
 *
 * The unit and contract tests are on node:test; the end-to-end tests get tests/support/deno/bun-test.ts for `bun:test`, and drive a
 * broker under Deno. What is left out, and why, is told at the end.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { addCounts, type Counts, readReport } from "./report.ts"

const ROOT = resolve(import.meta.dirname, "..")
/** A group that takes longer hangs: it is ended and counts as failed. */
const GROUP_TIMEOUT_MS = 600_000

const GROUPS: Readonly<Record<string, ReadonlyArray<string>>> = {
  unit: ["core", "plugins", "cli", "embedded", "examples", "tests/contracts", "tests/sim"],
  e2e: ["tests/e2e"]
}
/** Files that only Bun can run, and why. */
const LEFT_OUT: ReadonlyArray<readonly [path: string, reason: string]> = [
  ["tests/e2e/footprint.test.ts", "its bounds are those of Bun and of its executable"]
]

const asked = process.argv.slice(2)
const files = asked.filter((word) => GROUPS[word] === undefined)
const chosen = Object.entries(GROUPS).filter(([name]) => asked.length === 0 || asked.includes(name))
const folder = mkdtempSync(join(tmpdir(), "manifold-deno-report-"))
let total: Counts = { passed: 0, failed: 0, failures: [], skipped: [] }
for (const [name, paths] of files.length > 0 ? [...chosen, ["files", files] as const] : chosen) {
  total = addCounts(total, run(name, paths))
}
rmSync(folder, { recursive: true, force: true })
for (const [path, reason] of LEFT_OUT) console.log(`left out ${path}: ${reason}`)
const reasons = Map.groupBy(total.skipped, (reason) => reason)
for (const [reason, tests] of reasons) console.log(`skipped ${tests.length}: ${reason}`)
for (const failure of total.failures) console.log(`failed: ${failure}`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped`)
process.exit(total.failed === 0 ? 0 : 1)

function run(name: string, paths: ReadonlyArray<string>): Counts {
  const report = join(folder, `${name}.xml`)
  console.log(`\n${name}: deno test ${paths.join(" ")}`)
  const ignored = `--ignore=${LEFT_OUT.map(([path]) => path).join(",")}`
  const flags = ["test", "-A", "--no-check", "--quiet", "--v8-flags=--expose-gc", `--junit-path=${report}`, ignored]
  const { status, signal } = spawnSync(process.execPath, [...flags, ...paths], {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
    timeout: GROUP_TIMEOUT_MS
  })
  const counts = readReport(existsSync(report) ? readFileSync(report, "utf8") : "")
  if (status === 0 || counts.failed > 0) return counts
  const failure = `${name}: ended with ${status ?? signal} and no failed test: counted as one failure`
  return { ...counts, failed: 1, failures: [failure] }
}
