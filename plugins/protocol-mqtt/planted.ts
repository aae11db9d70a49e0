/** For tests: faults put into the product's classes, to show that a property finds them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"

/** What is wrong, and what plants it; its result puts everything back. */
export type Fault = readonly [what: string, plant: () => () => void]

/** Plants a fault: puts `by` in the place of a method; the result puts it back. */
export function replaced<Class extends object, Name extends keyof Class>(
  prototype: Class,
  name: Name,
  by: Class[Name]
): () => void {
  const before = prototype[name]
  prototype[name] = by
  return () => {
    prototype[name] = before
  }
}

/** One test for each fault: `numRuns` runs of the property from this seed on must show it. */
export function testPlanted<T>(
  faults: ReadonlyArray<Fault>,
  property: fc.IAsyncProperty<T>,
  run: { readonly numRuns: number; readonly seed: number }
): void {
  for (const [what, plant] of faults) {
    test(`planted: ${what}`, async () => {
      const restore = plant()
      try {
        const { failed } = await fc.check(property, { ...run, endOnFailure: true })
        assert.ok(failed, "no history shows it")
      } finally {
        restore()
      }
    })
  }
}
