/** A rule by which nobody may publish or subscribe to some topics: its form, in the manifest and as a resource, and what it refuses. */
import * as v from "valibot"
import { checkTopicFilter, filterCovers, filtersOverlap, matches } from "../../../core/mod.ts"
import { type RuleKind, ruleName } from "../rules/RuleSet.ts"

const ACTIONS = ["publish", "subscribe", "all"] as const
const MATCHES = ["overlapping", "covered", "exact"] as const
const REASON_LENGTH_MAX = 256

export interface RefusalRule {
  readonly name: string
  readonly action: (typeof ACTIONS)[number]
  readonly topic: string
  readonly match: (typeof MATCHES)[number]
  readonly desc: string
}

const schema = v.strictObject({
  name: ruleName,
  action: v.pipe(v.optional(v.picklist(ACTIONS), "all"), v.description("what is refused")),
  topic: v.pipe(
    v.string(),
    v.check((filter) => checkTopicFilter(filter) === 0, "expected a topic filter"),
    v.description("topic filter; publishing to the names that it matches is refused")
  ),
  match: v.pipe(
    v.optional(v.picklist(MATCHES), "overlapping"),
    v.description(
      "which filters are refused: all that share a name with it, those that lie within it, or just it as it is written"
    )
  ),
  desc: v.pipe(v.optional(v.pipe(v.string(), v.maxLength(REASON_LENGTH_MAX)), ""), v.description("for what reason"))
})

export const refusalRules: RuleKind<RefusalRule> = {
  resource: "topic-refusal",
  description: "Topics that nobody may publish or subscribe to",
  schema
}

/** As an entry of `[[plugin.options.topic_refusal]]`. */
export const topicRefusalOptions = schema

/** Whether a rule refuses a PUBLISH on a topic name. */
export function refusesPublish({ action, topic, match }: RefusalRule, name: string): boolean {
  if (action === "subscribe") return false
  return match === "exact" ? topic === name : matches(topic, name)
}

/** Whether a rule refuses a subscription to a topic filter. */
export function refusesSubscribe({ action, topic, match }: RefusalRule, filter: string): boolean {
  if (action === "publish") return false
  if (match === "exact") return topic === filter
  return match === "covered" ? filterCovers(topic, filter) : filtersOverlap(topic, filter)
}
