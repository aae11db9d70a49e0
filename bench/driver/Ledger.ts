/**
 * Exact book-keeping of every delivery: what each subscriber received from each publisher, in which order.
 *
 * Invariants
 *  - A delivery is counted once: in order, reordered (it had been skipped before), duplicate, or stray (not subscribed).
 *  - lost() = what was sent and never arrived. It is only meaningful after the drain.
 *  - The path of an in-order message allocates nothing.
 */

/** A jump wider than this is a damaged sequence number, not a loss: it is booked as stray. */
export const GAP_MAX = 10_000_000

export class Ledger {
  readonly publishers: number
  readonly subscribers: number
  /** Deliveries of each publisher's messages, first arrivals only: what opens its window again. */
  readonly deliveredOf: Float64Array
  /** First arrivals over all subscribers. */
  delivered = 0
  duplicates = 0
  reordered = 0
  stray = 0
  /** Next sequence number by subscriber and publisher; -1 where the subscriber does not subscribe to the publisher. */
  readonly #next: Float64Array
  /** Sequence numbers that were skipped and have not arrived since, by the same index. */
  readonly #skipped = new Map<number, Set<number>>()
  /** Publishers with a delivery since the last {@link takeTouched}. */
  readonly #touched: Int32Array
  readonly #isTouched: Uint8Array
  #touchedCount = 0

  constructor(publishers: number, subscribers: number) {
    this.publishers = publishers
    this.subscribers = subscribers
    this.deliveredOf = new Float64Array(publishers)
    this.#next = new Float64Array(publishers * subscribers).fill(-1)
    this.#touched = new Int32Array(publishers)
    this.#isTouched = new Uint8Array(publishers)
  }

  /** Declares that `subscriber` must receive everything that `publisher` sends from now on. */
  expect(subscriber: number, publisher: number): void {
    this.#next[subscriber * this.publishers + publisher] = 0
  }

  /** How many subscribers receive each message of `publisher`. */
  fanOf(publisher: number): number {
    let fan = 0
    for (let subscriber = 0; subscriber < this.subscribers; subscriber++) {
      if ((this.#next[subscriber * this.publishers + publisher] as number) >= 0) fan++
    }
    return fan
  }

  /** Books one delivery. */
  record(subscriber: number, publisher: number, sequence: number): void {
    const index = subscriber * this.publishers + publisher
    if (publisher < this.publishers && this.#next[index] === sequence) {
      this.#next[index] = sequence + 1
      this.count(publisher)
    } else {
      this.#recordUnexpected(index, publisher, sequence)
    }
  }

  /** Messages that were sent (by publisher) and have not arrived at everyone who subscribes. */
  lost(sentOf: ArrayLike<number>): number {
    let owed = 0
    for (let publisher = 0; publisher < this.publishers; publisher++) {
      owed += (sentOf[publisher] ?? 0) * this.fanOf(publisher)
    }
    return owed - this.delivered
  }

  /** One publisher that had deliveries since it was last taken, or -1 when there is none left. */
  takeTouched(): number {
    if (this.#touchedCount === 0) return -1
    const publisher = this.#touched[--this.#touchedCount] as number
    this.#isTouched[publisher] = 0
    return publisher
  }

  /** Books one first arrival of a message of `publisher`. */
  protected count(publisher: number): void {
    this.delivered++
    this.deliveredOf[publisher] = (this.deliveredOf[publisher] as number) + 1
    if (this.#isTouched[publisher] === 0) {
      this.#isTouched[publisher] = 1
      this.#touched[this.#touchedCount++] = publisher
    }
  }

  #recordUnexpected(index: number, publisher: number, sequence: number): void {
    const next = publisher < this.publishers ? (this.#next[index] as number) : -1
    if (next < 0 || sequence - next > GAP_MAX) {
      this.stray++
    } else if (sequence > next) {
      const skipped = this.#skipped.get(index) ?? new Set()
      this.#skipped.set(index, skipped)
      for (let missing = next; missing < sequence; missing++) skipped.add(missing)
      this.#next[index] = sequence + 1
      this.count(publisher)
    } else if (this.#skipped.get(index)?.delete(sequence)) {
      this.reordered++
      this.count(publisher)
    } else {
      this.duplicates++
    }
  }
}
