import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import { OrderedPages, PAGE_BYTES } from "./OrderedPages.ts"

const byBytes = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right))

class Model {
  readonly pages = new OrderedPages()
  readonly #entries = new Map<string, Uint8Array>()

  set(key: string, value: Uint8Array): void {
    this.pages.set(key, value)
    this.#entries.set(key, value.slice())
  }

  delete(key: string): void {
    assert.equal(this.pages.delete(key), this.#entries.delete(key))
  }

  check(starts: ReadonlyArray<string>): void {
    const sorted = [...this.#entries.keys()].sort(byBytes)
    assert.equal(this.pages.size, sorted.length)
    for (const start of ["", ...starts]) {
      const found = [...this.pages.from(start)].map(({ key, value }) => [key, Buffer.from(value).toString("hex")])
      const expected = sorted
        .filter((key) => byBytes(key, start) >= 0)
        .map((key) => [key, Buffer.from(this.#entries.get(key) ?? []).toString("hex")])
      assert.deepEqual(found, expected)
      assert.deepEqual(this.pages.get(start)?.slice(), this.#entries.get(start))
    }
  }
}

const key = fc.oneof(
  fc.constantFrom("", "a", "a/", "a/b", "aé", "a𝄞", "\uffff"),
  fc.string({ maxLength: 3, unit: "grapheme" })
)
const size = fc.oneof(fc.nat(20), fc.nat(3_000), fc.constantFrom(PAGE_BYTES - 20, PAGE_BYTES, 3 * PAGE_BYTES))

test("it agrees with a map that is sorted, whatever is set and deleted", () =>
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), key, size), { maxLength: 60 }),
      key,
      (steps, start) => {
        const model = new Model()
        for (const [what, each, bytes] of steps) {
          if (what === 0) model.delete(each)
          else model.set(each, new Uint8Array(bytes).fill(bytes))
        }
        model.check([start])
      }
    )
  ))

test("many pages come and go, in any order; what is gone gives its memory back", () => {
  const chance = Xoshiro128.seeded(7)
  const nameOf = (index: number): string => `topics/0/agents.${String(index).padStart(6, "0")}`
  for (const order of ["up", "down", "any"]) {
    const model = new Model()
    const count = 4_000
    for (let step = 0; step < count; step++) {
      const index = order === "up" ? step : order === "down" ? count - step : chance.below(count)
      model.set(nameOf(index), new Uint8Array(chance.below(200)).fill(step))
    }
    model.check([nameOf(0), nameOf(1_234), nameOf(count), "u"])
    const perByte =
      model.pages.sizeBytes /
      [...model.pages.from("")].reduce((sum, { key: name, value }) => sum + name.length + value.length, 0)
    assert.ok(perByte < (order === "any" ? 2 : 1.6), `${order}: ${perByte} bytes a byte`)
    for (let step = 0; step < count; step++) {
      const index = order === "any" ? chance.below(count) : step
      if (chance.chance(9, 10)) model.delete(nameOf(index))
      else model.set(nameOf(index), new Uint8Array(10).fill(index))
    }
    model.check([nameOf(77), nameOf(3_999)])
    for (let index = 0; index <= count; index++) model.delete(nameOf(index))
    model.check([])
    assert.ok(model.pages.sizeBytes < 1_000, `${model.pages.sizeBytes} bytes of nothing`)
  }
})

test("a value that is written over again and again takes no more than it is", () => {
  const model = new Model()
  for (let round = 0; round < 5_000; round++) {
    model.set("counter", new Uint8Array(100).fill(round))
    model.set(`other ${round % 3}`, new Uint8Array(round % 50).fill(round))
  }
  model.check(["counter"])
  assert.ok(model.pages.sizeBytes <= PAGE_BYTES + 100)
})
