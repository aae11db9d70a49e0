import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { FIELDS_MAX, formatLine, type LogValue, VALUE_LENGTH_MAX } from "./log-line.ts"

const TIME_MS = Date.UTC(2026, 10, 21, 4, 52, 19, 123)
const HEAD = "2026-11-21T04:52:19.123Z INFO mqtt connected"

const field = (value: LogValue): string =>
  formatLine(TIME_MS, "info", "mqtt", "connected", { value }).slice(HEAD.length)

test("an event is time, level, area, message and fields in their order", () => {
  assert.equal(formatLine(TIME_MS, "warn", "kafka", "slow client"), "2026-11-21T04:52:19.123Z WARN kafka slow client")
  assert.equal(
    formatLine(0, "error", "admin-http", "cannot read", { file: "a/b.toml", line: 3, again: true }),
    "1970-01-01T00:00:00.000Z ERROR admin-http cannot read file=a/b.toml line=3 again=true"
  )
})

const values: ReadonlyArray<readonly [value: LogValue, rendered: string]> = [
  ["plain", " value=plain"],
  ["127.0.0.1:1883", " value=127.0.0.1:1883"],
  [12, " value=12"],
  [12n, " value=12"],
  [Number.NaN, " value=NaN"],
  [false, " value=false"],
  [null, " value=null"],
  [undefined, ""],
  ["", ' value=""'],
  ["two words", ' value="two words"'],
  ["12", ' value="12"'],
  ["1e3", ' value="1e3"'],
  ["true", ' value="true"'],
  ["null", ' value="null"'],
  ["NaN", ' value="NaN"'],
  ["a=b", ' value="a=b"'],
  ['a" level="x', ' value="a\\" level=\\"x"'],
  ["a\\", ' value="a\\\\"'],
  ["a\r\n2026-11-21T04:52:19.123Z ERROR core gone", ' value="a\\r\\n2026-11-21T04:52:19.123Z ERROR core gone"'],
  ["\ttab", ' value="\\ttab"'],
  ["\u001b[2J\u0007", ' value="\\u001b[2J\\u0007"'],
  ["\u0000\u007f\u0085\u009b", ' value="\\u0000\\u007f\\u0085\\u009b"'],
  ["a\u2028b\u2029c", ' value="a\\u2028b\\u2029c"'],
  ["\u202egnp.exe\u2066\u200b\ufeff", ' value="\\u202egnp.exe\\u2066\\u200b\\ufeff"'],
  ["\ud800x\udc00", ' value="\\ud800x\\udc00"'],
  ["caf\u00e9 \u{1f600}", ' value="caf\u00e9 \u{1f600}"'],
  [new RangeError("too\nlong"), ' value="RangeError: too\\nlong"']
]
for (const [value, rendered] of values) {
  const shown = value instanceof Error ? value.name : typeof value === "bigint" ? `${value}n` : JSON.stringify(value)
  test(`${typeof value} ${shown} is rendered as ${rendered}`, () => assert.equal(field(value), rendered))
}

test("a long value is cut and says how much is missing", () => {
  assert.equal(field("x".repeat(VALUE_LENGTH_MAX)), ` value=${"x".repeat(VALUE_LENGTH_MAX)}`)
  assert.equal(field("x".repeat(VALUE_LENGTH_MAX + 5)), ` value="${"x".repeat(VALUE_LENGTH_MAX)}...(+5)"`)
})

test("a surrogate pair that the cut halves leaves no half behind", () => {
  const line = field(`${"x".repeat(VALUE_LENGTH_MAX - 1)}\u{1f600}`)
  assert.ok(line.isWellFormed())
  assert.ok(line.endsWith('\\ud83d...(+1)"'))
})

test("fields beyond the bound are left out, and the line says so", () => {
  const fields = Object.fromEntries(Array.from({ length: FIELDS_MAX + 1 }, (_, index) => [`k${index}`, index]))
  const line = formatLine(TIME_MS, "info", "mqtt", "connected", fields)
  assert.ok(line.endsWith(` k${FIELDS_MAX - 1}=${FIELDS_MAX - 1} fields_left_out=true`))
})

test("what should be the developer's own words is made harmless too", () => {
  assert.equal(
    formatLine(TIME_MS, "info", "a b\n", "x\ny=1 \\", { "k=1 z": "v", "": "w" }),
    "2026-11-21T04:52:19.123Z INFO a_b_ x\\ny\\u003d1 \\\\ k_1_z=v _=w"
  )
  assert.ok(formatLine(TIME_MS, "info", "a", "m".repeat(100_000)).length < 400)
})

test("any text: one line, nothing unprintable, and a quoted value reads back as JSON", () =>
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: "binary", maxLength: 50 }), fc.string({ unit: "grapheme", maxLength: 50 })),
      fc.string({ unit: "binary", maxLength: 20 }),
      (value, other) => {
        const line = formatLine(TIME_MS, "info", other, other, { [other]: value, last: 1 })
        assert.doesNotMatch(line, /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u)
        assert.ok(line.isWellFormed())
        assert.ok(line.endsWith(" last=1"))
        const rendered = field(value).slice(" value=".length)
        assert.equal(rendered.startsWith('"') ? JSON.parse(rendered) : rendered, value)
      }
    ),
    { numRuns: 500 }
  ))
