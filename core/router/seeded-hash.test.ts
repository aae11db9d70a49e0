import assert from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { hashBytes, hashMultiplier, hashText } from "./seeded-hash.ts"

const encoder = new TextEncoder()
const SLOTS = 4096

/** The most keys that share one of {@link SLOTS} slots, over as many keys as slots. */
function crowd(hashOf: (index: number) => number): number {
  const counts = new Int32Array(SLOTS)
  for (let index = 0; index < SLOTS; index++) counts[hashOf(index) & (SLOTS - 1)]! += 1
  return Math.max(...counts)
}

test("the hash depends on the range's contents, not on where it lies", () => {
  fc.assert(
    fc.property(fc.integer(), fc.string(), fc.string(), (seed, text, around) => {
      const multiplier = hashMultiplier(seed)
      const length = around.length + text.length
      const hash = hashText(text, 0, text.length, seed, multiplier)
      assert.strictEqual(hashText(around + text + around, around.length, length, seed, multiplier), hash)
      const bytes = encoder.encode(text)
      const shifted = Uint8Array.of(9, ...bytes, 9)
      assert.strictEqual(
        hashBytes(shifted, 1, shifted.length - 1, seed, multiplier),
        hashBytes(bytes, 0, bytes.length, seed, multiplier)
      )
    })
  )
})

for (const [shape, keyOf] of [
  ["numbered devices", (index: number) => `tenant/device/${index}/cmd`],
  ["numbers", (index: number) => `${index}`],
  ["one bit apart", (index: number) => index.toString(2).padStart(12, "0")],
  ["zeros of all lengths", (index: number) => "0".repeat(index % 1024) + (index >> 10)]
] as const) {
  test(`${shape} spread over the slots, whatever the seed`, () => {
    for (const seed of [0, 1, -1, 0x12345678]) {
      const multiplier = hashMultiplier(seed)
      assert.ok(
        crowd((index) => {
          const bytes = encoder.encode(keyOf(index))
          return hashBytes(bytes, 0, bytes.length, seed, multiplier)
        }) < 12
      )
      assert.ok(crowd((index) => hashText(keyOf(index), 0, keyOf(index).length, seed, multiplier)) < 12)
    }
  })
}

test("every multiplier is odd: an even one would lose a bit a step", () => {
  for (let seed = -100; seed < 100; seed++) assert.strictEqual(hashMultiplier(seed) & 1, 1)
})

test("keys that collide under one seed do not under another", () => {
  const of = (seed: number, index: number): number => {
    const bytes = encoder.encode(`aim/${index}`)
    return hashBytes(bytes, 0, bytes.length, seed, hashMultiplier(seed))
  }
  const aimed: Array<number> = []
  for (let index = 0; aimed.length < 64; index++) if ((of(7, index) & (SLOTS - 1)) === 5) aimed.push(index)
  assert.ok(new Set(aimed.map((index) => of(8, index) & (SLOTS - 1))).size > 55)
})

test("changes of the top bit of neighbouring words do not cancel out", () => {
  // The way in which hashes of 32 bits a step are made to collide without knowing their seed.
  let collisions = 0
  for (let seed = 0; seed < 1000; seed++) {
    const multiplier = hashMultiplier(seed)
    const plain = new Uint8Array(16).fill(0x61)
    for (const [first, second] of [
      [3, 7],
      [1, 5],
      [1, 3],
      [3, 5]
    ] as const) {
      const changed = plain.slice()
      changed[first]! ^= 0x80
      for (const bit of [0x80, 0x40, 0x10, 0x01]) {
        changed[second] = 0x61 ^ bit
        if (hashBytes(changed, 0, 16, seed, multiplier) === hashBytes(plain, 0, 16, seed, multiplier)) collisions += 1
      }
    }
  }
  assert.strictEqual(collisions, 0)
})
