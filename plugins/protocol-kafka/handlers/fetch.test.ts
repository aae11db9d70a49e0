/** Fetch: what is read, how much, how long it waits, and every error. Logs answer at once, and later as from another shard. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import { DENY, NOT_AVAILABLE } from "../../../core/mod.ts"
import { decodeAnswer, makeBatch, makeTestBroker, type TestBroker, TestClient, TOPIC_ID } from "../fakes.ts"
import { fetch } from "../wire/apis.ts"
import type { Decoded } from "../wire/schema.ts"

interface Asked {
  readonly partition?: number
  readonly offset?: number
  readonly sizeMax?: number
  readonly epoch?: number
}
const requestOf = (asked: ReadonlyArray<Asked>, changes: object = {}) => ({
  maxWaitMs: 500,
  minBytes: 1,
  maxBytes: 1_000_000,
  topics: [
    {
      topic: "t",
      topicId: TOPIC_ID,
      partitions: asked.map(({ partition = 0, offset = 0, sizeMax = 1_000_000, epoch = -1 }) => ({
        partition,
        fetchOffset: offset,
        partitionMaxBytes: sizeMax,
        currentLeaderEpoch: epoch
      }))
    }
  ],
  ...changes
})

/** Appends as a producer on the same shard would. */
function append(broker: TestBroker, partition: number, ...values: ReadonlyArray<string>): Uint8Array {
  const topic = broker.topics.find(0, "t")
  if (topic === undefined) throw new Error("the topic is there")
  const batch = makeBatch(values)
  broker.logs.of(topic, partition).append(batch, values.length)
  return broker.logs.of(topic, partition).batches.at(-1)?.bytes ?? batch
}
function partitionOf(broker: TestBroker, partition = 0) {
  const topic = broker.topics.find(0, "t")
  if (topic === undefined) throw new Error("the topic is there")
  return broker.logs.of(topic, partition)
}
function recordsHex(answer: Decoded<(typeof fetch)["response"]>, index = 0): string | undefined {
  const records = answer.responses[0]?.partitions[index]?.records
  return records?.bytes.subarray(records.start, records.end).toHex()
}
const hex = (...batches: ReadonlyArray<Uint8Array>): string => batches.map((batch) => batch.toHex()).join("")

