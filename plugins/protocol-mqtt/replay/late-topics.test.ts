/** Topics that come to be while they are replayed: a shard that hears of one late misses none of its messages. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Principal } from "../../../core/access/Access.ts"
import { messageOf } from "../../../core/ingress/fakes.ts"
import type { ShardTopics } from "../../../core/topics/ShardTopics.ts"
import type { TopicInfo } from "../../../core/topics/TopicInfo.ts"
import { encodeTopic, topicKey } from "../../../core/topics/topic-codec.ts"
import { encode } from "../../../tests/support/mqtt-packets.ts"
import { TestClient } from "../fakes.ts"
import { TestNode } from "../testing.ts"
import { storedTopics, topicOf } from "./fakes.ts"

const NOBODY: Principal = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }
/** Where the reader, or its group, is; the other one stores. */
const READER = 0
const STORING = 1

function topicsOf(node: TestNode, shard: number): ShardTopics {
  return (node.shards[shard] ?? assert.fail("there are two")).broker.services.topics as unknown as ShardTopics
}

/** A node, and a client whose session is on the reader's shard. */
async function begin(...topics: ReadonlyArray<TopicInfo>) {
  const node = new TestNode({}, storedTopics(topics))
  await node.start()
  await node.advance(1_000)
  const id = ["a", "b", "c", "d", "e", "f"].find((each) => node.of(each) === node.shards[READER])
  const client = new TestClient(node, id ?? assert.fail("one is there"), 5)
  client.connect({ clean: true })
  await node.settle()
  return { node, client }
}

/** A shard hears of a topic. */
function hear(node: TestNode, shard: number, topic: TopicInfo): void {
  const topics = topicsOf(node, shard) as unknown as {
    metaChanged(change: { key: string; value: Uint8Array; revision: number }): void
  }
  topics.metaChanged({ key: topicKey(topic), value: encodeTopic(topic), revision: 1 })
}

async function publish(node: TestNode, name: string, payloads: ReadonlyArray<string>): Promise<void> {
  const { ingress } = node.shards[STORING]?.broker.services ?? assert.fail("there are two")
  for (const payload of payloads) ingress.publishUnsafe(messageOf(name, payload, { qos: 1 }), NOBODY)
  await node.advance(20)
}

/** The reader's shard hears of a topic before the message "4" is published, or when that has just come. */
type Late = (node: TestNode, topic: TopicInfo) => Promise<void>

const LATE: ReadonlyArray<readonly [when: string, hears: Late]> = [
  [
    "before its last one",
    async (node, topic) => {
      hear(node, READER, topic)
      await node.advance(1_000)
      await publish(node, "t/0", ["4"])
    }
  ],
  [
    "in the turn in which its last one comes",
    async (node, topic) => {
      const { history } = node.shards[READER]?.broker.services ?? assert.fail("there are two")
      const { homeOf } = history
      history.homeOf = (tenant, name) => {
        history.homeOf = homeOf
        hear(node, READER, topic)
        return history.homeOf(tenant, name)
      }
      await publish(node, "t/0", ["4"])
      assert.equal(history.homeOf, homeOf)
    }
  ]
]

for (const [what, filter] of [
  ["a replay", "t/+"],
  ["a replay of one name", "t/0"],
  ["a group that replays", "$share/g/t/+"]
] as const) {
  for (const [before, [when, hears]] of [undefined, topicOf("wider", "#", 1, 2)].flatMap((home) =>
    LATE.map((late) => [home, late] as const)
  )) {
    const other = before === undefined ? "no home" : "another home"
    test(`${what} misses no first message of a topic that its shard hears of ${when}; until then the name has ${other}`, async () => {
      const { node, client } = await begin(...(before === undefined ? [] : [before]))
      const owner = filter.startsWith("$share/")
        ? node.shards[0]?.broker.services.shard.ownerOfGroup(0, filter.slice(7))
        : READER
      assert.equal(owner, READER)
      client.send(encode.subscribe(5, 1, [{ filter, qos: 1 }], [["userProperty", ["manifold-from", "latest"]]]))
      await node.advance(100)
      // Its one partition is the other shard's.
      const topic = Array.from({ length: 100 }, (_, number) => topicOf(`late${number}`, "t/+", 1)).find(
        (each) => topicsOf(node, STORING).ownerOf(each, 0) === STORING
      )
      assert.ok(topic !== undefined)
      hear(node, STORING, topic)
      await node.advance(20)
      await publish(node, "t/0", ["1", "2", "3"])
      await hears(node, topic)
      for (let round = 0; round < 10; round++) {
        client.answer()
        await node.advance(100)
      }
      assert.deepEqual(
        client.got.map(({ payload }) => payload),
        ["1", "2", "3", "4"]
      )
    })
  }
}

