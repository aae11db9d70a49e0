/**
 * Who is kept out: looked up at every CONNECT before anything else is done for it, and for the connections that are there when an entry
 * is added.
 *
 * Invariants
 *  - An entry holds from the moment it is known until its end, whether or not it has been taken off the list by then.
 *  - Names and addresses are found in one step however many there are; expressions and networks are asked in turn, so there are no more
 *    than {@link IN_TURN_MAX} of each type.
 */
import { addressOf, isInNetwork, type Network, networkOf } from "../../../core/mod.ts"
import { areExpressionsLoaded, type Expression, expressionOf, loadExpressions } from "../rules/expressions.ts"
import { RuleSet } from "../rules/RuleSet.ts"
import { BAN_RULES_MAX, type BanRule, type BanType, banRules, endOf, IN_TURN_MAX, isFlapping } from "./ban-rule.ts"

/** Longest name, in characters, that expressions are looked for in. */
const NAME_LENGTH_MAX = 512

/** An entry that is asked, with its end, ms since 1970. */
interface Asked<Matcher> {
  readonly matcher: Matcher
  readonly endMs: number
}

/** By the names of their rules. */
type InTurn<Matcher> = Map<string, Asked<Matcher>>
/** Ends by the names of their rules, by what is banned. */
type Exact = Map<string, Map<string, number>>

export class Blacklist {
  readonly rules: RuleSet<BanRule>
  /** Called when more are kept out than before. */
  onAdded: (rules: ReadonlyArray<BanRule>) => void = () => {}
  /** CONNECTs that were refused. */
  refused = 0
  /** Connections that were ended. */
  ended = 0
  /** Entries of clients that were found flapping, and of all others. */
  flappingCount = 0
  #otherCount = 0
  /** Of those that were made, the revision of each. */
  readonly #revisions = new Map<string, number>()
  readonly #clients: Exact = new Map()
  readonly #users: Exact = new Map()
  readonly #addresses: Exact = new Map()
  readonly #clientExpressions: InTurn<Expression> = new Map()
  readonly #userExpressions: InTurn<Expression> = new Map()
  readonly #networks: InTurn<Network> = new Map()
  /** Entries with expressions that came before what reads them was loaded. */
  #unread: Array<BanRule> = []