for (const isRemote of [false, true]) {
  const where = isRemote ? "another shard's logs" : "this shard's logs"
  const make = (settings: object = {}): { broker: TestBroker; client: TestClient } => {
    const broker = makeTestBroker({ settings })
    broker.logs.isRemote = isRemote
    return { broker, client: new TestClient(broker) }
  }
  describe(`reading, ${where}`, () => {
    test("stored bytes come back as they are, with the state of the partition", async () => {
      const { broker, client } = make()
      const stored = append(broker, 0, "a", "b")
      for (let version = 4; version <= 18; version++) {
        const answer = await client.call(fetch, version, requestOf([{}]))
        equal(recordsHex(answer), hex(stored), `version ${version}`)
        const found = answer.responses[0]?.partitions[0]
        deepStrictEqual([found?.errorCode, found?.highWatermark, found?.lastStableOffset], [0, 2, 2])
        equal(found?.logStartOffset, version >= 5 ? 0 : -1)
        equal(found?.preferredReadReplica, -1)
        equal(answer.sessionId, 0)
        equal(answer.responses[0]?.topicId === TOPIC_ID, version >= 13)
      }
      equal(broker.counts.fetchedBytes, 15 * stored.length)
    })
    test("an offset inside a batch gives the whole batch", async () => {
      const { broker, client } = make()
      append(broker, 0, "a", "b", "c")
      const second = append(broker, 0, "d", "e", "f")
      equal(recordsHex(await client.call(fetch, 11, requestOf([{ offset: 4 }]))), hex(second))
    })
    test("several pieces of memory stand one after the other", async () => {
      const { broker, client } = make()
      const stored = [append(broker, 0, "a"), append(broker, 0, "b"), append(broker, 0, "c")]
      const answer = recordsHex(await client.call(fetch, 11, requestOf([{}])))
      // What another shard holds takes a question for each piece; the next request goes on.
      equal(answer, isRemote ? hex(stored[0] ?? fail()) : hex(...stored))
    })
    test("read_committed has an empty list of aborted transactions, read_uncommitted none", async () => {
      const { broker, client } = make()
      append(broker, 0, "a")
      const committed = await client.call(fetch, 11, requestOf([{}], { isolationLevel: 1 }))
      deepStrictEqual(committed.responses[0]?.partitions[0]?.abortedTransactions, [])
      const uncommitted = await client.call(fetch, 11, requestOf([{}]))
      equal(uncommitted.responses[0]?.partitions[0]?.abortedTransactions, null)
    })
  })
  describe(`bounds, ${where}`, () => {
    test("the first batch is whole even above every bound; later partitions then get nothing", async () => {
      const { broker, client } = make()
      const stored = append(broker, 0, "x".repeat(500))
      append(broker, 1, "y")
      for (const bounds of [{ maxBytes: 10 }, { maxBytes: 0 }]) {
        const answer = await client.call(fetch, 11, requestOf([{}, { partition: 1 }], bounds))
        equal(recordsHex(answer, 0), hex(stored))
        equal(recordsHex(answer, 1), "")
      }
      equal(recordsHex(await client.call(fetch, 11, requestOf([{ sizeMax: 1 }]))), hex(stored))
    })
    test("the first partition that has records is the one, not the first asked for", async () => {
      const { broker, client } = make()
      const stored = append(broker, 1, "y".repeat(100))
      const answer = await client.call(fetch, 11, requestOf([{}, { partition: 1 }], { maxBytes: 1 }))
      equal(recordsHex(answer, 0), "")
      equal(recordsHex(answer, 1), hex(stored))
    })
    test("a later partition's batch that does not fit is left out, one that fits is there", async () => {
      const { broker, client } = make()
      const first = append(broker, 0, "a")
      const second = append(broker, 1, "b")
      const maxBytes = first.length + second.length
      for (const [bound, fits] of [
        [maxBytes, true],
        [maxBytes - 1, false]
      ] as const) {
        const answer = await client.call(fetch, 11, requestOf([{}, { partition: 1 }], { maxBytes: bound }))
        equal(recordsHex(answer, 1), fits ? hex(second) : "")
      }
      const narrow = await client.call(fetch, 11, requestOf([{}, { partition: 1, sizeMax: second.length - 1 }]))
      equal(recordsHex(narrow, 1), "")
    })
    test("of several batches in one piece as many as fit, whole", async () => {
      const { broker, client } = make()
      partitionOf(broker).isJoined = true
      const stored = [append(broker, 0, "a"), append(broker, 0, "b"), append(broker, 0, "c")]
      const size = stored[0]?.length ?? 0
      for (const [sizeMax, count] of [
        [size * 3, 3],
        [size * 3 - 1, 2],
        [size * 2, 2],
        [size * 2 - 1, 1],
        [1, 1]
      ] as const) {
        const byPartition = await client.call(fetch, 11, requestOf([{ sizeMax }]))
        equal(recordsHex(byPartition), hex(...stored.slice(0, count)), `${sizeMax} bytes`)
        const byRequest = await client.call(fetch, 11, requestOf([{}], { maxBytes: sizeMax }))
        equal(recordsHex(byRequest), hex(...stored.slice(0, count)), `${sizeMax} bytes`)
      }
    })
    test("a client that asks for too much gets what the option allows", async () => {
      const { broker, client } = make({ fetch_size_max: 200 })
      const first = append(broker, 0, "a".repeat(60))
      append(broker, 0, "b".repeat(60))
      equal(recordsHex(await client.call(fetch, 11, requestOf([{}], { maxBytes: 2_000_000_000 }))), hex(first))
    })
  })
  describe(`waiting, ${where}`, () => {
    test("at the end it waits for max_wait_ms, then answers with zero bytes, not null", async () => {
      const { broker, client } = make()
      append(broker, 0, "a")
      for (const version of [4, 11, 12, 18]) {
        client.send(client.frame(fetch, version, requestOf([{ offset: 1 }])))
        await broker.time.pass(499)
        deepStrictEqual(client.received(), [])
        equal(broker.counts.fetchesWaiting, 1)
        await broker.time.pass(1)
        const [frame = fail()] = client.received()
        equal(recordsHex(decodeAnswer(fetch, version, frame).body), "")
        equal(broker.counts.fetchesWaiting, 0)
        equal(broker.time.timers, 0)
      }
    })
    test("an append wakes it", async () => {
      const { broker, client } = make()
      client.send(client.frame(fetch, 11, requestOf([{}, { partition: 1 }])))
      await broker.time.pass(100)
      const stored = append(broker, 1, "a")
      await broker.time.settle()
      const [frame = fail()] = client.received()
      equal(recordsHex(decodeAnswer(fetch, 11, frame).body, 1), hex(stored))
      equal(partitionOf(broker, 0).waiters.size, 0)
      equal(broker.time.timers, 0)
    })
    test("it waits for min_bytes, over all partitions", async () => {
      const { broker, client } = make()
      const first = append(broker, 0, "a")
      client.send(client.frame(fetch, 11, requestOf([{}, { partition: 1 }], { minBytes: first.length * 2 })))
      await broker.time.settle()
      deepStrictEqual(client.received(), [])
      append(broker, 1, "b")
      await broker.time.settle()
      equal(client.received().length, 1)
    })
    test("min_bytes that never come: the time decides", async () => {
      const { broker, client } = make()
      const stored = append(broker, 0, "a")
      client.send(client.frame(fetch, 11, requestOf([{}], { minBytes: 1_000_000 })))
      await broker.time.pass(499)
      deepStrictEqual(client.received(), [])
      await broker.time.pass(1)
      const [frame = fail()] = client.received()
      equal(recordsHex(decodeAnswer(fetch, 11, frame).body), hex(stored))
    })
    test("nothing is waited for with max_wait_ms 0, min_bytes 0, no partitions, or an error", async () => {
      const { client } = make()
      equal(recordsHex(await client.call(fetch, 11, requestOf([{}], { maxWaitMs: 0 }))), "")
      equal(recordsHex(await client.call(fetch, 11, requestOf([{}], { minBytes: 0 }))), "")
      equal((await client.call(fetch, 11, requestOf([], { topics: [] }))).responses.length, 0)
      const answer = await client.call(fetch, 11, requestOf([{ partition: 8 }, { partition: 9 }]))
      equal(answer.responses[0]?.partitions[1]?.errorCode, 3)
      equal((await client.call(fetch, 11, requestOf([{}, { partition: 1, offset: 9 }]))).responses.length, 1)
    })
    test("what is named in vain does not end the wait for the rest, and is told last", async () => {
      const { broker, client } = make()
      client.send(client.frame(fetch, 11, requestOf([{ partition: 9 }, {}])))
      await broker.time.pass(499)
      deepStrictEqual(client.received(), [])
      await broker.time.pass(1)
      const [frame = fail()] = client.received()
      const found = decodeAnswer(fetch, 11, frame).body.responses[0]?.partitions
      deepStrictEqual(
        found?.map(({ partitionIndex, errorCode, abortedTransactions }) => [
          partitionIndex,
          errorCode,
          abortedTransactions
        ]),
        [
          [0, 0, null],
          [9, 3, []]
        ]
      )
    })
    test("bytes that do not fit count: a request whose bound is its minimum is answered at once", async () => {
      const { broker, client } = make()
      const stored = [append(broker, 0, "a"), append(broker, 0, "b"), append(broker, 0, "c")]
      const size = (stored[0]?.length ?? 0) * 2 + 10
      const answer = await client.call(fetch, 11, requestOf([{ sizeMax: size }], { minBytes: size, maxWaitMs: 10_000 }))
      equal(recordsHex(answer), hex(...stored.slice(0, isRemote ? 1 : 2)))
    })
    test("a log that closes or goes on to another epoch while it waits", async () => {
      const { broker, client } = make()
      client.send(client.frame(fetch, 11, requestOf([{ epoch: 0 }])))
      await broker.time.settle()
      partitionOf(broker).leaderEpoch = 1
      await broker.time.pass(500)
      const [frame = fail()] = client.received()
      equal(decodeAnswer(fetch, 11, frame).body.responses[0]?.partitions[0]?.errorCode, 74)
    })
  })
  describe(`errors, ${where}`, () => {
    const errorOf = async (client: TestClient, version: number, request: ReturnType<typeof requestOf>) =>
      (await client.call(fetch, version, request)).responses[0]?.partitions[0]
    test("out of range: above the high watermark, below the log start", async () => {
      const { broker, client } = make()
      append(broker, 0, "a", "b")
      partitionOf(broker).logStartOffset = 1
      for (const [offset, error] of [
        [0, 1],
        [1, 0],
        [2, 0],
        [3, 1],
        [-1, 1],
        [2 ** 53, 1]
      ] as const) {
        const found = await errorOf(client, 11, requestOf([{ offset }], { maxWaitMs: 0 }))
        equal(found?.errorCode, error, `offset ${offset}`)
        if (error !== 0) deepStrictEqual([found?.highWatermark, found?.records?.end], [-1, found?.records?.start])
      }
    })
    test("leader epochs", async () => {
      const { broker, client } = make()
      append(broker, 0, "a")
      partitionOf(broker).leaderEpoch = 3
      for (const [epoch, error] of [
        [-1, 0],
        [-2, 0],
        [3, 0],
        [2, 74],
        [4, 75]
      ] as const) {
        equal((await errorOf(client, 11, requestOf([{ epoch }])))?.errorCode, error, `epoch ${epoch}`)
      }
      // Which offset it is depends on the epoch, so that is told first.
      equal((await errorOf(client, 11, requestOf([{ epoch: 2, offset: 99 }])))?.errorCode, 74)
    })
    test("topics: unknown name, unknown id, id of another tenant, partition out of range, log not open", async () => {
      const { broker, client } = make()
      const named = (topic: string) => requestOf([], { topics: [{ ...requestOf([{}]).topics[0], topic }] })
      const byId = (topicId: string) => requestOf([], { topics: [{ ...requestOf([{}]).topics[0], topicId }] })
      equal((await errorOf(client, 12, named("nope")))?.errorCode, 3)
      equal((await errorOf(client, 12, named("other")))?.errorCode, 3)
      equal((await errorOf(client, 13, byId("99999999-0000-4000-8000-000000000000")))?.errorCode, 100)
      equal((await errorOf(client, 13, byId("bbbbbbbb-0000-4000-8000-000000000002")))?.errorCode, 100)
      equal((await errorOf(client, 11, requestOf([{ partition: 2 }])))?.errorCode, 3)
      equal((await errorOf(client, 11, requestOf([{ partition: -1 }])))?.errorCode, 3)
      partitionOf(broker).refusal = NOT_AVAILABLE
      equal((await errorOf(client, 11, requestOf([{}])))?.errorCode, 6)
      equal((await errorOf(client, 11, requestOf([{ epoch: 0 }])))?.errorCode, 6)
    })
    test("a topic that goes while it waits is unknown afterwards", async () => {
      for (const [version, error] of [
        [12, 3],
        [13, 100]
      ] as const) {
        const { broker, client } = make()
        client.send(client.frame(fetch, version, requestOf([{}])))
        await broker.time.settle()
        broker.known.delete("0/t")
        partitionOf2(broker).refusal = NOT_AVAILABLE
        await broker.time.pass(500)
        const [frame = fail()] = client.received()
        equal(decodeAnswer(fetch, version, frame).body.responses[0]?.partitions[0]?.errorCode, error)
      }
    })
    test("a session that we never gave", async () => {
      const { client } = make()
      const answer = await client.call(fetch, 11, requestOf([{}], { sessionId: 5, sessionEpoch: 1 }))
      deepStrictEqual([answer.errorCode, answer.responses.length, answer.sessionId], [70, 0, 0])
      for (const sessionEpoch of [0, -1]) {
        const full = await client.call(fetch, 11, requestOf([{}], { sessionId: 5, sessionEpoch, maxWaitMs: 0 }))
        deepStrictEqual([full.errorCode, full.responses.length], [0, 1])
      }
    })
  })
}

