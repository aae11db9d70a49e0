/**
 * `npm test [-- GROUP... | FILE...]`: runs the tests, group by group, and ends with the line `N passed, N failed, N skipped`.
 *
 * What a machine lacks (kcat, Python, ...) is skipped by the tests themselves, which say why in their names; the reasons are told
 * together at the end. A run that ends badly without a failed test (a file that cannot be loaded) counts as one failure.
 */
import { existsSync } from "node:fs"
import { join, resolve } from "node:path"
import { ALONE, endToEndGroups } from "./end-to-end-groups.ts"
import { addCounts } from "./report.ts"
import { runGroups, type TestGroup, tellCounts } from "./run-groups.ts"

const ROOT = resolve(import.meta.dir, "..")

interface Group {
  readonly name: string
  /** Files and folders. */
  readonly paths: ReadonlyArray<string>
  /** Of one test that sets no limit of its own. */
  readonly timeoutMs: number
}

/** Lanes of groups: those of a lane run one after the other, the lanes at once. */
const LANES: ReadonlyArray<ReadonlyArray<Group>> = [
  [
    {
      name: "unit",
      paths: [
        "core",
        "plugins",
        "embedded",
        "cli",
        "bench",
        "examples",
        "tests/contracts",
        "tests/sim",
        ...rootTests()
      ],
      timeoutMs: 20_000
    },
    // A process of its own: judging plugins puts a guard over all code that the process loads from then on.
    { name: "scripts", paths: ["scripts"], timeoutMs: 20_000 },
    {
      name: "conformance",
      paths: ["tests/conformance", "tests/fuzz", "tests/differential", "tests/soak"],
      timeoutMs: 60_000
    },
    { name: "crash", paths: ["tests/crash"], timeoutMs: 120_000 },
    { name: "compat", paths: ["tests/compat"], timeoutMs: 60_000 }
  ],
  ...Object.entries(endToEndGroups(2)).map(([name, paths]) => [{ name, paths, timeoutMs: 30_000 }])
]

const asked = process.argv.slice(2)
/** `e2e` stands for all of its groups. */
const wordFor = (name: string): string => name.replace(/^e2e-\d+$/, "e2e")
const names = [...new Set(LANES.flat().map(({ name }) => wordFor(name)))]
const files = asked.filter((word) => !names.includes(word))
const lost = files.find((path) => !existsSync(join(ROOT, path)))
if (lost !== undefined) {
  console.error(`no group and no file "${lost}"; groups: ${names.join(", ")}`)
  process.exit(2)
}
const chosen = LANES.map((lane) => lane.filter(({ name }) => asked.length === 0 || asked.includes(wordFor(name))))
const all = files.length === 0 ? chosen : [...chosen, [{ name: "files", paths: files, timeoutMs: 60_000 }]]
const beside = await runGroups(all.map((lane) => lane.flatMap(testGroup)))
const isAloneAsked = asked.length === 0 || asked.includes("e2e")
const alone = isAloneAsked ? testGroup({ name: "alone", paths: ALONE, timeoutMs: 60_000 }) : []
const counts = addCounts(beside, await runGroups([alone]))
tellCounts(counts)
process.exit(counts.failed === 0 ? 0 : 1)

function testGroup({ name, paths, timeoutMs }: Group): ReadonlyArray<TestGroup> {
  const found = paths.filter((path) => existsSync(join(ROOT, path)))
  if (found.length === 0) return []
  const command = (report: string, files: ReadonlyArray<string>): ReadonlyArray<string> => {
    // A path that begins with ./ is a path; without it Bun takes it for a part of any path.
    const tests = files.map((path) => `./${path}`)
    return ["test", "--reporter=junit", `--reporter-outfile=${report}`, `--timeout=${timeoutMs}`, ...tests]
  }
  return [{ name, paths: found, command }]
}

/** Tests that lie in tests/ itself. */
function rootTests(): ReadonlyArray<string> {
  return [...new Bun.Glob("tests/*.test.ts").scanSync(ROOT)].toSorted()
}
