/**
 * `npm run fuzz [-- NAME...] [--seed N] [--runs N]`: runs the fuzz targets (`*.fuzz.ts`) whose path holds one of the names, or all.
 * Without --seed each run draws a new one; a failure prints the seed that repeats it.
 */
import { spawnSync } from "node:child_process"
import { resolve } from "node:path"
import { parseArgs } from "node:util"

const ROOT = resolve(import.meta.dir, "..")
const SEEDS = 2 ** 31

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string", default: String(Math.floor(Math.random() * SEEDS)) }, runs: { type: "string" } }
})
const all = [...new Bun.Glob("{core,plugins}/**/*.fuzz.ts").scanSync(ROOT)].toSorted()
const chosen = positionals.length === 0 ? all : all.filter((path) => positionals.some((name) => path.includes(name)))
if (chosen.length === 0) {
  console.error(`no fuzz target named ${positionals.join(" or ")}; known: ${all.join(", ")}`)
  process.exit(2)
}
let failed = 0
for (const path of chosen) {
  const args = [path, "--seed", values.seed, ...(values.runs === undefined ? [] : ["--runs", values.runs])]
  console.log(`bun ${args.join(" ")}`)
  if (spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" }).status !== 0) failed += 1
}
console.log(`${chosen.length - failed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
