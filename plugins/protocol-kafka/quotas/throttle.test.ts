/** Connections whose clients are over their quota: answered at once, told for how long, and not read meanwhile (KIP-219). */
import { deepStrictEqual, equal, ok } from "node:assert"
import { test } from "node:test"
import { makeBatch, makeTestBroker, recordsOf, TestClient } from "../fakes.ts"
import { fetch, metadata, produce } from "../wire/apis.ts"
import { encodeQuota, type QuotaValues } from "./ClientQuotas.ts"
import { quotaKey } from "./quota-entity.ts"

const RATE = 1_000

function make(values: QuotaValues) {
  const broker = makeTestBroker()
  broker.quotas.changed({ key: quotaKey({ clientId: "test" }), value: encodeQuota(values) })
  const client = new TestClient(broker)
  const batch = makeBatch(["x".repeat(12_000)])
  const produced = (acks: number) => ({
    ...{ transactionalId: null, acks, timeoutMs: 0 },
    topicData: [{ name: "t", partitionData: [{ index: 0, records: recordsOf(batch) }] }]
  })
  return { broker, client, produced }
}

for (const acks of [1, 0]) {
  test(`Produce with acks ${acks}: stored and answered at once, then nothing is read until the rate has caught up`, async () => {
    const { broker, client, produced } = make({ producer_byte_rate: RATE })
    const topic = broker.topics.find(0, "t")
    ok(topic !== undefined)
    client.send(client.frame(produce, 7, produced(acks)))
    await broker.time.settle()
    equal(broker.logs.of(topic, 0).highWatermark, 1)
    const answers = client.takeAnswers(produce, 7)
    const throttled = answers.map(({ throttleTimeMs }) => throttleTimeMs)
    // 12,000 bytes and some where 10,000 may be taken at once.
    if (acks === 1) ok((throttled[0] ?? 0) > 2_000 && (throttled[0] ?? 0) < 2_300, String(throttled))
    else deepStrictEqual(throttled, [])
    client.send(client.frame(metadata, 5, { topics: [] }))
    await broker.time.settle()
    await broker.time.pass(1_900)
    deepStrictEqual(client.takeAnswers(metadata, 5), [])
    equal(client.socket.paused, true)
    await broker.time.pass(400)
    equal(client.takeAnswers(metadata, 5).length, 1)
    equal(client.socket.paused, false)
    equal(broker.counts.throttled, 1)
  })
}

test("Fetch: its records go out, and the next one waits", async () => {
  const { broker, client } = make({ consumer_byte_rate: RATE })
  const topic = broker.topics.find(0, "t")
  ok(topic !== undefined)
  broker.logs.of(topic, 0).append(makeBatch(["x".repeat(12_000)]), 1)
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100_000 }]
  const request = { replicaId: -1, maxWaitMs: 0, minBytes: 0, topics: [{ topic: "t", partitions }] }
  for (const version of [4, 11, 12]) {
    client.send(client.frame(fetch, version, request))
    await broker.time.settle()
    const [answer] = client.takeAnswers(fetch, version)
    equal(answer?.responses[0]?.partitions[0]?.errorCode, 0)
    const records = answer?.responses[0]?.partitions[0]?.records
    ok(records !== null && records !== undefined && records.end - records.start > 12_000)
    ok((answer?.throttleTimeMs ?? 0) > 2_000)
    // An answer without records costs nothing; until then nothing is read.
    await broker.time.pass(60_000)
  }
})

test("without a quota nothing is told and nothing waits; a client that leaves while it is mute leaves nothing behind", async () => {
  const { broker, produced } = make({ producer_byte_rate: RATE })
  const other = new TestClient(broker)
  other.send(other.frame(produce, 7, produced(1), "other"))
  await broker.time.settle()
  equal(other.takeAnswers(produce, 7)[0]?.throttleTimeMs, 0)
  equal(other.socket.paused, false)
  const client = new TestClient(broker)
  client.send(client.frame(produce, 7, produced(1)))
  await broker.time.settle()
  equal(broker.time.timers, 1)
  client.leave()
  equal(broker.time.timers, 0)
})

test("one that is mute is not idle", async () => {
  const { broker, client, produced } = make({ producer_byte_rate: 1 })
  client.send(client.frame(produce, 7, produced(1)))
  await broker.time.settle()
  client.connection.sweep(broker.time.monotonicMs() + 10_000_000)
  equal(client.socket.terminated, false)
})
