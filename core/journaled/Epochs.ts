/**
 * Leader epochs of a store: one line of numbers for all its partitions.
 *
 * Invariants
 *  - A number that was given out is never given out again, whatever a crash took: those up to `limit` are reserved durably
 *    before the first of them is used, and an unclean start begins above the old limit.
 *  - After a graceful stop a partition has the epoch that it had.
 */

/** What a store keeps of its leader epochs. */
export interface EpochState {
  /** The store was closed in good order, and nothing was written since. */
  readonly isClean: boolean
  /** The leader epoch that partitions have which had none of their own. */
  readonly epochBase: number
  /** The highest leader epoch given out. */
  readonly epochLast: number
  /** No leader epoch above this one was ever given out. */
  readonly epochLimit: number
}

/** Numbers reserved at a time. */
const RESERVED = 1_000

export class Epochs {
  /** What a partition has at least. */
  base: number
  last: number
  /** What the store is to reserve next. */
  limit: number
  /** What it has reserved. */
  #reserved = 0
  readonly #before: EpochState
  #highest = 0
  #isResolved = false

  constructor(before: EpochState) {
    this.#before = before
    this.base = before.epochBase
    this.last = before.epochLast
    this.limit = Math.max(before.epochLimit, before.epochLast) + 1 + RESERVED
  }

  /** What is to be kept of them now. */
  get state(): Omit<EpochState, "isClean"> {
    return { epochBase: this.base, epochLast: this.last, epochLimit: this.limit }
  }

  /** Recovery has seen this one. */
  replayed(epoch: number): void {
    this.#highest = Math.max(this.#highest, epoch)
    this.#replayed = true
  }

  #replayed = false

  /** Recovery is over; called any number of times. */
  resolve(): void {
    if (this.#isResolved) return
    this.#isResolved = true
    const { isClean, epochLimit, epochLast } = this.#before
    if (isClean && !this.#replayed) return
    this.base = Math.max(epochLimit, epochLast, this.#highest) + 1
    this.last = this.base
    this.limit = Math.max(this.limit, this.last + RESERVED)
  }

  /** A log came with this one from elsewhere; true where it is above what is reserved, so that none is left until the next checkpoint. */
  raise(epoch: number): boolean {
    this.last = Math.max(this.last, epoch)
    this.limit = Math.max(this.limit, this.last + RESERVED)
    return this.last >= this.#reserved
  }

  /** Numbers up to `limit` are reserved durably. */
  reserved(limit: number): void {
    this.#reserved = limit
  }

  /** The next number, or undefined while none is reserved. */
  next(): number | undefined {
    if (this.last >= this.#reserved) return undefined
    this.last += 1
    if (this.last + RESERVED / 2 > this.limit) this.limit = this.last + RESERVED
    return this.last
  }
}
