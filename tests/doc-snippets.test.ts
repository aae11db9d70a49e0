/**
 * Code that is shown on a page of docs/ is the source's own: a block that stands below `<!-- from path -->` is found in that file, line
 * for line, at whatever depth it is indented there.
 */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { test } from "node:test"

const ROOT = resolve(import.meta.dirname, "..")
/** Indentation steps that a piece may stand at in its source. */
const DEPTHS = [0, 2, 4, 6, 8]

interface Snippet {
  readonly page: string
  readonly path: string
  readonly code: string
}

const pages = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"))
const textOf = (page: string): string => readFileSync(join(ROOT, "docs", page), "utf8")

function snippetsOf(page: string): ReadonlyArray<Snippet> {
  const blocks = textOf(page).matchAll(/^<!-- from (\S+) -->\n```\w*\n([\s\S]*?)\n```$/gm)
  return [...blocks].map(([, path = "", code = ""]) => ({ page, path, code }))
}

function isIn(source: string, code: string): boolean {
  return DEPTHS.some((depth) => `\n${source}`.includes(`\n${code.replaceAll(/^(?=.)/gm, " ".repeat(depth))}\n`))
}

for (const page of pages.filter((name) => snippetsOf(name).length > 0)) {
  test(`the code in docs/${page} is what the source says`, () => {
    const lost = snippetsOf(page).filter(({ path, code }) => {
      const file = join(ROOT, path)
      return !existsSync(file) || !isIn(readFileSync(file, "utf8"), code)
    })
    assert.deepEqual(
      lost.map(({ path, code }) => `${path}: ${code.split("\n")[0]}`),
      []
    )
  })
}

for (const kind of ["storage", "protocol"]) {
  test(`the page on ${kind} plugins shows no TypeScript of its own`, () => {
    const page = `write-a-${kind}-plugin.md`
    assert.equal(
      textOf(page).match(/^```ts$/gm)?.length,
      snippetsOf(page).filter(({ path }) => path.endsWith(".ts")).length
    )
    assert.ok(snippetsOf(page).length > 10)
  })
}

test("a difference would be seen", () => {
  assert.ok(isIn("{\n  a\n\n    b\n}\n", "a\n\n  b"))
  for (const code of ["a\n  b", "a\n\n b", "a\n\n  c", "a\n\n  "]) assert.ok(!isIn("{\n  a\n\n    b\n}\n", code), code)
})
