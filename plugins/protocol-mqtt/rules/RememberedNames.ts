/**
 * What was found out of topic names, for a while: rules are asked once for a name that comes often.
 *
 * Invariant: the names that are held are bounded by number and by length, whatever clients publish on.
 */
const NAMES_MAX = 10_000
/** Longer ones are asked for anew each time. */
const LENGTH_MAX = 256

export class RememberedNames<Outcome> {
  readonly #outcomes = new Map<string, Outcome>()

  /** What is remembered, or else what `find` says. */
  of(name: string, find: (name: string) => Outcome): Outcome {
    const known = this.#outcomes.get(name)
    if (known !== undefined) return known
    const found = find(name)
    if (name.length > LENGTH_MAX) return found
    if (this.#outcomes.size >= NAMES_MAX) this.#outcomes.clear()
    this.#outcomes.set(name, found)
    return found
  }

  clear(): void {
    this.#outcomes.clear()
  }
}
