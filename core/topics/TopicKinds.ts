/** What many topics have alike, once and by a number, as long as a topic has it. */
import { assert } from "../assert.ts"
import type { TopicInfo } from "./TopicInfo.ts"

/** What topics have alone, beside their ids and names: one that has any of it is an object. */
export type OwnOfTopic = Pick<TopicInfo, "logId" | "filter" | "boundFrom" | "formerly">

/** All of a topic but its tenant and what is its own. */
export type TopicKind = Omit<TopicInfo, "tenant" | "name" | "id" | keyof OwnOfTopic>

/** Whether nothing of it is a topic's own. */
export function isPlain({ logId, filter, boundFrom, formerly }: OwnOfTopic): boolean {
  return logId === undefined && filter === undefined && boundFrom === undefined && formerly === undefined
}

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
  /** By the object that said so first: who reads many topics has one object for those that are alike. */
  readonly #byObject = new Map<TopicKind, number>()

  /** The number of a kind; given back by {@link TopicKinds.release}. */
  take(tenant: number, kind: TopicKind): number {
    const known = this.#byObject.get(kind)
    if (known !== undefined && this.of(known).tenant === tenant) {
      this.of(known).count += 1
      return known
    }
    const text = `${tenant} ${JSON.stringify(kind)}`
    const number = this.#numbers.get(text) ?? this.#add({ tenant, kind, text, count: 0 })
    this.of(number).count += 1
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
    if (this.#byObject.get(kind.kind) === number) this.#byObject.delete(kind.kind)
  }

  #add(kind: Counted): number {
    const number = this.#free.pop() ?? this.#kinds.length
    this.#kinds[number] = kind
    this.#numbers.set(kind.text, number)
    this.#byObject.set(kind.kind, number)
    return number
  }
}
