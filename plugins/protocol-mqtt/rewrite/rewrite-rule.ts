/**
 * A rule by which a topic name or filter becomes another one: its form, in the manifest and as a resource, and what it does.
 *
 * Its expression is judged when what reads expressions is loaded ({@link loadExpressions}): before a rule is made, and before one of the
 * manifest holds.
 * Source: the fields and actions of EMQX and RobustMQ; https://github.com/google/re2/wiki/Syntax.
 */
import * as v from "valibot"
import { checkTopicFilter, matches, type Principal } from "../../../core/mod.ts"
import { areExpressionsLoaded, type Expression, expressionOf, loadExpressions } from "../rules/expressions.ts"
import { placeholderValue, unknownPlaceholder } from "../rules/placeholders.ts"
import { type RuleKind, ruleName } from "../rules/RuleSet.ts"

export const ACTIONS = ["publish", "subscribe", "all"] as const
const EXPRESSION_LENGTH_MAX = 1_024
/** `$1` to `$9`, or a placeholder. */
const REFERENCE = /\$(\d)|\$\{([^}]*)\}/g

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
      v.description("topic filter that names and filters must match to be looked at")
    ),
    regex: v.pipe(
      v.string(),
      v.maxLength(EXPRESSION_LENGTH_MAX),
      v.check(isExpression, "expected a regular expression in the syntax of RE2"),
      v.description("expression that is found in them, RE2 syntax; ^ and $ bind it to the ends")
    ),
    dest_topic: v.pipe(
      v.string(),
      v.minLength(1),
      v.check(
        (topic) => unknownPlaceholder(topic) === undefined,
        "known placeholders: \u0024{clientid}, \u0024{username}, \u0024{host}"
      ),
      v.description(
        "what they become; $1 to $9 stand for groups, \u0024{clientid}, \u0024{username}, \u0024{host} for the client's"
      )
    )
  }),
  v.check(
    ({ regex, dest_topic }) => highestGroup(dest_topic) <= (expressionOf(regex)?.groupCount() ?? 9),
    "expected no group that the expression does not have"
  )
)

export const rewriteRules: RuleKind<RewriteRule> = {
  resource: "topic-rewrite",
  description: "Rules by which topic names and filters become others",
  schema,
  prepare: loadExpressions
}

/** As an entry of `[[plugin.options.topic_rewrite]]`. */
export const topicRewriteOptions = schema

function isExpression(text: string): boolean {
  return !areExpressionsLoaded() || expressionOf(text) !== undefined
}

function highestGroup(topic: string): number {
  return Math.max(0, ...[...topic.matchAll(REFERENCE)].map(([, group = "0"]) => Number(group)))
}

/** A rule that is ready to be used. */
export class Rewriter {
  readonly rule: RewriteRule
  /** Whether what it makes depends on who asks. */
  readonly isPersonal: boolean
  readonly #expression: Expression

  constructor(rule: RewriteRule, expression: Expression) {
    this.rule = rule
    this.isPersonal = [...rule.dest_topic.matchAll(REFERENCE)].some(([, , name]) => name !== undefined)
    this.#expression = expression
  }

  holdsFor(action: "publish" | "subscribe"): boolean {
    return this.rule.action === action || this.rule.action === "all"
  }

  /** What a name or filter becomes; undefined where the rule does not hold for it, or not for this client. */
  rewrite(topic: string, principal: Principal): string | undefined {
    if (!matches(this.rule.source_topic, topic)) return undefined
    const matcher = this.#expression.matcher(topic)
    if (!matcher.find()) return undefined
    let isFit = true
    const made = this.rule.dest_topic.replaceAll(REFERENCE, (_whole, group?: string, name?: string) => {
      if (group !== undefined) return matcher.group(Number(group)) ?? ""
      const value = placeholderValue(name ?? "", principal)
      if (value === undefined) isFit = false
      return value ?? ""
    })
    return isFit ? made : undefined
  }
}
