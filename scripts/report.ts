/** Reads from its JUnit report how a test run went. */

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
/** Of what a failed test said; the whole stands in the run's own output. */
const SAID_CHARS_MAX = 400

/** Counts of one report; of text that is none, nothing. */
export function readReport(xml: string): Counts {
  let passed = 0
  const passedTests = new Set<string>()
  const failures: Array<string> = []
  const failedFiles = new Set<string>()
  const skipped: Array<string> = []
  for (const [, attributes = "", body = ""] of xml.matchAll(CASE)) {
    const failure = FAILURE.exec(body)
    if (failure !== null) {
      failures.push(describeFailure(attributes, failure[1] ?? "", failure[2] ?? ""))
      failedFiles.add(placeOf(attributes))
    } else if (/<skipped\b/.test(body)) {
      const name = attribute(attributes, "name")
      skipped.push(REASON.exec(name)?.[1] ?? `no reason given: ${name}`)
    } else {
      passed += 1
      passedTests.add(nameOf(attributes))
    }
  }
  return { passed, failed: failures.length, failures, failedFiles: [...failedFiles], passedTests, skipped }
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

function describeFailure(test: string, failure: string, text: string): string {
  const said = attribute(failure, "message") || plainText(text.replace(/<\/?[a-z!][^>]*>/g, "")).trim()
  const words = said.replaceAll(/\s+/g, " ").slice(0, SAID_CHARS_MAX)
  return `${nameOf(test)} (${attribute(test, "time")} s): ${words}`
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
