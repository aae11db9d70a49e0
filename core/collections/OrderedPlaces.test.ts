import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import { LEAF_LENGTH_MAX, OrderedPlaces } from "./OrderedPlaces.ts"

/** Numbers in the order of themselves backwards, so that the order is the owner's. */
class Model {
  sought = 0
  readonly places = new OrderedPlaces((number) => this.sought - number)
  readonly #numbers = new Set<number>()

  add(number: number): void {
    this.sought = number
    assert.equal(this.places.add(number), !this.#numbers.has(number))
    this.#numbers.add(number)
  }

  delete(number: number): void {
    this.sought = number
    assert.equal(this.places.delete(), this.#numbers.delete(number) ? number : undefined)
  }

  check(starts: ReadonlyArray<number>): void {
    const sorted = [...this.#numbers].sort((left, right) => right - left)
    assert.equal(this.places.size, sorted.length)
    for (const start of [Number.MAX_SAFE_INTEGER, ...starts]) {
      this.sought = start
      assert.equal(this.places.find(), this.#numbers.has(start) ? start : undefined)
      const found = this.places.from()
      this.sought = -1
      assert.deepEqual(
        [...found],
        sorted.filter((number) => number <= start)
      )
    }
  }
}

test("they agree with a set that is sorted, whatever is added and removed", () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(30)), { maxLength: 80 }), fc.nat(30), (steps, start) => {
      const model = new Model()
      for (const [isAdded, number] of steps) {
        if (isAdded) model.add(number)
        else model.delete(number)
      }
      model.check([start])
    })
  ))

test("many leaves are cut and go, in any order of coming", () => {
  const chance = Xoshiro128.seeded(5)
  const count = 6 * LEAF_LENGTH_MAX
  for (const order of ["up", "down", "any"]) {
    const model = new Model()
    for (let step = 0; step < count; step++) {
      model.add(order === "up" ? step : order === "down" ? count - step : chance.below(count))
    }
    model.check([0, 1, LEAF_LENGTH_MAX, count / 2, count])
    for (let step = 0; step < count; step++) if (chance.chance(4, 5)) model.delete(step)
    model.check([LEAF_LENGTH_MAX, count / 2])
    for (let step = 0; step <= count; step++) model.delete(step)
    model.check([3])
    model.add(7)
    model.check([7])
  }
})
