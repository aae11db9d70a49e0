/** What the soak holds against the broker: each kind of fault told a few times, all of them counted. */

/** Lines of one kind that are told. */
const TOLD_MAX = 5

export class Faults {
  count = 0
  readonly #told: Array<string> = []
  readonly #byKind = new Map<string, number>()
  readonly #tell: (line: string) => void

  /** Each line is told as soon as there is one. */
  constructor(tell: (line: string) => void = () => {}) {
    this.#tell = tell
  }

  /** One fault: its kind, and what makes this one different. */
  add(kind: string, what: string): void {
    this.count += 1
    const before = this.#byKind.get(kind) ?? 0
    this.#byKind.set(kind, before + 1)
    if (before >= TOLD_MAX) return
    const line = `${kind}: ${what}`
    this.#told.push(line)
    this.#tell(line)
  }

  /** One line a fault; where a kind has more, how many. */
  get lines(): ReadonlyArray<string> {
    const more = [...this.#byKind].filter(([, count]) => count > TOLD_MAX)
    return [...this.#told, ...more.map(([kind, count]) => `${kind}: ${count - TOLD_MAX} more`)]
  }
}
