/**
 * What a plugin's inspection answered, judged before anything of it is shown: a third party's code may answer anything.
 *
 * Invariant: what comes out is a copy of the form that it says, bounded.
 */
import * as v from "valibot"
import type { PartReport } from "../plugin/Inspection.ts"

/** Parts of a plugin in one store, damages of a part, figures of a part, at most. */
const PARTS_MAX = 64
const DAMAGE_MAX = 1_000
const COUNTS_MAX = 64
const TEXT_LENGTH_MAX = 2_000
const PARTITIONS_MAX = 4_000_000

const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const text = v.pipe(v.string(), v.maxLength(TEXT_LENGTH_MAX))
const word = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9_-]{0,63}$/, "a word of a-z 0-9 _ -"))
const damage = v.object({ pathname: text, position: v.optional(count), message: text, remedy: text })
const time = v.pipe(v.number(), v.integer())
const partition = v.object({
  engine: word,
  tenant: count,
  topicId: text,
  partition: count,
  segments: count,
  bytes: count,
  indexBytes: count,
  records: count,
  logStart: count,
  logEnd: count,
  firstTimestamp: v.exactOptional(time),
  lastTimestamp: v.exactOptional(time)
})
const reports = v.pipe(
  v.array(
    v.object({
      part: word,
      names: v.array(text),
      bytes: count,
      counts: v.pipe(v.record(word, v.pipe(v.number(), v.integer())), v.maxEntries(COUNTS_MAX)),
      damage: v.pipe(v.array(damage), v.maxLength(DAMAGE_MAX)),
      notes: v.pipe(v.array(text), v.maxLength(DAMAGE_MAX)),
      partitions: v.exactOptional(v.pipe(v.array(partition), v.maxLength(PARTITIONS_MAX)))
    })
  ),
  v.maxLength(PARTS_MAX)
)

/** The reports, or what is wrong with the answer, for a person. */
export function checkReports(answer: unknown): ReadonlyArray<PartReport> | string {
  const parsed = v.safeParse(reports, answer)
  if (!parsed.success) {
    const [issue] = parsed.issues
    return `${v.getDotPath(issue) ?? "the answer"}: ${issue.message}`
  }
  return parsed.output.map((report) => ({
    ...report,
    damage: report.damage.map(({ position, ...rest }) => (position === undefined ? rest : { ...rest, position }))
  }))
}