  constructor(declared: ReadonlyArray<BanRule>) {
    this.rules = new RuleSet({ ...banRules, refusalOf: (rule) => this.#refusalOf(rule) }, declared)
    for (const rule of declared) this.changed(undefined, rule)
  }

  /** Whether a client is to be kept out; `nowMs` is the wall clock. */
  isBanned(clientIdentifier: string, user: string, peerAddress: string, nowMs: number): boolean {
    if (this.flappingCount + this.#otherCount === 0) return false
    if (holdsFor(this.#clients, clientIdentifier, nowMs) || holdsFor(this.#users, user, nowMs)) return true
    // Who has none yet gets one of ours.
    if (clientIdentifier !== "" && isFound(this.#clientExpressions, clientIdentifier, nowMs)) return true
    if (user !== "" && isFound(this.#userExpressions, user, nowMs)) return true
    if (this.#addresses.size + this.#networks.size === 0) return false
    const address = addressOf(peerAddress)
    if (holdsFor(this.#addresses, address, nowMs)) return true
    for (const { matcher, endMs } of this.#networks.values()) {
      if (endMs > nowMs && isInNetwork(matcher, address)) return true
    }
    return false
  }

  /** One rule is another. */
  changed(before: BanRule | undefined, after: BanRule | undefined, revision = 0): void {
    if (before !== undefined) {
      this.#tally(before, -1)
      this.#revisions.delete(before.name)
      this.#remove(before)
    }
    if (after === undefined) return
    this.#tally(after, 1)
    if (revision > 0) this.#revisions.set(after.name, revision)
    this.#add(after)
    this.onAdded([after])
  }

  #tally(rule: BanRule, change: number): void {
    if (isFlapping(rule)) this.flappingCount += change
    else this.#otherCount += change
  }

  /** Why one more rule cannot be made; undefined = it can. */
  #refusalOf(rule: BanRule): string | undefined {
    const type = rule.blacklist_type
    if (!isFlapping(rule) && this.#otherCount >= BAN_RULES_MAX) {
      return `there are ${BAN_RULES_MAX} entries: no more can be made`
    }
    const inTurn = this.#inTurn(type)
    return inTurn !== undefined && inTurn.size >= IN_TURN_MAX
      ? `there are ${IN_TURN_MAX} entries of the type ${type}: no more can be made`
      : undefined
  }

  /** Rules that were made and have ended, with their revisions, at most `max`. */
  endedBy(nowMs: number, max: number): ReadonlyArray<readonly [name: string, revision: number]> {
    const ended: Array<readonly [string, number]> = []
    for (const rule of this.rules.unsorted) {
      if (ended.length === max) break
      const revision = this.#revisions.get(rule.name)
      if (revision !== undefined && endOf(rule) <= nowMs) ended.push([rule.name, revision])
    }
    return ended
  }

  /** Settled when all rules that are known hold. Rejects with the first one of the manifest that is none. */
  async ready(): Promise<void> {
    if (this.#unread.length === 0) return
    await loadExpressions()
    this.rules.checkDeclared()
    this.#readAll()
  }

  #readAll(): void {
    const unread = this.#unread
    this.#unread = []
    for (const rule of unread) this.#add(rule)
    this.onAdded(unread)
  }

  #add(rule: BanRule): void {
    const { name, blacklist_type: type, resource_name: value } = rule
    const endMs = endOf(rule)
    const exact = this.#exact(type)
    if (exact !== undefined) {
      const key = type === "ip" ? addressOf(value) : value
      const ends = exact.get(key) ?? new Map<string, number>()
      exact.set(key, ends.set(name, endMs))
      return
    }
    if (type === "ip_cidr") {
      const matcher = networkOf(value)
      if (matcher !== undefined) this.#networks.set(name, { matcher, endMs })
      return
    }
    if (!areExpressionsLoaded()) {
      // One that an administrator made holds a moment later; those that are there at the start are waited for.
      if (this.#unread.length === 0) {
        loadExpressions().then(
          () => this.#readAll(),
          () => {}
        )
      }
      this.#unread.push(rule)
      return
    }
    const matcher = expressionOf(value)
    if (matcher !== undefined) this.#expressions(type === "user_match").set(name, { matcher, endMs })
  }

  #remove({ name, blacklist_type: type, resource_name: value }: BanRule): void {
    const exact = this.#exact(type)
    if (exact === undefined) {
      this.#inTurn(type)?.delete(name)
      this.#unread = this.#unread.filter((rule) => rule.name !== name)
      return
    }
    const key = type === "ip" ? addressOf(value) : value
    const ends = exact.get(key)
    ends?.delete(name)
    if (ends?.size === 0) exact.delete(key)
  }

  #exact(type: BanType): Exact | undefined {
    if (type === "client_id") return this.#clients
    if (type === "user") return this.#users
    return type === "ip" ? this.#addresses : undefined
  }

  #expressions(isOfUser: boolean): InTurn<Expression> {
    return isOfUser ? this.#userExpressions : this.#clientExpressions
  }

  #inTurn(type: BanType): InTurn<unknown> | undefined {
    if (type === "ip_cidr") return this.#networks
    return type === "client_id_match" || type === "user_match" ? this.#expressions(type === "user_match") : undefined
  }
}

function holdsFor(exact: Exact, value: string, nowMs: number): boolean {
  const ends = value === "" ? undefined : exact.get(value)
  if (ends === undefined) return false
  for (const endMs of ends.values()) if (endMs > nowMs) return true
  return false
}

function isFound(expressions: InTurn<Expression>, value: string, nowMs: number): boolean {
  for (const { matcher, endMs } of expressions.values()) {
    if (endMs <= nowMs) continue
    // What takes too long to be looked at is not let past.
    if (value.length > NAME_LENGTH_MAX || matcher.matcher(value).find()) return true
  }
  return false
}
