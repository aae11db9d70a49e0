/** Fetch by versions from before zstd, of batches that the broker compressed and of others. */
import { deepStrictEqual, equal } from "node:assert"
import { describe, test } from "node:test"
import { CODEC_ZSTD, recordBatch } from "../../../core/mod.ts"
import { makeBatch, makeTestBroker, TestClient, TOPIC_ID } from "../fakes.ts"
import { fetch } from "../wire/apis.ts"

const UNSUPPORTED_COMPRESSION_TYPE = 76
const GATHERED_ZSTD = recordBatch.GATHERED | CODEC_ZSTD

interface Answer {
  readonly error: number
  /** What was given, in hexadecimal. */
  readonly records: string
}

/** One partition; `isJoined`: all its batches lie in one piece of memory. */
function make({ isRemote = false, isJoined = false }) {
  const broker = makeTestBroker()
  broker.logs.isRemote = isRemote
  const client = new TestClient(broker)
  const topic = broker.topics.find(0, "t")
  if (topic === undefined) throw new Error("the topic is there")
  const partition = broker.logs.of(topic, 0)
  partition.isJoined = isJoined
  return {
    /** Appends a batch of one record with these attributes; nobody looks into it. Returns what is stored, in hexadecimal. */
    put: (attributes: number): string => {
      partition.append(makeBatch(["a"], { attributes }), 1)
      return partition.batches.at(-1)?.bytes.toHex() ?? ""
    },
    get: async (version: number, offset: number): Promise<Answer> => {
      const wanted = { partition: 0, fetchOffset: offset, partitionMaxBytes: 1_000_000, currentLeaderEpoch: -1 }
      const topics = [{ topic: "t", topicId: TOPIC_ID, partitions: [wanted] }]
      const answer = await client.call(fetch, version, { maxWaitMs: 0, minBytes: 1, maxBytes: 1_000_000, topics })
      const found = answer.responses[0]?.partitions[0]
      const records = found?.records?.bytes.subarray(found.records.start, found.records.end).toHex() ?? ""
      return { error: found?.errorCode ?? -1, records }
    }
  }
}

for (const isRemote of [false, true]) {
  describe(isRemote ? "another shard's logs" : "this shard's logs", () => {
    test("what the broker compressed is refused up to version 9, and given from version 10 on", async () => {
      const { put, get } = make({ isRemote })
      const records = put(GATHERED_ZSTD)
      for (let version = 4; version <= 18; version++) {
        const expected = version < 10 ? { error: UNSUPPORTED_COMPRESSION_TYPE, records: "" } : { error: 0, records }
        deepStrictEqual(await get(version, 0), expected, `version ${version}`)
      }
    })

    test("what a producer compressed is its own choice, and what the broker left plain is plain", async () => {
      const { put, get } = make({ isRemote })
      for (const [offset, attributes] of [CODEC_ZSTD, recordBatch.GATHERED].entries()) {
        const records = put(attributes)
        deepStrictEqual(await get(4, offset), { error: 0, records })
      }
    })

    for (const isJoined of [false, true]) {
      test(`what lies before it is given, ${isJoined ? "where it is one piece of memory" : "in pieces"}`, async () => {
        const { put, get } = make({ isRemote, isJoined })
        const plain = [put(0), put(CODEC_ZSTD)]
        put(GATHERED_ZSTD)
        const behind = put(0)
        let given = ""
        for (let offset = 0; offset < 2; offset = given.length / behind.length) {
          const { error, records } = await get(9, offset)
          deepStrictEqual([error, records.length > 0], [0, true])
          given += records
        }
        equal(given, plain.join(""))
        deepStrictEqual(await get(9, 2), { error: UNSUPPORTED_COMPRESSION_TYPE, records: "" })
        deepStrictEqual(await get(9, 3), { error: 0, records: behind }, "what lies behind it")
        deepStrictEqual(await get(9, 4), { error: 0, records: "" }, "nothing is no error")
      })
    }
  })
}
