/** The end-to-end tests as groups that run beside each other: they wait more than they work. */
import { readdirSync } from "node:fs"
import { join, resolve } from "node:path"

const ROOT = resolve(import.meta.dirname, "..")

/** What measures how long something takes, and runs when nothing else does. */
export const ALONE: ReadonlyArray<string> = ["tests/e2e/footprint.test.ts"]

/** `e2e-1`, `e2e-2` and so on: the files in turn, so that a long one and its neighbours by name are not all in one group. */
export function endToEndGroups(count: number): Record<string, ReadonlyArray<string>> {
  const files = readdirSync(join(ROOT, "tests/e2e"))
    .filter((name) => name.endsWith(".test.ts") && !ALONE.includes(`tests/e2e/${name}`))
    .toSorted()
  const groups: Record<string, ReadonlyArray<string>> = {}
  for (let group = 0; group < count; group++) {
    const own = files.filter((_, index) => index % count === group)
    groups[`e2e-${group + 1}`] = own.map((name) => `tests/e2e/${name}`)
  }
  return groups
}
