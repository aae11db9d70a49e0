import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { MemoryKeyValueStore } from "../../storage-memory/MemoryKeyValueStore.ts"
import type { Broker } from "../Broker.ts"
import type { Session } from "../Session.ts"
import * as rows from "../session-rows.ts"
import { listConnected, listSessions } from "./SessionDirectory.ts"
import { compareTexts, firstBehind } from "./text-order.ts"

const ROW = { number: 1, expiryInterval: 60, leftAtMs: 0, will: 0 }
const text = fc.string({ unit: "binary", maxLength: 6 })

test("texts order as their bytes do", () => {
  fc.assert(
    fc.property(text, text, (one, other) => {
      assert.equal(Math.sign(compareTexts(one, other)), Math.sign(Buffer.from(one).compare(Buffer.from(other))))
    })
  )
})

test("the first behind a text are those that sorting all would give", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(text, { maxLength: 60 }),
      text,
      fc.integer({ min: 1, max: 9 }),
      (texts, after, count) => {
        const behind = texts.filter((each) => compareTexts(each, after) > 0).toSorted(compareTexts)
        assert.deepEqual(firstBehind(texts, after, count), behind.slice(0, count))
      }
    )
  )
})

/** A broker that has these sessions in memory, and these as rows. */
function brokerWith(resident: ReadonlyArray<string>, stored: ReadonlyArray<string>): Broker {
  const store = new MemoryKeyValueStore()
  store.apply(stored.map((name) => ({ key: rows.directoryKey(0, name), value: rows.encodeSession(ROW) })))
  const sessions = resident.map((clientIdentifier) => ({ clientIdentifier, connection: {} }) as unknown as Session)
  const broker = {
    services: { store, clock: { nowMs: () => 0 } },
    sessions: {
      resident: () => sessions,
      residentOf: (_tenant: number, name: string) => sessions.find(({ clientIdentifier }) => clientIdentifier === name),
      stored: (_tenant: number, name: string) => (store.get(rows.directoryKey(0, name)) === undefined ? undefined : ROW)
    }
  }
  return broker as unknown as Broker
}

function walk(list: typeof listSessions, broker: Broker, limit: number, filter = ""): ReadonlyArray<string> {
  const found: Array<string> = []
  let after: string | undefined = ""
  for (let pages = 0; after !== undefined; pages++) {
    assert.ok(pages < 10_000, "it comes to an end")
    const page = list(broker, after, limit, filter)
    assert.ok(page.sessions.length <= limit)
    found.push(...page.sessions.map(({ clientIdentifier }) => clientIdentifier))
    after = page.next
  }
  return found
}

test("every session is on one page, whether it is in memory, a row, or both", () => {
  const name = fc.string({ unit: "binary", minLength: 1, maxLength: 4 })
  const names = fc.uniqueArray(name, { maxLength: 40 })
  fc.assert(
    fc.property(
      names,
      names,
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom("", "a"),
      (resident, stored, limit, part) => {
        const broker = brokerWith(resident, stored)
        const all = [...new Set([...resident, ...stored])].filter((each) => each.includes(part)).toSorted(compareTexts)
        assert.deepEqual(walk(listSessions, broker, limit, part), all)
        assert.deepEqual(
          walk(listConnected, broker, limit, part),
          resident.filter((each) => each.includes(part)).toSorted(compareTexts)
        )
      }
    )
  )
})

test("a page looks at a bounded number of rows, and the next goes on behind them", () => {
  const stored = Array.from({ length: 12_000 }, (_, each) => `c${String(each).padStart(5, "0")}`)
  const broker = brokerWith(["b", "c06000x", "c11999x", "d"], stored)
  const first = listSessions(broker, "", 10, "x")
  assert.deepEqual([first.sessions.length, first.next], [0, "c04999"])
  assert.deepEqual(walk(listSessions, broker, 10, "x"), ["c06000x", "c11999x"])
  assert.deepEqual(walk(listSessions, broker, 10, "c1199"), [...stored.slice(11_990), "c11999x"])
  assert.equal(walk(listSessions, broker, 1_000).length, 12_004)
})
