/** Fetch sessions as a client sees them: what is told again and what is not, in which order, and every error. */
import { deepStrictEqual, equal, notEqual } from "node:assert"
import { describe, test } from "node:test"
import { NOT_AVAILABLE } from "../../../core/mod.ts"
import { decodeAnswer, makeBatch, makeTestBroker, type TestBroker, TestClient, TOPIC_ID } from "../fakes.ts"
import { fetch } from "../wire/apis.ts"
import type { Decoded } from "../wire/schema.ts"

const VERSIONS = [7, 11, 12, 13, 18]

interface Ask {
  readonly sessionId?: number
  readonly sessionEpoch?: number
  /** Partition and offset. */
  readonly partitions?: ReadonlyArray<readonly [number, number]>
  readonly forgotten?: ReadonlyArray<number>
  readonly maxWaitMs?: number
  readonly maxBytes?: number
  readonly topic?: string
  readonly topicId?: string
}

function requestOf(ask: Ask) {
  const { sessionId = 0, sessionEpoch = 0, partitions = [], forgotten = [], maxWaitMs = 0 } = ask
  const { topic = "t", topicId = TOPIC_ID, maxBytes = 1_000_000 } = ask
  const asked = partitions.map(([partition, fetchOffset]) => ({ partition, fetchOffset, partitionMaxBytes: 1_000_000 }))
  return {
    maxWaitMs,
    minBytes: 1,
    maxBytes,
    isolationLevel: 0,
    sessionId,
    sessionEpoch,
    topics: asked.length === 0 ? [] : [{ topic, topicId, partitions: asked }],
    forgottenTopicsData: forgotten.length === 0 ? [] : [{ topic, topicId, partitions: forgotten }]
  }
}

function logOf(broker: TestBroker, partition: number) {
  const topic = broker.known.get("0/t")
  if (topic === undefined) throw new Error("the topic is there")
  return broker.logs.of(topic, partition)
}

const append = (broker: TestBroker, partition: number): number => {
  const batch = makeBatch(["value"])
  logOf(broker, partition).append(batch, 1)
  return batch.length
}

/** Of each partition that is told: its number, error, high watermark and whether there are records. */
const told = (answer: Decoded<(typeof fetch)["response"]>): ReadonlyArray<ReadonlyArray<number>> =>
  answer.responses.flatMap(({ partitions }) =>
    partitions.map(({ partitionIndex, errorCode, highWatermark, records }) => [
      partitionIndex,
      errorCode,
      highWatermark,
      (records?.end ?? 0) > (records?.start ?? 0) ? 1 : 0
    ])
  )

