import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Problem } from "./problems.ts"
import { parsePath, parseQuery, rawPath } from "./request-target.ts"

test("the path is cut out as it was sent, whether the platform gives a whole URL or a target alone", () => {
  const paths: ReadonlyArray<readonly [url: string, path: string]> = [
    ["http://a:1/b/%63?d#e", "/b/%63"],
    ["https://[::1]:1/b", "/b"],
    ["http://a", ""],
    ["http://a?b", ""],
    ["/b?c", "/b"],
    ["//evil/b", "//evil/b"],
    ["a:1", "a:1"],
    ["/http://x/y", "/http://x/y"],
    ["http://a/b?c=http://d/e", "/b"]
  ]
  for (const [url, path] of paths) assert.equal(rawPath(url), path)
})

test("segments keep what was sent beside what it means", () => {
  assert.deepEqual(parsePath("http://a/b/%63%2Fd+"), [
    { raw: "b", decoded: "b" },
    { raw: "%63%2Fd+", decoded: "c/d+" }
  ])
  assert.deepEqual(parsePath("http://a/"), [])
})

test("dot segments are refused where the platform has not resolved them", () => {
  for (const path of [
    "/.",
    "/..",
    "/a/../b",
    "/a/./b",
    "/%2e",
    "/%2E%2e",
    "/.%2e/a",
    "/a/..%2f",
    "/a/..\\b",
    "/a\\b",
    "*",
    ""
  ]) {
    assert.throws(() => parsePath(`http://a${path}`.replace("http://a*", "*")), Problem, path)
  }
})

test("a dot within a name is a name", () => {
  for (const path of ["/...", "/a.b", "/.a", "/a..", "/..a"]) assert.equal(parsePath(path).length, 1)
})

test("any text is a path with well-formed names, or a problem; never another error", () =>
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.webUrl({ withQueryParameters: true })), (text) => {
      for (const url of [text, `http://h/${text}`]) {
        try {
          for (const { decoded } of parsePath(url)) {
            assert.notEqual(decoded, "")
            assert.doesNotMatch(decoded, /\p{Cc}/u)
            assert.ok(!decoded.split(/[/\\]/).some((part) => part === "." || part === ".."))
          }
          parseQuery(url, ["a"])
        } catch (error) {
          if (!(error instanceof Problem)) throw error
          assert.ok(error.status < 500)
        }
      }
    }),
    { numRuns: 1_000 }
  ))

test("any values come back from the query as they were encoded", () =>
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (first, second) => {
      const url = `http://h/?b=${encodeURIComponent(second)}&a=${encodeURIComponent(first)}`
      assert.deepEqual(
        [...parseQuery(url, ["a", "b"])],
        [
          ["b", second],
          ["a", first]
        ]
      )
    })
  ))
