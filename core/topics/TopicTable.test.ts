import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { TopicInfo } from "./TopicInfo.ts"
import { TopicTable } from "./TopicTable.ts"
import { UUID_BYTES } from "./topic-uuid.ts"

const bare = { tenant: 0, name: "t", partitions: 1, engine: "memory", mode: "memory", origin: "admin" } as const
const RETENTION = { ms: 1, bytes: 2 }

/** FNV-1a gives the first two the same hash; so have two of the UUIDs, and one is no id of ours for its capitals. */
const id = fc.constantFrom(
  "costarring",
  "liquid",
  "",
  "00000000-0000-4000-8000-000000000000",
  "00000000-0000-4000-8000-000000000001",
  "01234567-89ab-4def-8123-456789abcdef",
  "01234567-89AB-4def-8123-456789abcdef",
  "01234567-89ab-4def-8123_456789abcdef"
)
const facts: fc.Arbitrary<Partial<TopicInfo>> = fc.constantFrom<Partial<TopicInfo>>(
  {},
  { retention: RETENTION },
  { retention: RETENTION, compression: "zstd" },
  { compression: "zstd" },
  { configs: { "cleanup.policy": "compact" } },
  { retention: RETENTION, configs: { "segment.ms": "1" } },
  { filter: "a/+", retention: RETENTION },
  { retention: RETENTION, partitionBy: "level:2" },
  { retention: RETENTION, boundFrom: [3], formerly: [{ filter: "a/+", from: [] }] },
  { logId: "01234567-89ab-4def-8123-000000000000" },
  { tenant: 7, retention: RETENTION }
)
const name = fc.oneof(fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/), fc.constantFrom("a".repeat(249), "é𝄞", ""))

test("it agrees with a map, whatever comes and goes, also while it is gone through", () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), id, name, facts), { maxLength: 60 }), id, (steps, late) => {
      const table = new TopicTable()
      const model = new Map<string, TopicInfo>()
      const places = new Set<number>()
      const remove = (each: string): void => {
        const place = table.placeOf(each)
        assert.equal(place >= 0, model.delete(each))
        if (place >= 0) table.remove(place)
        places.delete(place)
      }
      for (const [what, each, named, more] of steps) {
        if (what === 0) remove(each)
        else if (!model.has(each)) {
          const topic: TopicInfo = { ...bare, ...more, name: named, id: each }
          const place = table.add(topic)
          assert.ok(!places.has(place), "a place stands for one topic")
          places.add(place)
          model.set(each, topic)
        }
        assert.equal(table.size, model.size)
        const place = table.placeOf(each)
        assert.deepEqual(place < 0 ? undefined : table.topicAt(place), model.get(each))
        if (place >= 0) assert.equal(table.nameAt(place), model.get(each)?.name)
      }
      const byId = (topics: Iterable<TopicInfo>): ReadonlyArray<TopicInfo> =>
        [...topics].sort((left, right) => (left.id < right.id ? -1 : 1))
      assert.deepEqual(byId(table.topics()), byId(model.values()))
      const seen: Array<string> = []
      for (const topic of table.topics()) {
        seen.push(topic.id)
        if (model.has(late)) remove(late)
      }
      assert.ok([...model.keys()].every((each) => seen.includes(each)) && seen.length <= model.size + 1)
    })
  ))

test("a topic that is loaded is the one that would be added, and is there once", () => {
  const table = new TopicTable()
  const bytes = Buffer.from(`--${"0123456789ab4def8123456789abcdef"}`, "latin1")
  const ids = Buffer.concat([bytes.subarray(0, 2), Buffer.from("0123456789ab4def8123456789abcdef", "hex")])
  assert.equal(ids.length, 2 + UUID_BYTES)
  const { tenant: _tenant, name: _name, ...kind } = { ...bare, retention: RETENTION }
  table.seek("loaded")
  const place = table.addPlain(3, kind, ids, 2)
  const loaded = { ...kind, tenant: 3, name: "loaded", id: "01234567-89ab-4def-8123-456789abcdef" }
  assert.deepEqual(table.topicAt(place), loaded)
  assert.equal(table.placeOf(loaded.id), place)
  table.seek("another")
  assert.equal(table.addPlain(3, kind, ids, 2), -1)
  table.remove(place)
  assert.equal(table.placeOf(loaded.id), -1)
})

test("names are compared by their bytes", () => {
  const table = new TopicTable()
  const place = table.add({ ...bare, name: "b.b", id: "x" })
  const order = ["", "b", "b.", "b.a", "b.b", "b.b.", "b.c", "c", "é"].map((sought) => {
    table.seek(sought)
    return Math.sign(table.compare(place))
  })
  assert.deepEqual(order, [1, 1, 1, 1, 0, -1, -1, -1, -1])
})

test("room that topics leave goes to others of the size, and many kinds come and go", () => {
  const table = new TopicTable()
  const uuidOf = (index: number): string => `01234567-89ab-4def-8123-${index.toString(16).padStart(12, "0")}`
  const topicOf = (index: number, round: number): TopicInfo => ({
    ...bare,
    name: `topic.${String(index).padStart(6, "0")}`,
    id: uuidOf(index),
    retention: { ms: round, bytes: index % 7 }
  })
  let highest = 0
  for (let round = 0; round < 5; round++) {
    for (let index = 0; index < 5_000; index++) {
      const place = table.add(topicOf(index, round))
      if (round === 0) highest = Math.max(highest, place)
      else assert.ok(place <= highest, "no more room is taken than at first")
    }
    assert.deepEqual(table.topicAt(table.placeOf(uuidOf(4_321))), topicOf(4_321, round))
    assert.equal([...table.topics()].length, 5_000)
    for (let index = 0; index < 5_000; index++) table.remove(table.placeOf(uuidOf(index)))
    assert.deepEqual([table.size, [...table.topics()]], [0, []])
  }
})
