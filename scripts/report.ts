/** Reads the counts of a test run from its JUnit report. */

export interface Counts {
  readonly passed: number
  readonly failed: number
  /** The reason of each skipped test. */
  readonly skipped: ReadonlyArray<string>
}

const CASE = /<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g
const NAME = /\sname="([^"]*)"/
/** How a test's name tells why it is skipped: `name [skipped: reason]`. */
const REASON = /\[skipped: (.*)\]$/

/** Counts of one report; of text that is none, nothing. */
export function readReport(xml: string): Counts {
  let passed = 0
  let failed = 0
  const skipped: Array<string> = []
  for (const [, attributes = "", body = ""] of xml.matchAll(CASE)) {
    if (/<(?:failure|error)\b/.test(body)) failed += 1
    else if (/<skipped\b/.test(body)) {
      const name = plainText(NAME.exec(attributes)?.[1] ?? "")
      skipped.push(REASON.exec(name)?.[1] ?? `no reason given: ${name}`)
    } else passed += 1
  }
  return { passed, failed, skipped }
}

export function addCounts(one: Counts, other: Counts): Counts {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: [...one.skipped, ...other.skipped]
  }
}

function plainText(text: string): string {
  return text
    .replaceAll("&quot;", '"')
    .replaceAll("&apos;", "'")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&")
}
