/**
 * Idempotent producers: repeats are answered with their first offset and delivered once, sequences and epochs are checked, and all of it is
 * known after kill -9 and after moves, on each engine; then real clients through a crash.
 */

import { afterAll, afterEach, expect, test } from "bun:test"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, IS_EXTERNAL, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { Writer } from "../support/kafka-fields.ts"
import { textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { batch, crc32c, readBatches } from "../support/record-batch.ts"
import { pathOf, run, start, type Tool, testWith, tools } from "../support/tools.ts"
import { sleep, until } from "../support/until.ts"

const CONFIG = `
[[plugin]]
use = "storage-sqlite"
[[plugin]]
use = "storage-segment"
[[plugin]]
use = "storage-memory"
[[plugin]]
use = "protocol-mqtt"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`
const INIT_PRODUCER_ID = 22
const DESCRIBE_PRODUCERS = 61
const OUT_OF_ORDER = 45
const OLD_EPOCH = 47

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
afterEach(() => {
  RawKafka.cutAll()
  RawMqtt.cutAll()
})

/** Starts brokers one after the other on one directory. */
function starter(shards: number, set: Record<string, string> = {}): () => Promise<Broker> {
  const data = mkdtempSync(join(tmpdir(), "manifold-idempotence-"))
  directories.push(data)
  return () => startBroker({ shards, config: CONFIG, set: { "node.data": data, ...set } })
}

async function post(broker: Broker, path: string, body: object): Promise<number> {
  const headers = { "content-type": "application/json" }
  return (await fetch(`${broker.url}/api/v1/${path}`, { method: "POST", headers, body: JSON.stringify(body) })).status
}

async function newProducerId(client: RawKafka): Promise<number> {
  const reader = await client.call(INIT_PRODUCER_ID, 1, new Writer().text(null).int32(0).end())
  expect([reader.int32(), reader.int16()]).toEqual([0, 0])
  const id = reader.int64()
  expect(reader.int16()).toBe(0)
  reader.end()
  return Number(id)
}

/** A batch with these numbers, whose values are its sequence numbers. */
function numbered(id: number, sequence: number, records = 1, epoch = 0): Buffer {
  const bytes = batch(Array.from({ length: records }, (_, index) => ({ value: String(sequence + index) })))
  bytes.writeBigInt64BE(BigInt(id), 43)
  bytes.writeInt16BE(epoch, 51)
  bytes.writeInt32BE(sequence, 53)
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}

const valuesOf = async (client: RawKafka, topic: string): Promise<ReadonlyArray<number>> =>
  readBatches(await client.readAll(topic, 0)).flatMap(({ records }) =>
    records.map(({ value }) => Number(Buffer.from(value ?? "").toString()))
  )
const upTo = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index)

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  for (const engine of ["sqlite", "segment"] as const) {
    test(`${engine}: what was sent is known over kill -9 and graceful stops; shards = ${shards}`, async () => {
      const begin = starter(shards)
      let broker = await begin()
      expect(await post(broker, "topics", { name: "t", engine, partitions: 2 })).toBe(201)
      let client = await RawKafka.open(broker.kafka)
      const ids = new Set<number>()
      const id = await newProducerId(client)
      ids.add(id)
      let sequence = 0
      for (const how of ["kill", "kill", "stop", "kill", "stop"] as const) {
        for (let count = 0; count < 8; count++) {
          expect(await client.produce("t", 0, numbered(id, sequence, 3))).toMatchObject({
            error: 0,
            baseOffset: sequence
          })
          sequence += 3
        }
        // Somebody else in between: another partition, and none of those that are counted.
        await client.produce("t", 1, numbered(id, 70))
        await broker[how]()
        broker = await begin()
        client = await RawKafka.open(broker.kafka)
        for (let back = 5; back >= 1; back--) {
          const again = sequence - 3 * back
          expect(await client.produce("t", 0, numbered(id, again, 3))).toMatchObject({ error: 0, baseOffset: again })
        }
        expect((await client.produce("t", 0, numbered(id, sequence - 18, 3))).error).toBe(OUT_OF_ORDER)
        expect((await client.produce("t", 0, numbered(id, sequence + 1, 3))).error).toBe(OUT_OF_ORDER)
        ids.add(await newProducerId(client))
      }
      expect(ids.size).toBe(6)
      expect(await valuesOf(client, "t")).toEqual(upTo(sequence))
      expect(await client.produce("t", 0, numbered(id, 0, 1, 1))).toMatchObject({ error: 0 })
      expect((await client.produce("t", 0, numbered(id, sequence))).error).toBe(OLD_EPOCH)
      expect((await client.produce("t", 0, numbered(id, 2, 1, 2))).error).toBe(OUT_OF_ORDER)
      await broker.stop()
    }, 60_000)
  }

  test(`a topic keeps what its producers sent when it is moved, to memory and back, over kill -9; shards = ${shards}`, async () => {
    const begin = starter(shards)
    let broker = await begin()
    expect(await post(broker, "topics", { name: "t", engine: "segment", partitions: 1 })).toBe(201)
    let client = await RawKafka.open(broker.kafka)
    const id = await newProducerId(client)
    let sequence = 0
    for (const [engine, mode, isKilled] of [
      ["sqlite", "persistent", true],
      ["memory", "memory", false],
      ["segment", "hybrid", true],
      ["segment", "persistent", true]
    ] as const) {
      for (let count = 0; count < 6; count++, sequence++) {
        expect((await client.produce("t", 0, numbered(id, sequence))).error).toBe(0)
      }
      expect(await post(broker, "topics/t/move", { engine, mode })).toBeLessThan(300)
      await until("the move is over", async () => {
        const item = (await (await fetch(`${broker.url}/api/v1/topic-moves/t`)).json()) as { readonly state: string }
        return item.state === "done"
      })
      if (isKilled) {
        await broker.kill()
        broker = await begin()
        client = await RawKafka.open(broker.kafka)
      }
      for (let again = sequence - 5; again < sequence; again++) {
        expect(await client.produce("t", 0, numbered(id, again))).toMatchObject({ error: 0, baseOffset: again })
      }
      expect((await client.produce("t", 0, numbered(id, sequence - 6))).error).toBe(OUT_OF_ORDER)
    }
    expect(await valuesOf(client, "t")).toEqual(upTo(sequence))
    await broker.stop()
  }, 60_000)

  test(`MQTT subscribers get a repeated record once; DescribeProducers tells who writes; shards = ${shards}`, async () => {
    const broker = await starter(shards)()
    const client = await RawKafka.open(broker.kafka)
    await client.topic("seen")
    const subscriber = await RawMqtt.connect(broker.mqtt)
    await subscriber.subscribe("seen")
    const id = await newProducerId(client)
    // Several under way, some of them twice.
    for (const sequence of [0, 2, 0, 4, 2, 4, 6]) client.produceRequest("seen", [[0, numbered(id, sequence, 2)]])
    const values = (await subscriber.messages(8)).map(({ payload }) => Number(textOf(payload)))
    expect(values).toEqual([...upTo(8)])
    await sleep(50)
    expect(await valuesOf(await RawKafka.open(broker.kafka), "seen")).toEqual(upTo(8))
    expect(await subscriber.messages(0)).toHaveLength(0)
    const other = await RawKafka.open(broker.kafka)
    const compact = (text: string): Buffer => Buffer.concat([Buffer.of(text.length + 1), Buffer.from(text)])
    const asked = Buffer.concat([Buffer.of(0, 2), compact("seen"), Buffer.of(2, 0, 0, 0, 0, 0, 0)])
    const reader = await other.call(DESCRIBE_PRODUCERS, 0, asked)
    expect([reader.unsigned(), reader.int32(), reader.unsigned()]).toEqual([0, 0, 2])
    expect(reader.unsigned()).toBe(5)
    for (const letter of "seen") expect(reader.int8()).toBe(letter.charCodeAt(0))
    expect([reader.unsigned(), reader.int32(), reader.int16(), reader.unsigned()]).toEqual([2, 0, 0, 0])
    expect([reader.unsigned(), Number(reader.int64()), reader.int32(), reader.int32()]).toEqual([2, id, 0, 7])
    await broker.stop()
  }, 30_000)
}

