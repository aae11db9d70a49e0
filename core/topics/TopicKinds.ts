/** What many topics have alike, once and by a number, as long as a topic has it. */
import { assert } from "../assert.ts"
import type { TopicInfo } from "./TopicInfo.ts"

/** All of a topic but its tenant and what is its own. */
export type TopicKind = Omit<TopicInfo, "tenant" | "name" | "id" | "logId" | "filter">

export interface TenantKind {
  readonly tenant: number
  readonly kind: TopicKind
}

interface Counted extends TenantKind {
  readonly text: string
  count: number
}

export class TopicKinds {
  readonly #numbers = new Map<string, number>()
  readonly #kinds: Array<Counted | undefined> = []
  readonly #free: Array<number> = []
  /** The last one that was taken, and the object that said so: who reads many topics has one object for those that are alike. */
  #last = 0
  #lastKind: TopicKind | undefined

  /** The number of a kind; given back by {@link TopicKinds.release}. */
  take(tenant: number, kind: TopicKind): number {
    const known = this.#kinds[this.#last]
    if (kind === this.#lastKind && known?.tenant === tenant) {
      known.count += 1
      return this.#last
    }
    const text = `${tenant} ${JSON.stringify(kind)}`
    const number = this.#numbers.get(text) ?? this.#add({ tenant, kind, text, count: 0 })
    this.of(number).count += 1
    this.#last = number
    this.#lastKind = kind
    return number
  }

  of(number: number): Counted {
    const kind = this.#kinds[number]
    assert(kind !== undefined, "a topic has a kind")
    return kind
  }

  release(number: number): void {
    const kind = this.of(number)
    kind.count -= 1
    if (kind.count > 0) return
    this.#numbers.delete(kind.text)
    this.#kinds[number] = undefined
    this.#free.push(number)
    if (number === this.#last) this.#lastKind = undefined
  }

  #add(kind: Counted): number {
    const number = this.#free.pop() ?? this.#kinds.length
    this.#kinds[number] = kind
    this.#numbers.set(kind.text, number)
    return number
  }
}
