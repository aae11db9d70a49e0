/**
 * Who is kept out, why and until when: the form of one entry of the blacklist, in the manifest and as a resource.
 *
 * Source: the fields and the six types of RobustMQ.
 */
import * as v from "valibot"
import { addressOf, networkOf } from "../../../core/mod.ts"
import { isExpression, loadExpressions, sizeFault } from "../rules/expressions.ts"
import { type RuleKind, ruleName } from "../rules/RuleSet.ts"

export const BAN_TYPES = ["client_id", "user", "ip", "client_id_match", "user_match", "ip_cidr"] as const
export type BanType = (typeof BAN_TYPES)[number]

/** Entries that administrators make, and, beside them, those of clients that were found flapping. */
export const BAN_RULES_MAX = 10_000
export const FLAPPING_RULES_MAX = 5_000
const FLAPPING_PREFIX = "flapping-"

/** The name of the entry of a client that was found flapping; `digest` stands for its identifier. */
export function flappingName(digest: string): string {
  return `${FLAPPING_PREFIX}${digest}`
}

/** Whether an entry is of a client that was found flapping. */
export function isFlapping({ name }: Pick<BanRule, "name">): boolean {
  return name.startsWith(FLAPPING_PREFIX)
}

/** Of each type that is asked entry by entry: expressions and networks. */
export const IN_TURN_MAX = 100
const IN_TURN: ReadonlyArray<BanType> = ["client_id_match", "user_match", "ip_cidr"]

/** That of the longest client identifier. */
const VALUE_LENGTH_MAX = 65_535
const REASON_LENGTH_MAX = 256

export interface BanRule {
  readonly name: string
  readonly blacklist_type: BanType
  readonly resource_name: string
  /** ISO 8601; "" = for good. */
  readonly end_time: string
  readonly desc: string
}

const schema = v.pipe(
  v.strictObject({
    name: ruleName,
    blacklist_type: v.pipe(v.picklist(BAN_TYPES), v.description("what the entry names")),
    resource_name: v.pipe(
      v.string(),
      v.minLength(1),
      v.maxLength(VALUE_LENGTH_MAX),
      v.description("name, address, expression (RE2) found in a name, or network as 10.1.0.0/16: what the type says")
    ),
    end_time: v.pipe(
      v.optional(v.string(), ""),
      v.check((text) => text === "" || v.is(TIME, text), "expected a time as 2027-01-31T12:00:00Z, or nothing"),
      v.description("until when, ISO 8601; empty = for good")
    ),
    desc: v.pipe(v.optional(v.pipe(v.string(), v.maxLength(REASON_LENGTH_MAX)), ""), v.description("for what reason"))
  }),
  v.check(isFit, ({ input }) => faultOf(input as BanRule))
)

const TIME = v.pipe(
  v.string(),
  v.isoTimestamp(),
  v.check((text) => {
    const [year = 0, month = 0, day = 0] = text.slice(0, 10).split("-").map(Number)
    // A day that the month does not have is taken for one of the next.
    return !Number.isNaN(Date.parse(text)) && new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day
  })
)

const FORMS: Readonly<Record<BanType, string>> = {
  client_id: "expected a client identifier",
  user: "expected a user name",
  ip: "expected an IPv4 or IPv6 address",
  client_id_match: "expected a regular expression in the syntax of RE2",
  user_match: "expected a regular expression in the syntax of RE2",
  ip_cidr: "expected a network as 10.1.0.0/16 or 2001:db8::/32"
}

function faultOf({ blacklist_type: type, resource_name: value }: BanRule): string {
  const isTooLarge = isExpressionType(type) ? sizeFault(value) : undefined
  return isTooLarge ?? FORMS[type]
}

function isExpressionType(type: BanType): boolean {
  return type === "client_id_match" || type === "user_match"
}

function isFit({ blacklist_type: type, resource_name: value }: BanRule): boolean {
  if (type === "ip") return addressOf(value) !== ""
  if (type === "ip_cidr") return networkOf(value) !== undefined
  return !isExpressionType(type) || isExpression(value)
}

/** Whether there are no more entries of any type than can be asked in turn. */
export function areFewInTurn(rules: ReadonlyArray<BanRule>): boolean {
  return IN_TURN.every((type) => rules.filter((rule) => rule.blacklist_type === type).length <= IN_TURN_MAX)
}

/** When it ends, ms since 1970; Infinity = never. */
export function endOf({ end_time }: BanRule): number {
  return end_time === "" ? Number.POSITIVE_INFINITY : Date.parse(end_time)
}

export const banRules: RuleKind<BanRule> = {
  resource: "blacklist",
  description: "Clients, users and addresses that are kept out",
  schema,
  prepare: loadExpressions,
  max: BAN_RULES_MAX + FLAPPING_RULES_MAX
}

/** As an entry of `[[plugin.options.blacklist]]`. */
export const blacklistOptions = schema
