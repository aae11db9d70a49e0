import { test } from "node:test"
import { targets } from "./log.fuzz.ts"

for (const [name, target] of Object.entries(targets)) {
  test(`${name}: 2,000 runs`, () => target(1, 2_000))
}
