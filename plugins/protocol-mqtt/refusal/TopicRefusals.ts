/**
 * Topics that are refused to everybody, whoever it is and by whatever way a message comes: PUBLISH, will, delayed message.
 *
 * Invariant: where there are no rules a message costs one look at a flag.
 */
import { filterLevels } from "../../../core/mod.ts"
import { RememberedNames } from "../rules/RememberedNames.ts"
import { RuleSet } from "../rules/RuleSet.ts"
import { type RefusalRule, Refuser, refusalRules } from "./refusal-rule.ts"

export class TopicRefusals {
  readonly rules: RuleSet<RefusalRule>
  /** Whether any topic name may be refused. */
  hasPublishRules = false
  #hasSubscribeRules = false
  #refusers: ReadonlyArray<Refuser> = []
  readonly #remembered = new RememberedNames<boolean>()
  readonly #isRefused = (name: string): boolean => this.#refusers.some((each) => each.refusesPublish(name))

  constructor(declared: ReadonlyArray<RefusalRule>) {
    this.rules = new RuleSet(refusalRules, declared)
    this.rules.onChange = () => this.#changed()
    this.#changed()
  }

  /** Whether nobody may publish on a topic name. */
  isPublishRefused(name: string): boolean {
    return this.hasPublishRules && this.#remembered.of(name, this.#isRefused)
  }

  /** Whether nobody may subscribe to a topic filter, which has no prefix any more. */
  isSubscribeRefused(filter: string): boolean {
    if (!this.#hasSubscribeRules) return false
    const levels = filterLevels(filter)
    return this.#refusers.some((each) => each.refusesSubscribe(filter, levels))
  }

  #changed(): void {
    this.#remembered.clear()
    const { rules } = this.rules
    this.#refusers = rules.map((rule) => new Refuser(rule))
    this.hasPublishRules = rules.some(({ action }) => action !== "subscribe")
    this.#hasSubscribeRules = rules.some(({ action }) => action !== "publish")
  }
}
