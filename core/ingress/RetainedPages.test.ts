import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { compareKeys } from "../kv/KeyValueStore.ts"
import { SIMULATED_EPOCH_MS, Simulation } from "../platform/simulated.ts"
import { joinIngress, messageOf, payloadOf } from "./fakes.ts"
import { PAGE_ROWS_MAX, RetainedPages } from "./RetainedPages.ts"

const encoder = new TextEncoder()
const byBytes = (one: string, other: string): number => compareKeys(encoder.encode(one), encoder.encode(other))

/** One shard with its pages; what is set is committed when the simulation runs. */
function make(shards = 1) {
  const simulation = new Simulation(1)
  const parts = joinIngress(simulation, { shards })
  const [shard] = parts.shards
  assert.ok(shard !== undefined)
  const { retained, resolutions } = shard
  const ownerOf = (tenant: number, name: string): number => resolutions.ownerOf(tenant, name)
  const pages = new RetainedPages({ ...shard, ownerOf, clock: simulation.clock })
  const read = async (after = "", limit = 100, filter = "", tenant = 0) => {
    const page = await pages.read(
      { tenant, after, filter, limit },
      (message) => `${message.name}=${payloadOf(message)}`
    )
    return { shown: page.items, next: page.next }
  }
  const set = (name: string, payload: string): void => void retained.setUnsafe(messageOf(name, payload))
  return { simulation, shard, retained, pages, read, set }
}

const name = fc.oneof(
  fc.stringMatching(/^[a-c/]{1,4}$/),
  fc.constantFrom("$a", "a!", "a/", "\ufeffa", "é", "\u{1f600}", "\uffee", "a\u0001", "x".repeat(2_000))
)
const change = fc.record({ name, payload: fc.constantFrom("", "1", "2"), isCommitted: fc.boolean() })

test("pages of any size are exactly what is there, in the order of the names' bytes", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(change, { maxLength: 30 }),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom("", "a", "b/", "é"),
      async (changes, limit, filter) => {
        const { simulation, read, set } = make()
        const model = new Map<string, string>()
        for (const { name, payload, isCommitted } of changes) {
          set(name, payload)
          if (payload === "") model.delete(name)
          else model.set(name, payload)
          if (isCommitted) simulation.run()
        }
        simulation.run()
        const seen: Array<string> = []
        for (let after: string | undefined = ""; after !== undefined; ) {
          const { shown, next } = await read(after, limit, filter)
          assert.ok(next === undefined || shown.length === limit, "a page that is not the last one is full")
          seen.push(...shown)
          after = next
        }
        const expected = [...model].filter(([each]) => each.includes(filter)).toSorted(([a], [b]) => byBytes(a, b))
        assert.deepEqual(
          seen,
          expected.map(([each, payload]) => `${each}=${payload}`)
        )
      }
    )
  ))

test("changes between pages, committed or not, take nothing else away and show nothing twice", () =>
  fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(name, { maxLength: 20 }),
      fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 20 }),
      fc.integer({ min: 1, max: 4 }),
      async (names, rounds, limit) => {
        const { simulation, read, set } = make()
        for (const each of names) set(each, "0")
        simulation.run()
        const changed = new Set<string>()
        const cleared = new Set<string>()
        const seen: Array<string> = []
        let round = 0
        for (let after: string | undefined = ""; after !== undefined; round++) {
          for (const { name: each, payload, isCommitted } of rounds[round] ?? []) {
            set(each, payload)
            changed.add(each)
            if (payload === "") cleared.add(each)
            else cleared.delete(each)
            if (isCommitted) simulation.run()
          }
          const { shown, next } = await read(after, limit)
          const shownNames = shown.map((each) => each.slice(0, each.lastIndexOf("=")))
          assert.deepEqual(
            shownNames.filter((each) => cleared.has(each)),
            [],
            "what is cleared is not shown"
          )
          seen.push(...shownNames)
          after = next
        }
        assert.deepEqual(seen, [...new Set(seen)].toSorted(byBytes))
        const unchanged = names.filter((each) => !changed.has(each)).toSorted(byBytes)
        assert.deepEqual(
          seen.filter((each) => !changed.has(each)),
          unchanged
        )
      }
    )
  ))

