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

const later = (store: KeyValueStoreShape, start: Uint8Array, end: Uint8Array, limit: number, bytesMax = 1_000_000) =>
  store.rangeLater(start, end, limit, bytesMax)

/** A small alphabet with the bytes where signs, text and ends matter, so that random keys meet. */
const keys = fc
  .array(fc.constantFrom(0, 1, 97, 127, 128, 255), { maxLength: 4 })
  .map((values) => Uint8Array.from(values))
const single = fc.record({
  key: keys,
  value: fc.option(fc.uint8Array({ maxLength: 5 }), { nil: undefined, freq: 3 })
})
const ofRange = fc.record({ key: keys, value: fc.constant(undefined), end: keys })
const write: fc.Arbitrary<KeyValueWrite> = fc.oneof({ weight: 8, arbitrary: single }, { weight: 1, arbitrary: ofRange })

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

    test("a range that is removed takes its start, not its end, and nothing beside it", async () => {
      for (const [low, start] of ORDERED.entries()) {
        for (const end of [ORDERED[low], ORDERED[low + 1], ORDERED[low + 3], bytes(255, 255, 255)]) {
          if (end === undefined) continue
          const store = await makeStore()
          store.apply(ORDERED.map((key) => put(key, key)))
          store.apply([{ key: start, value: undefined, end }])
          const kept = ORDERED.filter((key) => compareKeys(key, start) < 0 || compareKeys(key, end) >= 0)
          assert.deepEqual(
            store.range(bytes(), LAST, 100).map(({ key }) => key),
            kept
          )
          for (const key of ORDERED) assert.deepEqual(store.get(key), kept.includes(key) ? key : undefined)
        }
      }
    })

    test("a range that is removed takes what the batch has written before it, not what comes after", async () => {
      const store = await makeStore()
      store.apply([
        put(bytes(5, 1), bytes(1)),
        put(bytes(6), bytes(1)),
        { key: bytes(5), value: undefined, end: bytes(6) },
        put(bytes(5, 2), bytes(2))
      ])
      assert.equal(store.get(bytes(5, 1)), undefined)
      assert.deepEqual(
        store.range(bytes(), LAST, 10).map(({ key }) => key),
        [bytes(5, 2), bytes(6)]
      )
    })

    test("a range that comes later holds the same, and everything that was applied before the call", async () => {
      const store = await makeStore()
      store.apply(ORDERED.map((key) => put(key, key)))
      for (const start of [bytes(), bytes(97), bytes(97, 1), LAST]) {
        for (const limit of [0, 1, 3, 100]) {
          assert.deepEqual(await later(store, start, LAST, limit), store.range(start, LAST, limit))
        }
      }
      store.apply([put(bytes(97, 50), bytes(1)), removal(bytes(97, 99))])
      const asked = later(store, bytes(97), bytes(98), 100)
      assert.deepEqual(
        (await asked).map(({ key }) => key),
        [bytes(97), bytes(97, 0), bytes(97, 50), bytes(97, 98), bytes(97, 98, 99)]
      )
    })

    test("a range that comes later keeps its bound in bytes, with one entry at least; pages meet every key once", async () => {
      const store = await makeStore()
      const entries = Array.from({ length: 40 }, (_, index) => put(bytes(7, index), new Uint8Array((index * 37) % 90)))
      store.apply(entries)
      for (const bytesMax of [0, 1, 100, 1_000]) {
        const seen: Array<Uint8Array> = []
        for (let cursor = bytes(7); ; ) {
          const page = await later(store, cursor, bytes(8), 100, bytesMax)
          const last = page.at(-1)
          if (last === undefined) break
          const size = page.reduce((sum, { value }) => sum + value.length, 0)
          assert.ok(page.length === 1 || size <= bytesMax, `${size} bytes where ${bytesMax} were allowed`)
          seen.push(...page.map(({ key }) => key))
          cursor = bytes(...last.key, 0)
        }
        assert.deepEqual(
          seen,
          entries.map(({ key }) => key)
        )
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
              for (const { key, value, end: behind } of batch) {
                const isGone = (other: Uint8Array): boolean =>
                  behind === undefined
                    ? compareKeys(other, key) === 0
                    : compareKeys(other, key) >= 0 && compareKeys(other, behind) < 0
                model = model.filter((entry) => !isGone(entry.key))
                if (value !== undefined) model.push({ key, value })
              }
              model.sort((left, right) => compareKeys(left.key, right.key))
              assert.equal(store.size, model.length)
              const within = model.filter(({ key }) => compareKeys(key, start) >= 0 && compareKeys(key, end) < 0)
              assert.deepEqual([...store.range(start, end, limit)], within.slice(0, limit))
              assert.deepEqual([...(await later(store, start, end, limit))], within.slice(0, limit))
              assert.deepEqual(store.get(start), model.find(({ key }) => compareKeys(key, start) === 0)?.value)
            }
          }
        ),
        { numRuns: 150 }
      )
    })
  })
}
