/**
 * `npm run compile [-- --target TARGET]`: one executable, `dist/manifold-<target>`, that needs nothing installed.
 *
 * Minified and with bytecode, because that halves the time to the first listener. The executable reads no `.env` and no `bunfig.toml`
 * of the folder it happens to be started in: its configuration is manifold.toml alone.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, statSync } from "node:fs"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { nearestOf } from "../core/config/mod.ts"

const ROOT = resolve(import.meta.dir, "..")
const TARGETS = [
  "linux-x64",
  "linux-arm64",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64"
]
const BYTES_PER_MB = 1_000_000

const { values } = parseArgs({ options: { target: { type: "string", default: `${hostPlatform()}-${process.arch}` } } })
const target = values.target.replace(/^bun-/, "")
if (!TARGETS.includes(target)) {
  const nearest = nearestOf(target, TARGETS)
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`
  console.error(`unknown target "${target}"; known: ${TARGETS.join(", ")}${hint}`)
  process.exit(2)
}
const file = `dist/manifold-${target}${target.startsWith("windows") ? ".exe" : ""}`
mkdirSync(join(ROOT, "dist"), { recursive: true })
const startedMs = performance.now()
const flags = [
  "--compile",
  "--minify",
  "--bytecode",
  // Some of effect's modules read import.meta, which the default format of bytecode cannot.
  "--format=esm",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig"
]
const args = ["build", ...flags, `--target=bun-${target}`, `--outfile=${file}`, "cli/main.ts"]
const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: "utf8" })
if (status !== 0 || stderr.includes("error:")) {
  console.error(`${stdout}${stderr}`)
  process.exit(1)
}
const megabytes = (statSync(join(ROOT, file)).size / BYTES_PER_MB).toFixed(1)
console.log(`${file}: ${megabytes} MB, built in ${Math.round(performance.now() - startedMs)} ms`)

function hostPlatform(): string {
  return process.platform === "win32" ? "windows" : process.platform
}