test("what is set again is shown as it is, committed or not; a new name when it is committed", async () => {
  const { simulation, shard, read, set } = make()
  set("old", "1")
  simulation.run()
  shard.journal.hold(() => {})
  set("old", "2")
  set("new", "1")
  simulation.run()
  assert.deepEqual((await read()).shown, ["old=2"])
  set("old", "")
  simulation.run()
  assert.deepEqual((await read()).shown, [])
})

test("what is expired is left out, and so are other tenants'", async () => {
  const { simulation, retained, read, set } = make()
  const short = messageOf("short", "x", { timestamp: SIMULATED_EPOCH_MS })
  const header = encoder.encode("mqtt.message-expiry")
  short.headers = Uint8Array.of(header.length * 2, ...header, 2, 0x39)
  short.headersEnd = short.headers.length
  short.headerCount = 1
  retained.setUnsafe(short)
  retained.setUnsafe(messageOf("theirs", "x", { tenant: 1 }))
  set("long", "x")
  simulation.run()
  assert.deepEqual((await read()).shown, ["long=x", "short=x"])
  simulation.clock.after(9_000, () => {})
  simulation.run()
  assert.deepEqual(await read(), { shown: ["long=x"], next: undefined })
  assert.deepEqual((await read("", 9, "", 1)).shown, ["theirs=x"])
})

test("a page that finds little ends after a bounded number of rows, and goes on there", async () => {
  const { simulation, shard, read, set } = make()
  const nameAt = (index: number): string => `n/${String(index).padStart(6, "0")}`
  for (let index = 0; index < PAGE_ROWS_MAX * 2 + 100; index++) set(nameAt(index), "x")
  set("z", "last")
  simulation.run()
  // Sorted once: a store that does it for each reading is slow.
  const rows = shard.store.range(new Uint8Array(0), Uint8Array.of(255), Number.POSITIVE_INFINITY)
  let rowsRead = 0
  shard.store.rangeLater = async (start, end, limit) => {
    const from = rows.findIndex(({ key }) => compareKeys(key, start) >= 0)
    const found = from < 0 ? [] : rows.slice(from, from + limit).filter(({ key }) => compareKeys(key, end) < 0)
    rowsRead += found.length
    return found
  }
  assert.deepEqual(await read("", 10, "last"), { shown: [], next: nameAt(PAGE_ROWS_MAX - 1) })
  assert.equal(rowsRead, PAGE_ROWS_MAX)
  assert.deepEqual(await read(nameAt(PAGE_ROWS_MAX - 1), 10, "z"), { shown: [], next: nameAt(PAGE_ROWS_MAX * 2 - 1) })
  assert.deepEqual(await read(nameAt(PAGE_ROWS_MAX * 2 - 1), 10, "z"), { shown: ["z=last"], next: undefined })
  rowsRead = 0
  assert.equal((await read("", 10)).next, nameAt(9))
  assert.equal(rowsRead, 11)
})

test("names that another shard owns are left out while names move", async () => {
  const { simulation, shard, read, set } = make(2)
  const names = Array.from({ length: 20 }, (_, index) => `n${index}`).toSorted(byBytes)
  for (const each of names) set(each, "x")
  simulation.run()
  assert.equal((await read()).shown.length, 20)
  shard.retained.notesCleared = true
  const own = names.filter((each) => shard.resolutions.ownerOf(0, each) === 0)
  assert.ok(own.length > 0 && own.length < 20)
  assert.deepEqual(
    (await read()).shown,
    own.map((each) => `${each}=x`)
  )
})