for (const version of VERSIONS) {
  describe(`version ${version}`, () => {
    const make = async (settings: object = {}) => {
      const broker = makeTestBroker({ settings })
      const client = new TestClient(broker)
      const ask = (asked: Ask) => client.call(fetch, version, requestOf(asked))
      return { broker, client, ask }
    }
    const begun = async (settings: object = {}) => {
      const made = await make(settings)
      const first = await made.ask({
        partitions: [
          [0, 0],
          [1, 0]
        ]
      })
      deepStrictEqual(told(first), [
        [0, 0, 0, 0],
        [1, 0, 0, 0]
      ])
      notEqual(first.sessionId, 0)
      return { ...made, sessionId: first.sessionId }
    }

    test("what has not changed is not told again; what has is, with all that belongs to it", async () => {
      const { broker, ask, sessionId } = await begun()
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 1 })), [])
      append(broker, 1)
      const second = await ask({ sessionId, sessionEpoch: 2 })
      deepStrictEqual([second.sessionId, second.errorCode, told(second)], [sessionId, 0, [[1, 0, 1, 1]]])
      // Not asked on: the same records once more.
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 3 })), [[1, 0, 1, 1]])
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 4, partitions: [[1, 1]] })), [])
      // The log start is news, too.
      logOf(broker, 1).logStartOffset = 1
      const moved = await ask({ sessionId, sessionEpoch: 5 })
      deepStrictEqual(told(moved), [[1, 0, 1, 0]])
      equal(moved.responses[0]?.partitions[0]?.logStartOffset, 1)
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 6 })), [])
    })

    test("a session goes on over any connection", async () => {
      const { broker, sessionId } = await begun()
      append(broker, 0)
      const other = new TestClient(broker)
      deepStrictEqual(told(await other.call(fetch, version, requestOf({ sessionId, sessionEpoch: 1 }))), [[0, 0, 1, 1]])
    })

    test("partitions come and go", async () => {
      const { broker, ask, sessionId } = await begun()
      append(broker, 0)
      append(broker, 1)
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 1, forgotten: [0, 7] })), [[1, 0, 1, 1]])
      equal(broker.fetchSessions.partitions, 1)
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 2, partitions: [[0, 1]], forgotten: [1] })), [
        [0, 0, 1, 0]
      ])
      // Forgotten as it is named: gone, and the session with its last one.
      const last = await ask({ sessionId, sessionEpoch: 3, partitions: [[0, 1]], forgotten: [0] })
      deepStrictEqual([last.sessionId, told(last)], [0, [[0, 0, 1, 0]]])
      deepStrictEqual([broker.fetchSessions.size, broker.fetchSessions.partitions], [0, 0])
      equal((await ask({ sessionId, sessionEpoch: 4 })).errorCode, 70)
    })

    test("who was given records comes last the next time", async () => {
      const { broker, ask, sessionId } = await begun()
      append(broker, 0)
      append(broker, 1)
      const maxBytes = 1
      const order: Array<number | undefined> = []
      for (let epoch = 1; epoch <= 4; epoch++) {
        const answer = await ask({ sessionId, sessionEpoch: epoch, maxBytes })
        order.push(answer.responses[0]?.partitions.find(({ records }) => (records?.end ?? 0) > 0)?.partitionIndex)
      }
      deepStrictEqual(order, [0, 1, 0, 1])
    })

    test("an error is told every time, and the partition again when it is over", async () => {
      const { broker, ask, sessionId } = await begun()
      logOf(broker, 0).refusal = NOT_AVAILABLE
      for (const sessionEpoch of [1, 2]) deepStrictEqual(told(await ask({ sessionId, sessionEpoch })), [[0, 6, -1, 0]])
      logOf(broker, 0).refusal = 0
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 3 })), [[0, 0, 0, 0]])
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 4 })), [])
    })

    test("a topic that goes is told of, and one that comes is found", async () => {
      const { broker, ask, sessionId } = await begun()
      const topic = broker.known.get("0/t")
      broker.known.delete("0/t")
      const error = version >= 13 ? 100 : 3
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 1 })), [
        [0, error, -1, 0],
        [1, error, -1, 0]
      ])
      if (topic !== undefined) broker.known.set("0/t", topic)
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 2 })), [
        [0, 0, 0, 0],
        [1, 0, 0, 0]
      ])
    })

    test("of an unknown topic a session is made all the same", async () => {
      const { ask } = await make()
      const topic = { topic: "nope", topicId: "99999999-0000-4000-8000-000000000000" }
      const first = await ask({ partitions: [[0, 0]], ...topic })
      const error = version >= 13 ? 100 : 3
      deepStrictEqual([told(first), first.sessionId === 0], [[[0, error, -1, 0]], false])
      deepStrictEqual(told(await ask({ sessionId: first.sessionId, sessionEpoch: 1 })), [[0, error, -1, 0]])
    })

    test("70 for an id that is none, 71 for another epoch; both leave the session as it is", async () => {
      const { broker, ask, sessionId } = await begun()
      for (const [id, epoch, error] of [
        [sessionId + 1, 1, 70],
        [sessionId, 2, 71],
        [sessionId, 7, 71]
      ] as const) {
        const answer = await ask({ sessionId: id, sessionEpoch: epoch })
        deepStrictEqual([answer.errorCode, answer.sessionId, answer.responses.length], [error, 0, 0])
      }
      append(broker, 0)
      deepStrictEqual(told(await ask({ sessionId, sessionEpoch: 1 })), [[0, 0, 1, 1]])
      equal((await ask({ sessionId, sessionEpoch: 1 })).errorCode, 71)
    })

    test("106 where a session that names topics by id is asked by name, and the other way round", async () => {
      const { client, sessionId } = await begun()
      const other = version >= 13 ? 12 : 13
      const mixed = await client.call(fetch, other, requestOf({ sessionId, sessionEpoch: 1 }))
      deepStrictEqual([mixed.errorCode, mixed.sessionId], [106, 0])
    })

    test("epoch 0 begins another session, epoch -1 ends it", async () => {
      const { broker, ask, sessionId } = await begun()
      const again = await ask({ sessionId, sessionEpoch: 0, partitions: [[1, 0]] })
      notEqual(again.sessionId, sessionId)
      equal((await ask({ sessionId, sessionEpoch: 1 })).errorCode, 70)
      const ended = await ask({ sessionId: again.sessionId, sessionEpoch: -1, partitions: [[1, 0]] })
      deepStrictEqual([ended.sessionId, told(ended), broker.fetchSessions.size], [0, [[1, 0, 0, 0]], 0])
    })

    test("a partition that is named twice stands once, as it was named last", async () => {
      const { broker, ask } = await make()
      append(broker, 0)
      const answer = await ask({
        partitions: [
          [0, 1],
          [1, 0],
          [0, 0]
        ]
      })
      deepStrictEqual(told(answer), [
        [0, 0, 1, 1],
        [1, 0, 0, 0]
      ])
    })

    test("where there is no place the answer is whole and names no session", async () => {
      const { broker, ask } = await make({ fetch_sessions_max: 0 })
      for (let round = 0; round < 2; round++) {
        const answer = await ask({ partitions: [[0, 0]] })
        deepStrictEqual([answer.sessionId, told(answer)], [0, [[0, 0, 0, 0]]])
      }
      equal(broker.fetchSessions.size, 0)
    })

    test("a session waits like any other, for the partitions that it holds", async () => {
      const { broker, client, sessionId } = await begun()
      client.send(client.frame(fetch, version, requestOf({ sessionId, sessionEpoch: 1, maxWaitMs: 500 })))
      await broker.time.pass(100)
      deepStrictEqual(client.received(), [])
      append(broker, 1)
      await broker.time.settle()
      const [woken = fail()] = client.received()
      deepStrictEqual(told(decodeAnswer(fetch, version, woken).body), [[1, 0, 1, 1]])
      const empty = requestOf({ sessionId, sessionEpoch: 2, partitions: [[1, 1]], maxWaitMs: 500 })
      client.send(client.frame(fetch, version, empty))
      await broker.time.pass(500)
      const [frame = fail()] = client.received()
      deepStrictEqual(told(decodeAnswer(fetch, version, frame).body), [])
    })

    test("a request that was overtaken while it waited is told so, and loses the session nothing", async () => {
      const { broker, client, sessionId } = await begun()
      client.send(client.frame(fetch, version, requestOf({ sessionId, sessionEpoch: 1, maxWaitMs: 500 })))
      await broker.time.settle()
      append(broker, 0)
      const other = new TestClient(broker)
      const next = await other.call(fetch, version, requestOf({ sessionId, sessionEpoch: 2 }))
      deepStrictEqual(told(next), [[0, 0, 1, 1]])
      await broker.time.pass(500)
      const [frame = fail()] = client.received()
      const { errorCode, sessionId: named, responses } = decodeAnswer(fetch, version, frame).body
      deepStrictEqual([errorCode, named, responses.length], [71, sessionId, 0])
      equal(broker.fetchesHeldBytes, 0)
    })
  })
}

test("before version 7 there are no sessions", async () => {
  const broker = makeTestBroker()
  const client = new TestClient(broker)
  for (const version of [4, 6]) {
    deepStrictEqual(told(await client.call(fetch, version, requestOf({ partitions: [[0, 0]] }))), [[0, 0, 0, 0]])
  }
  equal(broker.fetchSessions.size, 0)
})

function fail(): never {
  throw new Error("there is none")
}
