/**
 * What every key-value store keeps: the clauses of `core/kv/KeyValueStore.ts`, one test each, and random batches of writes against a
 * sorted array.
 */
import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import { compareKeys, type KeyValueStoreShape, type KeyValueWrite } from "../../core/mod.ts"

/** Makes an empty store; called once a test. */
export type MakeKeyValueStore = () => KeyValueStoreShape | Promise<KeyValueStoreShape>

const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)
const LAST = bytes(255, 255, 255, 255, 255, 255)

const put = (key: Uint8Array, value: Uint8Array): KeyValueWrite => ({ key, value })
const removal = (key: Uint8Array): KeyValueWrite => ({ key, value: undefined })

/** Keys in the order in which they must come. */
const ORDERED: ReadonlyArray<Uint8Array> = [
  bytes(),
  bytes(0),
  bytes(0, 0),
  bytes(0, 255),
  bytes(1),
  bytes(97),
  bytes(97, 0),
  bytes(97, 98),
  bytes(97, 98, 99),
  bytes(97, 99),
  bytes(127),
  bytes(128),
  bytes(128, 0),
  bytes(200, 1),
  bytes(255),
  bytes(255, 255)
]

/** A small alphabet with the bytes where signs, text and ends matter, so that random keys meet. */
const keys = fc
  .array(fc.constantFrom(0, 1, 97, 127, 128, 255), { maxLength: 4 })
  .map((values) => Uint8Array.from(values))
const write = fc.record({
  key: keys,
  value: fc.option(fc.uint8Array({ maxLength: 5 }), { nil: undefined, freq: 3 })
})

/** Runs the whole suite under `name`. */
export function keyValueContract(name: string, makeStore: MakeKeyValueStore): void {
  describe(`key-value contract: ${name}`, () => {
    test("what was written is found; what was not is undefined; an empty value is a value", async () => {
      const store = await makeStore()
      assert.equal(store.get(bytes(1)), undefined)
      assert.equal(store.size, 0)
      store.apply([put(bytes(1), bytes(9, 9)), put(bytes(), bytes(7)), put(bytes(2), bytes())])
      assert.deepEqual(store.get(bytes(1)), bytes(9, 9))
      assert.deepEqual(store.get(bytes()), bytes(7))
      assert.deepEqual(store.get(bytes(2)), bytes())
      assert.equal(store.size, 3)
    })

    test("a write replaces, a removal removes, removing what is not there does nothing", async () => {
      const store = await makeStore()
      store.apply([put(bytes(1), bytes(1))])
      store.apply([put(bytes(1), bytes(2)), removal(bytes(3))])
      assert.deepEqual(store.get(bytes(1)), bytes(2))
      assert.equal(store.size, 1)
      store.apply([removal(bytes(1))])
      assert.equal(store.get(bytes(1)), undefined)
      assert.equal(store.size, 0)
      assert.deepEqual(store.range(bytes(), LAST, 10), [])
    })

    test("writes of one batch take effect in their order", async () => {
      const store = await makeStore()
      store.apply([put(bytes(1), bytes(1)), removal(bytes(1)), put(bytes(2), bytes(1)), put(bytes(2), bytes(2))])
      assert.equal(store.get(bytes(1)), undefined)
      assert.deepEqual(store.get(bytes(2)), bytes(2))
      store.apply([removal(bytes(2)), put(bytes(2), bytes(3))])
      assert.deepEqual(store.get(bytes(2)), bytes(3))
      assert.equal(store.size, 1)
    })

    test("keys and values are the store's own copies", async () => {
      const store = await makeStore()
      const key = bytes(5, 6)
      const value = bytes(1, 2, 3)
      store.apply([put(key, value)])
      key.fill(0)
      value.fill(0)
      assert.deepEqual(store.get(bytes(5, 6)), bytes(1, 2, 3))
      assert.deepEqual(store.range(bytes(), LAST, 10), [{ key: bytes(5, 6), value: bytes(1, 2, 3) }])
    })

    test("a key may be a view into a larger buffer", async () => {
      const store = await makeStore()
      const buffer = bytes(9, 9, 1, 2, 9)
      store.apply([put(buffer.subarray(2, 4), buffer.subarray(0, 2))])
      assert.deepEqual(store.get(bytes(1, 2)), bytes(9, 9))
      assert.deepEqual(store.get(buffer.subarray(2, 4)), bytes(9, 9))
    })

    test("what was handed out stays as it was", async () => {
      const store = await makeStore()
      store.apply([put(bytes(1), bytes(1)), put(bytes(2), bytes(2))])
      const got = store.get(bytes(1))
      const range = store.range(bytes(), LAST, 10)
      store.apply([put(bytes(1), bytes(8)), removal(bytes(2)), put(bytes(0), bytes(0))])
      assert.deepEqual(got, bytes(1))
      assert.deepEqual(range, [
        { key: bytes(1), value: bytes(1) },
        { key: bytes(2), value: bytes(2) }
      ])
    })

    test("keys order by unsigned bytes, shorter before longer", async () => {
      const store = await makeStore()
      const shuffled = [...ORDERED].sort((left, right) => right.length - left.length || compareKeys(right, left))
      store.apply(shuffled.map((key) => put(key, key)))
      const found = store.range(bytes(), LAST, 100)
      assert.deepEqual(
        found.map(({ key }) => key),
        ORDERED
      )
      for (const { key, value } of found) assert.deepEqual(key, value)
    })

    test("a range holds its start, not its end, and at most its limit", async () => {
      const store = await makeStore()
      store.apply(ORDERED.map((key) => put(key, key)))
      for (const [low, start] of ORDERED.entries()) {
        for (const [high, end] of ORDERED.entries()) {
          for (const limit of [0, 1, 3, 100]) {
            const expected = low < high ? ORDERED.slice(low, Math.min(high, low + limit)) : []
            assert.deepEqual(
              store.range(start, end, limit).map(({ key }) => key),
              expected
            )
          }
        }
      }
    })

    test("paging from the last key followed by a zero byte meets every key once", async () => {
      const store = await makeStore()
      store.apply(ORDERED.map((key) => put(key, key)))
      for (const limit of [1, 2, 5]) {
        const seen: Array<Uint8Array> = []
        let cursor = bytes()
        for (;;) {
          const page = store.range(cursor, LAST, limit)
          const last = page.at(-1)
          if (last === undefined) break
          seen.push(...page.map(({ key }) => key))
          cursor = bytes(...last.key, 0)
        }
        assert.deepEqual(seen, ORDERED)
      }
    })

    test("random batches agree with a sorted array", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(write, { maxLength: 8 }), { maxLength: 20 }),
          keys,
          keys,
          fc.nat(12),
          async (batches, start, end, limit) => {
            const store = await makeStore()
            let model: Array<{ key: Uint8Array; value: Uint8Array }> = []
            for (const batch of batches) {
              store.apply(batch)
              for (const { key, value } of batch) {
                model = model.filter((entry) => compareKeys(entry.key, key) !== 0)
                if (value !== undefined) model.push({ key, value })
              }
              model.sort((left, right) => compareKeys(left.key, right.key))
              assert.equal(store.size, model.length)
              const within = model.filter(({ key }) => compareKeys(key, start) >= 0 && compareKeys(key, end) < 0)
              assert.deepEqual([...store.range(start, end, limit)], within.slice(0, limit))
              assert.deepEqual(store.get(start), model.find(({ key }) => compareKeys(key, start) === 0)?.value)
            }
          }
        ),
        { numRuns: 150 }
      )
    })
  })
}