function partitionOf2(broker: TestBroker) {
  const [first] = broker.logs.partitions.values()
  return first ?? fail()
}

test("no right to read", async () => {
  const broker = makeTestBroker({ access: { checkUnsafe: () => DENY } })
  const client = new TestClient(broker)
  append(broker, 0, "a")
  const answer = await client.call(fetch, 11, requestOf([{}]))
  equal(answer.responses[0]?.partitions[0]?.errorCode, 29)
  equal(recordsHex(answer), "")
})

test("many appends in one turn are read once", async () => {
  const broker = makeTestBroker()
  const client = new TestClient(broker)
  client.send(client.frame(fetch, 11, requestOf([{}, { partition: 1 }], { minBytes: 100_000 })))
  await broker.time.settle()
  let reads = 0
  const { read } = broker.logs
  broker.logs.read = (...args) => {
    reads += 1
    return read.apply(broker.logs, args)
  }
  append(broker, 0, "a")
  append(broker, 1, "b")
  append(broker, 0, "c")
  await broker.time.settle()
  // Two partitions, and one more piece of the first.
  equal(reads, 3)
  equal(client.received().length, 0)
})

test("a log that goes on while another shard is asked is not missed", async () => {
  const broker = makeTestBroker()
  const client = new TestClient(broker)
  const { read } = broker.logs
  // Partition 1 is elsewhere; partition 0 advances after it was read and before it is watched.
  broker.logs.read = (topic, partition, offset, sizeMax) => {
    const result = read.call(broker.logs, topic, partition, offset, sizeMax)
    return partition === 1 ? Promise.resolve(result) : result
  }
  client.send(client.frame(fetch, 11, requestOf([{}, { partition: 1 }])))
  const stored = append(broker, 0, "a")
  await broker.time.settle()
  const [frame] = client.received()
  ok(frame !== undefined, "it answers without waiting for the time")
  equal(recordsHex(decodeAnswer(fetch, 11, frame).body), hex(stored))
})

test("the high watermark covers what a later piece brought while another shard was asked", async () => {
  const broker = makeTestBroker()
  const client = new TestClient(broker)
  const { read } = broker.logs
  broker.logs.read = (topic, partition, offset, sizeMax) => {
    const result = read.call(broker.logs, topic, partition, offset, sizeMax)
    return partition === 1 ? Promise.resolve(result) : result
  }
  // Two pieces when it is read; the second one has grown when it is taken.
  const first = append(broker, 0, "a")
  append(broker, 0, "b")
  client.send(client.frame(fetch, 11, requestOf([{ partition: 1 }, {}])))
  partitionOf(broker).isJoined = true
  append(broker, 0, "c")
  await broker.time.settle()
  const [frame] = client.received()
  ok(frame !== undefined)
  const answer = decodeAnswer(fetch, 11, frame).body
  const found = answer.responses[0]?.partitions[1]
  equal((found?.records?.end ?? 0) - (found?.records?.start ?? 0), first.length * 3)
  deepStrictEqual([found?.highWatermark, found?.lastStableOffset], [3, 3])
})

function fail(): never {
  throw new Error("there is none")
}
