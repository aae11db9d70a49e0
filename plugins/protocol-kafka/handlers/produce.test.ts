/** Produce: what is stored, what is refused and with which code, partition by partition. */
import { deepStrictEqual, equal } from "node:assert"
import { describe, test } from "node:test"
import {
  BACKLOG,
  CODEC_GZIP,
  compress,
  DENY,
  DISK_FULL,
  FENCED,
  NOT_AVAILABLE,
  READ_ONLY,
  recordBatch
} from "../../../core/mod.ts"
import { makeBatch, makeTestBroker, recordsOf, type TestBroker, TestClient, TOPIC_ID, withCrc } from "../fakes.ts"
import { produce } from "../wire/apis.ts"

type Records = { bytes: Uint8Array; start: number; end: number } | null

const requestOf = (records: Records, changes: object = {}, index = 0) => ({
  acks: -1,
  timeoutMs: 1_000,
  topicData: [{ name: "t", topicId: TOPIC_ID, partitionData: [{ index, records }] }],
  ...changes
})
async function outcome(client: TestClient, version: number, request: ReturnType<typeof requestOf>) {
  return (await client.call(produce, version, request)).responses[0]?.partitionResponses[0]
}
function stored(broker: TestBroker, partition = 0): ReadonlyArray<Uint8Array> {
  const topic = broker.topics.find(0, "t")
  return topic === undefined ? [] : broker.logs.of(topic, partition).batches.map(({ bytes }) => bytes)
}

/** The batch with `change` made to it and a true CRC. */
function changed(batch: Uint8Array, change: (batch: Uint8Array) => void): Uint8Array {
  change(batch)
  return withCrc(batch)
}
/** The batch with its records replaced by `records` and the codec in its attributes. */
function withRecords(batch: Uint8Array, records: Uint8Array, codec: number): Uint8Array {
  const result = new Uint8Array(recordBatch.RECORDS_POSITION + records.length)
  result.set(batch.subarray(0, recordBatch.RECORDS_POSITION))
  result.set(records, recordBatch.RECORDS_POSITION)
  recordBatch.writeInt32(result, recordBatch.BATCH_LENGTH_POSITION, result.length - recordBatch.LENGTH_OVERHEAD)
  recordBatch.writeInt16(result, recordBatch.ATTRIBUTES_POSITION, codec)
  return withCrc(result)
}
function gzipped(values: ReadonlyArray<string>): Uint8Array {
  const batch = makeBatch(values)
  const inflated = compress(CODEC_GZIP, batch.subarray(recordBatch.RECORDS_POSITION))
  return withRecords(batch, inflated, CODEC_GZIP)
}

