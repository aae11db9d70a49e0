/**
 * Where a group of consumers stands that share what they read: one position in each queue log, and what was read and is not done with.
 * A message is acquired for a consumer, and then acknowledged, or released for another one.
 *
 * Source: the in-flight records of a share partition, KIP-932. Taken: acquire, acknowledge, release over one position, and a state of one
 * row. Left: delivery counts and the lock time-out; whoever holds a message here says when it lets go.
 * Invariants
 *  - Every offset below the position is done with, held, or to be read again; no offset is two of these.
 *  - What {@link SharedCursor.state} says is enough to go on from: what is held then is read again.
 */

/** Where a group stands in one log. */
export interface SharedPosition {
  /** Everything from here on has not been looked at. */
  readonly next: number
  /** Offsets below `next` that are not done with, rising. */
  readonly open: ReadonlyArray<number>
}

class Place {
  position: number
  /** Below it only what is in `again` is to be read. */
  resumeTo: number
  readonly held = new Set<number>()
  readonly again: Set<number>

  constructor({ next, open }: SharedPosition) {
    this.position = open[0] ?? next
    this.resumeTo = next
    this.again = new Set(open)
  }
}

export class SharedCursor {
  readonly #places: ReadonlyArray<Place>

  constructor(positions: ReadonlyArray<SharedPosition>) {
    this.#places = positions.map((position) => new Place(position))
  }

  /** Logs that it stands in. */
  get count(): number {
    return this.#places.length
  }

  /** Offsets that are held. */
  get heldCount(): number {
    let count = 0
    for (const { held } of this.#places) count += held.size
    return count
  }

  /** The sum of its positions. */
  get sum(): number {
    let sum = 0
    for (const { position } of this.#places) sum += position
    return sum
  }

  /** Where to read on. */
  position(log: number): number {
    return this.#of(log).position
  }

  /** Whether a message that was read at or above the position is for the group. */
  isWanted(log: number, offset: number): boolean {
    const place = this.#of(log)
    return offset >= place.resumeTo ? offset >= place.position : place.again.has(offset)
  }

  /** A wanted message is in somebody's hands. What lies before it has been looked at. */
  acquire(log: number, offset: number): void {
    this.passed(log, offset)
    const place = this.#of(log)
    place.again.delete(offset)
    place.held.add(offset)
    place.position = Math.max(place.position, offset + 1)
  }

  /** What was to be read again is in somebody's hands, as it was before; nothing else is moved. False where it was not. */
  hold(log: number, offset: number): boolean {
    const place = this.#of(log)
    if (!place.again.delete(offset)) return false
    place.held.add(offset)
    return true
  }

  /** All below `next` has been looked at: what was to be read again there is gone. */
  passed(log: number, next: number): void {
    const place = this.#of(log)
    if (next <= place.position) return
    place.position = next
    for (const offset of place.again) if (offset < next) place.again.delete(offset)
  }

  /** A held message is done with; false where it was not held. */
  acknowledge(log: number, offset: number): boolean {
    return this.#of(log).held.delete(offset)
  }

  /** A held message is to be read again; false where it was not held. */
  release(log: number, offset: number): boolean {
    const place = this.#of(log)
    if (!place.held.delete(offset)) return false
    place.again.add(offset)
    place.resumeTo = Math.max(place.resumeTo, place.position)
    place.position = Math.min(place.position, offset)
    return true
  }

  /** What has to be kept to go on from here. */
  state(): ReadonlyArray<SharedPosition> {
    return this.#places.map(({ position, resumeTo, held, again }) => ({
      next: Math.max(position, resumeTo),
      open: rising(held, again)
    }))
  }

  #of(log: number): Place {
    const place = this.#places[log]
    if (place === undefined) throw new RangeError(`a group has no position in log ${log}`)
    return place
  }
}

function rising(held: ReadonlySet<number>, again: ReadonlySet<number>): ReadonlyArray<number> {
  const all = new Float64Array(held.size + again.size)
  let count = 0
  for (const offset of held) all[count++] = offset
  for (const offset of again) all[count++] = offset
  return [...all.sort()]
}

/** The lowest offset that is still needed. */
export function lowOf({ next, open }: SharedPosition): number {
  return open[0] ?? next
}
