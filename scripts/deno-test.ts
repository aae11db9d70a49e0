/**
 * `deno task test [unit | e2e | FILE...]`: runs under Deno what needs no Bun, and ends with `N passed, N failed, N skipped`.
 *
 * The unit and contract tests are on node:test; the end-to-end tests get tests/support/deno/bun-test.ts for `bun:test`, and drive a
 * broker under Deno. What is left out, and why, is told at the end.
 */
import { endToEndGroups } from "./end-to-end-groups.ts"
import { runGroups, type TestGroup, tellCounts } from "./run-groups.ts"

/** Groups that run at once. */
const GROUPS: Readonly<Record<string, ReadonlyArray<string>>> = {
  unit: ["core", "plugins", "cli", "embedded", "examples", "tests/contracts", "tests/sim"],
  ...endToEndGroups(2)
}
/** Files that only Bun can run, and why. */
const LEFT_OUT: ReadonlyArray<readonly [path: string, reason: string]> = [
  ["tests/e2e/footprint.test.ts", "its bounds are those of Bun and of its executable"]
]
const FLAGS = ["test", "-A", "--no-check", "--quiet", "--v8-flags=--expose-gc"]

const asked = process.argv.slice(2)
const files = asked.filter((word) => word !== "e2e" && GROUPS[word] === undefined)
const isAsked = (name: string): boolean => asked.includes(name) || (name.startsWith("e2e-") && asked.includes("e2e"))
const chosen = Object.entries(GROUPS).filter(([name]) => asked.length === 0 || isAsked(name))
const all = files.length > 0 ? [...chosen, ["files", files] as const] : chosen
const counts = await runGroups(all.map(([name, paths]) => [testGroup(name, paths)]))
for (const [path, reason] of LEFT_OUT) console.log(`left out ${path}: ${reason}`)
tellCounts(counts)
process.exit(counts.failed === 0 ? 0 : 1)

function testGroup(name: string, paths: ReadonlyArray<string>): TestGroup {
  const run = paths.filter((path) => !LEFT_OUT.some(([left]) => left === path))
  return { name, paths: run, command: (report, files) => [...FLAGS, `--junit-path=${report}`, ...files] }
}
