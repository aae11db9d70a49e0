/** The lint rules of the platform's border catch what is planted, where they should and nowhere else. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"

const ROOT = resolve(import.meta.dir, "..")
const BIOME = join(ROOT, "node_modules/@biomejs/biome/bin/biome")

/** Each line alone is a violation in core and in plugins. */
const PLANTED = [
  "export const found = Date.now()",
  "export const found = Date.now",
  "export const found = new Date()",
  "export const found = Date()",
  "export const { now: found } = Date",
  "export const found = Math.random()",
  'export const found = Math["random"]()',
  "export const { max, random } = Math",
  "export const found = performance.now()",
  "export const found = crypto.randomUUID()",
  "export const found = setTimeout(() => {}, 1)",
  "export const found = setInterval(() => {}, 1)",
  "export const found = setImmediate(() => {})",
  "queueMicrotask(() => {})",
  "export const found = globalThis.setTimeout",
  'export const found = fetch("http://127.0.0.1")',
  'export const found = Bun.file("found")',
  "export const found = process.env",
  'console.log("found")',
  'export { readFileSync as found } from "node:fs"',
  'export { readFile as found } from "node:fs/promises"',
  'export { connect as found } from "node:net"',
  'export { Database as found } from "bun:sqlite"',
  'export { Worker as found } from "node:worker_threads"',
  'export { setTimeout as found } from "node:timers/promises"'
]
/** Lines that look like one and are none. */
const ALLOWED = [
  "export const found = new Date(0)",
  "export const found = (ms: number): Date => new Date(ms)",
  "export const found = Math.max(1, 2)",
  'export { createHash as found } from "node:crypto"',
  "export const found = (clock: { now(): number }): number => clock.now()",
  "export const found = (process: number): number => process"
]
/** Where the platform itself, and what drives the product from outside, may do as they like. */
const OUTSIDE = ["core/platform/bun/planted.ts", "cli/planted.ts", "scripts/planted.ts", "core/planted.test.ts"]

let folder = ""
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "manifold-lint-"))
  cpSync(join(ROOT, "biome.json"), join(folder, "biome.json"))
  cpSync(join(ROOT, "scripts/lint"), join(folder, "scripts/lint"), { recursive: true })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Lints each text as the file of its name; returns the names in which something is an error. */
function lint(files: ReadonlyMap<string, string>): ReadonlyArray<string> {
  for (const [path, text] of files) {
    mkdirSync(join(folder, dirname(path)), { recursive: true })
    writeFileSync(join(folder, path), `${text}\n`)
  }
  const args = [BIOME, "lint", "--reporter=json", "--max-diagnostics=1000", ...files.keys()]
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" })
  for (const path of files.keys()) rmSync(join(folder, path))
  const start = stdout.indexOf("{")
  if (start < 0) throw new Error(`no report: ${stdout}${stderr}`)
  const { diagnostics } = JSON.parse(stdout.slice(start))
  const isError = (found: { readonly severity: string }): boolean => found.severity === "error"
  const paths = diagnostics.filter(isError).map(({ location }: { location: { path: string } }) => location.path)
  return [...new Set<string>(paths)].toSorted()
}

const numbered = (home: string, lines: ReadonlyArray<string>): Map<string, string> =>
  new Map(lines.map((line, index) => [`${home}/planted-${String(index).padStart(2, "0")}.ts`, line]))

test.each(["core/log", "plugins/protocol-mqtt"])("each planted violation is an error in %s", (home) => {
  const files = numbered(home, PLANTED)
  expect(lint(files)).toEqual([...files.keys()])
})

test("what merely looks like one is none", () => {
  expect(lint(numbered("core", ALLOWED))).toEqual([])
})

test.each(OUTSIDE)("%s may do all of it", (path) => {
  const files = new Map(PLANTED.map((line, index) => [path.replace("planted", `planted-${index}`), line]))
  expect(lint(files)).toEqual([])
})

test("any, a non-null assertion, an enum and a default export are errors", () => {
  const lines = [
    "export const found = (value: any): unknown => value",
    "export const found = (list: ReadonlyArray<number>): number => list[0]!",
    "export enum Found { one }",
    "export default 1"
  ]
  const files = numbered("core", lines)
  expect(lint(files)).toEqual([...files.keys()])
})
