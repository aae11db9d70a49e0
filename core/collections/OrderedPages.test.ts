import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Xoshiro128 } from "../platform/Xoshiro128.ts"
import { OrderedPages, PAGE_BYTES } from "./OrderedPages.ts"

const byBytes = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right))

class Model {
  readonly pages = new OrderedPages()
  readonly #entries = new Map<string, Uint8Array>()

  set(key: string, value: Uint8Array, isOfBytes = false): void {
    if (isOfBytes) {
      const around = Buffer.concat([Buffer.from("::"), Buffer.from(key), value, Buffer.from("::")])
      const end = around.length - 2
      this.pages.setBytes(around, 2, end - value.length, around, end - value.length, end)
    } else this.pages.set(key, value)
    this.#entries.set(key, new Uint8Array(value))
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
      const visited: Array<ReadonlyArray<string>> = []
      this.pages.visit(start, (each, bytes, from, end) => {
        visited.push([each, Buffer.from(bytes.subarray(from, end)).toString("hex")])
        return visited.length < 9
      })
      assert.deepEqual(visited, expected.slice(0, 9))
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
          else model.set(each, new Uint8Array(bytes).fill(bytes), what === 1)
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

const TAILS = ["one", "other", "third"].map((kind) =>
  Buffer.from(`{"partitions":1,"engine":"${kind}","mode":"persistent","origin":"admin","retention":{"ms":604800000}}`)
)

test("ends that values have alike are kept once, also where those of several kinds come mixed", () => {
  const chance = Xoshiro128.seeded(3)
  const model = new Model()
  const nameOf = (index: number): string => `topics/0/agents.${String(index).padStart(6, "0")}`
  const valueWith = (tail: Uint8Array): Uint8Array =>
    Buffer.concat([Buffer.from(Array.from({ length: 17 }, () => chance.below(256))), tail])
  const set = (index: number): void =>
    model.set(nameOf(index), valueWith(TAILS[chance.below(TAILS.length)] ?? Buffer.alloc(0)), chance.chance(1, 2))
  for (let index = 0; index < 4_000; index++) set(index)
  model.check([nameOf(1_999)])
  const ownBytes = 6 + nameOf(0).length + 17 + 4
  assert.ok(model.pages.sizeBytes < 4_000 * ownBytes * 1.25, `${model.pages.sizeBytes} bytes`)
  // What nobody has any more makes room for what comes.
  for (let round = 0; round < 40; round++) {
    const tail = Buffer.from(`what all values of round ${round} end with, and no others do`)
    for (let index = 0; index < 200; index++) model.set(nameOf(index), valueWith(tail))
  }
  model.check([nameOf(0), nameOf(150), nameOf(201)])
  for (let index = 0; index < 4_000; index++) if (chance.chance(1, 2)) model.delete(nameOf(index))
  for (let index = 0; index < 4_000; index++) if (chance.chance(1, 3)) set(index)
  model.check([nameOf(0), nameOf(2_345)])
  const grown = model.pages.sizeBytes
  assert.ok(grown < model.pages.size * ownBytes * 2, `${grown} bytes of ${model.pages.size}`)
})

test("what comes nearly in order fills its pages", () => {
  const model = new Model()
  const count = 8_000
  // As creations do that are under way at the same time.
  for (let index = 0; index < count; index += 4) {
    for (const each of [2, 0, 3, 1]) model.set(`key ${String(index + each).padStart(6, "0")}`, Buffer.alloc(30, each))
  }
  model.check([])
  assert.ok(model.pages.sizeBytes < count * (6 + 10 + 30 + 4) * 1.2, `${model.pages.sizeBytes} bytes`)
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