// Real clients, through a broker that is killed in the midst of it.

const LIBS = process.env.KAFKA_LIBS ?? ""
const java: Tool = existsSync(join(LIBS, "kafka-clients-4.3.1.jar"))
  ? { path: "java" }
  : { missing: "KAFKA_LIBS names no folder with the jars of Apache Kafka 4.3.1" }
const JAVA_SOURCE = new URL("../support/java/IdempotentProducer.java", import.meta.url).pathname
const javaArgs = (broker: Broker, topic: string, count: number, codec: string, pauseEvery: number) => [
  ...["-cp", `${LIBS}/*`, JAVA_SOURCE],
  ...[`${broker.kafka.host}:${broker.kafka.port}`, topic, String(count), codec, String(pauseEvery)]
]
const own = IS_EXTERNAL ? [{ missing: "the broker under test is not ours to kill" }] : []

/** A port that stays the broker's over its restarts. */
async function fixedPort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return `127.0.0.1:${typeof address === "object" ? address?.port : 0}`
}

const CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
testWith(
  [java, ...own],
  "the Java producer, each codec",
  async () => {
    const broker = await starter(1)()
    const { stdout } = await run(pathOf(java), javaArgs(broker, "java", 2_000, CODECS.join(","), 0), {
      timeoutMs: 80_000
    })
    expect(stdout.trim().split("\n")).toEqual(CODECS.map(() => "acknowledged 2000"))
    for (const codec of CODECS) {
      expect(await valuesOf(await RawKafka.open(broker.kafka), `java-${codec}`)).toEqual(upTo(2_000))
    }
    await broker.stop()
  },
  100_000
)

