/**
 * `node scripts/run.mjs VERB [ARGUMENT...]`: what `npm start`, `npm test` and `npm run VERB` run. Installs what is missing, then
 * runs the verb under the pinned Bun, or `deno` under the pinned Deno. Needs Node >= 20 or Bun, nothing else.
 */
import { delimiter, dirname } from "node:path"
import { BootstrapError, bunPath, denoPath, ensureInstalled, runProgram } from "./bootstrap.mjs"

const TSC = "node_modules/typescript/bin/tsc"
const BIOME = "node_modules/@biomejs/biome/bin/biome"
/** What the runtime is given, before the arguments that were typed. Those in PLAIN go without the development tools. */
const VERBS = {
  start: ["cli/main.ts", "start"],
  manifold: ["cli/main.ts"],
  compile: ["scripts/compile.ts"],
  bundle: ["scripts/bundle.ts"],
  dev: ["--watch", "cli/main.ts", "start"],
  test: ["scripts/test.ts"],
  check: [TSC, "--noEmit", "-p", "tsconfig.json"],
  lint: [BIOME, "lint", "--error-on-warnings"],
  format: [BIOME, "format"],
  bench: ["bench/main.ts"],
  "bench:compare": ["bench/compare.ts"],
  fuzz: ["scripts/fuzz.ts"],
  sim: ["tests/sim/main.ts"],
  deno: []
}
const PLAIN = ["start", "manifold", "compile", "bundle"]

const [verb, ...typed] = process.argv.slice(2)
const command = VERBS[verb]
// `format` writes, `format --check` only says what it would write.
const args =
  verb !== "format"
    ? typed
    : typed.includes("--check")
      ? typed.filter((word) => word !== "--check")
      : ["--write", ...typed]
if (command === undefined) {
  process.stderr.write(`unknown verb "${verb}"; known: ${Object.keys(VERBS).join(", ")}\n`)
  process.exit(2)
}
try {
  ensureInstalled(!PLAIN.includes(verb))
  const program = verb === "deno" ? denoPath() : bunPath()
  // The tasks of deno.json call it by name.
  if (verb === "deno") process.env.PATH = `${dirname(program)}${delimiter}${process.env.PATH ?? ""}`
  process.exit(await runProgram(program, [...command, ...args]))
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}
