/**
 * By which names a client asked for subscriptions that rules made others of: UNSUBSCRIBE takes the name that SUBSCRIBE had, whatever the rules
 * and the client are called by then.
 *
 * A subscription without an entry was asked for by its own name alone.
 *
 * Invariant: a name stands for one subscription; a subscription that has names here has at least one.
 */
export class AskedNames {
  readonly #filters = new Map<string, string>()
  readonly #names = new Map<string, Set<string>>()

  /** Names, of all subscriptions. */
  get count(): number {
    return this.#filters.size
  }

  /** The subscription that was asked for by a name. */
  filterOf(name: string): string | undefined {
    return this.#filters.get(name)
  }

  has(filter: string): boolean {
    return this.#names.has(filter)
  }

  /** Of a subscription; none where it has just its own. */
  namesOf(filter: string): ReadonlyArray<string> {
    return [...(this.#names.get(filter) ?? [])]
  }

  add(name: string, filter: string): void {
    this.#filters.set(name, filter)
    const names = this.#names.get(filter) ?? new Set()
    this.#names.set(filter, names.add(name))
  }

  /** Takes a name off; whether its subscription has another one. */
  remove(name: string): boolean {
    const filter = this.#filters.get(name)
    const names = filter === undefined ? undefined : this.#names.get(filter)
    this.#filters.delete(name)
    names?.delete(name)
    if (names === undefined || names.size > 0) return names !== undefined
    this.#names.delete(filter ?? "")
    return false
  }

  /** A subscription is gone, and with it its names. */
  forget(filter: string): void {
    for (const name of this.#names.get(filter) ?? []) this.#filters.delete(name)
    this.#names.delete(filter)
  }
}
