/** Replays at the ends of their logs: what matches nothing of theirs costs nothing, and their places come along all the same. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Principal } from "../../../core/access/Access.ts"
import { messageOf } from "../../../core/ingress/fakes.ts"
import { ShardHistory } from "../../../core/ingress/History.ts"
import { ShardQueueLogs } from "../../../core/queue/ShardQueueLogs.ts"
import type { TopicInfo } from "../../../core/topics/TopicInfo.ts"
import { topicKey } from "../../../core/topics/topic-codec.ts"
import { encode } from "../../../tests/support/mqtt-packets.ts"
import { TestClient } from "../fakes.ts"
import { replaced } from "../planted.ts"
import { rangeOf } from "../session-rows.ts"
import { TestNode } from "../testing.ts"
import { storedTopics, topicOf } from "./fakes.ts"
import { PARTITIONS_MAX } from "./find-start.ts"
import { decodeReplayPlace } from "./replay-rows.ts"

const NOBODY: Principal = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }
const KEPT = { properties: [["sessionExpiry", 600]] } as const
const REPLAYS = 20

/** Somebody who replays names of their own, one each, and somebody who is away and has one name kept in the queue log. */
async function begin(prefix: string, reader: Parameters<TestClient["connect"]>[0] = KEPT) {
  const stored = storedTopics([topicOf("stored", "t/+", 1)])
  stored.engine.batchesAtOnce = 1_000
  const node = new TestNode({}, stored)
  await node.start()
  const keeper = new TestClient(node, "keeper", 5)
  const client = new TestClient(node, "reader", 5)
  keeper.connect(KEPT)
  client.connect(reader)
  await node.settle()
  keeper.send(encode.subscribe(5, 1, [{ filter: "u/x", qos: 1 }]))
  await node.settle()
  keeper.cut()
  const publish = async (name: string, count: number): Promise<void> => {
    for (let each = 0; each < count; each++) {
      for (const { broker } of node.shards.slice(each % 2, (each % 2) + 1)) {
        broker.services.ingress.publishUnsafe(messageOf(name, `${each}`, { qos: 1 }), NOBODY)
      }
      await node.settle()
    }
    await node.advance(20)
    client.answer()
    await node.settle()
  }
  for (let each = 0; each < REPLAYS; each++) {
    const filter = `${prefix}/${each}`
    client.send(encode.subscribe(5, each + 1, [{ filter, qos: 1 }], [["userProperty", ["manifold-from", "latest"]]]))
    await node.settle()
  }
  await node.advance(100)
  client.answer()
  return { node, stored, keeper, client, publish }
}

/** How often logs are read for replays while `act` goes on. */
async function readingsIn(act: () => Promise<void>): Promise<number> {
  let readings = 0
  const { read } = ShardHistory.prototype
  const { read: readQueue } = ShardQueueLogs.prototype
  const back = [
    replaced(ShardHistory.prototype, "read", function counted(this: ShardHistory, ...asked) {
      readings += 1
      return read.apply(this, asked)
    }),
    replaced(ShardQueueLogs.prototype, "read", function counted(this: ShardQueueLogs, ...asked) {
      readings += 1
      readQueue.apply(this, asked)
    })
  ]
  try {
    await act()
  } finally {
    for (const each of back) each()
  }
  return readings
}

for (const [what, prefix, name] of [
  ["the partition of a topic", "t", "t/other"],
  ["a queue log", "u", "u/x"],
  ["the partition of a topic, by groups", "$share/g/t", "t/other"]
] as const) {
  test(`what is appended to ${what} and matches no replay has nobody read`, async () => {
    const { client, publish } = await begin(prefix)
    assert.equal(await readingsIn(() => publish(name, 50)), 0)
    const readings = await readingsIn(() => publish(`${prefix.slice(-1)}/3`, 1))
    assert.deepEqual([client.got.length, readings], [1, 1])
  })
}

