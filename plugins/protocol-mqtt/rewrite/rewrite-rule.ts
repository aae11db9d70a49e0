/**
 * A rule by which a topic name or filter becomes another one: its form, in the manifest and as a resource, and what it does.
 *
 * Its expression is judged when what reads expressions is loaded ({@link loadExpressions}): before a manifest is judged, before a rule is
 * made, and before one holds.
 * Source: the fields and actions of EMQX and RobustMQ; https://github.com/google/re2/wiki/Syntax.
 */
import * as v from "valibot"
import { checkTopicFilter, checkTopicName, filterCovers, matches, type Principal } from "../../../core/mod.ts"
import {
  type Expression,
  expressionSize,
  groupCountOf,
  isExpression,
  loadExpressions,
  sizeFault
} from "../rules/expressions.ts"
import { placeholderValue, unknownPlaceholder, withoutPlaceholders } from "../rules/placeholders.ts"
import { type RuleKind, ruleName } from "../rules/RuleSet.ts"

export const ACTIONS = ["publish", "subscribe", "all"] as const
/** Rules are asked in turn. */
export const REWRITE_RULES_MAX = 100
/** Instructions of all expressions together: they are all asked for a topic that none of them is found in. */
const PROGRAM_SIZES_MAX = 5_000
export const TOO_LARGE = `expected expressions of at most ${PROGRAM_SIZES_MAX} instructions, all rules together`
const DESTINATION_LENGTH_MAX = 1_024
/** `$0` (all that was found) to `$9`, or a placeholder. */
const REFERENCE = /\$(\d)|\$\{([^}]*)\}/g
/** What no rule may put in front of a topic name or filter: forms that only a client may choose. */
const FORMS = ["$share/", "$exclusive/", "$delayed/", "$replay/"]

export interface RewriteRule {
  readonly name: string
  readonly action: (typeof ACTIONS)[number]
  readonly source_topic: string
  readonly regex: string
  readonly dest_topic: string
}

const schema = v.pipe(
  v.strictObject({
    name: ruleName,
    action: v.pipe(v.optional(v.picklist(ACTIONS), "all"), v.description("what it holds for")),
    source_topic: v.pipe(
      v.string(),
      v.check((filter) => checkTopicFilter(filter) === 0, "expected a topic filter"),
      v.check(
        (filter) => !hasForm(filter),
        "expected a filter without $share/, $exclusive/, $replay/ or $delayed/ in front"
      ),
      v.description("topic filter that names must match, and filters lie within, to be looked at")
    ),
    regex: v.pipe(
      v.string(),
      v.check(isExpression, ({ input }) => sizeFault(input) ?? "expected a regular expression in the syntax of RE2"),
      v.description("expression that is found in them, RE2 syntax; ^ and $ bind it to the ends")
    ),
    dest_topic: v.pipe(
      v.string(),
      v.minLength(1),
      v.maxLength(DESTINATION_LENGTH_MAX),
      v.check(
        (topic) => unknownPlaceholder(topic) === undefined,
        "known placeholders: \u0024{clientid}, \u0024{username}, \u0024{host}"
      ),
      v.check((topic) => checkTopicFilter(example(topic)) === 0, "expected what a topic may look like"),
      v.check(
        (topic) => !hasForm(topic),
        "expected none of $share/, $exclusive/, $replay/ and $delayed/ at the beginning"
      ),
      v.description(
        "what they become; $1 to $9 stand for groups, \u0024{clientid}, \u0024{username}, \u0024{host} for the client's"
      )
    )
  }),
  v.check(
    ({ regex, dest_topic }) => highestGroup(dest_topic) <= (groupCountOf(regex) ?? 9),
    "expected no group that the expression does not have"
  ),
  v.check(
    ({ action, dest_topic }) =>
      action === "subscribe" || (checkTopicName(example(dest_topic)) === 0 && !dest_topic.startsWith("$SYS/")),
    'expected a topic name that may be published on, without wildcards; action = "subscribe" is for filters'
  )
)

export const rewriteRules: RuleKind<RewriteRule> = {
  resource: "topic-rewrite",
  description: "Rules by which topic names and filters become others",
  schema,
  prepare: loadExpressions,
  max: REWRITE_RULES_MAX,
  refusalOf: (rule, others) => (areSmall([...others, rule]) ? undefined : TOO_LARGE)
}

/** Whether the expressions of all rules together are small enough to be asked for each topic. */
export function areSmall(rules: Iterable<RewriteRule>): boolean {
  let size = 0
  for (const { regex } of rules) size += expressionSize(regex)
  return size <= PROGRAM_SIZES_MAX
}

/** As an entry of `[[plugin.options.topic_rewrite]]`. */
export const topicRewriteOptions = schema

/** A destination with a word in the place of every reference. */
function example(topic: string): string {
  return withoutPlaceholders(topic).replaceAll(REFERENCE, "x")
}

function highestGroup(topic: string): number {
  return Math.max(0, ...[...topic.matchAll(REFERENCE)].map(([, group = "0"]) => Number(group)))
}

/** Whether a topic begins with a form that only a client may choose. */
export function hasForm(topic: string): boolean {
  return FORMS.some((form) => topic.startsWith(form))
}

/** What a rule makes of one name or filter, for whichever client. */
export interface Made {
  /** The name of the rule. */
  readonly rule: string
  /** What stands for the client goes in between. */
  readonly parts: ReadonlyArray<string | { readonly placeholder: string }>
}

/** A rule that is ready to be used. */
export class Rewriter {
  readonly rule: RewriteRule
  readonly #expression: Expression

  constructor(rule: RewriteRule, expression: Expression) {
    this.rule = rule
    this.#expression = expression
  }

  holdsFor(action: "publish" | "subscribe"): boolean {
    return this.rule.action === action || this.rule.action === "all"
  }

  /** Whether a name matches the rule's filter, or a filter lies within it: all that it stands for would be looked at. */
  looksAt(topic: string, isFilter: boolean): boolean {
    return isFilter ? filterCovers(this.rule.source_topic, topic) : matches(this.rule.source_topic, topic)
  }

  /** What becomes of a topic that it looks at; undefined where its expression is not found. */
  made(topic: string): Made | undefined {
    const matcher = this.#expression.matcher(topic)
    if (!matcher.find()) return undefined
    const { name: rule, dest_topic: destination } = this.rule
    const parts: Array<Made["parts"][number]> = []
    let text = ""
    let from = 0
    for (const reference of destination.matchAll(REFERENCE)) {
      text += destination.slice(from, reference.index)
      from = reference.index + reference[0].length
      const [, group, placeholder] = reference
      if (group !== undefined) text += matcher.group(Number(group)) ?? ""
      else if (placeholder !== undefined) {
        if (text !== "") parts.push(text)
        parts.push({ placeholder })
        text = ""
      }
    }
    text += destination.slice(from)
    if (text !== "") parts.push(text)
    return { rule, parts }
  }
}

/** The topic that was made, for one client; "" where what the client is called does not fit, or nothing is left. */
export function topicOf({ parts }: Made, principal: Principal): string {
  let topic = ""
  for (const part of parts) {
    if (typeof part === "string") {
      topic += part
      continue
    }
    const value = placeholderValue(part.placeholder, principal, topic === "")
    if (value === undefined) return ""
    topic += value
  }
  return topic
}
