import assert from "node:assert"
import { resolve } from "node:path"
import { test } from "node:test"
import { addCounts, readReport } from "./report.ts"

const report = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="5" assertions="0" failures="1" skipped="3" time="0.004">
  <testsuite name="a.test.ts" file="a.test.ts" tests="5" failures="1" skipped="3" time="0.001">
    <testcase name="one [skipped: kcat is &quot;not&quot; &lt;here&gt;]" classname="" time="0" file="a.test.ts" line="2">
      <skipped />
    </testcase>
    <testsuite name="g" file="a.test.ts" line="2" tests="1" failures="0" skipped="1" time="0">
      <testcase name="two" classname="g" time="0" file="a.test.ts" line="2">
        <skipped message="TODO" />
      </testcase>
    </testsuite>
    <testcase name="three a &gt; b" classname="" time="0.000004" file="a.test.ts" line="3" assertions="0" />
    <testcase name="four" classname="" time="0.000108" file="a.test.ts" line="3" assertions="0">
      <failure type="Error" message="x &amp; y">Error: x &amp; y&#10;   at a.test.ts:3:59&#10;</failure>
    </testcase>
    <testcase name="five" classname="" time="0.1" file="a.test.ts" line="4" assertions="0" />
  </testsuite>
</testsuites>
`

test("passed, failed and skipped are counted, the reason is read from the name", () => {
  assert.deepStrictEqual(readReport(report), {
    passed: 2,
    failed: 1,
    failures: ["a.test.ts: four (0.000108 s): x & y"],
    failedFiles: ["a.test.ts"],
    passedTests: new Set(["a.test.ts: three a > b", "a.test.ts: five"]),
    skipped: ['kcat is "not" <here>', "no reason given: two"]
  })
})

test("a text that is no report, or a cut one, counts what is whole in it", () => {
  assert.deepStrictEqual(readReport(""), {
    passed: 0,
    failed: 0,
    failures: [],
    failedFiles: [],
    passedTests: new Set(),
    skipped: []
  })
  assert.deepStrictEqual(readReport(report.slice(0, report.indexOf("four"))).failed, 0)
})

test("of a failed test its file, name, time and words are told, in one line and not at length", () => {
  const deno = `<testcase name="six" classname="./b.test.ts" time="2"><failure message="">Uncaught${" no".repeat(500)}</failure></testcase>`
  const [told = ""] = readReport(deno).failures
  assert.match(told, /^\.\/b\.test\.ts: six \(2 s\): Uncaught no no/)
  assert.ok(told.length < 450)
})

test("counts of groups add up", () => {
  const one = {
    passed: 1,
    failed: 2,
    failures: ["x", "y"],
    failedFiles: ["f"],
    passedTests: new Set(["p"]),
    skipped: ["a"]
  }
  assert.deepStrictEqual(
    addCounts(one, {
      passed: 10,
      failed: 0,
      failures: [],
      failedFiles: ["g"],
      passedTests: new Set(["q"]),
      skipped: ["b"]
    }),
    {
      passed: 11,
      failed: 2,
      failures: ["x", "y"],
      failedFiles: ["f", "g"],
      passedTests: new Set(["p", "q"]),
      skipped: ["a", "b"]
    }
  )
})

test("of a failed test under Deno its file is found in its trace, or in that of its step", () => {
  const root = resolve(import.meta.dirname, "..")
  const failed = (name: string, text: string): string =>
    `<testcase name="${name}" classname="ext:deno_node/testing.ts" time="1"><failure message="no">${text}</failure></testcase>`
  const trace = `Error: no\n    at file://${root}/tests/e2e/some.test.ts:2:57\n    at file://${root}/tests/support/x.ts:1:2`
  const xml = [failed("suite", "1 test step failed."), failed("suite &gt; one", trace), failed("lost", "")].join("\n")
  const { failures, failedFiles } = readReport(xml)
  assert.deepStrictEqual(failures, [
    "tests/e2e/some.test.ts: suite (1 s): no",
    "tests/e2e/some.test.ts: suite > one (1 s): no",
    "ext:deno_node/testing.ts: lost (1 s): no"
  ])
  assert.deepStrictEqual(failedFiles, ["tests/e2e/some.test.ts", "ext:deno_node/testing.ts"])
})
