/**
 * Topic rewriting: what clients call a topic, and what it is called here.
 *
 * Invariants
 *  - The first rule, in the order of names, whose filter and expression match decides; what it makes is not looked at again, so that no
 *    rules can go round in a circle.
 *  - Where there are no rules a message costs one look at a number.
 */
import * as v from "valibot"
import type { Principal } from "../../../core/mod.ts"
import { areExpressionsLoaded, expressionOf, loadExpressions } from "../rules/expressions.ts"
import { RememberedNames } from "../rules/RememberedNames.ts"
import { RuleSet } from "../rules/RuleSet.ts"
import { type RewriteRule, Rewriter, rewriteRules } from "./rewrite-rule.ts"

/** A rule's work. */
export interface Rewritten {
  readonly topic: string
  /** The name of the rule. */
  readonly rule: string
}

type Action = "publish" | "subscribe"

export class TopicRewrite {
  readonly rules: RuleSet<RewriteRule>
  #publish: ReadonlyArray<Rewriter> = []
  #subscribe: ReadonlyArray<Rewriter> = []
  /** What names became, "" = they stay; only where that is the same for every client. */
  readonly #remembered = new RememberedNames<string>()
  #isPersonal = false

  constructor(declared: ReadonlyArray<RewriteRule>) {
    this.rules = new RuleSet(rewriteRules, declared)
    this.rules.onChange = () => this.#changed()
    this.#changed()
  }

  get hasPublishRules(): boolean {
    return this.#publish.length > 0
  }

  get hasSubscribeRules(): boolean {
    return this.#subscribe.length > 0
  }

  /** The topic name to publish on in the place of this one; undefined = it stays. */
  published(name: string, principal: Principal): string | undefined {
    if (this.#publish.length === 0) return undefined
    if (this.#isPersonal) return this.rewritten("publish", name, principal)?.topic
    const made = this.#remembered.of(name, () => this.rewritten("publish", name, principal)?.topic ?? "")
    return made === "" ? undefined : made
  }

  /** The filter to subscribe to in the place of this one, which may begin with `$share/name/` or `$exclusive/`. */
  subscribed(filter: string, principal: Principal): string {
    const prefix = /^(?:\$exclusive\/)?(?:\$share\/[^/]*\/)?/.exec(filter)?.[0] ?? ""
    const made = this.rewritten("subscribe", filter.slice(prefix.length), principal)
    return made === undefined ? filter : `${prefix}${made.topic}`
  }

  /** What becomes of a name or filter, and by which rule. */
  rewritten(action: Action, topic: string, principal: Principal): Rewritten | undefined {
    for (const rewriter of action === "publish" ? this.#publish : this.#subscribe) {
      const made = rewriter.rewrite(topic, principal)
      if (made !== undefined) return { topic: made, rule: rewriter.rule.name }
    }
    return undefined
  }

  /** Settled when all rules that are known hold. Rejects with the first one of the manifest that is none. */
  async ready(): Promise<void> {
    if (this.rules.rules.length === 0) return
    await loadExpressions()
    for (const rule of this.rules.declared) {
      const { issues } = v.safeParse(rewriteRules.schema, rule)
      if (issues !== undefined) throw new Error(`topic_rewrite ${JSON.stringify(rule.name)}: ${issues[0].message}`)
    }
    this.#changed()
  }

  #changed(): void {
    const { rules } = this.rules
    if (rules.length > 0 && !areExpressionsLoaded()) {
      // One that an administrator made holds a moment later; those that are there at the start are waited for.
      loadExpressions().then(
        () => this.#changed(),
        () => {}
      )
      return
    }
    const all = rules.flatMap((rule) => {
      const expression = expressionOf(rule.regex)
      return expression === undefined ? [] : [new Rewriter(rule, expression)]
    })
    this.#publish = all.filter((each) => each.holdsFor("publish"))
    this.#subscribe = all.filter((each) => each.holdsFor("subscribe"))
    this.#isPersonal = this.#publish.some(({ isPersonal }) => isPersonal)
    this.#remembered.clear()
  }
}