/** Kills the broker each time when so many more records are there. */
async function killAlong(begin: () => Promise<Broker>, first: Broker, topic: string, at: ReadonlyArray<number>) {
  let broker = first
  for (const count of at) {
    const client = await RawKafka.open(broker.kafka)
    await client.topic(topic)
    await until(
      `${count} records`,
      async () => (await client.fetch(topic, 0, 0, { maxWait: 0, partitionMaxBytes: 1 })).highWatermark >= count,
      60_000
    )
    await broker.kill()
    broker = await begin()
  }
  return broker
}

for (const engine of ["sqlite", "segment"]) {
  testWith(
    [java, ...own],
    `the Java producer through kill -9 and restarts, ${engine}: no record lost, none twice, all in order`,
    async () => {
      const begin = starter(2, { "protocol-kafka.tcp": await fixedPort(), "topics.engine": engine })
      let broker = await begin()
      const count = 12_000
      const client = await RawKafka.open(broker.kafka)
      await client.topic("killed-lz4")
      const producer = start(pathOf(java), javaArgs(broker, "killed", count, "lz4", 3))
      broker = await killAlong(begin, broker, "killed-lz4", [1_000, 4_000, 7_000])
      const { stdout, stderr } = await producer.end(90_000)
      expect([stdout.trim(), stderr.includes("Exception")]).toEqual([`acknowledged ${count}`, false])
      expect(await valuesOf(await RawKafka.open(broker.kafka), "killed-lz4")).toEqual(upTo(count))
      await broker.stop()
    },
    150_000
  )
}

testWith([tools.kcat, ...own], "kcat with enable.idempotence", async () => {
  const broker = await starter(1)()
  const address = `${broker.kafka.host}:${broker.kafka.port}`
  const args = ["-b", address, "-P", "-t", "kcat", "-p", "0", "-z", "snappy", "-X", "enable.idempotence=true"]
  const { code } = await run(pathOf(tools.kcat), args, { input: upTo(3_000).join("\n") })
  expect(code).toBe(0)
  expect(await valuesOf(await RawKafka.open(broker.kafka), "kcat")).toEqual(upTo(3_000))
  await broker.stop()
})

const CONFLUENT = `
import sys, time
from confluent_kafka import Producer
address, count = sys.argv[1], int(sys.argv[2])
producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "compression.type": "zstd", "linger.ms": 1,
                     "retry.backoff.ms": 50, "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 100, "log_level": 0})
acknowledged = 0
def delivered(error, message):
    global acknowledged
    if error is None: acknowledged += 1
for number in range(count):
    producer.produce("py", partition=0, value=str(number), on_delivery=delivered)
    producer.poll(0)
    if number % 10 == 0: time.sleep(0.002)
producer.flush(60)
print("acknowledged", acknowledged)
`
testWith(
  [tools.pythonConfluent, ...own],
  "confluent-kafka with enable.idempotence, through kill -9",
  async () => {
    const begin = starter(1, { "protocol-kafka.tcp": await fixedPort() })
    let broker = await begin()
    await (await RawKafka.open(broker.kafka)).topic("py")
    const address = `${broker.kafka.host}:${broker.kafka.port}`
    const producer = start(pathOf(tools.pythonConfluent), ["-c", CONFLUENT, address, "6000"])
    broker = await killAlong(begin, broker, "py", [1_000, 3_000])
    expect((await producer.end(60_000)).stdout.trim()).toBe("acknowledged 6000")
    expect(await valuesOf(await RawKafka.open(broker.kafka), "py")).toEqual(upTo(6_000))
    await broker.stop()
  },
  90_000
)

const KAFKAJS = `
const { Kafka, logLevel, CompressionTypes } = require("kafkajs")
const [broker, count] = process.argv.slice(-2)
const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING, retry: { retries: 100, initialRetryTime: 50, maxRetryTime: 200 } })
const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
;(async () => {
  await producer.connect()
  for (let number = 0; number < Number(count); number += 5) {
    const messages = [0, 1, 2, 3, 4].map((index) => ({ partition: 0, value: String(number + index) }))
    await producer.send({ topic: "js", acks: -1, compression: CompressionTypes.GZIP, messages })
  }
  await producer.disconnect()
  console.log("done")
})()`
testWith(
  [tools.node, ...own],
  "kafkajs with idempotent: true, through kill -9",
  async () => {
    const begin = starter(1, { "protocol-kafka.tcp": await fixedPort() })
    let broker = await begin()
    await (await RawKafka.open(broker.kafka)).topic("js")
    const address = `${broker.kafka.host}:${broker.kafka.port}`
    const producer = start(pathOf(tools.node), ["-e", KAFKAJS, address, "3000"])
    for (let kills = 0; kills < 2; kills++) {
      await sleep(500)
      await broker.kill()
      broker = await begin()
    }
    expect((await producer.end(60_000)).stdout).toContain("done")
    expect(await valuesOf(await RawKafka.open(broker.kafka), "js")).toEqual(upTo(3_000))
    await broker.stop()
  },
  90_000
)
