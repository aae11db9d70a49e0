import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Xoshiro128 } from "./Xoshiro128.ts"

/** The algorithm once more, as published, in unbounded integers. */
function* published(state: Array<bigint>): Generator<number> {
  const mask = 0xffffffffn
  const rotate = (value: bigint, bits: bigint): bigint => ((value << bits) | (value >> (32n - bits))) & mask
  const [a = 0n, b = 0n, c = 0n, d = 0n] = state
  const s = { a, b, c, d }
  for (;;) {
    yield Number((rotate((s.b * 5n) & mask, 7n) * 9n) & mask)
    const t = (s.b << 9n) & mask
    s.c ^= s.a
    s.d ^= s.b
    s.b ^= s.c
    s.a ^= s.d
    s.c ^= t
    s.d = rotate(s.d, 11n)
  }
}

test("the first numbers from the state 1, 2, 3, 4", () => {
  const generator = new Xoshiro128([1, 2, 3, 4])
  const first = Array.from({ length: 4 }, () => generator.uint32())
  // By hand: s1 = 2 gives rotl(2 * 5, 7) * 9 = 11,520; the next s1 is 1 ^ 3 ^ 2 = 0.
  assert.deepEqual(first, [11_520, 0, 5_927_040, 70_819_200])
})

test("any state goes on as the published algorithm does", () => {
  const word = fc.integer({ min: 0, max: 0xffffffff })
  fc.assert(
    fc.property(fc.tuple(word, word, word, fc.integer({ min: 1, max: 0xffffffff })), (state) => {
      const generator = new Xoshiro128(state)
      const expected = published(state.map(BigInt))
      for (let index = 0; index < 40; index++) assert.equal(generator.uint32(), expected.next().value)
    })
  )
})

test("an all-zero state would never leave zero and is not taken", () => {
  const generator = new Xoshiro128([0, 0, 0, 0])
  const seen = new Set(Array.from({ length: 20 }, () => generator.uint32()))
  assert.ok(seen.size > 10)
})

test("seeds and streams lead to different numbers, the same ones each time", () => {
  const firstOf = (seed: number, stream: number): string => {
    const generator = Xoshiro128.seeded(seed, stream)
    return `${generator.uint32()} ${generator.uint32()}`
  }
  assert.equal(firstOf(7, 0), firstOf(7, 0))
  const all = new Set<string>()
  for (let seed = 0; seed < 500; seed++) for (let stream = 0; stream < 4; stream++) all.add(firstOf(seed, stream))
  assert.equal(all.size, 2_000)
})

test("fill writes the range and nothing else", () => {
  const target = new Uint8Array(64).fill(0xaa)
  Xoshiro128.seeded(1).fill(target, 5, 38)
  assert.ok(target.subarray(0, 5).every((byte) => byte === 0xaa))
  assert.ok(target.subarray(38).every((byte) => byte === 0xaa))
  assert.ok(new Set(target.subarray(5, 38)).size > 20)
})

test("below stays below, reaches every value, about equally often", () => {
  const generator = Xoshiro128.seeded(3)
  const counts = new Array<number>(10).fill(0)
  for (let index = 0; index < 20_000; index++) {
    const value = generator.below(10)
    assert.ok(Number.isInteger(value) && value >= 0 && value < 10)
    counts[value] = (counts[value] ?? 0) + 1
  }
  for (const count of counts) assert.ok(count > 1_800 && count < 2_200, String(counts))
  assert.equal(generator.below(1), 0)
})
