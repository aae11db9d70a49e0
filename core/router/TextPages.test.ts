import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { TextPages } from "./TextPages.ts"

/** An owner of texts that are bytes of one value each, by id. */
function make() {
  const texts = new Map<number, { position: number; readonly size: number; readonly value: number }>()
  let moves = 0
  const pages = new TextPages({
    byteLength: (id) => texts.get(id)?.size ?? Number.NaN,
    moved: (id, position) => {
      const text = texts.get(id)
      assert.ok(text !== undefined, "only what is there is moved")
      text.position = position
      moves += 1
    }
  })
  return {
    texts,
    pages,
    moves: () => moves,
    put: (id: number, size: number): void => {
      const value = (id * 7 + size) & 255
      const position = pages.allocate(id, size)
      texts.set(id, { position, size, value })
      const start = pages.offset(position)
      pages.bytes(position).fill(value, start, start + size)
    },
    release: (id: number): void => {
      const text = texts.get(id)
      if (text === undefined) return
      texts.delete(id)
      pages.release(text.position, text.size)
    },
    check: (): void => {
      for (const { position, size, value } of texts.values()) {
        const start = pages.offset(position)
        const bytes = pages.bytes(position).subarray(start, start + size)
        assert.equal(bytes.length, size)
        assert.ok(bytes.every((byte) => byte === value))
      }
    }
  }
}

test("texts of any size are what they were, and at most half of the bytes lie idle", () => {
  const size = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(0, 0, 1, 65_527, 65_528, 16_376, 16_380, 16_381) },
    { weight: 6, arbitrary: fc.nat({ max: 300 }) },
    { weight: 3, arbitrary: fc.nat({ max: 17_000 }) },
    { weight: 1, arbitrary: fc.nat({ max: 131_070 }) }
  )
  const step = fc.record({ isPut: fc.boolean(), id: fc.nat({ max: 60 }), size })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
      const { texts, pages, put, release, check } = make()
      for (const { isPut, id, size } of steps) {
        if (!isPut) release(id)
        else if (!texts.has(id)) put(id, size)
      }
      check()
      const used = [...texts.values()].reduce((sum, text) => sum + text.size + 8, 0)
      assert.ok(pages.sizeBytes <= 2 * used + 3 * 65_536, `${pages.sizeBytes} bytes for ${used}`)
    }),
    { numRuns: 150 }
  )
})

test("what comes and goes among what stays makes it no larger, and few texts move", () => {
  const { pages, put, release, check, moves } = make()
  for (let id = 0; id < 2_000; id++) put(id, 60)
  const { sizeBytes } = pages
  const ROUNDS = 30
  for (let round = 0; round < ROUNDS; round++) {
    for (let id = 10_000; id < 12_000; id++) put(id, 20 + ((id + round) % 80))
    for (let id = 10_000; id < 12_000; id++) release(id)
  }
  check()
  assert.ok(pages.sizeBytes <= sizeBytes + 4 * 65_536, `${pages.sizeBytes} bytes, before ${sizeBytes}`)
  assert.ok(moves() < ROUNDS * 2_000, `${moves()} moves`)
  for (let id = 0; id < 2_000; id++) release(id)
  pages.reset()
  assert.equal(pages.sizeBytes, 256)
})

test("texts that have pages of their own are bounded by their bytes, not by their number", () => {
  // No byte of them is touched but what stands before each.
  const { pages, texts } = make()
  const COUNT = 33_000
  for (let id = 0; id < COUNT; id++) texts.set(id, { position: pages.allocate(id, 16_381), size: 16_381, value: 0 })
  const last = texts.get(COUNT - 1)
  assert.ok(last !== undefined)
  assert.equal(pages.offset(last.position), 4)
  assert.deepEqual([...pages.bytes(last.position).subarray(0, 4)], [(COUNT - 1) & 255, (COUNT - 1) >> 8, 0, 0])
  for (const { position, size } of texts.values()) pages.release(position, size)
  assert.ok(pages.sizeBytes < 100_000)
})
