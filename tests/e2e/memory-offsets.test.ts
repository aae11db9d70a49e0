/** Topics in memory over restarts, with state on disk: their records go, and no offset is ever given again. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, IS_EXTERNAL, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, type Properties, textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { sleep, until } from "../support/until.ts"

const CONFIG = `
[[topics.rule]]
match = "mem.*"
engine = "memory"
partitions = 4
[[topics.rule]]
match = "brief"
engine = "memory"
retention_time = 1
[[binding]]
filter = "in/memory/+"
topic = "bound"
engine = "memory"
partitions = 1
[[plugin]]
use = "protocol-mqtt"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`
const OUT_OF_RANGE = 1
const EARLIEST = -2
const LATEST = -1
/** What a crash passes over of a partition that is not busy. */
const BLOCK = 1_048_576

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
afterEach(() => {
  RawKafka.cutAll()
  RawMqtt.cutAll()
})

/** Starts brokers one after the other on one directory. */
function starter(shards: number, config = CONFIG): () => Promise<Broker> {
  const data = mkdtempSync(join(tmpdir(), "manifold-memory-"))
  directories.push(data)
  return () => startBroker({ shards, config, set: { "node.data": data } })
}

async function metric(broker: Broker, name: string): Promise<number> {
  const lines = (await broker.metrics()).split("\n").filter((line) => line.startsWith(name))
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0)
}

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`offsets of a Kafka producer rise strictly over kill -9 at random and graceful stops; shards = ${shards}`, async () => {
    const start = starter(shards)
    let broker = await start()
    /** Of each partition: one past the highest offset that an answer named, and the highest epoch that was seen. */
    const next = [0, 0, 0, 0]
    const epochs = [-1, -1, -1, -1]
    for (const how of ["kill", "stop", "kill", "kill", "stop", "stop", "kill"] as const) {
      const client = await RawKafka.open(broker.kafka)
      await client.topic("mem.a")
      const before = [...next]
      for (let round = 0; round < 20; round++) {
        for (const partition of [0, 1, 2, 3]) {
          const records = Array.from({ length: 1 + ((round + partition) % 5) }, () => ({ value: `${how} ${round}` }))
          const { error, baseOffset } = await client.produce("mem.a", partition, batch(records))
          expect(error).toBe(0)
          expect(baseOffset).toBeGreaterThanOrEqual(next[partition] ?? 0)
          next[partition] = baseOffset + records.length
        }
      }
      for (const partition of [0, 1, 2, 3]) {
        const start = (await client.listOffset("mem.a", partition, EARLIEST)).offset
        const stored = readBatches(await client.readAll("mem.a", partition, start))
        expect(stored.map(({ records }) => records.length).reduce((sum, count) => sum + count, 0)).toBe(
          (next[partition] ?? 0) - start
        )
        const epoch = stored[0]?.leaderEpoch ?? -1
        expect(stored.every(({ leaderEpoch, isCrcRight }) => leaderEpoch === epoch && isCrcRight)).toBe(true)
        expect(epoch).toBeGreaterThanOrEqual(epochs[partition] ?? 0)
        epochs[partition] = epoch
        // What a consumer had kept from a former life is out of range, and where it is told to go on nothing repeats.
        if (start > 0) {
          const old = await client.fetch("mem.a", partition, (before[partition] ?? 0) - 1)
          expect([old.error, old.records.length]).toEqual([OUT_OF_RANGE, 0])
        }
      }
      // Some are under way when it goes: their offsets may have been given, and are counted as if they had.
      for (let each = 0; each < 10; each++) {
        client.produceRequest(
          "mem.a",
          [0, 1, 2, 3].map((partition) => [partition, batch([{ value: "late" }])] as const)
        )
      }
      if (how === "kill") {
        await sleep(Math.floor(Math.random() * 4))
        broker.kill()
      } else await broker.stop()
      client.socket.destroy()
      broker = await start()
      const again = await RawKafka.open(broker.kafka)
      await again.topic("mem.a")
      for (const partition of [0, 1, 2, 3]) {
        const given = next[partition] ?? 0
        const [earliest, latest] = [
          (await again.listOffset("mem.a", partition, EARLIEST)).offset,
          (await again.listOffset("mem.a", partition, LATEST)).offset
        ]
        expect(latest).toBe(earliest)
        if (how === "kill") {
          expect(earliest).toBeGreaterThanOrEqual(given)
          expect(earliest).toBeLessThanOrEqual((before[partition] ?? 0) + 2 * BLOCK)
          epochs[partition] = (epochs[partition] ?? 0) + 1
        } else {
          // Exactly where it ended: none of those under way, some of them, or all ten.
          expect(earliest).toBeGreaterThanOrEqual(given)
          expect(earliest).toBeLessThanOrEqual(given + 10)
        }
        next[partition] = earliest
      }
      again.socket.destroy()
    }
    expect(await metric(broker, "manifold_offset_blocks_total")).toBeGreaterThanOrEqual(4)
    expect(await metric(broker, "manifold_offset_refusals_total")).toBe(0)
    await broker.stop()
  }, 60_000)

  test(`a kept session that replays a topic in memory goes on behind what a crash took, which counts as a gap; shards = ${shards}`, async () => {
    const start = starter(shards)
    let broker = await start()
    const kept = {
      version: 5 as const,
      clientId: "kept",
      clean: false,
      properties: [["sessionExpiry", 600]] as Properties
    }
    const publish = async (from: number, to: number): Promise<void> => {
      const publisher = await RawMqtt.connect(broker.mqtt, { version: 5 })
      for (let each = from; each < to; each++) {
        await publisher.publishWhole({ topic: "in/memory/x", payload: `${each}`, qos: 1 })
      }
      publisher.socket.destroy()
    }
    const take = async (client: RawMqtt, count: number): Promise<ReadonlyArray<string>> => {
      const found: Array<string> = []
      while (found.length < count) {
        const packet = await client.next(10_000)
        if (packet.type !== "publish") throw new Error(`expected a message, got ${packet.type}`)
        found.push(textOf(packet.payload))
        client.ack("puback", packet.id ?? 0)
      }
      return found
    }
    await publish(0, 5)
    let client = await RawMqtt.connect(broker.mqtt, kept)
    client.send(
      encode.subscribe(5, 7, [{ filter: "in/memory/+", qos: 1 }], [["userProperty", ["manifold-from", "earliest"]]])
    )
    expect((await client.expect("suback")).codes).toEqual([1])
    expect(await take(client, 5)).toEqual(["0", "1", "2", "3", "4"])
    // In good order nothing is passed over, and nothing is missing to one that had it all.
    client.send(encode.disconnect(5))
    await client.closed()
    await broker.stop()
    broker = await start()
    await publish(5, 8)
    client = await RawMqtt.connect(broker.mqtt, kept)
    expect(await take(client, 3)).toEqual(["5", "6", "7"])
    expect(await metric(broker, "manifold_mqtt_replay_gaps_total")).toBe(0)
    client.send(encode.disconnect(5))
    await client.closed()
    await publish(8, 11)
    broker.kill()
    broker = await start()
    await publish(11, 13)
    client = await RawMqtt.connect(broker.mqtt, kept)
    expect(await take(client, 2)).toEqual(["11", "12"])
    expect(await metric(broker, "manifold_mqtt_replay_gaps_total")).toBe(1)
    await broker.stop()
  }, 60_000)
}