/** Partitions of new topics that were left out, and those that groups replay, by shard. */
function counted(node: TestNode) {
  const left = node.shards.reduce((sum, { broker }) => sum + broker.counts.replayLeftOut, 0)
  return { left, replayed: node.shards.map(({ broker }) => broker.shared.replayed.count) }
}

test("the partitions of all replays of a session are bounded together, also where their topics come later", async () => {
  const { node, client } = await begin()
  for (const [index, filter] of ["a/+", "b/+", "c/+"].entries()) {
    client.send(encode.subscribe(5, index + 1, [{ filter, qos: 1 }], [["userProperty", ["manifold-from", "earliest"]]]))
    await node.settle()
  }
  for (const [index, filter] of ["a/+", "b/+", "c/+"].entries()) {
    for (const shard of [0, 1]) hear(node, shard, topicOf(`topic${index}`, filter, 600, index))
    await node.settle()
  }
  // What is left out comes as it is published.
  assert.ok(Math.abs(counted(node).left - 800) <= 3, `${counted(node).left} left out`)
  await publish(node, "c/1", ["1"])
  client.answer()
  assert.deepEqual(
    client.got.map(({ payload }) => payload),
    ["1"]
  )
})

test("the partitions that groups of a shard replay are bounded, also where their topic comes later", async () => {
  const { node, client } = await begin()
  const filters = ["$share/g/t/+", "$share/h/t/+"]
  for (const [index, filter] of filters.entries()) {
    client.send(encode.subscribe(5, index + 1, [{ filter, qos: 1 }], [["userProperty", ["manifold-from", "earliest"]]]))
  }
  await node.advance(100)
  client.answer()
  // As if others were there.
  for (const { broker } of node.shards) broker.shared.replayed.count += 99_990
  for (const shard of [0, 1]) hear(node, shard, topicOf("topic", "t/+", 30))
  await node.advance(100)
  assert.deepEqual(counted(node), { left: 40, replayed: [100_000, 100_000] })
  client.send(encode.unsubscribe(5, 9, filters))
  await node.advance(100)
  assert.deepEqual(counted(node).replayed, [99_990, 99_990])
})

/** How often topics are asked for while messages are published. */
async function asksAmid(node: TestNode, name: string): Promise<number> {
  const { topics } = node.shards[READER]?.broker.services ?? assert.fail("there are two")
  const { findById } = topics
  let asks = 0
  topics.findById = (id) => {
    asks += 1
    return findById.call(topics, id)
  }
  await publish(node, name, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"])
  topics.findById = findById
  return asks
}

for (const [what, filter] of [
  ["a replay", "t/+"],
  ["a group", "$share/g/t/+"]
] as const) {
  test(`a message that ${what} has left out costs no look at all that is read`, async () => {
    const { node, client } = await begin()
    client.send(encode.subscribe(5, 1, [{ filter, qos: 1 }], [["userProperty", ["manifold-from", "latest"]]]))
    await node.advance(100)
    for (const [number, partitions] of [1_000, 10].entries()) {
      for (const shard of [0, 1]) hear(node, shard, topicOf(`topic${number}`, `t/${number}`, partitions, number))
    }
    await node.advance(100)
    assert.equal(counted(node).left, 10)
    const asks = await asksAmid(node, "t/1")
    client.answer()
    assert.equal(client.got.length, 10)
    assert.ok(asks < 100, `${asks} topics asked for`)
  })
}

test("a session that comes back to more topics than it may read reads as many as it may, and the rest is counted", async () => {
  const node = new TestNode({}, storedTopics([]))
  await node.start()
  const client = new TestClient(node, "a", 5)
  const kept = { clean: false, properties: [["sessionExpiry", 1_000]] } as const
  client.connect(kept)
  await node.settle()
  client.send(encode.subscribe(5, 1, [{ filter: "t/+", qos: 1 }], [["userProperty", ["manifold-from", "earliest"]]]))
  await node.advance(100)
  client.answer()
  client.cut()
  await node.advance(100)
  for (let number = 0; number < 1_001; number++) {
    for (const shard of [0, 1]) hear(node, shard, topicOf(`topic${number}`, `t/${number}`, 1, number))
  }
  await node.advance(100)
  await publish(node, "t/5", ["1"])
  // While it looks which topics there are, more comes.
  const { history } = node.of("a").broker.services
  const { homesOf } = history
  const { promise, resolve } = Promise.withResolvers<void>()
  history.homesOf = (...asked) => promise.then(() => homesOf.apply(history, asked))
  client.connect(kept)
  await node.advance(100)
  await publish(node, "t/5", ["2"])
  resolve()
  for (let round = 0; round < 20; round++) {
    await node.advance(100)
    client.answer()
  }
  assert.deepEqual([client.got.map(({ payload }) => payload), counted(node).left], [["1", "2"], 1])
})
