/**
 * ApiVersions, Metadata and Produce as Apache Kafka answers them: versions that real clients send, errors per partition, stored
 * bytes left as they came (Kafka protocol guide; behaviour listed in the conformance notes).
 */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { type Reader, Writer } from "../support/kafka-fields.ts"
import { API, RawKafka, readApiVersions } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import {
  type BatchOptions,
  batch,
  CODEC,
  type CodecName,
  compress,
  type NewRecord,
  readBatches
} from "../support/record-batch.ts"
import { sleep } from "../support/until.ts"

const ERROR = {
  unknownTopicOrPartition: 3,
  corruptMessage: 2,
  invalidTopic: 17,
  invalidRequiredAcks: 21,
  invalidRequest: 42,
  invalidRecord: 87,
  unsupportedVersion: 35,
  transactionalIdAuthorizationFailed: 53
} as const
/** What kcat 1.7 (librdkafka 2.0.2), kafkajs 2.2.4 and kafka-python 3 send: the lowest and highest version of each. */
const SENT: ReadonlyArray<readonly [number, number, number]> = [
  [API.produce, 7, 9],
  [API.fetch, 11, 12],
  [API.listOffsets, 2, 3],
  [API.metadata, 4, 6],
  [API.findCoordinator, 1, 2],
  [API.apiVersions, 0, 4]
]

