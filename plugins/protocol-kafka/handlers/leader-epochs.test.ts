/** Leader epochs: where they end, logs that part, and who leads. Logs answer at once, and later as from another shard. */
import { deepStrictEqual, equal } from "node:assert"
import { describe, test } from "node:test"
import { DENY, FAILED, NOT_AVAILABLE } from "../../../core/mod.ts"
import { makeBatch, makeTestBroker, type TestBroker, TestClient, TOPIC_ID } from "../fakes.ts"
import { fetch, offsetForLeaderEpoch } from "../wire/apis.ts"

const VERSIONS = [2, 3, 4]

function logOf(broker: TestBroker) {
  const topic = broker.known.get("0/t")
  if (topic === undefined) throw new Error("the topic is there")
  return broker.logs.of(topic, 0)
}

/** Offsets 0 to 1 of epoch 2, 2 to 4 of epoch 5; now it is epoch 7. */
function make(isRemote: boolean) {
  const broker = makeTestBroker()
  broker.logs.isRemote = isRemote
  const log = logOf(broker)
  log.leaderEpoch = 2
  log.append(makeBatch(["a", "b"]), 2)
  log.leaderEpoch = 5
  log.append(makeBatch(["c", "d", "e"]), 3)
  log.leaderEpoch = 7
  return { broker, log, client: new TestClient(broker) }
}

