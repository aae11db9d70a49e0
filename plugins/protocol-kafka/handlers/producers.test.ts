/** InitProducerId and DescribeProducers: what is answered at every version, and what is refused. */
import { deepStrictEqual, equal } from "node:assert"
import { describe, test } from "node:test"
import { DENY, NOT_AVAILABLE } from "../../../core/mod.ts"
import { makeTestBroker, TestClient } from "../fakes.ts"
import { describeProducers, initProducerId } from "../wire/apis.ts"

const ask = { transactionalId: null, transactionTimeoutMs: 0 }

describe("InitProducerId", () => {
  for (let version = initProducerId.versionMin; version <= initProducerId.versionMax; version++) {
    test(`version ${version}: an id under epoch 0`, async () => {
      const { errorCode, producerId, producerEpoch } = await new TestClient(makeTestBroker()).call(
        initProducerId,
        version,
        ask
      )
      deepStrictEqual([errorCode, producerId, producerEpoch], [0, 4_000, 0])
    })
  }
  test("a producer that has an id gets another one", async () => {
    const client = new TestClient(makeTestBroker({ producerId: 7 }))
    equal((await client.call(initProducerId, 5, { ...ask, producerId: 3, producerEpoch: 2 })).producerId, 7)
  })
  for (const [name, request, error] of [
    ["a transactional id: there are no transactions", { ...ask, transactionalId: "tx" }, 53],
    ["an empty transactional id", { ...ask, transactionalId: "" }, 42],
    ["an id without an epoch", { ...ask, producerId: 3 }, 42],
    ["an epoch without an id", { ...ask, producerEpoch: 3 }, 42]
  ] as const) {
    test(`${name}: ${error}`, async () => {
      const broker = makeTestBroker()
      const answer = await new TestClient(broker).call(initProducerId, 5, request)
      deepStrictEqual([answer.errorCode, answer.producerId, answer.producerEpoch], [error, -1, -1])
      equal(broker.counts.errors.get(error), 1)
    })
  }
  test("no block of ids can be had now: 14, after which clients ask again", async () => {
    const answer = await new TestClient(makeTestBroker({ producerId: -1 })).call(initProducerId, 4, ask)
    deepStrictEqual([answer.errorCode, answer.producerId], [14, -1])
  })
})

describe("DescribeProducers", () => {
  const topics = [
    { name: "t", partitionIndexes: [0, 1, 2, -1] },
    { name: "nope", partitionIndexes: [0] }
  ]
  test("who wrote to each partition; what is not there is an error of its own", async () => {
    const broker = makeTestBroker()
    const topic = broker.topics.find(0, "t")
    if (topic === undefined) throw new Error("no topic")
    broker.logs.of(topic, 0).producers = [{ id: 2 ** 40, epoch: 3, lastSequence: 17, lastTimestamp: 1_700_000_000_000 }]
    broker.logs.of(topic, 1).refusal = NOT_AVAILABLE
    const answer = await new TestClient(broker).call(describeProducers, 0, { topics })
    deepStrictEqual(
      answer.topics.map(({ name, partitions }) => [
        name,
        partitions.map(({ partitionIndex, errorCode, activeProducers }) => [partitionIndex, errorCode, activeProducers])
      ]),
      [
        [
          "t",
          [
            [
              0,
              0,
              [
                {
                  producerId: 2 ** 40,
                  producerEpoch: 3,
                  lastSequence: 17,
                  lastTimestamp: 1_700_000_000_000,
                  coordinatorEpoch: -1,
                  currentTxnStartOffset: -1
                }
              ]
            ],
            [1, 6, []],
            [2, 3, []],
            [-1, 3, []]
          ]
        ],
        ["nope", [[0, 3, []]]]
      ]
    )
  })
  test("without the right to read a topic nothing is told of it", async () => {
    const broker = makeTestBroker({ access: { checkUnsafe: () => DENY } })
    const answer = await new TestClient(broker).call(describeProducers, 0, { topics })
    deepStrictEqual(
      answer.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
      [29, 29, 29, 29, 29]
    )
  })
})
