/**
 * Does every behaviour that a statement of MQTT asks for have a test that fails without it? Applies one mutant after the other to a copy
 * of the source, runs the tests that carry its statements, and says which mutants lived.
 *
 *     bun tests/mutants/main.ts [--only TEXT]
 *
 * `--only` takes those whose statements, file or text hold TEXT. Exits with 1 where a mutant lived or could not be applied.
 */
import { spawnSync } from "node:child_process"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { MUTANTS } from "./mutants.ts"

const ROOT = join(import.meta.dirname, "../..")
const COPIED = ["cli", "core", "plugins", "tests", "embedded", "examples", "scripts", "docs"]
const FILES = ["mod.ts", "package.json", "tsconfig.json", "bunfig.toml", "manifold.toml", "manifold.schema.json"]

const only = process.argv[process.argv.indexOf("--only") + 1]
const wanted = MUTANTS.filter(
  (mutant) => !process.argv.includes("--only") || JSON.stringify(mutant).includes(only ?? "")
)

const copy = mkdtempSync(join(tmpdir(), "manifold-mutants-"))
process.on("exit", () => rmSync(copy, { recursive: true, force: true }))
for (const name of [...COPIED, ...FILES]) cpSync(join(ROOT, name), join(copy, name), { recursive: true })
symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"))

const TESTS = readdirSync(join(ROOT, "tests/conformance"))
  .filter((name) => name.endsWith(".test.ts") && name !== "table.test.ts")
  .map((name) => `./tests/conformance/${name}`)

/** Statements none of whose tests fails; an empty list where the mutant is noticed. */
function unnoticed(statements: ReadonlyArray<string>): ReadonlyArray<string> {
  // Not the statement of 3.1.1 that has the same number, and no longer number.
  const patternOf = (statement: string): string => `${statement.replaceAll(".", "\\.")}(?![0-9a-z]| of )`
  const run = spawnSync("bun", ["test", ...TESTS, "-t", statements.map(patternOf).join("|"), "--timeout", "20000"], {
    cwd: copy,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 180_000
  })
  const failed = `${run.stdout}${run.stderr}`.split("\n").filter((line) => line.startsWith("(fail)"))
  return statements.filter((statement) => !failed.some((line) => new RegExp(patternOf(statement)).test(line)))
}

let lived = 0
for (const [index, { statements, file, find, replace }] of wanted.entries()) {
  const path = join(copy, file)
  const before = readFileSync(path, "utf8")
  const count = before.split(find).length - 1
  let verdict = count === 1 ? "" : `cannot be applied: its text stands ${count} times in ${file}`
  if (verdict === "") {
    writeFileSync(
      path,
      before.replace(find, () => replace)
    )
    const left = unnoticed(statements)
    verdict = left.length === 0 ? "" : `LIVED: no test of ${left.join(", ")} fails`
    writeFileSync(path, before)
  }
  if (verdict !== "") lived += 1
  console.log(`${index + 1}/${wanted.length} ${statements.join(" ")} ${file}: ${verdict === "" ? "noticed" : verdict}`)
}
console.log(`${wanted.length - lived} of ${wanted.length} mutants noticed`)
process.exitCode = lived === 0 ? 0 : 1