for (const isRemote of [false, true]) {
  describe(`OffsetForLeaderEpoch, ${isRemote ? "another shard's" : "this shard's"} logs`, () => {
    const ask = async (
      client: TestClient,
      version: number,
      leaderEpoch: number,
      changes: { partition?: number; currentLeaderEpoch?: number; topic?: string } = {}
    ) => {
      const { partition = 0, currentLeaderEpoch = -1, topic = "t" } = changes
      const topics = [{ topic, partitions: [{ partition, currentLeaderEpoch, leaderEpoch }] }]
      const answer = await client.call(offsetForLeaderEpoch, version, { replicaId: -1, topics })
      equal(answer.topics[0]?.topic, topic)
      const found = answer.topics[0]?.partitions[0]
      equal(found?.partition, partition)
      return [found?.errorCode, found?.leaderEpoch, found?.endOffset]
    }
    test("where each epoch ends", async () => {
      const { client } = make(isRemote)
      for (const version of VERSIONS) {
        deepStrictEqual(await ask(client, version, 2), [0, 2, 2])
        deepStrictEqual(await ask(client, version, 5), [0, 5, 5])
        deepStrictEqual(await ask(client, version, 7), [0, 7, 5])
        deepStrictEqual(await ask(client, version, 8), [0, -1, -1])
        deepStrictEqual(await ask(client, version, -1), [0, -1, -1])
      }
    })
    test("errors", async () => {
      const { broker, log, client } = make(isRemote)
      for (const version of VERSIONS) {
        deepStrictEqual(await ask(client, version, 5, { currentLeaderEpoch: 7 }), [0, 5, 5])
        deepStrictEqual(await ask(client, version, 5, { currentLeaderEpoch: 6 }), [74, -1, -1])
        deepStrictEqual(await ask(client, version, 5, { currentLeaderEpoch: 8 }), [75, -1, -1])
        deepStrictEqual(await ask(client, version, 5, { partition: 2 }), [3, -1, -1])
        deepStrictEqual(await ask(client, version, 5, { topic: "nope" }), [3, -1, -1])
      }
      log.refusal = NOT_AVAILABLE
      deepStrictEqual(await ask(client, 4, 5, { currentLeaderEpoch: 6 }), [6, -1, -1])
      log.refusal = 0
      broker.logs.epochEnd = () => ({ ...log.state, refusal: FAILED, epoch: -1, epochEndOffset: -1 })
      deepStrictEqual(await ask(client, 4, 5), [56, -1, -1])
    })
  })

  describe(`Fetch behind an epoch, ${isRemote ? "another shard's" : "this shard's"} logs`, () => {
    const ask = async (
      client: TestClient,
      version: number,
      lastFetchedEpoch: number,
      fetchOffset: number,
      epoch = -1
    ) => {
      const partition = {
        partition: 0,
        fetchOffset,
        lastFetchedEpoch,
        currentLeaderEpoch: epoch,
        partitionMaxBytes: 1_000
      }
      const topics = [{ topic: "t", topicId: TOPIC_ID, partitions: [partition] }]
      const request = { maxWaitMs: 10_000, minBytes: 1, maxBytes: 1_000, isolationLevel: 1, topics }
      const answer = await client.call(fetch, version, request)
      const found = answer.responses[0]?.partitions[0]
      const size = (found?.records?.end ?? 0) - (found?.records?.start ?? 0)
      return { answer, found, size }
    }
    test("the client's log is a part of this one: records", async () => {
      const { client } = make(isRemote)
      for (const version of [12, 13, 18]) {
        for (const [epoch, offset] of [
          [2, 2],
          [5, 3],
          [2, 1]
        ] as const) {
          const { found, size } = await ask(client, version, epoch, offset)
          deepStrictEqual([found?.errorCode, found?.divergingEpoch, size > 0], [0, { epoch: -1, endOffset: -1 }, true])
        }
      }
    })
    test("it parts from this one: where, at once, and no records", async () => {
      const { client } = make(isRemote)
      for (const version of [12, 13, 18]) {
        for (const [epoch, offset, end] of [
          [2, 3, { epoch: 2, endOffset: 2 }],
          [3, 2, { epoch: 2, endOffset: 2 }],
          [6, 5, { epoch: 5, endOffset: 5 }],
          [7, 6, { epoch: 7, endOffset: 5 }]
        ] as const) {
          const { found, size } = await ask(client, version, epoch, offset)
          deepStrictEqual([found?.errorCode, found?.divergingEpoch, size], [0, end, 0])
          deepStrictEqual([found?.highWatermark, found?.logStartOffset, found?.abortedTransactions], [5, 0, null])
        }
      }
    })
    test("an epoch that never was, an offset that is forgotten: out of range; the current epoch is looked at first", async () => {
      const { log, client } = make(isRemote)
      equal((await ask(client, 18, 8, 2)).found?.errorCode, 1)
      log.logStartOffset = 2
      equal((await ask(client, 18, 2, 1)).found?.errorCode, 1)
      equal((await ask(client, 18, 8, 2, 6)).found?.errorCode, 74)
      equal((await ask(client, 18, 8, 2, 8)).found?.errorCode, 75)
    })
    test("a fenced client is told who leads, from version 16 on", async () => {
      const { client } = make(isRemote)
      for (const version of [12, 15, 16, 18]) {
        const { answer, found } = await ask(client, version, -1, 2, 6)
        equal(found?.errorCode, 74)
        const isTold = version >= 16
        deepStrictEqual(
          found?.currentLeader,
          isTold ? { leaderId: 1, leaderEpoch: 7 } : { leaderId: -1, leaderEpoch: -1 }
        )
        const node = { nodeId: 1, host: "broker.example", port: 19_092, rack: null }
        deepStrictEqual(answer.nodeEndpoints, isTold ? [node] : [])
      }
      const { answer } = await ask(client, 18, -1, 2, 8)
      deepStrictEqual(answer.nodeEndpoints, [])
    })
    test("a replica is none of this broker's", async () => {
      const { client } = make(isRemote)
      const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }
      const topics = [{ topic: "t", topicId: TOPIC_ID, partitions: [partition] }]
      const request = { maxWaitMs: 10_000, minBytes: 1, maxBytes: 1_000, isolationLevel: 0, topics }
      const old = await client.call(fetch, 12, { ...request, replicaId: 5 })
      equal(old.responses[0]?.partitions[0]?.errorCode, 6)
      const now = await client.call(fetch, 18, { ...request, replicaState: { replicaId: 5, replicaEpoch: 1 } })
      equal(now.responses[0]?.partitions[0]?.errorCode, 6)
    })
  })
}

test("no right to describe", async () => {
  const client = new TestClient(makeTestBroker({ access: { checkUnsafe: () => DENY } }))
  const topics = [{ topic: "t", partitions: [{ partition: 0, leaderEpoch: 0 }] }]
  const answer = await client.call(offsetForLeaderEpoch, 4, { replicaId: -1, topics })
  equal(answer.topics[0]?.partitions[0]?.errorCode, 29)
})
