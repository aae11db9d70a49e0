/**
 * `npm run compile [-- --target TARGET] [--outfile FILE]`: one executable, `dist/manifold-<target>`, that needs nothing installed.
 *
 * Minified and with bytecode, because that halves the time to the first listener. The executable reads no `.env` and no `bunfig.toml`
 * of the folder it happens to be started in: its configuration is manifold.toml alone.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, statSync } from "node:fs"
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
/**
 * Embedded for cli/command.ts to import where a manifest names a plugin by path. Bundled first and by itself: entries that are
 * bundled together keep whatever one of them needs, and this one needs all of effect.
 */
const WITH_PLUGINS = "dist/with-plugins.js"
const BYTES_PER_MB = 1_000_000

const { values } = parseArgs({
  options: { target: { type: "string", default: `${hostPlatform()}-${process.arch}` }, outfile: { type: "string" } }
})
const target = values.target.replace(/^bun-/, "")
if (!TARGETS.includes(target)) {
  const nearest = nearestOf(target, TARGETS)
  const hint = nearest === undefined ? "" : `; did you mean "${nearest}"?`
  console.error(`unknown target "${target}"; known: ${TARGETS.join(", ")}${hint}`)
  process.exit(2)
}
const file = values.outfile ?? `dist/manifold-${target}${target.startsWith("windows") ? ".exe" : ""}`
mkdirSync(join(ROOT, "dist"), { recursive: true })
const startedMs = performance.now()
// Some of effect's modules read import.meta, which the default format of bytecode cannot.
const common = ["--minify", "--format=esm"]
const bundled = ["--target=bun", `--outfile=${WITH_PLUGINS}`]
const compiled = ["--compile", "--bytecode", "--no-compile-autoload-dotenv", "--no-compile-autoload-bunfig"]
build([...common, ...bundled, "cli/with-plugins.ts"])
build([...common, ...compiled, `--target=bun-${target}`, `--outfile=${file}`, "cli/main.ts", WITH_PLUGINS])
rmSync(join(ROOT, WITH_PLUGINS))
const megabytes = (statSync(resolve(ROOT, file)).size / BYTES_PER_MB).toFixed(1)
console.log(`${file}: ${megabytes} MB, built in ${Math.round(performance.now() - startedMs)} ms`)

/** Bun has been seen to end with 0 after an error: it is taken at its word. */
function build(args: ReadonlyArray<string>): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["build", ...args], { cwd: ROOT, encoding: "utf8" })
  if (status === 0 && !stderr.includes("error:")) return
  console.error(`${stdout}${stderr}`)
  process.exit(1)
}

function hostPlatform(): string {
  return process.platform === "win32" ? "windows" : process.platform
}
