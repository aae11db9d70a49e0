import assert from "node:assert/strict"
import { test } from "node:test"
import type { Engine } from "../log/Engines.ts"
import { loadTopics } from "./load-topics.ts"
import { TopicDirectory } from "./TopicDirectory.ts"
import type { TopicInfo } from "./TopicInfo.ts"
import { decodeTopic, encodeRemoved, encodeTopic, topicKey } from "./topic-codec.ts"

const retention = { ms: 604_800_000, bytes: 0 }
const topicOf = (index: number, facts: Partial<TopicInfo> = {}): TopicInfo => ({
  tenant: 0,
  name: `topic.${String(index).padStart(3, "0")}`,
  id: `01234567-89ab-4def-8123-${String(index).padStart(12, "0")}`,
  partitions: 1,
  engine: "sqlite",
  mode: "persistent",
  origin: "admin",
  retention,
  ...facts
})

/** Only sqlite opens partitions by use. */
const engines = {
  get: (name: string): Engine | undefined =>
    name === "missing" ? undefined : ({ ...(name === "sqlite" && { reopens: true }) } as unknown as Engine)
}

/** A directory of what is stored, and the names of topics that were one by themselves. */
function loaded(topics: ReadonlyArray<TopicInfo>, encode = encodeTopic) {
  const directory = new TopicDirectory()
  const single: Array<string> = []
  const found = loadTopics({
    directory,
    engines,
    changed: ({ key, value = new Uint8Array(0) }) => {
      const topic = decodeTopic(key, value)
      single.push(topic.name)
      directory.add(topic)
    }
  })
  for (const topic of topics) {
    const value = encode(topic)
    const around = Buffer.concat([Buffer.from("xyz"), value, Buffer.from("}")])
    found(topicKey(topic), around, 3, 3 + value.length, 1)
    around.fill(0)
  }
  return { directory, single }
}

const TOPICS = [
  ...Array.from({ length: 50 }, (_, index) => topicOf(index)),
  topicOf(50, { compression: "zstd" }),
  topicOf(51, { configs: { "segment.ms": "5" } }),
  topicOf(52, { filter: "a/+" }),
  topicOf(53, { logId: "01234567-89ab-4def-8123-999999999999" }),
  topicOf(54, { engine: "memory", mode: "memory" }),
  topicOf(55, { engine: "missing" }),
  topicOf(56, { id: "no uuid" }),
  topicOf(57, { partitionBy: "level:2", partitions: 3 }),
  topicOf(58, { partitionBy: "client", partitions: 3, filter: "c/+" }),
  // Bound before, and not any more.
  topicOf(59, { boundFrom: [7], formerly: [{ from: [] }, { filter: "d/+", from: [3] }] }),
  topicOf(60, { filter: "e/+", boundFrom: [7], formerly: [{ filter: "d/#", from: [] }] }),
  // The same kinds of another tenant, and in turn.
  ...Array.from({ length: 6 }, (_, index) =>
    topicOf(index, {
      tenant: 12,
      id: `11234567-89ab-4def-8123-00000000000${index}`,
      ...(index % 2 === 0 && { compression: "zstd" })
    })
  )
]
const OF_FIRST = TOPICS.filter(({ tenant }) => tenant === 0)

test("what is loaded is what would be added one by one", () => {
  const { directory, single } = loaded(TOPICS)
  assert.equal(directory.size, TOPICS.length)
  for (const topic of TOPICS) {
    assert.deepEqual(directory.findById(topic.id), topic)
    assert.deepEqual(directory.find(topic.tenant, topic.name), topic)
  }
  assert.deepEqual(directory.list(0), OF_FIRST)
  // A topic that goes takes nothing from those that are alike.
  for (const { id } of directory.list(12).slice(0, 4)) directory.remove(id)
  assert.deepEqual(directory.list(12), TOPICS.slice(-2))
  assert.deepEqual(directory.list(0), OF_FIRST)
  assert.equal(directory.homeOf(0, "topic/007")?.id, topicOf(7).id)
  assert.equal(directory.homeOf(0, "a/b")?.name, "topic.052")
  assert.equal(directory.findByLog("01234567-89ab-4def-8123-999999999999")?.name, "topic.053")
  // Those of which more is to be known, or where something has to be opened or told.
  const own = ["052", "053", "054", "055", "056", "058", "059", "060"]
  assert.deepEqual(
    single,
    own.map((number) => `topic.${number}`)
  )
  const former = (filter: string) => directory.formerHomes(0, filter).map(({ name }) => name)
  assert.deepEqual([former("d/1"), former("topic/059"), former("c/1")], [["topic.059", "topic.060"], ["topic.059"], []])
  directory.remove(topicOf(59).id)
  assert.deepEqual(former("d/1"), ["topic.060"])
})

test("what older releases wrote is one by itself", () => {
  const { directory, single } = loaded(TOPICS, encodeRemoved)
  assert.equal(single.length, TOPICS.length)
  assert.deepEqual(directory.list(0), OF_FIRST)
})

test("a name or an id that is there already is told of, and who waits for a topic hears of it", () => {
  const { directory, single } = loaded([
    topicOf(1),
    topicOf(1, { id: topicOf(2).id }),
    topicOf(3, { id: topicOf(2).id })
  ])
  assert.deepEqual(single, ["topic.001", "topic.003"])
  assert.deepEqual(
    directory.list(0).map(({ name, id }) => [name, id]),
    [["topic.001", topicOf(2).id]]
  )
  directory.watchHomes(0, "topic/#", () => {})
  const { retention: _retention, tenant, name, id: _id, ...kind } = topicOf(9)
  assert.equal(directory.load(tenant, name, kind, new Uint8Array(16), 0), false)
})
