/** What answers to Fetch may hold in memory, and how much is read for one: with clients that take nothing, and logs that answer later. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { test } from "node:test"
import { decodeAnswer, makeBatch, makeTestBroker, type TestBroker, TestClient } from "../fakes.ts"
import { fetch } from "../wire/apis.ts"

const VALUE = "x".repeat(40_000)
const PARTITIONS = 8

function make(settings: object) {
  const broker = makeTestBroker({ settings })
  const topic = broker.known.get("0/t")
  if (topic === undefined) throw new Error("the topic is there")
  const wide = { ...topic, partitions: PARTITIONS }
  broker.known.set("0/t", wide)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const log = broker.logs.of(wide, partition)
    for (let index = 0; index < 4; index++) log.append(makeBatch([VALUE]), 1)
  }
  return broker
}

const requestOf = (maxBytes: number, partitions = PARTITIONS, sizeMax = 1_000_000) => ({
  maxWaitMs: 100,
  minBytes: 1,
  maxBytes,
  isolationLevel: 0,
  topics: [
    {
      topic: "t",
      partitions: Array.from({ length: partitions }, (_, partition) => ({
        partition,
        fetchOffset: 0,
        partitionMaxBytes: sizeMax
      }))
    }
  ]
})

/** Bytes of stored batches in the one answer that came. */
function received(client: TestClient): number {
  const [frame] = client.received()
  if (frame === undefined) throw new Error("there is no answer")
  const { responses } = decodeAnswer(fetch, 11, frame).body
  const sizes = responses[0]?.partitions.map(({ records }) => (records?.end ?? 0) - (records?.start ?? 0))
  return sizes?.reduce((total, size) => total + size, 0) ?? 0
}

const batchBytes = makeBatch([VALUE]).length

test("an answer that its client does not take counts until it is taken, and then no more", async () => {
  const broker = make({})
  const client = new TestClient(broker)
  client.socket.takes = [5, 0, 3]
  client.send(client.frame(fetch, 11, requestOf(10_000_000)))
  await broker.time.settle()
  equal(broker.fetchesHeldBytes, 32 * batchBytes)
  client.connection.drain()
  client.connection.drain()
  equal(broker.fetchesHeldBytes, 32 * batchBytes)
  client.socket.takes = []
  client.connection.drain()
  await broker.time.settle()
  equal(received(client), 32 * batchBytes)
  equal(broker.fetchesHeldBytes, 0)
})

test("what a client leaves behind is let go of, sent in part or not at all", async () => {
  const broker = make({})
  for (const takes of [[100_000, 0], [0]]) {
    const client = new TestClient(broker)
    client.socket.takes = takes
    client.send(client.frame(fetch, 11, requestOf(10_000_000)))
    client.send(client.frame(fetch, 11, requestOf(10_000_000)))
    await broker.time.settle()
    ok(broker.fetchesHeldBytes >= 32 * batchBytes)
    client.leave()
    equal(broker.fetchesHeldBytes, 0)
  }
})

test("over the bound of all connections each answer gets its first batch, and more when there is room again", async () => {
  const broker = make({ fetches_held_max: 8 * batchBytes })
  const slow = new TestClient(broker)
  slow.socket.takes = [0]
  slow.send(slow.frame(fetch, 11, requestOf(10_000_000)))
  await broker.time.settle()
  equal(broker.fetchesHeldBytes, 8 * batchBytes)
  const quick = new TestClient(broker)
  quick.send(quick.frame(fetch, 11, requestOf(10_000_000)))
  await broker.time.settle()
  equal(received(quick), batchBytes)
  slow.connection.drain()
  await broker.time.settle()
  equal(received(slow), 8 * batchBytes)
  quick.send(quick.frame(fetch, 11, requestOf(10_000_000)))
  await broker.time.settle()
  equal(received(quick), 8 * batchBytes)
})

test("of logs that answer later no more is asked than may be given, and the rest in turn", async () => {
  const broker: TestBroker = make({})
  broker.logs.isRemote = true
  const { read } = broker.logs
  const open: Array<number> = []
  let openMax = 0
  broker.logs.read = (topic, partition, offset, maxBytes) => {
    open.push(Math.max(maxBytes, 0))
    openMax = Math.max(
      openMax,
      open.reduce((total, size) => total + size, 0)
    )
    const answer = Promise.resolve(read.call(broker.logs, topic, partition, offset, maxBytes))
    return answer.then((found) => {
      open.shift()
      return found
    })
  }
  const client = new TestClient(broker)
  // Each partition is asked for two batches, and its piece of memory holds one.
  client.send(client.frame(fetch, 11, requestOf(4 * batchBytes, PARTITIONS, 2 * batchBytes)))
  await broker.time.settle()
  equal(received(client), 4 * batchBytes)
  // Two at first, then one more for each batch of room that the first ones left.
  equal(openMax, 4 * batchBytes)
})

test("partitions behind those that filled the answer are not read, and are told of all the same", async () => {
  const broker = make({})
  let reads = 0
  const { read } = broker.logs
  broker.logs.read = (...asked) => {
    reads += 1
    return read.apply(broker.logs, asked)
  }
  const client = new TestClient(broker)
  const answer = await client.call(fetch, 11, requestOf(batchBytes))
  equal(reads, 1)
  deepStrictEqual(
    answer.responses[0]?.partitions.map(({ errorCode, highWatermark }) => [errorCode, highWatermark]),
    Array.from({ length: PARTITIONS }, () => [0, 4])
  )
  // Where an offset lies is looked at without reading.
  const [topic] = requestOf(batchBytes).topics
  const partitions = topic?.partitions.map((one) => ({ ...one, fetchOffset: one.partition === 5 ? 9 : 0 })) ?? []
  const refused = await client.call(fetch, 11, { ...requestOf(batchBytes), topics: [{ topic: "t", partitions }] })
  equal(refused.responses[0]?.partitions[5]?.errorCode, 1)
})

test("an answer is no larger than makes sense, unless its client waits for more", async () => {
  const broker = make({})
  const topic = broker.known.get("0/t")
  if (topic === undefined) throw new Error("the topic is there")
  for (let index = 0; index < 100; index++) broker.logs.of(topic, 0).append(makeBatch([VALUE]), 1)
  const client = new TestClient(broker)
  const few = { ...requestOf(50_000_000, 1, 50_000_000) }
  client.send(client.frame(fetch, 11, few))
  await broker.time.settle()
  equal(received(client), Math.floor(2_097_152 / batchBytes) * batchBytes)
  const minBytes = 3_000_000
  client.send(client.frame(fetch, 11, { ...few, minBytes }))
  await broker.time.settle()
  equal(received(client), Math.floor(minBytes / batchBytes) * batchBytes)
})
