import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { BAN_LOG_PREFIX, type JournalShape, type KeyValueWrite, type Page } from "../../../core/mod.ts"
import { MemoryKeyValueStore } from "../../storage-memory/MemoryKeyValueStore.ts"
import { BAN_LOG_MAX, BanLog } from "./BanLog.ts"
import { banLogResource } from "./ban-log-resource.ts"
import type { BanRule } from "./ban-rule.ts"

const NOW = Date.parse("2027-01-01T00:00:00Z")
const rule = (name: string, end_time = ""): BanRule => ({
  name,
  blacklist_type: "client_id",
  resource_name: `client ${name}`,
  end_time,
  desc: "why"
})

function make() {
  const store = new MemoryKeyValueStore()
  const submit = ({ writes = [] }: { readonly writes?: ReadonlyArray<KeyValueWrite> }): number => {
    store.apply(writes)
    return 0
  }
  const journal: Pick<JournalShape, "submit"> = { submit }
  return { store, open: () => new BanLog({ store, journal: journal as JournalShape }) }
}

async function list(log: BanLog, limit: number, filter = ""): Promise<ReadonlyArray<string>> {
  const ids: Array<string> = []
  let cursor: string | undefined = ""
  while (cursor !== undefined) {
    const page: Page<unknown> = await Effect.runPromise(
      banLogResource(log).list?.({ limit, cursor, filter }) ?? Effect.die("list")
    )
    assert.ok(page.items.length <= limit)
    ids.push(...page.items.map((item) => (item as { readonly id: string }).id))
    cursor = page.cursor
  }
  return ids
}

test("what is put on the list and taken off it, by whom it was meant, newest first; over a restart once", async () => {
  const { open } = make()
  const [one, two] = [rule("one"), rule("two", "2027-01-01T00:00:05Z")]
  const told = [
    { name: "one", before: undefined, after: one, revision: 3 },
    { name: "three", before: undefined, after: rule("three"), revision: 4 },
    { name: "two", before: undefined, after: two, revision: 4 },
    { name: "one", before: one, after: undefined, revision: 7 },
    { name: "two", before: two, after: undefined, revision: 9 }
  ]
  const log = open()
  log.caughtUp([], NOW)
  for (const change of told) log.note(change, NOW + change.revision * 1_000)
  const expected = ["9-two expired", "7-one lifted", "4-two banned", "4-three banned", "3-one banned"]
  const shown = (of: BanLog): ReadonlyArray<string> => of.events.map(({ id, action }) => `${id} ${action}`)
  assert.deepEqual(shown(log), expected)
  const again = open()
  assert.deepEqual(again.events, log.events)
  // A start tells what stands on the list; what was there is not noted anew, what is new is.
  again.note({ name: "three", before: undefined, after: rule("three"), revision: 4 }, NOW + 60_000)
  again.note({ name: "four", before: undefined, after: rule("four"), revision: 10 }, NOW + 60_000)
  again.caughtUp([rule("three"), rule("four")], NOW + 60_000)
  assert.deepEqual(shown(again), ["10-four banned", ...expected])
  for (const limit of [1, 2, 100]) assert.equal((await list(again, limit)).length, 6)
  assert.deepEqual(await list(again, 1, "client t"), ["9-two", "4-two", "4-three"])
})

test("the log is bounded, in memory and in rows; a page goes on where its last event has gone", async () => {
  const { open, store } = make()
  const log = open()
  log.caughtUp([], NOW)
  log.note({ name: "flapping-0", before: undefined, after: rule("flapping-0"), revision: 0 }, NOW)
  for (let each = 1; each <= BAN_LOG_MAX + 500; each++) {
    log.note({ name: `r${each}`, before: undefined, after: rule(`r${each}`), revision: each }, NOW)
  }
  const rows = (): number => store.range(BAN_LOG_PREFIX, Uint8Array.of(0x62, 0x6d), 10_000).length
  assert.deepEqual([log.events.length, rows()], [BAN_LOG_MAX + 1, BAN_LOG_MAX + 1])
  assert.deepEqual(await list(log, 100), await list(open(), 1_000))
  const behind = await Effect.runPromise(
    banLogResource(log).list?.({ limit: 5, cursor: "0-gone", filter: "" }) ?? Effect.die("list")
  )
  assert.deepEqual(behind, { items: [] })
  const between = await Effect.runPromise(
    banLogResource(log).list?.({ limit: 1, cursor: "600-gone", filter: "" }) ?? Effect.die("list")
  )
  assert.deepEqual(between.cursor, "599-r599")
})

test("a row that another release wrote is left alone", () => {
  const { open, store } = make()
  store.apply([
    { key: Uint8Array.of(0x62, 0x6c, 1), value: Uint8Array.of(2, 3) },
    { key: Uint8Array.of(0x62, 0x6c, 2), value: Uint8Array.of(1, 0x7b) }
  ])
  assert.deepEqual(open().events, [])
})

test("what a crash kept out of the log is found at the start: what stands on the list, in its order, and what does not any more", () => {
  const { open } = make()
  const log = open()
  log.caughtUp([], NOW)
  for (const [name, revision] of [
    ["a", 3],
    ["c", 7]
  ] as const) {
    log.note({ name, before: undefined, after: rule(name), revision }, NOW)
  }
  // "b" and "d" were put on the list, and "c" taken off it, before a crash; told in the order of their names.
  const again = open()
  for (const [name, revision] of [
    ["a", 3],
    ["b", 8],
    ["d", 5]
  ] as const) {
    again.note({ name, before: undefined, after: rule(name), revision }, NOW)
  }
  again.caughtUp([rule("a"), rule("b"), rule("d")], NOW)
  const shown = again.events.map(({ id, action }) => `${id} ${action}`)
  assert.deepEqual(shown, ["8-c lifted", "8-b banned", "7-c banned", "5-d banned", "3-a banned"])
  assert.deepEqual(
    open()
      .events.map(({ id, action }) => `${id} ${action}`)
      .toSorted(),
    shown.toSorted()
  )
})
