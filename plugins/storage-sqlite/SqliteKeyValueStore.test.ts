import assert from "node:assert/strict"
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import fc from "fast-check"
import { compareKeys, type KeyValue, type KeyValueWrite } from "../../core/mod.ts"
import { openBareStore, openTestStore, type TestStore } from "./fakes.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-sqlite-kv-"))
const stores: Array<TestStore> = []
let folders = 0
const freshFolder = (): string => join(root, String(++folders))
// Checkpoints come when a test says so.
const settings = { checkpoint_interval_ms: 3_600_000, checkpoint_bytes: 1_000_000_000 }
const open = async (folder = freshFolder(), changed: object = {}): Promise<TestStore> => {
  const store = await openTestStore(folder, { settings, ...changed })
  stores.push(store)
  return store
}

after(async () => {
  await Promise.all(stores.map((store) => store.kill()))
  rmSync(root, { recursive: true, force: true })
})

const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)
const LAST = bytes(255, 255, 255, 255, 255, 255)
const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** Commits writes as the journal's users do. */
async function commit(store: TestStore, writes: ReadonlyArray<KeyValueWrite>): Promise<void> {
  const ticket = store.journal.submit({ writes })
  while (store.journal.tickets.committed < ticket) await new Promise((resolve) => setImmediate(resolve))
}

class Model {
  entries: Array<KeyValue> = []

  apply(writes: ReadonlyArray<KeyValueWrite>): void {
    for (const { key, value, end } of writes) {
      this.entries = this.entries.filter(({ key: other }) =>
        end === undefined ? compareKeys(other, key) !== 0 : compareKeys(other, key) < 0 || compareKeys(other, end) >= 0
      )
      if (value !== undefined) this.entries.push({ key, value })
    }
    this.entries.sort((left, right) => compareKeys(left.key, right.key))
  }

  range(start: Uint8Array, end: Uint8Array, limit: number): ReadonlyArray<KeyValue> {
    return this.entries.filter(({ key }) => compareKeys(key, start) >= 0 && compareKeys(key, end) < 0).slice(0, limit)
  }
}

const keys = fc.array(fc.constantFrom(0, 1, 97, 128, 255), { maxLength: 3 }).map((values) => Uint8Array.from(values))
const write: fc.Arbitrary<KeyValueWrite> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ key: keys, value: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined }) })
  },
  { weight: 1, arbitrary: fc.record({ key: keys, value: fc.constant(undefined), end: keys }) }
)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("apply" as const), writes: fc.array(write, { maxLength: 6 }) })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("freeze" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("await" as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("range" as const), start: keys, end: keys, limit: fc.nat(9) })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("later" as const),
      start: keys,
      end: keys,
      limit: fc.nat(9),
      bytesMax: fc.constantFrom(0, 3, 8, 1_000)
    })
  }
)

for (const isThreaded of [false, true]) {
  const where = isThreaded ? "in a thread" : "inline"
  test(`the merged view agrees with a sorted array, whatever is being put away (${where})`, async () => {
    const store = await openBareStore(freshFolder(), isThreaded)
    const { keyValue, checkpoints } = store
    let index = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const model = new Model()
        const reset = [{ key: bytes(), value: undefined, end: bytes(255, 255, 255, 255, 255) }]
        keyValue.apply(reset)
        for (const each of steps) {
          if (each.kind === "apply") {
            keyValue.apply(each.writes)
            model.apply(each.writes)
          } else if (each.kind === "freeze") {
            // As if the journal had said so; the entries are none of its own.
            checkpoints.committed(++index, "persistent")
            checkpoints.checkpoint()
          } else if (each.kind === "await") await new Promise((resolve) => setImmediate(resolve))
          else if (each.kind === "range") {
            const { start, end, limit } = each
            assert.deepEqual(keyValue.range(start, end, limit), model.range(start, end, limit))
            for (const { key, value } of model.entries) assert.deepEqual(keyValue.get(key), value)
            assert.equal(
              keyValue.get(start) === undefined,
              !model.entries.some(({ key }) => compareKeys(key, start) === 0)
            )
          } else {
            const { start, end, limit, bytesMax } = each
            // Nothing is applied until the answer comes, but checkpoints go on.
            checkpoints.committed(++index, "persistent")
            checkpoints.checkpoint()
            const found = await keyValue.rangeLater(start, end, limit, bytesMax)
            const all = model.range(start, end, limit)
            assert.deepEqual(found, all.slice(0, found.length))
            // Short only where its bytes are too many.
            const size = found.reduce((sum, { value }) => sum + value.length, 0)
            assert.ok(found.length <= 1 || size <= bytesMax, `${size} bytes`)
            assert.ok(found.length === all.length || (found.length > 0 && bytesMax < 1_000), `${found.length} rows`)
          }
        }
        assert.deepEqual(keyValue.range(bytes(), LAST, 1_000), model.entries)
      }),
      { numRuns: isThreaded ? 40 : 120 }
    )
    assert.ok(checkpoints.checkpoints > 20, `${checkpoints.checkpoints} checkpoints`)
    store.abandon()
  })
}