for (const isRemote of [false, true]) {
  describe(isRemote ? "to another shard's log" : "to this shard's log", () => {
    test("every version stores the batch as it was sent and answers its offset", async () => {
      const broker = makeTestBroker()
      broker.logs.isRemote = isRemote
      const client = new TestClient(broker)
      for (let version = 3; version <= 13; version++) {
        const batch = version % 2 === 0 ? gzipped(["a", "b"]) : makeBatch(["a", "b"])
        const answer = await outcome(client, version, requestOf(recordsOf(batch)))
        deepStrictEqual(
          [answer?.errorCode, answer?.baseOffset, answer?.logAppendTimeMs, answer?.logStartOffset],
          [0, (version - 3) * 2, -1, version >= 5 ? 0 : -1],
          `version ${version}`
        )
        const bytes = stored(broker).at(-1) ?? new Uint8Array(0)
        equal(bytes.subarray(recordBatch.MAGIC_POSITION).toHex(), batch.subarray(recordBatch.MAGIC_POSITION).toHex())
      }
      deepStrictEqual([broker.counts.producedBatches, broker.counts.producedRecords], [11, 22])
    })
    test("the order of pipelined requests is the order in the log", async () => {
      const broker = makeTestBroker()
      broker.logs.isRemote = isRemote
      const client = new TestClient(broker)
      const frames = Array.from({ length: 20 }, (_, index) =>
        client.frame(produce, 7, requestOf(recordsOf(makeBatch([`value ${index}`]))))
      )
      client.send(recordsOf(...frames).bytes)
      await broker.time.settle()
      equal(client.received().length, 20)
      const text = stored(broker).map((batch) => /value (\d+)/.exec(new TextDecoder("latin1").decode(batch))?.[1])
      deepStrictEqual(
        text,
        frames.map((_, index) => String(index))
      )
    })
    test("partitions fail one by one", async () => {
      const broker = makeTestBroker()
      broker.logs.isRemote = isRemote
      const client = new TestClient(broker)
      const good = recordsOf(makeBatch(["a"]))
      const answer = await client.call(produce, 8, {
        acks: 1,
        timeoutMs: 1,
        topicData: [
          {
            name: "t",
            partitionData: [
              { index: 0, records: good },
              { index: 1, records: null },
              { index: 2, records: good },
              { index: 1, records: good }
            ]
          },
          { name: "nope", partitionData: [{ index: 0, records: good }] }
        ]
      })
      deepStrictEqual(
        answer.responses.map(({ name, partitionResponses }) => [
          name,
          partitionResponses.map(({ index, errorCode, baseOffset }) => [index, errorCode, baseOffset])
        ]),
        [
          [
            "t",
            [
              [0, 0, 0],
              [1, 87, -1],
              [2, 3, -1],
              [1, 0, 0]
            ]
          ],
          ["nope", [[0, 3, -1]]]
        ]
      )
    })
    test("acks 0: no answer, and what follows is answered", async () => {
      const broker = makeTestBroker()
      broker.logs.isRemote = isRemote
      const client = new TestClient(broker)
      const records = recordsOf(makeBatch(["a"]))
      client.send(
        client.frame(produce, 7, requestOf(records, { acks: 0 })),
        client.frame(produce, 7, requestOf(records))
      )
      await broker.time.settle()
      const answers = client.received()
      equal(answers.length, 1)
      equal(new DataView(answers[0]?.buffer ?? new ArrayBuffer(4)).getInt32(0), 2)
      equal(stored(broker).length, 2)
    })
    test("acks 0 with an error: the end of the connection tells the producer", async () => {
      const broker = makeTestBroker()
      broker.logs.isRemote = isRemote
      const client = new TestClient(broker)
      const records = recordsOf(makeBatch(["a"]))
      client.send(
        client.frame(produce, 7, requestOf(records)),
        client.frame(produce, 7, requestOf(records, { acks: 0 }, 9))
      )
      await broker.time.settle()
      equal(client.received().length, 1)
      equal(client.socket.ended, true)
      deepStrictEqual([...broker.counts.closed], [["produce_unacknowledged", 1]])
    })
    for (const [refusal, error] of [
      [BACKLOG, 7],
      [READ_ONLY, 56],
      [DISK_FULL, 56],
      [FENCED, 6],
      [NOT_AVAILABLE, 6]
    ] as const) {
      test(`the log refuses with ${refusal}: error ${error}`, async () => {
        const broker = makeTestBroker()
        broker.logs.isRemote = isRemote
        const topic = broker.topics.find(0, "t")
        if (topic !== undefined) broker.logs.of(topic, 0).refusal = refusal
        const answer = await outcome(new TestClient(broker), 9, requestOf(recordsOf(makeBatch(["a"]))))
        deepStrictEqual([answer?.errorCode, answer?.baseOffset], [error, -1])
      })
    }
  })
}

