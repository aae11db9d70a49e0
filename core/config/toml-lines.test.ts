import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { lineOf, tomlLines } from "./toml-lines.ts"

const text = `# comment
[node]
id = "a"          # line 3
"data" = '''
id = "not this"
[[plugin]]
'''
[topics]
engine = "memory"

[[topics.rule]]
match = "a.*"
[[topics.rule]]
match = "b.*"     # line 14
[[plugin]]
use = "one"
[[plugin]]
use = "two"
[plugin.options]
tcp = [
  "127.0.0.1:0",
]
advertised.host = "x" # line 23
`

const rows: ReadonlyArray<readonly [string, number | undefined]> = [
  ["node", 2],
  ["node.id", 3],
  ["node.data", 4],
  ["node.shards", 2],
  ["topics.engine", 9],
  ["topics.rule.0", 11],
  ["topics.rule.0.match", 12],
  ["topics.rule.1.match", 14],
  ["topics.rule.1.engine", 13],
  ["plugin", 15],
  ["plugin.0.use", 16],
  ["plugin.1.use", 18],
  ["plugin.1.options", 19],
  ["plugin.1.options.tcp.0", 20],
  ["plugin.1.options.advertised", 23],
  ["plugin.1.options.advertised.host", 23],
  ["plugin.2.use", 15],
  ["binding.0", undefined]
]

for (const [name, ending] of [
  ["LF", "\n"],
  ["CRLF", "\r\n"]
]) {
  test(`the line of each key, lines ending with ${name}`, () => {
    const lines = tomlLines(text.replaceAll("\n", ending ?? ""))
    for (const [path, line] of rows) assert.equal(lineOf(lines, path.split(".")), line, path)
  })
}

test("any text has lines, each of them one of its own", () => {
  const piece = fc.constantFrom(
    "[a]",
    "[[a]]",
    "[a.b]",
    "x = 1",
    '"y z" = """',
    "'''",
    "a.b.c = [",
    "]",
    "# [c]",
    "\r\n",
    "\n"
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 30 }), (pieces) => {
      const whole = pieces.join("\n")
      const count = whole.split(/\r?\n/).length
      for (const line of tomlLines(whole).values()) assert.ok(line >= 1 && line <= count)
    })
  )
})

test("a line of dots costs no more than its length", () => {
  const dots = ".a".repeat(400_000)
  const startedAt = performance.now()
  const lines = tomlLines(`[t${dots}]\n\n[u]\na${dots} = 1\n`)
  assert.equal(lineOf(lines, ["t", "a", "a"]), 1)
  assert.equal(lineOf(lines, ["u", "a", "a"]), 4)
  assert.ok(lines.size < 200)
  // It takes some tens of milliseconds; the square of the length took a minute.
  assert.ok(performance.now() - startedAt < 5_000)
})
