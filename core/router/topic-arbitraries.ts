/** Topic names and filters over a small alphabet, so that random ones meet; for tests only. */
import fc from "fast-check"
import { checkTopicFilter, checkTopicName } from "./topic-filter.ts"

const nameLevel = fc.constantFrom("a", "b", "", "$s", "é", "長い", "a-rather-long-level-of-a-name")
const filterLevel = fc.oneof({ weight: 3, arbitrary: nameLevel }, { weight: 2, arbitrary: fc.constant("+") })

function joined(level: fc.Arbitrary<string>, end: fc.Arbitrary<ReadonlyArray<string>>): fc.Arbitrary<string> {
  return fc.tuple(fc.array(level, { maxLength: 4 }), end).map(([levels, last]) => [...levels, ...last].join("/"))
}

/** Valid topic names. */
export const topicName = joined(nameLevel, fc.constant([])).filter((name) => checkTopicName(name) === 0)

/** Valid topic filters, about half of them with a wildcard. */
export const topicFilter = joined(filterLevel, fc.constantFrom([], [], ["#"])).filter(
  (filter) => checkTopicFilter(filter) === 0
)
