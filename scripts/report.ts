/** Reads from its JUnit report how a test run went. */

import { resolve } from "node:path"

const ROOT = resolve(import.meta.dirname, "..")

export interface Counts {
  readonly passed: number
  readonly failed: number
  /** What is known of each failed test: its file, its name, how long it took, and what it said in one line. */
  readonly failures: ReadonlyArray<string>
  /** Files that have failed tests. */
  readonly failedFiles: ReadonlyArray<string>
  /** Tests that passed, as `file: name`. */
  readonly passedTests: ReadonlySet<string>
  /** The reason of each skipped test. */
  readonly skipped: ReadonlyArray<string>
}

const CASE = /<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g
const FAILURE = /<(?:failure|error)\b([^>]*)>([\s\S]*)/
/** How a test's name tells why it is skipped: `name [skipped: reason]`. */
const REASON = /\[skipped: (.*)\]$/
const TRACED = new RegExp(`file://${ROOT}/([^\\s:()]+\\.test\\.ts)`)
/** Of what a failed test said; the whole stands in the run's own output. */
const SAID_CHARS_MAX = 400

/** Counts of one report; of text that is none, nothing. */
export function readReport(xml: string): Counts {
  let passed = 0
  const passedTests = new Set<string>()
  const failed: Array<FailedTest> = []
  const skipped: Array<string> = []
  for (const [, attributes = "", body = ""] of xml.matchAll(CASE)) {
    const failure = FAILURE.exec(body)
    if (failure !== null) {
      failed.push({ attributes, failure: failure[1] ?? "", text: failure[2] ?? "" })
    } else if (/<skipped\b/.test(body)) {
      const name = attribute(attributes, "name")
      skipped.push(REASON.exec(name)?.[1] ?? `no reason given: ${name}`)
    } else {
      passed += 1
      passedTests.add(nameOf(attributes))
    }
  }
  const failures = failed.map((each) => describeFailure(fileOf(each, failed), each))
  const failedFiles = [...new Set(failed.map((each) => fileOf(each, failed)))]
  return { passed, failed: failures.length, failures, failedFiles, passedTests, skipped }
}

interface FailedTest {
  readonly attributes: string
  readonly failure: string
  readonly text: string
}

/** A test's file. Deno names that which called its own `test`: there the trace of the failure has it, or that of a step of the test. */
function fileOf({ attributes, text }: FailedTest, all: ReadonlyArray<FailedTest>): string {
  const place = placeOf(attributes)
  if (place.endsWith(".test.ts")) return place
  const traced = (within: string): string | undefined => TRACED.exec(within)?.[1]
  const steps = all.filter((each) =>
    attribute(each.attributes, "name").startsWith(`${attribute(attributes, "name")} > `)
  )
  return traced(text) ?? steps.map((step) => traced(step.text)).find((file) => file !== undefined) ?? place
}

export function addCounts(one: Counts, other: Counts): Counts {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    failures: [...one.failures, ...other.failures],
    failedFiles: [...one.failedFiles, ...other.failedFiles],
    passedTests: one.passedTests.union(other.passedTests),
    skipped: [...one.skipped, ...other.skipped]
  }
}

function describeFailure(file: string, { attributes: test, failure, text }: FailedTest): string {
  const said = attribute(failure, "message") || plainText(text.replace(/<\/?[a-z!][^>]*>/g, "")).trim()
  const words = said.replaceAll(/\s+/g, " ").slice(0, SAID_CHARS_MAX)
  return `${file}: ${attribute(test, "name")} (${attribute(test, "time")} s): ${words}`
}

function nameOf(test: string): string {
  return `${placeOf(test)}: ${attribute(test, "name")}`
}

function placeOf(test: string): string {
  return attribute(test, "file") || attribute(test, "classname")
}

function attribute(attributes: string, name: string): string {
  return plainText(new RegExp(`\\s${name}="([^"]*)"`).exec(attributes)?.[1] ?? "")
}

function plainText(text: string): string {
  return text
    .replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&#10;", "\n")
    .replaceAll("&amp;", "&")
}
