/**
 * Metrics as text, for whoever scrapes them.
 *
 * Source: Prometheus, "Exposition formats", text format 0.0.4.
 * Invariants
 *  - HELP and TYPE once a family, each series once; families and series in the order of their code units, buckets by their bounds.
 *  - Whatever a label's value or a help text holds, it stays inside its quotes and its line.
 */
import { assert } from "../assert.ts"
import type { MetricsSnapshot } from "./snapshot.ts"

export type Labels = Readonly<Record<string, string>>

/** The label that tells a histogram's buckets apart. */
export const BUCKET_LABEL = "le"

export function renderSnapshot(snapshot: MetricsSnapshot): string {
  const lines: Array<string> = []
  for (const [name, family] of [...snapshot].sort(byFirst)) {
    lines.push(`# HELP ${name} ${escapeHelp(family.help)}`, `# TYPE ${name} ${family.type}`)
    for (const [labels, cells] of [...family.series].sort(byFirst)) {
      if (family.type === "histogram") pushHistogram(lines, name, labels, family.bounds, cells)
      else lines.push(`${name}${braced(labels)} ${renderNumber(cells[0] ?? Number.NaN)}`)
    }
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`
}

/** Labels as they stand between braces, in the order of their names, so that equal series are equal text. */
export function renderLabels(labels: Labels): string {
  return Object.entries(labels)
    .sort(byFirst)
    .map(([name, value]) => {
      assert(/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name), "a label's name is a Prometheus label name")
      return `${name}="${escapeLabel(value)}"`
    })
    .join(",")
}

/** Cumulative, as the format wants it: each bucket holds the ones below it. */
function pushHistogram(
  lines: Array<string>,
  name: string,
  labels: string,
  bounds: ReadonlyArray<number>,
  cells: ReadonlyArray<number>
): void {
  let count = 0
  for (const [index, bound] of [...bounds, Number.POSITIVE_INFINITY].entries()) {
    count += cells[index] ?? 0
    const le = `${BUCKET_LABEL}="${renderNumber(bound)}"`
    lines.push(`${name}_bucket{${labels === "" ? le : `${labels},${le}`}} ${renderNumber(count)}`)
  }
  lines.push(`${name}_sum${braced(labels)} ${renderNumber(cells[bounds.length + 1] ?? 0)}`)
  lines.push(`${name}_count${braced(labels)} ${renderNumber(count)}`)
}

function braced(labels: string): string {
  return labels === "" ? "" : `{${labels}}`
}

/** By code units: the same order on every machine. */
function byFirst([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number {
  return left < right ? -1 : left > right ? 1 : 0
}

/** Half a surrogate pair is made the replacement character here, since encoding would do so after series were told apart. */
function escapeLabel(value: string): string {
  return value.toWellFormed().replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
}

function escapeHelp(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
}

function renderNumber(value: number): string {
  if (Number.isNaN(value)) return "NaN"
  if (value === Number.POSITIVE_INFINITY) return "+Inf"
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value)
}
