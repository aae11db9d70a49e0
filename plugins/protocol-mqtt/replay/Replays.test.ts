/** Replays of kept sessions on two shards, one situation a test: what changes beneath them, and what a crash cuts off. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Principal } from "../../../core/access/Access.ts"
import { messageOf } from "../../../core/ingress/fakes.ts"
import type { TopicInfo } from "../../../core/topics/TopicInfo.ts"
import { topicKey } from "../../../core/topics/topic-codec.ts"
import { encode } from "../../../tests/support/mqtt-packets.ts"
import { TestClient } from "../fakes.ts"
import { rangeOf } from "../session-rows.ts"
import { TestNode } from "../testing.ts"
import { amidLook, storedTopics, topicOf } from "./fakes.ts"

const NOBODY: Principal = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }
/** Queue logs, of two shards: each has its row. */
const QUEUES = 2
const KEPT = { properties: [["sessionExpiry", 600]] } as const

async function begin(...topics: ReadonlyArray<TopicInfo>) {
  const stored = storedTopics(topics)
  const node = new TestNode({}, stored)
  await node.start()
  let last = 0
  const store = async (name: string, count: number): Promise<void> => {
    for (let each = 0; each < count; each++) {
      const { ingress } = node.shards[0]?.broker.services ?? assert.fail("there is one")
      ingress.publishUnsafe(messageOf(name, `${++last}`, { qos: 1 }), NOBODY)
    }
    await node.settle()
  }
  const client = new TestClient(node, "reader", 5)
  const connect = async (): Promise<void> => {
    client.connect(KEPT)
    await node.settle()
  }
  const take = async (): Promise<void> => {
    for (let round = 0; round < 20; round++) {
      client.answer()
      await node.advance(20)
    }
  }
  const subscribe = (filter: string, from: string | undefined, id: number): void => {
    const properties = from === undefined ? [] : [["userProperty", ["manifold-from", from]] as const]
    client.send(encode.subscribe(5, id, [{ filter, qos: 1 }], properties))
  }
  await connect()
  client.answer()
  return { node, stored, store, client, connect, take, subscribe }
}

const payloads = ({ got }: TestClient): ReadonlyArray<number> => got.map(({ payload }) => Number(payload))
const numbers = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from + 1 }, (_, each) => from + each)

const codes = ({ wire }: TestClient): ReadonlyArray<number> =>
  wire?.received.flatMap((packet) => (packet.type === "suback" ? [...packet.codes] : [])) ?? []

function rowsOf(node: TestNode, prefix: string): number {
  const { start, end } = rangeOf(prefix)
  return node.shards.reduce((sum, { store }) => sum + store.range(start, end, 100).length, 0)
}

for (const [what, filter] of [
  ["a log", "t/a"],
  ["a group's log", "$share/g/t/a"]
] as const) {
  test(`${what} in memory that has begun anew and passed its place is read from its beginning`, async () => {
    const { node, stored, store, client, connect, take, subscribe } = await begin({
      ...topicOf("stored", "t/+", 1),
      mode: "memory"
    })
    await store("t/a", 5)
    subscribe(filter, "earliest", 1)
    await take()
    assert.deepEqual(payloads(client), numbers(1, 5))
    client.cut()
    await node.settle()
    node.crash(5)
    for (const partition of stored.engine.stored.values()) partition.forget()
    await node.start()
    await store("t/a", 8)
    await connect()
    await take()
    assert.deepEqual(payloads(client), numbers(1, 13))
    // And goes on there after the next connection.
    client.cut()
    await store("t/a", 1)
    await connect()
    await take()
    assert.deepEqual(payloads(client), numbers(1, 14))
  })
}

test("where the groups of a shard replay as much as they may, no other is made, and those that are there take members", async () => {
  const { node, store, client, take, subscribe } = await begin(topicOf("stored", "t/+", 1))
  await store("t/a", 2)
  subscribe("$share/g/t/a", "earliest", 1)
  await take()
  for (const { broker } of node.shards) broker.shared.replayed.count = 100_000
  // On whichever shard: one of these is of that which has the group.
  for (const [id, name] of ["h0", "h1", "h2", "h3", "g"].entries()) subscribe(`$share/${name}/t/a`, "earliest", id + 2)
  await take()
  const all = codes(client)
  assert.deepEqual([all[0], all.at(-1)], [1, 1])
  assert.ok(all.includes(0x97), `codes ${all}`)
  assert.equal(node.shards.length, 2)
})

test("a crash while a replay becomes an ordinary subscription: it is the one or the other, and begins nowhere anew", async () => {
  for (let entries = 0; entries < 4; entries++) {
    const { node, store, client, connect, take, subscribe } = await begin(topicOf("stored", "t/+", 2))
    await store("t/a", 5)
    await store("t/b", 5)
    subscribe("t/+", "earliest", 1)
    await take()
    assert.equal(client.got.length, 10)
    node.automatic = false
    subscribe("t/+", undefined, 2)
    await node.advance(50)
    for (const { journal } of node.shards) journal.commit(entries)
    node.crash()
    client.wire = undefined
    await node.start()
    await connect()
    await take()
    assert.deepEqual([entries, client.got.length], [entries, 10])
    await store("t/a", 3)
    await take()
    assert.equal(client.got.length, 13)
    client.send(encode.unsubscribe(5, 4, ["t/+"]))
    await take()
    assert.deepEqual([rowsOf(node, "sc"), rowsOf(node, "ss")], [0, 0])
  }
})

