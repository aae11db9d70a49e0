/**
 * Topic rewriting: what clients call a topic, and what it is called here.
 *
 * Invariants
 *  - The first rule, in the order of names, whose filter and expression match decides; what it makes is not looked at again, so that no
 *    rules can go round in a circle.
 *  - Where a rule decides and what it makes is nothing that a client may have asked for, the answer is no: it is never as if there were no
 *    rule, whatever the client is called.
 *  - Where there are no rules a message costs one look at a number.
 */
import { checkTopicFilter, type Principal } from "../../../core/mod.ts"
import { areExpressionsLoaded, expressionOf, loadExpressions } from "../rules/expressions.ts"
import { RememberedNames } from "../rules/RememberedNames.ts"
import { RuleSet } from "../rules/RuleSet.ts"
import { hasForm, type Made, type RewriteRule, Rewriter, rewriteRules, topicOf } from "./rewrite-rule.ts"

/** Longer topics, in characters, are refused where a rule would have to look at them: that would take too long. */
export const LOOKED_AT_LENGTH_MAX = 512
/** Instead of a topic: a rule says no. */
export const NOT_ALLOWED = ""
const FILTER_PREFIX = /^(?:\$exclusive\/)?(?:\$share\/[^/]*\/)?/

type Action = "publish" | "subscribe"

/** What becomes of a name or filter, and by which rule. */
export interface Rewritten {
  /** {@link NOT_ALLOWED} where the rule says no. */
  readonly topic: string
  readonly rule: string
}

export class TopicRewrite {
  readonly rules: RuleSet<RewriteRule>
  /** Topics that became others, and those that rules said no to. */
  rewrittenCount = 0
  refusedCount = 0
  #publish: ReadonlyArray<Rewriter> = []
  #subscribe: ReadonlyArray<Rewriter> = []
  /** By the names of their rules. */
  readonly #rewriters = new Map<string, Rewriter>()
  /** What is made of names, for whichever client; null = they stay. */
  readonly #remembered = new RememberedNames<Made | null>()
  #isLoading = false

  constructor(declared: ReadonlyArray<RewriteRule>) {
    this.rules = new RuleSet(rewriteRules, declared)
    this.rules.onChange = ({ name }) => {
      this.#rewriters.delete(name)
      this.#changed()
    }
    this.#changed()
  }

  get hasPublishRules(): boolean {
    return this.#publish.length > 0
  }

  get hasSubscribeRules(): boolean {
    return this.#subscribe.length > 0
  }

  /** The topic name to publish on in the place of this one, which may be the same; or {@link NOT_ALLOWED}. */
  published(name: string, principal: Principal): string {
    if (this.#publish.length === 0) return name
    const made = this.#remembered.of(name, this.#madeOfName)
    return made === null ? name : this.#count(topicToPublish(made, principal))
  }

  /** The same for the filter of a subscription, which may begin with `$share/name/` or `$exclusive/`. */
  subscribed(filter: string, principal: Principal): string {
    if (this.#subscribe.length === 0) return filter
    const made = this.#lookUp("subscribe", filter.slice(prefixOf(filter).length))
    return made === null ? filter : this.#count(filterToHave(made, principal, filter))
  }

  /** What would become of a name or filter; undefined where it stays. */
  rewritten(action: Action, topic: string, principal: Principal): Rewritten | undefined {
    const isFilter = action === "subscribe"
    const made = this.#lookUp(action, isFilter ? topic.slice(prefixOf(topic).length) : topic)
    if (made === null) return undefined
    return { topic: isFilter ? filterToHave(made, principal, topic) : topicToPublish(made, principal), rule: made.rule }
  }

  readonly #madeOfName = (name: string): Made | null => this.#lookUp("publish", name)

  #lookUp(action: Action, topic: string): Made | null {
    const isFilter = action === "subscribe"
    for (const rewriter of isFilter ? this.#subscribe : this.#publish) {
      if (!rewriter.looksAt(topic, isFilter)) continue
      if (topic.length > LOOKED_AT_LENGTH_MAX) return { rule: rewriter.rule.name, parts: [] }
      const made = rewriter.made(topic)
      if (made !== undefined) return made
    }
    return null
  }

  #count(topic: string): string {
    if (topic === NOT_ALLOWED) this.refusedCount += 1
    else this.rewrittenCount += 1
    return topic
  }

  /** Settled when all rules that are known hold. Rejects with the first one of the manifest that is none. */
  async ready(): Promise<void> {
    if (this.rules.count === 0) return
    await loadExpressions()
    this.rules.checkDeclared()
    this.#changed()
  }

  #changed(): void {
    this.#remembered.clear()
    if (this.rules.count > 0 && !areExpressionsLoaded()) {
      // One that an administrator made holds a moment later; those that are there at the start are waited for.
      if (!this.#isLoading) {
        loadExpressions().then(
          () => this.#changed(),
          () => {
            this.#isLoading = false
          }
        )
      }
      this.#isLoading = true
      return
    }
    const all = this.rules.rules.flatMap((rule) => this.#rewriterOf(rule) ?? [])
    this.#publish = all.filter((each) => each.holdsFor("publish"))
    this.#subscribe = all.filter((each) => each.holdsFor("subscribe"))
  }

  /** Made once for each rule. */
  #rewriterOf(rule: RewriteRule): Rewriter | undefined {
    const known = this.#rewriters.get(rule.name)
    if (known !== undefined) return known
    const expression = expressionOf(rule.regex)
    if (expression === undefined) return undefined
    const made = new Rewriter(rule, expression)
    this.#rewriters.set(rule.name, made)
    return made
  }
}

function prefixOf(filter: string): string {
  return FILTER_PREFIX.exec(filter)?.[0] ?? ""
}

function topicToPublish(made: Made, principal: Principal): string {
  const topic = topicOf(made, principal)
  return hasForm(topic) ? NOT_ALLOWED : topic
}

function filterToHave(made: Made, principal: Principal, asked: string): string {
  const topic = topicOf(made, principal)
  return hasForm(topic) || checkTopicFilter(topic) !== 0 ? NOT_ALLOWED : `${prefixOf(asked)}${topic}`
}
