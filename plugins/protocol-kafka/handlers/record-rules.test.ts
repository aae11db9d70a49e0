/** What a topic's configurations ask of produced records, plain and compressed: keys, times, sizes; and what is said of those that fail. */
import { deepStrictEqual, equal, ok } from "node:assert"
import { describe, test } from "node:test"
import {
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_NONE,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  compress,
  RecordBatchBuilder,
  recordBatch,
  type TopicConfigs
} from "../../../core/mod.ts"
import { makeBatch, makeTestBroker, recordsOf, type TestBroker, TestClient, TOPIC_ID, withCrc } from "../fakes.ts"
import { produce } from "../wire/apis.ts"

const HOUR_MS = 3_600_000
const BEFORE_AND_AFTER = { "message.timestamp.before.max.ms": "1000", "message.timestamp.after.max.ms": "2000" }

function brokerWith(configs: TopicConfigs): TestBroker {
  const broker = makeTestBroker()
  const topic = broker.known.get("0/t")
  if (topic !== undefined) broker.known.set("0/t", { ...topic, configs })
  return broker
}

async function send(broker: TestBroker, batch: Uint8Array, version = 9) {
  const partitionData = [{ index: 0, records: recordsOf(batch) }]
  const topicData = [{ name: "t", topicId: TOPIC_ID, partitionData }]
  const answer = await new TestClient(broker).call(produce, version, { acks: -1, timeoutMs: 1_000, topicData })
  const found = answer.responses[0]?.partitionResponses[0]
  if (found === undefined) throw new Error("no answer")
  return found
}

const stored = (broker: TestBroker): ReadonlyArray<Uint8Array> =>
  [...broker.logs.partitions.values()].flatMap(({ batches }) => batches.map(({ bytes }) => bytes))

/** Records with these times and keys, in a codec. */
function batchOf(
  records: ReadonlyArray<{ readonly time: number; readonly key?: string }>,
  codec: number = CODEC_NONE
): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (const { time, key } of records) {
    const bytes = key === undefined ? undefined : new TextEncoder().encode(key)
    builder.append(time, bytes, 0, bytes?.length ?? 0, new Uint8Array(300), 0, 300)
  }
  const plain = builder.bytes.slice(0, builder.finish())
  const body = compress(codec, plain.slice(recordBatch.RECORDS_POSITION))
  const batch = new Uint8Array(recordBatch.RECORDS_POSITION + body.length)
  batch.set(plain.subarray(0, recordBatch.RECORDS_POSITION))
  batch.set(body, recordBatch.RECORDS_POSITION)
  recordBatch.writeInt32(batch, recordBatch.BATCH_LENGTH_POSITION, batch.length - recordBatch.LENGTH_OVERHEAD)
  recordBatch.writeInt16(batch, recordBatch.ATTRIBUTES_POSITION, codec)
  return withCrc(batch)
}

for (const codec of [CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD]) {
  describe(`codec ${codec}`, () => {
    test("a compacted topic takes no record without a key, and says which they were", async () => {
      for (const policy of ["compact", "compact,delete", "delete, compact"]) {
        const broker = brokerWith({ "cleanup.policy": policy })
        const time = broker.time.nowMs()
        const answer = await send(broker, batchOf([{ time, key: "a" }, { time }, { time, key: "" }, { time }], codec))
        equal(answer.errorCode, 87)
        deepStrictEqual(
          answer.recordErrors.map(({ batchIndex }) => batchIndex),
          [1, 3]
        )
        ok(answer.recordErrors.every(({ batchIndexErrorMessage }) => batchIndexErrorMessage?.includes("key")))
        deepStrictEqual(stored(broker), [])
        equal((await send(broker, batchOf([{ time, key: "a" }], codec))).errorCode, 0)
      }
      const broker = brokerWith({ "cleanup.policy": "delete" })
      equal((await send(broker, batchOf([{ time: broker.time.nowMs() }], codec))).errorCode, 0)
    })
    test("times too far before or after that of the append: 32, and which records they are", async () => {
      const broker = brokerWith(BEFORE_AND_AFTER)
      const now = broker.time.nowMs()
      const times = [now, now - 1_001, now - 1_000, now + 2_000, now + 2_001, -1]
      const answer = await send(
        broker,
        batchOf(
          times.map((time) => ({ time })),
          codec
        )
      )
      equal(answer.errorCode, 32)
      deepStrictEqual(
        answer.recordErrors.map(({ batchIndex }) => batchIndex),
        [1, 4]
      )
      deepStrictEqual(stored(broker), [])
      equal(
        (
          await send(
            broker,
            batchOf(
              [now - 1_000, now + 2_000, -1].map((time) => ({ time })),
              codec
            )
          )
        ).errorCode,
        0
      )
    })
  })
}