test("a replay that became an ordinary subscription and becomes one again keeps no place of before", async () => {
  const { node, store, client, take, subscribe } = await begin(topicOf("stored", "t/+", 2))
  await store("t/a", 4)
  for (const [id, from] of [
    [1, "earliest"],
    [2, undefined],
    [3, "earliest"],
    [4, undefined]
  ] as const) {
    subscribe("t/+", from, id)
  }
  await take()
  assert.deepEqual(rowsOf(node, "sc"), 0)
  subscribe("t/+", "latest", 5)
  await take()
  assert.equal(rowsOf(node, "sc"), 2 + QUEUES)
  await store("t/a", 1)
  await take()
  assert.equal(payloads(client).at(-1), 5)
})

test("rows of places in topics that are gone go with them, while their client is there and when it comes", async () => {
  const [one, two] = [topicOf("one", "a/+", 2, 1), topicOf("two", "b/+", 2, 2)]
  const { node, stored, store, client, connect, take, subscribe } = await begin(one, two)
  await store("a/x", 3)
  await store("b/x", 3)
  subscribe("#", "earliest", 1)
  await take()
  assert.equal(rowsOf(node, "sc"), 4 + QUEUES)
  const remove = (topic: TopicInfo): void => {
    for (const { broker } of node.shards) {
      const topics = broker.services.topics as unknown as {
        metaChanged(change: { key: string; value: undefined; revision: number }): void
      }
      topics.metaChanged({ key: topicKey(topic), value: undefined, revision: 9 })
    }
  }
  remove(one)
  await node.advance(5_000)
  assert.equal(rowsOf(node, "sc"), 2 + QUEUES)
  client.cut()
  await node.settle()
  node.crash()
  // Its meta store has lost it, too.
  ;(stored as { meta: unknown }).meta = []
  await node.start()
  await connect()
  await take()
  assert.equal(rowsOf(node, "sc"), QUEUES)
  assert.equal(client.got.length, 6)
})

for (const filter of ["u/x", "$share/g/u/x"]) {
  test(`what a queue log does not have any more is counted as a gap: ${filter}`, async () => {
    const { node, store, client, connect, take, subscribe } = await begin()
    subscribe(filter, "latest", 1)
    await take()
    client.cut()
    await store("u/x", 50)
    // A bound takes away what is wanted still.
    const { bytesMax } = node.queueLogOptions
    node.queueLogOptions.bytesMax = 1
    await node.advance(5_000)
    node.queueLogOptions.bytesMax = bytesMax
    await store("u/x", 5)
    await connect()
    await take()
    assert.deepEqual(payloads(client), numbers(51, 55))
    assert.equal(
      node.shards.reduce((sum, { broker }) => sum + broker.counts.replayGaps, 0),
      1
    )
  })
}

test("what a replay begins with stays in the queue logs also when its session leaves memory while its shard looks what is needed", async () => {
  const { node, store, client, connect, take, subscribe } = await begin()
  const shard = node.of("reader")
  // Of the other shard.
  const other = numbers(1, 20).find((number) => node.of(`keeper${number}`) !== shard)
  const keeper = new TestClient(node, `keeper${other}`, 5)
  keeper.connect(KEPT)
  await node.settle()
  keeper.send(encode.subscribe(5, 1, [{ filter: "u/x", qos: 1 }]))
  await node.settle()
  await store("u/x", 20)
  // A new session: what it has of its own begins here.
  client.connect({ clean: true, ...KEPT })
  await node.advance(100)
  shard.journal.isAutomatic = false
  subscribe("u/x", "earliest", 1)
  await node.advance(100)
  client.cut()
  keeper.connect({ clean: true })
  await node.settle()
  amidLook(shard, () => {
    shard.journal.isAutomatic = true
    shard.journal.commit()
  })
  await node.advance(5_000)
  assert.ok(shard.journal.isAutomatic)
  await connect()
  await take()
  assert.deepEqual(payloads(client), numbers(1, 20))
})

test("what begins as an exclusive filter does and goes on as a replay is neither", async () => {
  const { client, take, subscribe } = await begin()
  subscribe("$exclusive/$replay/earliest/u/x", undefined, 1)
  subscribe("$replay/2026-02-31T00:00:00Z/u/x", undefined, 2)
  await take()
  assert.deepEqual(codes(client), [0x8f, 0x8f])
})

test("a SUBSCRIBE again to a filter counts the partitions of what it takes the place of no second time", async () => {
  const { store, client, take, subscribe } = await begin(topicOf("stored", "t/+", 600), topicOf("other", "u/+", 600, 2))
  await store("t/a", 2)
  subscribe("t/+", "earliest", 1)
  await take()
  subscribe("t/+", "earliest", 2)
  subscribe("u/+", "earliest", 3)
  await take()
  assert.deepEqual(codes(client), [1, 1, 0x97])
  assert.deepEqual(payloads(client), [1, 2, 1, 2])
})
