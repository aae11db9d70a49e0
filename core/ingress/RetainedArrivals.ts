/**
 * Names whose retained message came from another shard, for walks that had passed this shard by then and come to that one when it has left.
 *
 * Bounded: beyond {@link ARRIVALS_MAX} the oldest are forgotten, and a walk that began before them may miss some.
 */

/** Names that are remembered, until none has moved for a while. */
export const ARRIVALS_MAX = 100_000

export interface Arrival {
  readonly tenant: number
  readonly name: string
}

export class RetainedArrivals {
  /** Rises with every arrival. */
  count = 0
  #names: Array<Arrival> = []

  note(tenant: number, name: string): void {
    this.count += 1
    this.#names.push({ tenant, name })
    if (this.#names.length > 2 * ARRIVALS_MAX) this.#names = this.#names.slice(-ARRIVALS_MAX)
  }

  /** Those that came when {@link RetainedArrivals.count} was at that or above. */
  since(count: number): ReadonlyArray<Arrival> {
    const wanted = this.count - count
    return wanted <= 0 ? [] : this.#names.slice(-wanted)
  }

  /** No name moves any more. */
  forget(): void {
    this.#names = []
  }
}
