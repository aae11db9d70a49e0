/**
 * Values attached to numbers (of filters): most numbers have one value, few have very many.
 *
 * Invariants
 *  - One value costs its reference and nothing else; several lie in one array.
 *  - Lists without a value take no room.
 *  - No value stands twice on one number. Adding and removing take the same time however many there are.
 */

/** From so many values on a list knows the place of each, so that a removal need not search. */
const PLACES_FROM = 16

/** Two values or more of one number. */
class Several<T extends object> {
  readonly values: Array<T>
  #places: Map<T, number> | undefined

  constructor(first: T, second: T) {
    this.values = [first, second]
  }

  placeOf(value: T): number {
    return this.#places === undefined ? this.values.indexOf(value) : (this.#places.get(value) ?? -1)
  }

  add(value: T): boolean {
    if (this.placeOf(value) >= 0) return false
    this.#places?.set(value, this.values.length)
    this.values.push(value)
    if (this.#places === undefined && this.values.length >= PLACES_FROM) {
      this.#places = new Map(this.values.map((each, place) => [each, place]))
    }
    return true
  }

  remove(value: T): boolean {
    const place = this.placeOf(value)
    const last = this.values.at(-1)
    if (place < 0 || last === undefined) return false
    this.put(place, last)
    this.values.pop()
    this.#places?.delete(value)
    return true
  }

  put(place: number, value: T): void {
    const before = this.values[place]
    if (before !== undefined) this.#places?.delete(before)
    this.values[place] = value
    this.#places?.set(value, place)
  }
}

export class ValueLists<T extends object> {
  readonly #lists: Array<T | Several<T> | undefined> = []
  #valueCount = 0

  /** Bytes of the references by number. */
  get sizeBytes(): number {
    return 8 * this.#lists.length
  }

  /** Values of all numbers together. */
  get valueCount(): number {
    return this.#valueCount
  }

  /** Whether the number has no value. */
  isEmpty(id: number): boolean {
    return this.#lists[id] === undefined
  }

  /** Adds a value to a number, one past the largest in use since there was none at most; false where it was there. */
  add(id: number, value: T): boolean {
    const list = this.#lists[id]
    if (list === value) return false
    if (list === undefined) this.#lists[id] = value
    else if (!(list instanceof Several)) this.#lists[id] = new Several(list, value)
    else if (!list.add(value)) return false
    this.#valueCount += 1
    return true
  }

  /** Removes a value from a number; false where it was not there. */
  remove(id: number, value: T): boolean {
    const list = this.#lists[id]
    if (list === undefined) return false
    if (list === value) this.#lists[id] = undefined
    else if (!(list instanceof Several) || !list.remove(value)) return false
    else if (list.values.length === 1) this.#lists[id] = list.values[0]
    this.#valueCount -= 1
    if (this.#valueCount === 0) this.#lists.length = 0
    return true
  }

  /** Puts `after` where `before` stood; false where that was not there, or `after` was already. */
  replace(id: number, before: T, after: T): boolean {
    const list = this.#lists[id]
    if (list === before) {
      this.#lists[id] = after
      return true
    }
    if (!(list instanceof Several)) return false
    const place = list.placeOf(before)
    if (place < 0 || list.placeOf(after) >= 0) return false
    list.put(place, after)
    return true
  }

  /** The values of a number, in an array of the caller's. */
  valuesOf(id: number): Array<T> {
    const values: Array<T> = []
    this.appendTo(id, values)
    return values
  }

  /** Appends the values of a number to `out`. */
  appendTo(id: number, out: Array<T>): void {
    const list = this.#lists[id]
    if (list === undefined) return
    if (!(list instanceof Several)) {
      out.push(list)
      return
    }
    const values = list.values
    for (let place = 0; place < values.length; place++) out.push(values[place]!)
  }
}