brokerSuite("kafka produce", { config: "[topics]\npartitions = 2\n" }, (broker) => {
  afterEach(() => {
    RawKafka.cutAll()
    RawMqtt.cutAll()
  })
  const open = (): Promise<RawKafka> => RawKafka.open(broker().kafka)
  /** A connection and a topic of two partitions that is there. */
  async function withTopic(): Promise<[RawKafka, string]> {
    const client = await open()
    const topic = uniqueLevel("p")
    await client.topic(topic)
    return [client, topic]
  }

  test("ApiVersions v0 lists what real clients send; Produce from 0, as librdkafka before 2.11 wants it", async () => {
    const { error, ranges } = await (await open()).apiVersions()
    expect(error).toBe(0)
    for (const [key, low, high] of SENT) {
      const [min, max] = ranges.get(key) ?? [Number.NaN, Number.NaN]
      expect([key, min <= low, max >= high]).toEqual([key, true, true])
    }
    expect(ranges.get(API.produce)?.[0]).toBe(0)
  })

  test("ApiVersions of an unknown version is answered in v0 form with 35 and the list, and the connection goes on", async () => {
    const client = await open()
    for (const version of [5, 99, 32_767]) {
      const answer = readApiVersions(await client.call(API.apiVersions, version, Buffer.from("000102030405", "hex")))
      expect(answer.error).toBe(ERROR.unsupportedVersion)
      expect(answer.ranges.get(API.apiVersions)?.[0]).toBe(0)
    }
    expect((await client.apiVersions()).error).toBe(0)
  })

  test("ApiVersions v3: flexible body behind a version 0 header; an empty software name is refused with 42", async () => {
    const client = await open()
    const ask = async (name: string): Promise<Reader> => {
      const compact = (text: string): Buffer => Buffer.concat([Buffer.of(text.length + 1), Buffer.from(text)])
      const body = Buffer.concat([Buffer.of(0), compact(name), compact("1.0"), Buffer.of(0)])
      return await client.call(API.apiVersions, 3, body)
    }
    const reader = await ask("raw-test")
    expect(reader.int16()).toBe(0)
    const keys = Array.from({ length: reader.unsigned() - 1 }, () => {
      const row = [reader.int16(), reader.int16(), reader.int16()]
      expect(reader.unsigned()).toBe(0)
      return row[0]
    })
    expect(keys).toContain(API.produce)
    reader.int32()
    expect((await ask("")).int16()).toBe(ERROR.invalidRequest)
  })

  test("unknown tagged fields in header and body are skipped", async () => {
    const client = await open()
    const tags = Buffer.from("01 9f01 03 aabbcc".replaceAll(" ", ""), "hex")
    const body = Buffer.concat([tags, Buffer.of(2), Buffer.from("x"), Buffer.of(2), Buffer.from("1"), tags])
    expect((await client.call(API.apiVersions, 3, body)).int16()).toBe(0)
  })

  test("Metadata: null = all, empty = none, unknown = 3, bad name = 17, auto-create only when asked", async () => {
    const [client, topic] = await withTopic()
    expect((await client.metadata(null)).topics.map((each) => each.name)).toContain(topic)
    const none = await client.metadata([])
    expect(none.topics).toEqual([])
    expect(none.brokers).toMatchObject([{ host: broker().kafka.host, port: broker().kafka.port }])
    expect(none.brokers.map((each) => each.id)).toContain(none.controller)
    const missing = uniqueLevel("absent")
    expect((await client.metadata([missing])).topics).toMatchObject([
      { error: ERROR.unknownTopicOrPartition, name: missing }
    ])
    expect((await client.metadata([missing])).topics).toMatchObject([{ error: ERROR.unknownTopicOrPartition }])
    for (const bad of ["a/b", "a b", "ü", ".", "..", "x".repeat(250)]) {
      expect((await client.metadata([bad], true)).topics).toMatchObject([{ error: ERROR.invalidTopic, name: bad }])
    }
  })

  test("Metadata of a topic: its partitions in order, led by the one broker", async () => {
    const [client, topic] = await withTopic()
    const [found] = (await client.metadata([topic])).topics
    const id = (await client.metadata([])).brokers[0]?.id ?? -1
    expect(found?.partitions.toSorted((a, b) => a.partition - b.partition)).toMatchObject([
      { partition: 0, error: 0, leader: id, replicas: [id], inSync: [id] },
      { partition: 1, error: 0, leader: id, replicas: [id], inSync: [id] }
    ])
  })

  test("offsets rise by one per record in each partition, whatever else goes on", async () => {
    const [client, topic] = await withTopic()
    for (const [size, base] of [
      [1, 0],
      [3, 1],
      [1_000, 4],
      [1, 1_004]
    ] as const) {
      const records = Array.from({ length: size }, (_, index) => ({ key: `k${index}`, value: `v${index}` }))
      expect(await client.produce(topic, 0, batch(records))).toMatchObject({ error: 0, baseOffset: base })
    }
    expect(await client.produce(topic, 1, batch([{ value: "x" }]), 1)).toMatchObject({ error: 0, baseOffset: 0 })
    const records = readBatches(await client.readAll(topic, 0)).flatMap((each) => each.records)
    expect(records.map((record) => record.offset)).toEqual(Array.from({ length: 1_005 }, (_, index) => index))
  })

  for (const codec of Object.keys(CODEC) as Array<CodecName>) {
    test(`${codec}: everything after the leader epoch comes back byte for byte, and MQTT subscribers get the values`, async () => {
      const [client, topic] = await withTopic()
      const subscriber = await RawMqtt.connect(broker().mqtt)
      await subscriber.subscribe(topic)
      const records: ReadonlyArray<NewRecord> = [
        { value: "first", headers: [{ name: "h", value: Uint8Array.of(0, 255) }] },
        { value: "x".repeat(5_000), timestampDelta: 7 },
        { value: Uint8Array.from({ length: 300 }, (_, index) => index & 255), headers: [{ name: "", value: null }] },
        { key: null, value: "", timestampDelta: 3 }
      ]
      const sent = batch(records, { codec, timestamp: Date.now() - 60_000 })
      await client.produce(topic, 0, batch([{ value: "before" }]))
      expect(await client.produce(topic, 0, sent)).toMatchObject({ error: 0, baseOffset: 1 })
      const found = await client.fetch(topic, 0, 1)
      expect(found.records.subarray(16).toString("hex")).toBe(sent.subarray(16).toString("hex"))
      expect(found.records.readBigInt64BE(0)).toBe(1n)
      const values = (await subscriber.messages(5)).map((message) => Buffer.from(message.payload).toString("hex"))
      const wanted = ["before", ...records.map((record) => record.value ?? "")].map((value) =>
        Buffer.from(value).toString("hex")
      )
      expect(values).toEqual(wanted)
    })
  }

  const good: ReadonlyArray<NewRecord> = [
    { key: "a", value: "1" },
    { key: "b", value: "2" }
  ]
  const lies: ReadonlyArray<readonly [string, Buffer | null, ReadonlyArray<number>]> = [
    ["a wrong CRC", batch(good, { crcError: 1 }), [2]],
    ["two batches", Buffer.concat([batch(good), batch(good)]), [87]],
    ["no record set", null, [87]],
    ["an empty record set", Buffer.alloc(0), [87]],
    ["magic 1", batch(good, { magic: 1 }), [87, 43, 2, 76]],
    ["magic 3", batch(good, { magic: 3 }), [87, 43, 2, 76]],
    ["a batch of no records", batch([], { lastOffsetDelta: -1 }), [87, 2]],
    ["more records told than there are", batch(good, { recordCount: 3, lastOffsetDelta: 2 }), [87, 2]],
    ["fewer records told than there are", batch(good, { recordCount: 1, lastOffsetDelta: 0 }), [87, 2]],
    ["a last offset delta that is not the count", batch(good, { lastOffsetDelta: 7 }), [87, 2]],
    ["2^31 - 1 records told", batch(good, { recordCount: 0x7fffffff, lastOffsetDelta: 0x7ffffffe }), [87, 2]],
    ["a negative record count", batch(good, { recordCount: -1 }), [87, 2]],
    ["a control batch", batch(good, { attributes: 0x20 }), [87]],
    ["an unknown codec", batch(good, { attributes: 5 }), [87, 2, 76]],
    ["records that are junk", batch(good, { body: Buffer.from("ffffffffffffffffffffffff", "hex") }), [87, 2]],
    ["an offset delta that repeats", batch([...good, { value: "3", offsetDelta: 1 }]), [87, 2]],
    ["an offset delta that jumps", batch([{ value: "1" }, { value: "2", offsetDelta: 5 }]), [87, 2]],
    ["a negative offset delta", batch([{ value: "1", offsetDelta: -1 }]), [87, 2]],
    ["a batch cut short", batch(good).subarray(0, 70), [87, 2]],
    ["a batch of twelve bytes", batch(good).subarray(0, 12), [87, 2]],
    ...(["gzip", "snappy", "lz4", "zstd"] as const).flatMap((codec) => {
      const whole = compress(codec, Buffer.alloc(500, 7))
      const lie = (name: string, options: BatchOptions) =>
        [`${codec}: ${name}`, batch(good, { attributes: CODEC[codec], ...options }), [87, 2]] as const
      return [
        lie("junk", { body: Buffer.from("00112233445566778899aabbccddeeff", "hex") }),
        lie("cut short", { body: whole.subarray(0, whole.length - 9) }),
        lie("other contents", { body: whole }),
        lie("nothing", { body: Buffer.alloc(0) })
      ]
    })
  ]
  test("a batch that is no good is refused, alone, and nothing of it is stored", async () => {
    const [client, topic] = await withTopic()
    let stored = 0
    for (const [name, bytes, errors] of lies) {
      const answers = await client.produceTo(topic, [
        [0, bytes],
        [1, batch(good)]
      ])
      const bad = answers.find((answer) => answer.partition === 0)
      expect([name, errors.includes(bad?.error ?? 0) ? "refused" : bad?.error]).toEqual([name, "refused"])
      expect([name, answers.find((answer) => answer.partition === 1)]).toMatchObject([
        name,
        { error: 0, baseOffset: stored }
      ])
      stored += good.length
    }
    expect(await client.fetch(topic, 0, 0)).toMatchObject({ error: 0, highWatermark: 0 })
    expect((await client.fetch(topic, 0, 0)).records).toHaveLength(0)
  }, 20_000)

  test("unknown topics and partitions are 3; acks = 2 is 21", async () => {
    const [client, topic] = await withTopic()
    expect((await client.produce(uniqueLevel("absent"), 0, batch(good))).error).toBe(ERROR.unknownTopicOrPartition)
    for (const partition of [2, -1, 2_147_483_647]) {
      expect((await client.produce(topic, partition, batch(good))).error).toBe(ERROR.unknownTopicOrPartition)
    }
    expect((await client.produce(topic, 0, batch(good), 2)).error).toBe(ERROR.invalidRequiredAcks)
    expect((await client.fetch(topic, 0, 0)).highWatermark).toBe(0)
  })

  test("acks = 0 is stored and has no answer", async () => {
    const [client, topic] = await withTopic()
    client.produceRequest(topic, [[0, batch(good)]], 0)
    expect((await client.metadata([topic])).topics).toHaveLength(1)
    expect(client.responses).toHaveLength(0)
    await sleep(20)
    expect((await client.fetch(topic, 0, 0)).highWatermark).toBe(2)
  })

  test("100 pipelined requests are answered in order, their offsets rise", async () => {
    const [client, topic] = await withTopic()
    const correlations = Array.from({ length: 100 }, (_, index) =>
      client.produceRequest(topic, [[0, batch([{ value: String(index) }])]])
    )
    for (const [index, correlation] of correlations.entries()) {
      const reader = await client.response(correlation)
      reader.array(() => [
        reader.text(),
        reader.array(() =>
          expect([reader.int32(), reader.int16(), reader.int64(), reader.int64(), reader.int64()].slice(0, 3)).toEqual([
            0,
            0,
            index
          ])
        )
      ])
    }
    const values = readBatches(await client.readAll(topic, 0)).flatMap((each) =>
      each.records.map((record) => String(Buffer.from(record.value ?? "")))
    )
    expect(values).toEqual(correlations.map((_, index) => String(index)))
  })

  test("a request in pieces of one byte", async () => {
    const client = await open()
    const body = new Writer().int32(0).int8(0).end()
    const head = new Writer().int16(API.metadata).int16(4).int32(77).text("slow").end()
    for (const byte of new Writer().bytes(Buffer.concat([head, body])).end()) {
      client.send(Uint8Array.of(byte))
      await sleep(1)
    }
    await client.response(77)
  })

  test("FindCoordinator says that there is none for transactions by an error that is final: 53", async () => {
    const client = await open()
    const reader = await client.call(API.findCoordinator, 2, new Writer().text("transaction").int8(1).end())
    reader.int32()
    expect(reader.int16()).toBe(ERROR.transactionalIdAuthorizationFailed)
    reader.text()
    reader.int32()
    reader.text()
    reader.int32()
    reader.end()
  })
})
