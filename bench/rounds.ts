/**
 * Interleaved rounds: A B C A B C, for each scenario, and the rows of its table.
 *
 * On one machine only what ran side by side can be compared; a broker that fails is a row that says so, not the end of the run.
 */
import { cannot } from "./brokers/all.ts"
import type { Broker } from "./brokers/Broker.ts"
import type { Report } from "./driver/report.ts"
import { type MeasureOptions, measure } from "./measure.ts"
import type { Scenario } from "./scenarios.ts"
import type { Row } from "./table.ts"

const REASON_CHARACTERS_MAX = 300

/** A report with what it was made of, as --json writes it. */
export interface Measured extends Report {
  readonly broker: string
  readonly storage: string
  readonly round: number
}

export interface Rounds {
  readonly rows: readonly Row[]
  readonly reports: readonly Measured[]
  readonly failures: number
}

/** Measures `scenario` with each of `brokers`, `rounds` times. */
export async function runRounds(
  scenario: Scenario,
  brokers: readonly Broker[],
  rounds: number,
  options: MeasureOptions
): Promise<Rounds> {
  const rows = brokers.map((broker) => {
    const leftOut = cannot(broker, scenario)
    const row: Row = {
      broker: broker.name,
      storage: broker.storage,
      promise: broker.promise,
      reports: [],
      failures: []
    }
    return { broker, row: leftOut === undefined ? row : { ...row, leftOut } }
  })
  const reports: Measured[] = []
  let failures = 0
  for (let round = 0; round < rounds; round++) {
    for (const { broker, row } of rows) {
      if (row.leftOut !== undefined) continue
      try {
        const report = await measure(broker, scenario, options)
        row.reports.push(report)
        reports.push({ ...report, broker: broker.name, storage: broker.storage, round })
      } catch (error) {
        failures++
        row.failures.push(oneLine(error instanceof Error ? error.message : String(error)))
      }
    }
  }
  return { rows: rows.map(({ row }) => row), reports, failures }
}

/** A program that ends may print a page: its first lines say why. */
function oneLine(text: string): string {
  const joined = text.split(/\s*\n\s*/).join(" ")
  return joined.length > REASON_CHARACTERS_MAX ? `${joined.slice(0, REASON_CHARACTERS_MAX)}...` : joined
}
