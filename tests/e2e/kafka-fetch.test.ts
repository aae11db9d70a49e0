/** Fetch and ListOffsets as Apache Kafka answers them: whole batches, limits, long polls, errors at once. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { type Reader, Writer } from "../support/kafka-fields.ts"
import { API, RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { sleep } from "../support/until.ts"

const OFFSET_OUT_OF_RANGE = 1
const UNKNOWN_TOPIC_OR_PARTITION = 3
const records = (count: number, size = 10): Array<{ value: string }> =>
  Array.from({ length: count }, (_, index) => ({ value: `${index}`.padEnd(size, ".") }))

brokerSuite("kafka fetch", { config: "[topics]\npartitions = 3\n" }, (broker) => {
  afterEach(() => {
    RawKafka.cutAll()
    RawMqtt.cutAll()
  })
  async function withTopic(): Promise<[RawKafka, string]> {
    const client = await RawKafka.open(broker().kafka)
    const topic = uniqueLevel("f")
    await client.topic(topic)
    return [client, topic]
  }
  async function timed<T>(body: () => Promise<T>): Promise<[number, T]> {
    const start = performance.now()
    const value = await body()
    return [performance.now() - start, value]
  }

  test("an empty partition: no error, zero length, high watermark 0", async () => {
    const [client, topic] = await withTopic()
    expect(await client.fetch(topic, 0, 0)).toMatchObject({ error: 0, highWatermark: 0, logStartOffset: 0 })
    expect((await client.fetch(topic, 0, 0)).records).toHaveLength(0)
  })

  test("an offset inside a batch returns the whole batch", async () => {
    const [client, topic] = await withTopic()
    for (let index = 0; index < 3; index++) await client.produce(topic, 0, batch(records(5)))
    for (let offset = 0; offset < 15; offset++) {
      const [first] = readBatches((await client.fetch(topic, 0, offset)).records)
      expect([offset, first?.baseOffset, first?.isCrcRight]).toEqual([offset, offset - (offset % 5), true])
    }
  })

  test("the first batch comes whole even above every limit; max_bytes of the request empties later partitions", async () => {
    const [client, topic] = await withTopic()
    for (const partition of [0, 1, 2]) {
      for (let index = 0; index < 2; index++) await client.produce(topic, partition, batch(records(1, 5_000)))
    }
    const found = await client.fetch(topic, 0, 0, { partitionMaxBytes: 1 })
    expect(readBatches(found.records)).toHaveLength(1)
    const partitions = [0, 1, 2].map((partition) => ({ partition, offset: 0 }))
    const sizes = (await client.fetched(client.fetchRequest(topic, partitions, { maxBytes: 1 }))).map(
      (each) => readBatches(each.records).length
    )
    expect(sizes.toSorted()).toEqual([0, 0, 1])
    const room = await client.fetched(client.fetchRequest(topic, partitions, { maxBytes: 11_000 }))
    expect(room.map((each) => readBatches(each.records).length).toSorted()).toEqual([0, 0, 2])
    const limited = await client.fetched(
      client.fetchRequest(
        topic,
        partitions.map((each) => ({ ...each, maxBytes: 6_000 }))
      )
    )
    for (const each of limited) {
      expect(readBatches(each.records)).toHaveLength(1)
      expect(each.records.length).toBeLessThanOrEqual(6_000)
    }
    const all = await client.fetched(client.fetchRequest(topic, partitions))
    expect(all.map((each) => readBatches(each.records).length)).toEqual([2, 2, 2])
  })

  test("an offset outside is 1, at either end; at the end it is none", async () => {
    const [client, topic] = await withTopic()
    await client.produce(topic, 0, batch(records(5)))
    expect((await client.fetch(topic, 0, 5)).error).toBe(0)
    for (const offset of [6, 1_000_000, Number.MAX_SAFE_INTEGER])
      expect((await client.fetch(topic, 0, offset)).error).toBe(OFFSET_OUT_OF_RANGE)
    expect((await client.fetch(topic, 0, -1)).error).toBe(OFFSET_OUT_OF_RANGE)
    expect((await client.fetch(topic, 7, 0)).error).toBe(UNKNOWN_TOPIC_OR_PARTITION)
    expect((await client.fetch(uniqueLevel("absent"), 0, 0)).error).toBe(UNKNOWN_TOPIC_OR_PARTITION)
  })

  test("long poll: an empty answer after max_wait, not before", async () => {
    const [client, topic] = await withTopic()
    const [elapsed, found] = await timed(() => client.fetch(topic, 0, 0, { maxWait: 400, minBytes: 1 }))
    expect(elapsed).toBeWithin(390, 900)
    expect(found).toMatchObject({ error: 0, highWatermark: 0 })
    const [now] = await timed(() => client.fetch(topic, 0, 0, { maxWait: 5_000, minBytes: 0 }))
    expect(now).toBeLessThan(300)
  })

  test("long poll: a Produce wakes it, an MQTT PUBLISH too", async () => {
    const [client, topic] = await withTopic()
    const other = await RawKafka.open(broker().kafka)
    const [elapsed, found] = await timed(async () => {
      const fetching = client.fetch(topic, 1, 0, { maxWait: 10_000, minBytes: 1 })
      await sleep(100)
      await other.produce(topic, 1, batch(records(2)))
      return await fetching
    })
    expect(elapsed).toBeWithin(95, 1_000)
    expect(readBatches(found.records).flatMap((each) => each.records)).toHaveLength(2)
    const publisher = await RawMqtt.connect(broker().mqtt)
    const [later, three] = await timed(async () => {
      const partitions = [0, 1, 2].map((partition) => ({ partition, offset: partition === 1 ? 2 : 0 }))
      const correlation = client.fetchRequest(topic, partitions, { maxWait: 10_000, minBytes: 1 })
      await sleep(100)
      publisher.publish({ topic, payload: "from mqtt" })
      return await client.fetched(correlation, 11_000)
    })
    expect(later).toBeWithin(95, 1_000)
    expect(three.flatMap((each) => readBatches(each.records)).flatMap((each) => each.records)).toHaveLength(1)
  }, 25_000)

  test("long poll: min_bytes is waited for, and what there is comes at max_wait", async () => {
    const [client, topic] = await withTopic()
    const other = await RawKafka.open(broker().kafka)
    await client.produce(topic, 0, batch(records(1)))
    const [elapsed, found] = await timed(() => client.fetch(topic, 0, 0, { maxWait: 400, minBytes: 100_000 }))
    expect(elapsed).toBeWithin(390, 900)
    expect(readBatches(found.records)).toHaveLength(1)
    const [woken, more] = await timed(async () => {
      const fetching = client.fetch(topic, 0, 0, { maxWait: 10_000, minBytes: 20_000 })
      for (let index = 0; index < 5; index++) {
        await sleep(50)
        await other.produce(topic, 0, batch(records(5, 1_000)))
      }
      return await fetching
    })
    expect(woken).toBeWithin(150, 2_000)
    expect(more.records.length).toBeGreaterThanOrEqual(20_000)
  }, 25_000)

  test("long poll: an error in one partition answers at once", async () => {
    const [client, topic] = await withTopic()
    const partitions = [
      { partition: 0, offset: 0 },
      { partition: 1, offset: 99 }
    ]
    const [elapsed, found] = await timed(() =>
      client.fetched(client.fetchRequest(topic, partitions, { maxWait: 5_000 }))
    )
    expect(elapsed).toBeLessThan(500)
    expect(found.map((each) => each.error)).toEqual([0, OFFSET_OUT_OF_RANGE])
  })

  test("requests behind a long poll are answered after it, in order", async () => {
    const [client, topic] = await withTopic()
    const fetching = client.fetchRequest(topic, [{ partition: 0, offset: 0 }], { maxWait: 400 })
    const producing = client.produceRequest(topic, [[1, batch(records(1))]])
    await sleep(100)
    expect(client.responses).toHaveLength(0)
    expect(await client.fetched(fetching)).toHaveLength(1)
    await client.response(producing)
  })

  test("fetch sessions: a full request is answered, one of an unknown session is 70", async () => {
    const FETCH_SESSION_ID_NOT_FOUND = 70
    const [client, topic] = await withTopic()
    await client.produce(topic, 0, batch(records(1)))
    const ask = (sessionId: number, epoch: number): Promise<Reader> => {
      const body = new Writer().int32(-1).int32(0).int32(1).int32(1_000_000).int8(0).int32(sessionId).int32(epoch)
      body.array([topic], () => {
        body.text(topic).array([0], (partition) => body.int32(partition).int32(-1).int64(0).int64(-1).int32(1_000_000))
      })
      return client.call(
        API.fetch,
        11,
        body
          .array([], () => {})
          .text("")
          .end()
      )
    }
    const head = (reader: Reader): number => {
      reader.int32()
      return reader.int16()
    }
    expect(head(await ask(0, 0))).toBe(0)
    expect(head(await ask(0, -1))).toBe(0)
    expect(head(await ask(987_654, 3))).toBe(FETCH_SESSION_ID_NOT_FOUND)
  })

  test("a client that leaves during its long poll harms nobody", async () => {
    const [client, topic] = await withTopic()
    for (let index = 0; index < 50; index++) {
      const leaving = await RawKafka.open(broker().kafka)
      leaving.fetchRequest(topic, [{ partition: 0, offset: 0 }], { maxWait: 60_000 })
      await sleep(1)
      leaving.socket.destroy()
    }
    expect((await client.produce(topic, 0, batch(records(1)))).error).toBe(0)
    expect(readBatches((await client.fetch(topic, 0, 0)).records)).toHaveLength(1)
  })

  test("stored bytes stay the same however much is appended later", async () => {
    const [client, topic] = await withTopic()
    for (let index = 0; index < 20; index++) await client.produce(topic, 0, batch(records(10, 100)))
    const before = await client.readAll(topic, 0)
    for (let index = 0; index < 200; index++) await client.produce(topic, 0, batch(records(10, 100)))
    const after = await client.readAll(topic, 0)
    expect(after.subarray(0, before.length).equals(before)).toBe(true)
    const batches = readBatches(after)
    expect(batches.every((each) => each.isCrcRight)).toBe(true)
    expect(batches.map((each) => each.baseOffset)).toEqual(Array.from({ length: 220 }, (_, index) => index * 10))
  })

  test("ListOffsets: first, last, and by time the record inside the batch", async () => {
    const [client, topic] = await withTopic()
    expect(await client.listOffset(topic, 0, -1)).toMatchObject({ error: 0, offset: 0 })
    expect(await client.listOffset(topic, 0, -2)).toMatchObject({ error: 0, offset: 0 })
    const spread = [0, 10, 20].map((timestampDelta) => ({ value: "x", timestampDelta }))
    // Recent, or time retention would take them away.
    const start = Date.now() - 60_000
    for (const after of [0, 100, 200]) await client.produce(topic, 0, batch(spread, { timestamp: start + after }))
    expect(await client.listOffset(topic, 0, -1)).toMatchObject({ error: 0, offset: 9 })
    expect(await client.listOffset(topic, 0, -2)).toMatchObject({ error: 0, offset: 0 })
    for (const [after, offset, found] of [
      [-1_000, 0, 0],
      [0, 0, 0],
      [1, 1, 10],
      [20, 2, 20],
      [21, 3, 100],
      [215, 8, 220]
    ] as const) {
      expect([after, await client.listOffset(topic, 0, start + after)]).toMatchObject([
        after,
        { error: 0, offset, timestamp: start + found }
      ])
    }
    expect(await client.listOffset(topic, 0, start + 221)).toMatchObject({ error: 0, offset: -1, timestamp: -1 })
    expect((await client.listOffset(topic, 9, -1)).error).toBe(UNKNOWN_TOPIC_OR_PARTITION)
  })
})