test("reads that come later see all that was applied before the call, however checkpoints run beside them", async () => {
  const store = await openBareStore(freshFolder(), true)
  const { keyValue, checkpoints } = store
  const nameAt = (number: number): Uint8Array => text(`k${String(number).padStart(6, "0")}`)
  const asked: Array<Promise<void>> = []
  let low = 0
  for (let round = 0; round < 300; round++) {
    const from = round * 10
    keyValue.apply(Array.from({ length: 10 }, (_, at) => ({ key: nameAt(from + at), value: text(String(round)) })))
    if (round % 7 === 6) {
      const next = from - 20
      keyValue.apply([{ key: nameAt(low), value: undefined, end: nameAt(next) }])
      low = next
    }
    checkpoints.committed(round + 1, "persistent")
    if (round % 3 === 0) checkpoints.checkpoint()
    const first = low
    asked.push(
      keyValue.rangeLater(nameAt(0), nameAt(1_000_000), 100_000, 10_000_000).then((found) => {
        const numbers = found.map(({ key }) => Number(new TextDecoder().decode(key).slice(1)))
        assert.ok((numbers[0] ?? -1) >= first)
        assert.ok((numbers.at(-1) ?? 0) >= from + 9)
        for (const [at, number] of numbers.entries()) assert.equal(number, (numbers[0] ?? 0) + at, "no hole, no ghost")
      })
    )
    if (round % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await Promise.all(asked)
  assert.ok(checkpoints.checkpoints > 10)
  store.abandon()
})

test("what came and went between two checkpoints never reaches the database", async () => {
  const store = await open()
  const { keyValue, checkpoints } = store.store
  await commit(store, [{ key: text("stays"), value: text("1") }])
  await checkpoints.flush()
  const rows = store.store.writer.rows
  for (let round = 0; round < 500; round++) {
    await commit(store, [
      { key: text(`gone ${round}`), value: text("x") },
      { key: text(`gone ${round - 1}`), value: undefined }
    ])
  }
  await commit(store, [{ key: text("gone 499"), value: undefined }])
  assert.equal(keyValue.residentBytes, 0)
  await checkpoints.flush()
  assert.equal(store.store.writer.rows, rows)
  assert.equal(keyValue.size, 1)
})

for (const how of ["close", "kill"] as const) {
  test(`after a ${how} everything that was committed is there, and the keys are counted`, async () => {
    const folder = freshFolder()
    let store = await open(folder)
    const model = new Model()
    for (let round = 0; round < 60; round++) {
      const writes: Array<KeyValueWrite> = [
        { key: text(`a${round % 23}`), value: text(`${round}`) },
        { key: text(`b${round}`), value: text("b") },
        { key: text(`b${round - 3}`), value: undefined }
      ]
      if (round % 20 === 19) writes.push({ key: text("a1"), value: undefined, end: text("a2") })
      await commit(store, writes)
      model.apply(writes)
      if (round % 13 === 5) await store.store.checkpoints.flush()
      if (round % 17 !== 16) continue
      await store[how]()
      store = await open(folder)
      assert.deepEqual(store.store.keyValue.range(bytes(), LAST, 1_000), model.entries)
    }
    await store.store.checkpoints.flush()
    assert.equal(store.store.keyValue.size, model.entries.length)
    assert.equal((await store.store.stats()).keys, model.entries.length)
    await store.kill()
  })
}

test("every checkpoint is a place to start from: the database as it was then, and the journal as it is now", async () => {
  const folder = freshFolder()
  // The journal keeps all its segments: a consumer that applies nothing holds them.
  const store = await open(folder, { journal: { segmentBytes: 1_048_576 } })
  const model = new Model()
  const copies: Array<string> = []
  for (let round = 0; round < 8; round++) {
    for (let count = 0; count < 12; count++) {
      const writes = [
        { key: text(`k${(round * 5 + count) % 31}`), value: text(`${round}.${count}`) },
        { key: text(`k${(round * 7 + count * 3) % 31}`), value: undefined }
      ]
      await commit(store, writes)
      model.apply(writes)
    }
    await store.store.checkpoints.flush()
    const copy = freshFolder()
    store.copy(copy)
    copies.push(copy)
  }
  for (const copy of copies) {
    for (const name of readdirSync(folder).filter((each) => each.endsWith(".journal"))) {
      cpSync(join(folder, name), join(copy, name))
    }
    const again = await open(copy)
    assert.deepEqual(again.store.keyValue.range(bytes(), LAST, 1_000), model.entries)
    await again.close()
  }
})