test("a place at the end of a log goes along: retention counts no gap, and nothing is read again", async () => {
  const { node, stored, client, publish } = await begin("t")
  await publish("t/other", 40)
  await node.advance(4_000)
  client.cut()
  await node.settle()
  const [partition] = stored.engine.stored.values()
  await partition?.deleteBefore(partition.highWatermark)
  client.connect(KEPT)
  await node.settle()
  await publish("t/3", 1)
  assert.equal(client.got.length, 1)
  assert.equal(
    node.shards.reduce((sum, { broker }) => sum + broker.counts.replayGaps, 0),
    0
  )
})

test("who replays and keeps up holds no queue log back", async () => {
  for (const reader of [{ clean: true } as const, KEPT]) {
    const { node, keeper, publish } = await begin("u", reader)
    await publish("u/x", 3_000)
    await node.advance(3_000)
    const { start, end } = rangeOf("sc")
    for (const { store } of node.shards) {
      const offsets = store.range(start, end, 100).map(({ value }) => decodeReplayPlace(value).offset)
      assert.ok(!offsets.includes(0) || offsets.filter((offset) => offset >= 2_000).length === REPLAYS, `${offsets}`)
    }
    if (reader === KEPT) continue
    keeper.connect({ clean: true })
    await node.settle()
    await node.advance(3_000)
    const highest = Math.max(...node.shards.map(({ queueLog }) => queueLog.startOffset))
    assert.equal(highest, 3_000)
  }
})

test("replays that read no partition are bounded, too: each reads the queue logs", async () => {
  const { node, client } = await begin("u", { clean: true })
  const subscribe = async (filter: string): Promise<void> => {
    client.send(encode.subscribe(5, 9, [{ filter, qos: 0 }], [["userProperty", ["manifold-from", "latest"]]]))
    await node.settle()
  }
  for (let each = REPLAYS; each <= PARTITIONS_MAX; each++) await subscribe(`u/${each}`)
  const codes = client.wire?.received.flatMap((packet) => (packet.type === "suback" ? [...packet.codes] : [])) ?? []
  assert.deepEqual([codes.length, codes.at(-2), codes.at(-1)], [PARTITIONS_MAX + 1, 0, 0x97])
})

test("a topic is removed, and one shard knows it late: what it did not hear of is read all the same", async () => {
  const stored = storedTopics([topicOf("stored", "t/+", 1, 1), topicOf("own", "t/own", 1, 2)])
  const node = new TestNode({}, stored)
  await node.start()
  const [first] = node.shards
  const topics = first?.broker.services.topics as unknown as { ownerOf(topic: TopicInfo, partition: number): number }
  // What is stored is another shard's.
  const owner = node.shards[topics.ownerOf(topicOf("stored", "t/+", 1, 1), 0)]
  const id =
    ["reader", "keeper", "publisher-1", "holder", "member"].find((each) => node.of(each) !== owner) ??
    assert.fail("one of them")
  const client = new TestClient(node, id, 5)
  client.connect(KEPT)
  await node.settle()
  client.send(encode.subscribe(5, 1, [{ filter: "t/+", qos: 1 }], [["userProperty", ["manifold-from", "latest"]]]))
  await node.advance(100)
  const here = node.of(id)
  const remove = (shard: (typeof node.shards)[number]): void => {
    const topics = shard.broker.services.topics as unknown as {
      metaChanged(change: { key: string; value: undefined; revision: number }): void
    }
    topics.metaChanged({ key: topicKey(topicOf("own", "t/own", 1, 2)), value: undefined, revision: 9 })
  }
  for (const shard of node.shards) if (shard !== here) remove(shard)
  for (const { broker } of node.shards.filter((shard) => shard !== here)) {
    broker.services.ingress.publishUnsafe(messageOf("t/own", "late", { qos: 1 }), NOBODY)
  }
  await node.settle()
  remove(here)
  await node.advance(3_000)
  client.answer()
  const truth = [...stored.engine.stored.values()].flatMap((partition) => partition.truth.map(({ payload }) => payload))
  assert.deepEqual([truth, client.got.map(({ payload }) => payload)], [["late"], ["late"]])
})