describe("what is refused, with nothing stored", () => {
  const good = makeBatch(["a", "b"])
  const large = makeBatch(["x".repeat(600_000)])
  const cases: ReadonlyArray<readonly [string, Records, number]> = [
    ["null records", null, 87],
    ["no records at all", recordsOf(), 87],
    ["two batches", recordsOf(good, good), 87],
    ["two batches that are too large together", recordsOf(large, large), 87],
    ["a batch and a byte", recordsOf(good, new Uint8Array(1)), 87],
    ["a batch cut short", recordsOf(good.slice(0, -1)), 87],
    ["a header cut short", recordsOf(good.slice(0, 30)), 87],
    ["magic 1", recordsOf(changed(good.slice(), (batch) => batch.fill(1, 16, 17))), 87],
    ["magic 0 in few bytes", recordsOf(new Uint8Array(17)), 87],
    ["a wrong CRC", recordsOf(good.with(good.length - 1, 0x7f)), 2],
    ["a record count that is not the records'", recordsOf(changed(good.slice(), (batch) => batch.fill(3, 60, 61))), 87],
    ["no records in a batch", recordsOf(changed(good.slice(), (batch) => batch.fill(0, 57, 61))), 87],
    [
      "a last offset delta that is not the count's",
      recordsOf(changed(good.slice(), (batch) => batch.fill(9, 26, 27))),
      87
    ],
    ["a control batch", recordsOf(makeBatch(["a"], { attributes: recordBatch.CONTROL })), 87],
    ["a batch with our own mark", recordsOf(makeBatch(["a"], { attributes: recordBatch.GATHERED })), 87],
    ["a transactional batch", recordsOf(makeBatch(["a"], { attributes: recordBatch.TRANSACTIONAL })), 53],
    ["magic 3", recordsOf(changed(good.slice(), (batch) => batch.fill(3, 16, 17))), 2],
    ["a length that no batch has", recordsOf(changed(good.slice(), (batch) => batch.fill(1, 11, 12))), 2],
    ["a negative length", recordsOf(changed(good.slice(), (batch) => batch.fill(0xff, 8, 12))), 2],
    ["an unknown codec", recordsOf(makeBatch(["a"], { attributes: 5 })), 76],
    ["a gzip payload that is none", recordsOf(makeBatch(["a"], { attributes: CODEC_GZIP })), 87],
    ["a gzip payload cut short", recordsOf(withRecords(good, gzipped(["a"]).slice(61, -9), CODEC_GZIP)), 87],
    ["a batch above max.message.bytes", recordsOf(makeBatch(["x".repeat(1_048_588)])), 10]
  ]
  for (const [name, records, error] of cases) {
    test(`${name}: ${error}`, async () => {
      const broker = makeTestBroker()
      const client = new TestClient(broker)
      const answer = await outcome(client, 9, requestOf(records))
      equal(answer?.errorCode, error)
      equal(answer?.baseOffset, -1)
      equal(typeof answer?.errorMessage, "string")
      deepStrictEqual(stored(broker), [])
      equal(
        [...broker.counts.errors.values()].reduce((sum, count) => sum + count, 0),
        1
      )
      // The connection goes on.
      equal((await outcome(client, 9, requestOf(recordsOf(good))))?.errorCode, 0)
    })
  }
  test("a batch of exactly max.message.bytes is stored", async () => {
    const batch = makeBatch(["x".repeat(100)])
    for (const [bound, error] of [
      [batch.length, 0],
      [batch.length - 1, 10]
    ] as const) {
      const client = new TestClient(makeTestBroker({ settings: { message_size_max: bound } }))
      equal((await outcome(client, 9, requestOf(recordsOf(batch))))?.errorCode, error)
    }
  })
  test("zstd is for clients that are sure to know it", async () => {
    const client = new TestClient(makeTestBroker())
    const records = recordsOf(makeBatch(["a"], { attributes: 4 }))
    equal((await outcome(client, 6, requestOf(records)))?.errorCode, 76)
    equal((await outcome(client, 7, requestOf(records)))?.errorCode, 87)
  })
  test("versions 0 to 2 are answered with error 35 in their own form", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    for (let version = 0; version <= 2; version++) {
      equal((await outcome(client, version, requestOf(recordsOf(good))))?.errorCode, 35)
    }
    deepStrictEqual(stored(broker), [])
  })
  test("acks that are none, a transactional id, no right, unknown topic id", async () => {
    const broker = makeTestBroker()
    const client = new TestClient(broker)
    const records = recordsOf(good)
    for (const acks of [2, -2]) equal((await outcome(client, 9, requestOf(records, { acks })))?.errorCode, 21)
    equal((await outcome(client, 9, requestOf(records, { transactionalId: "tx" })))?.errorCode, 48)
    const unknown = {
      topicData: [{ topicId: "99999999-0000-4000-8000-000000000000", partitionData: [{ index: 0, records }] }]
    }
    equal((await outcome(client, 13, requestOf(records, unknown)))?.errorCode, 100)
    for (const index of [-1, 2]) equal((await outcome(client, 9, requestOf(records, {}, index)))?.errorCode, 3)
    deepStrictEqual(stored(broker), [])
    const denied = makeTestBroker({ access: { checkUnsafe: () => DENY } })
    equal((await outcome(new TestClient(denied), 9, requestOf(records)))?.errorCode, 29)
    deepStrictEqual(stored(denied), [])
  })
})