test.if(!IS_EXTERNAL)(
  "with nothing on disk a log in memory begins at 0 again",
  async () => {
    const start = starter(1, `${CONFIG}[[plugin]]\nuse = "storage-sqlite"\nenabled = false\n`)
    for (let life = 0; life < 2; life++) {
      const broker = await start()
      const client = await RawKafka.open(broker.kafka)
      await client.topic("mem.a")
      expect((await client.produce("mem.a", 1, batch([{ value: "1" }]))).baseOffset).toBe(0)
      expect(await broker.metrics()).not.toContain("manifold_offset_blocks_total")
      await broker.stop()
    }
  },
  30_000
)

test.if(!IS_EXTERNAL)(
  "what a topic in memory keeps no longer goes while nobody writes, and is counted",
  async () => {
    const broker = await starter(1)()
    const client = await RawKafka.open(broker.kafka)
    await client.topic("brief")
    await client.produce("brief", 0, batch([{ value: "1" }, { value: "2" }]))
    expect((await client.listOffset("brief", 0, EARLIEST)).offset).toBe(0)
    await until("the end of its time", async () => (await client.listOffset("brief", 0, EARLIEST)).offset === 2, 5_000)
    expect(await metric(broker, "manifold_storage_memory_trimmed_age_bytes_total")).toBeGreaterThan(60)
    expect(await metric(broker, "manifold_storage_memory_bytes")).toBe(0)
    expect((await client.fetch("brief", 0, 1)).error).toBe(OUT_OF_RANGE)
    await broker.stop()
  },
  30_000
)
