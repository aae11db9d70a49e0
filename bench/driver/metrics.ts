/**
 * Reads counters of a broker from its /metrics page.
 *
 * Source: Prometheus text exposition format 0.0.4: `name{label="value",...} number [timestamp]`, one sample a line.
 */

/** What the journal has done since the broker's start. */
export interface JournalCounts {
  readonly entries: number
  readonly syncs: number
}

const ENTRIES = "manifold_journal_entries_total"
const SYNCS = "manifold_journal_syncs_total"

/** The sum of the samples of `name` over all their labels; undefined where there is none. */
export function sumOf(text: string, name: string): number | undefined {
  let sum: number | undefined
  for (const line of text.split("\n")) {
    if (!line.startsWith(name)) continue
    const rest = line.slice(name.length)
    const labels = /^\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}/.exec(rest)?.[0] ?? ""
    const value = /^[ \t]+(\S+)/.exec(rest.slice(labels.length))?.[1]
    if (value !== undefined && Number.isFinite(Number(value))) sum = (sum ?? 0) + Number(value)
  }
  return sum
}

/** The journal's counters; undefined where the page has none of them. */
export async function journalCounts(url: string): Promise<JournalCounts | undefined> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  const text = await response.text()
  const entries = sumOf(text, ENTRIES)
  const syncs = sumOf(text, SYNCS)
  return entries === undefined || syncs === undefined ? undefined : { entries, syncs }
}