test("without configurations: an hour ahead, and any time before", async () => {
  const broker = makeTestBroker()
  const now = broker.time.nowMs()
  equal((await send(broker, batchOf([{ time: now + HOUR_MS + 1 }]))).errorCode, 32)
  equal((await send(broker, batchOf([{ time: now + HOUR_MS }]))).errorCode, 0)
  equal((await send(broker, batchOf([{ time: 0 }]))).errorCode, 0)
})

test("a time that is wrong counts more than a key that is missing; of an old client's answer the code is left", async () => {
  const broker = brokerWith({ ...BEFORE_AND_AFTER, "cleanup.policy": "compact" })
  const now = broker.time.nowMs()
  const both = batchOf([{ time: now }, { time: 1, key: "k" }])
  const answer = await send(broker, both)
  deepStrictEqual([answer.errorCode, answer.recordErrors.map(({ batchIndex }) => batchIndex)], [32, [0, 1]])
  const old = await send(broker, both, 7)
  deepStrictEqual([old.errorCode, old.recordErrors], [32, []])
  equal(broker.counts.refusedBatches.get("record_rules"), 2)
})

test("where the append's time is the topic's no producer's time is wrong, but for one that it calls the append's", async () => {
  const broker = brokerWith({ ...BEFORE_AND_AFTER, "message.timestamp.type": "LogAppendTime" })
  equal((await send(broker, batchOf([{ time: 1 }]))).errorCode, 0)
  const forged = makeBatch(["a"], { attributes: recordBatch.LOG_APPEND_TIME })
  equal((await send(broker, forged)).errorCode, 32)
  equal((await send(makeTestBroker(), forged)).errorCode, 32)
})

test("the time of the append is told", async () => {
  const broker = makeTestBroker()
  const topic = broker.topics.find(0, "t")
  if (topic !== undefined) broker.logs.of(topic, 0).appendTimeMs = 1_700_000_000_123
  equal((await send(broker, makeBatch(["a"]))).logAppendTimeMs, 1_700_000_000_123)
})

test("a batch that says another largest time than its records have is stored with theirs", async () => {
  const broker = makeTestBroker()
  const now = broker.time.nowMs()
  const batch = batchOf([{ time: now - 5 }, { time: now - 9 }])
  const lying = batch.slice()
  recordBatch.writeInt64(lying, recordBatch.MAX_TIMESTAMP_POSITION, now + 10 * HOUR_MS)
  equal((await send(broker, withCrc(lying))).errorCode, 0)
  deepStrictEqual(stored(broker)[0]?.subarray(recordBatch.MAGIC_POSITION), batch.subarray(recordBatch.MAGIC_POSITION))
})

test("max.message.bytes of the topic, above and below that of the options", async () => {
  const batch = batchOf([{ time: 1 }])
  for (const [bytes, error] of [
    [batch.length, 0],
    [batch.length - 1, 10]
  ] as const) {
    equal((await send(brokerWith({ "max.message.bytes": String(bytes) }), batch)).errorCode, error)
  }
  const large = brokerWith({ "max.message.bytes": "3000000" })
  equal((await send(large, makeBatch(["x".repeat(2_000_000)]))).errorCode, 0)
})

test("a producer id without a sequence number or an epoch, and one that nobody gave out", async () => {
  const of = (id: number, epoch: number, sequence: number): Uint8Array => {
    const batch = makeBatch(["a"])
    recordBatch.writeInt64(batch, recordBatch.PRODUCER_ID_POSITION, id)
    recordBatch.writeInt16(batch, recordBatch.PRODUCER_EPOCH_POSITION, epoch)
    recordBatch.writeInt32(batch, recordBatch.BASE_SEQUENCE_POSITION, sequence)
    return withCrc(batch)
  }
  for (const batch of [of(1, 0, -1), of(1, -1, 0), of(2 ** 60, 0, 0)]) {
    equal((await send(makeTestBroker(), batch)).errorCode, 87)
  }
  for (const batch of [of(1, 0, 0), of(-1, -1, -1), of(0, 32_767, 2 ** 31 - 1)]) {
    equal((await send(makeTestBroker(), batch)).errorCode, 0)
  }
})
