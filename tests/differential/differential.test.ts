/**
 * Some dozen random sequences compared with mosquitto: `main.ts` has as many as are wanted. The seed is always the same, so that what a
 * machine of another speed sees is the same; DIFFERENTIAL_SEED=n takes another, DIFFERENTIAL_MS=n more time.
 */
import { expect, test } from "bun:test"
import { IS_EXTERNAL } from "../support/broker.ts"
import { testWith } from "../support/tools.ts"
import { differ } from "./differ.ts"
import { EXPLAINED } from "./explained.ts"
import { comparedMosquitto } from "./Mosquitto.ts"
import { showDifference, showSequence } from "./show.ts"

const SEED = Number(process.env["DIFFERENTIAL_SEED"] ?? 1)
const MS = Number(process.env["DIFFERENTIAL_MS"] ?? 9_000)
const needed = IS_EXTERNAL ? [{ missing: "another broker is tried" }] : [comparedMosquitto()]

testWith(
  needed,
  "every difference from mosquitto is explained by the standard",
  async () => {
    console.log(`DIFFERENTIAL_SEED=${SEED}`)
    const report = await differ({ seed: SEED, runs: 1_000, ms: MS })
    if (report.failure !== undefined) {
      const { sequence, differences, replay } = report.failure
      const lines = [showSequence(sequence), ...differences.map(showDifference), replay]
      throw new Error(`a difference from mosquitto that nothing explains:\n${lines.join("\n")}`)
    }
    console.log(`${report.sequences} sequences, ${report.steps} steps, ${report.messages} messages`)
    expect(report.messages).toBeGreaterThan(20)
  },
  MS + 150_000
)

test("every explanation names its statement or section, and who is right", () => {
  const names = EXPLAINED.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  const nameless = EXPLAINED.filter(
    ({ statement }) => !/^(?:MQTT-)?\d+(?:\.\d+)+(?:-\d+)?(?: of 3\.1\.1)?$/.test(statement)
  )
  expect(nameless).toEqual([])
})
