/** What the adapter sees in a module; the guard stands in the way of a whole process and is tested by the command (tests/e2e). */
import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { IS_DENO } from "./host.ts"
import { ModuleSyntaxError } from "./Modules.ts"
import { hostModuleLoader } from "./module-loader.ts"

const quoted = (specifier: string): string => JSON.stringify(specifier)
const scan = (text: string, path = "/p/mod.ts"): ReadonlyArray<string> =>
  hostModuleLoader.scan(path, text).map(({ specifier, kind }) => `${kind} ${specifier}`)

/** A module's text, and what it names of others. */
const seen: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  [`import ${quoted("./a.ts")}`, ["import ./a.ts"]],
  [`import a from ${quoted("./a.ts")}; a()`, ["import ./a.ts"]],
  [`import * as a from ${quoted("a")}; a.b()`, ["import a"]],
  [`import a from ${quoted("./a.json")} with { type: "json" }; a()`, ["import ./a.json"]],
  [`export * from ${quoted("./a.ts")}`, ["import ./a.ts"]],
  [`export { a } from ${quoted("./a.ts")}`, ["import ./a.ts"]],
  [`await import(${quoted("./a.ts")})`, ["dynamic-import ./a.ts"]],
  ["await import(`./a.ts`)", ["dynamic-import ./a.ts"]],
  // An ES module of Deno's has no require.
  [`if (false) require(${quoted("./a.cjs")})`, IS_DENO ? [] : ["require ./a.cjs"]],
  [`#!/usr/bin/env bun\nimport ${quoted("./a.ts")}`, ["import ./a.ts"]],
  [`import type { A } from ${quoted("./a.ts")}; let a: A`, []],
  [`import { type A } from ${quoted("./a.ts")}; let a: A`, []],
  [`export type { A } from ${quoted("./a.ts")}`, []],
  [`// import ${quoted("./a.ts")}\nconst text = 'import ${quoted("./a.ts")}'; text`, []],
  [`await import(${quoted("./a")} + ${quoted(".ts")}.slice(0))`, []],
  ["", []]
]
for (const [text, expected] of seen) {
  test(`sees ${JSON.stringify(text)}`, () => assert.deepEqual(scan(text), expected))
}

/** A module's text, the language's ending, and where it ends to be one. */
const broken: ReadonlyArray<readonly [string, string, number, number]> = [
  ["const a = 1\nconst b = ;", ".ts", 2, 11],
  ["const a: number = 1", ".js", 1, 8],
  ["const a = 1\nconst a = 2", ".mjs", 2, 7],
  ["function a() {", ".mts", 1, 14]
]
for (const [text, extension, line, column] of broken) {
  // Deno's scanner is a lexer: of JavaScript such a fault is told by the import.
  if (IS_DENO && extension.endsWith("js")) continue
  test(`refuses ${JSON.stringify(text)} in ${extension}`, () => {
    assert.throws(
      () => scan(text, `/p/mod${extension}`),
      (error) =>
        error instanceof ModuleSyntaxError &&
        error.line === line &&
        Math.abs(error.column - column) <= 1 &&
        error.message !== ""
    )
  })
}

test("any text is seen through or refused with its place", () => {
  const word = fc.constantFrom(
    "import ",
    "export ",
    "* ",
    "from ",
    '"./a.ts"',
    "(",
    ")",
    "{",
    "}",
    "`",
    "/",
    "\n",
    "a",
    ";",
    "${",
    "<"
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word, { maxLength: 12 }).map((words) => words.join(""))
      ),
      (text) => {
        try {
          scan(text)
        } catch (error) {
          assert.ok(error instanceof ModuleSyntaxError, String(error))
        }
      }
    )
  )
})

test("built-ins are the runtime's own", () => {
  for (const name of ["node:fs", "fs", "node:fs/promises", ...(IS_DENO ? [] : ["bun:sqlite"])])
    assert.ok(hostModuleLoader.isBuiltin(name), name)
  for (const name of ["./fs", "node:nothing", "effect", "lodash", ""])
    assert.ok(!hostModuleLoader.isBuiltin(name), name)
})
