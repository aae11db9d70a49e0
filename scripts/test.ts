/**
 * `npm test [-- GROUP... | FILE...]`: runs the tests, group by group, and ends with the line `N passed, N failed, N skipped`.
 *
 * What a machine lacks (kcat, Python, ...) is skipped by the tests themselves, which say why in their names; the reasons are told
 * together at the end. A run that ends badly without a failed test (a file that cannot be loaded) counts as one failure.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { addCounts, type Counts, readReport } from "./report.ts"

const ROOT = resolve(import.meta.dir, "..")
/** A group that takes longer hangs: it is ended and counts as failed. */
const GROUP_TIMEOUT_MS = 600_000

interface Group {
  readonly name: string
  /** Files and folders. */
  readonly paths: ReadonlyArray<string>
  /** Of one test that sets no limit of its own. */
  readonly timeoutMs: number
}

const GROUPS: ReadonlyArray<Group> = [
  {
    name: "unit",
    paths: ["core", "plugins", "embedded", "cli", "bench", "examples", "tests/contracts", "tests/sim", ...rootTests()],
    timeoutMs: 20_000
  },
  // A process of its own: judging plugins puts a guard over all code that the process loads from then on.
  { name: "scripts", paths: ["scripts"], timeoutMs: 20_000 },
  { name: "e2e", paths: ["tests/e2e"], timeoutMs: 30_000 },
  { name: "conformance", paths: ["tests/conformance", "tests/fuzz"], timeoutMs: 60_000 },
  { name: "crash", paths: ["tests/crash"], timeoutMs: 120_000 },
  { name: "compat", paths: ["tests/compat"], timeoutMs: 60_000 }
]

const asked = process.argv.slice(2)
const files = asked.filter((word) => !GROUPS.some(({ name }) => name === word))
const lost = files.find((path) => !existsSync(join(ROOT, path)))
if (lost !== undefined) {
  console.error(`no group and no file "${lost}"; groups: ${GROUPS.map(({ name }) => name).join(", ")}`)
  process.exit(2)
}
const chosen = GROUPS.filter(({ name }) => asked.length === 0 || asked.includes(name))
const all = files.length === 0 ? chosen : [...chosen, { name: "files", paths: files, timeoutMs: 60_000 }]
const folder = mkdtempSync(join(tmpdir(), "manifold-report-"))
let total: Counts = { passed: 0, failed: 0, failures: [], skipped: [] }
for (const group of all) total = addCounts(total, run(group))
rmSync(folder, { recursive: true, force: true })

const reasons = Map.groupBy(total.skipped, (reason) => reason)
for (const [reason, tests] of reasons) console.log(`skipped ${tests.length}: ${reason}`)
for (const failure of total.failures) console.log(`failed: ${failure}`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped.length} skipped`)
process.exit(total.failed === 0 ? 0 : 1)

function run(group: Group): Counts {
  const paths = group.paths.filter((path) => existsSync(join(ROOT, path)))
  if (paths.length === 0) return { passed: 0, failed: 0, failures: [], skipped: [] }
  console.log(`\n${group.name}: bun test ${paths.join(" ")}`)
  const report = join(folder, `${group.name}.xml`)
  const flags = ["--reporter=junit", `--reporter-outfile=${report}`, `--timeout=${group.timeoutMs}`]
  // A path that begins with ./ is a path; without it Bun takes it for a part of any path.
  const args = ["test", ...flags, ...paths.map((path) => `./${path}`)]
  const { status, signal } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    stdio: ["ignore", "inherit", "inherit"],
    timeout: GROUP_TIMEOUT_MS
  })
  const counts = readReport(existsSync(report) ? readFileSync(report, "utf8") : "")
  if (status === 0 || counts.failed > 0) return counts
  const failure = `${group.name}: ended with ${status ?? signal} and no failed test: counted as one failure`
  return { ...counts, failed: 1, failures: [failure] }
}

/** Tests that lie in tests/ itself. */
function rootTests(): ReadonlyArray<string> {
  return [...new Bun.Glob("tests/*.test.ts").scanSync(ROOT)].toSorted()
}
