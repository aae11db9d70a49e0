/**
 * What a reader of a queue log wants, made ready to be asked once a message: no array, no string is made for an answer.
 *
 * Source: MQTT 5.0, section 4.7.
 */
import type { Message } from "../ingress/Message.ts"
import { FilterIndex } from "../router/FilterIndex.ts"
import { hasWildcard } from "../router/topic-filter.ts"
import type { QueueSelection } from "./QueueLogs.ts"

/** More filters with a wildcard than this are put in an index instead of being tried one after another. */
const TRIED_MAX = 8
const SLASH = 0x2f
const PLUS = 0x2b
const HASH = 0x23
const DOLLAR = 0x24

const known = new WeakMap<QueueSelection, QueueMatcher>()

/** The matcher of a selection, made once for each; `seed` as {@link QueueMatcher.constructor} has it. */
export function matcherOf(selection: QueueSelection, seed: number): QueueMatcher {
  let matcher = known.get(selection)
  if (matcher === undefined) {
    matcher = new QueueMatcher(selection, seed)
    known.set(selection, matcher)
  }
  return matcher
}

export class QueueMatcher {
  readonly tenant: number
  /** Filters without a wildcard, each once. */
  readonly names: ReadonlyArray<string>
  /** No filter has a wildcard. */
  readonly isNamesOnly: boolean
  readonly #isAll: boolean
  readonly #names: ReadonlySet<string>
  readonly #tried: ReadonlyArray<string>
  readonly #index: FilterIndex<object> | undefined
  readonly #matched: Array<object> = []

  /** Clients choose the filters: give the seed from a source of chance. */
  constructor({ tenant, filters }: QueueSelection, seed: number) {
    this.tenant = tenant
    this.#names = new Set(filters.filter((filter) => !hasWildcard(filter)))
    this.names = [...this.#names]
    const wild = filters.filter(hasWildcard)
    this.#isAll = filters.length === 0
    this.isNamesOnly = wild.length === 0 && !this.#isAll
    this.#tried = wild.length <= TRIED_MAX ? wild : []
    if (wild.length > TRIED_MAX) {
      this.#index = new FilterIndex(seed)
      for (const filter of wild) this.#index.add(filter, this.#names)
    }
  }

  /** Whether the message is of the tenant and matches a filter. */
  matches(message: Message): boolean {
    if (message.tenant !== this.tenant) return false
    if (this.#isAll) return true
    const { name } = message
    if (this.#names.size > 0 && this.#names.has(name)) return true
    const tried = this.#tried
    for (let index = 0; index < tried.length; index++) if (matchesByWalk(tried[index] ?? "", name)) return true
    if (this.#index === undefined) return false
    this.#matched.length = 0
    return this.#index.matchInto(name, this.#matched) > 0
  }
}

/** Whether a valid filter matches a valid name, in one walk over both. */
export function matchesByWalk(filter: string, name: string): boolean {
  let at = 0
  let position = 0
  for (;;) {
    const unit = filter.charCodeAt(at)
    const isWild = unit === PLUS || unit === HASH
    if (isWild && position === 0 && at === 0 && name.charCodeAt(0) === DOLLAR) return false
    if (unit === HASH) return true
    if (unit === PLUS) {
      at += 1
      while (position < name.length && name.charCodeAt(position) !== SLASH) position += 1
    } else {
      while (at < filter.length && position < name.length && filter.charCodeAt(at) !== SLASH) {
        if (filter.charCodeAt(at) !== name.charCodeAt(position)) return false
        at += 1
        position += 1
      }
    }
    const isFilterOver = at === filter.length
    const isNameOver = position === name.length
    if (isFilterOver || isNameOver) {
      if (isFilterOver && isNameOver) return true
      // "#" stands for no level, too: "a/#" matches "a".
      return isNameOver && filter.charCodeAt(at) === SLASH && filter.charCodeAt(at + 1) === HASH
    }
    if (filter.charCodeAt(at) !== SLASH || name.charCodeAt(position) !== SLASH) return false
    at += 1
    position += 1
  }
}
