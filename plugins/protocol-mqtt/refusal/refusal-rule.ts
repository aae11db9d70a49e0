/** A rule by which nobody may publish or subscribe to some topics: its form, in the manifest and as a resource, and what it refuses. */
import * as v from "valibot"
import {
  checkTopicFilter,
  type FilterLevels,
  filterLevels,
  levelsCover,
  levelsOverlap,
  matches
} from "../../../core/mod.ts"
import { hasForm } from "../rewrite/rewrite-rule.ts"
import { type RuleKind, ruleName } from "../rules/RuleSet.ts"

const ACTIONS = ["publish", "subscribe", "all"] as const
const MATCHES = ["overlapping", "covered", "exact"] as const
const REASON_LENGTH_MAX = 256
/** Rules are asked in turn for each filter of a SUBSCRIBE. */
export const REFUSAL_RULES_MAX = 100

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
    v.check((filter) => !hasForm(filter), "expected a filter without $share/, $exclusive/ or $delayed/ in front"),
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
  schema,
  max: REFUSAL_RULES_MAX
}

/** As an entry of `[[plugin.options.topic_refusal]]`. */
export const topicRefusalOptions = schema

/** A rule that is ready to be asked. */
export class Refuser {
  readonly #rule: RefusalRule
  readonly #levels: FilterLevels

  constructor(rule: RefusalRule) {
    this.#rule = rule
    this.#levels = filterLevels(rule.topic)
  }

  /** Whether it refuses a PUBLISH on a topic name. */
  refusesPublish(name: string): boolean {
    const { action, topic } = this.#rule
    return action !== "subscribe" && matches(topic, name)
  }

  /** Whether it refuses a subscription to a topic filter, which is given in its levels, too. */
  refusesSubscribe(filter: string, levels: FilterLevels): boolean {
    const { action, topic, match } = this.#rule
    if (action === "publish") return false
    if (match === "exact") return topic === filter
    return match === "covered" ? levelsCover(this.#levels, levels) : levelsOverlap(this.#levels, levels)
  }
}
