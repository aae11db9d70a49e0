/** Topics that are moved to another engine or mode while MQTT and Kafka clients use them, over kill -9 too. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, IS_EXTERNAL, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { sleep, until } from "../support/until.ts"

const CONFIG = `
[[plugin]]
use = "storage-sqlite"
[[plugin]]
use = "storage-segment"
[[plugin]]
use = "protocol-mqtt"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`
const EARLIEST = -2
const PARTITIONS = 3

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
afterEach(() => {
  RawKafka.cutAll()
  RawMqtt.cutAll()
})

function starter(shards: number): () => Promise<Broker> {
  const data = mkdtempSync(join(tmpdir(), "manifold-move-"))
  directories.push(data)
  return () => startBroker({ shards, config: CONFIG, set: { "node.data": data } })
}

async function ask(broker: Broker, method: string, path: string, body?: object) {
  const content =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }
  const answer = await fetch(`${broker.url}/api/v1/${path}`, { method, ...content })
  const text = await answer.text()
  return { status: answer.status, json: text === "" ? undefined : JSON.parse(text) }
}

const create = (broker: Broker, name: string, engine: string, mode: string) =>
  ask(broker, "POST", "topics", { name, engine, mode, partitions: PARTITIONS })
const moveTo = (broker: Broker, name: string, wish: object) => ask(broker, "POST", `topics/${name}/move`, wish)
const progress = async (broker: Broker, name: string) => (await ask(broker, "GET", `topic-moves/${name}`)).json

async function ended(broker: Broker, name: string) {
  let item: Awaited<ReturnType<typeof progress>>
  await until("the move is over", async () => {
    item = await progress(broker, name)
    return ["done", "failed", "cancelled"].includes(item?.state)
  })
  return item
}

/** A producer that notes what it was acknowledged: by partition, the value at each offset. */
class Writer {
  readonly acknowledged: ReadonlyArray<Map<number, string>> = Array.from({ length: PARTITIONS }, () => new Map())
  #isOn = true
  #number = 0
  #done: Promise<void> = Promise.resolve()

  begin(client: RawKafka, topic: string): void {
    this.#isOn = true
    this.#done = this.#run(client, topic).catch(() => {})
  }

  async end(): Promise<void> {
    this.#isOn = false
    await this.#done
  }

  get count(): number {
    return this.acknowledged.reduce((sum, { size }) => sum + size, 0)
  }

  async #run(client: RawKafka, topic: string): Promise<void> {
    while (this.#isOn) {
      const partition = this.#number % PARTITIONS
      const values = Array.from(
        { length: 1 + (this.#number % 4) },
        (_, at) => `v${this.#number}-${at}-${"x".repeat(200)}`
      )
      this.#number += 1
      const { error, baseOffset } = await client.produce(topic, partition, batch(values.map((value) => ({ value }))))
      expect(error).toBe(0)
      for (const [at, value] of values.entries()) {
        expect(this.acknowledged[partition]?.has(baseOffset + at)).toBe(false)
        this.acknowledged[partition]?.set(baseOffset + at, value)
      }
    }
  }
}

/** All that a topic holds, by partition: values by offset; offsets rise by one without a gap. */
async function read(broker: Broker, topic: string) {
  const client = await RawKafka.open(broker.kafka)
  await client.topic(topic)
  const found: Array<Map<number, string>> = []
  const headers: Array<string> = []
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const values = new Map<number, string>()
    const { offset: start } = await client.listOffset(topic, partition, EARLIEST)
    let next = start
    for (const { baseOffset, records, isCrcRight, leaderEpoch } of readBatches(
      await client.readAll(topic, partition, start)
    )) {
      expect(isCrcRight).toBe(true)
      expect(baseOffset).toBe(next)
      next += records.length
      headers.push(`${partition}/${baseOffset}/${leaderEpoch}`)
      for (const [at, { value }] of records.entries()) values.set(baseOffset + at, Buffer.from(value ?? []).toString())
    }
    found.push(values)
  }
  return { found, headers }
}

function expectAll({ acknowledged }: Writer, found: ReadonlyArray<Map<number, string>>): void {
  for (const [partition, values] of acknowledged.entries()) {
    for (const [offset, value] of values) expect(found[partition]?.get(offset)).toBe(value)
  }
}

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`engines and modes while Kafka and MQTT clients go on, and a restart; shards = ${shards}`, async () => {
    const start = starter(shards)
    let broker = await start()
    expect((await create(broker, "t", "sqlite", "persistent")).status).toBe(201)
    const client = await RawKafka.open(broker.kafka)
    await client.topic("t")
    const writer = new Writer()
    writer.begin(client, "t")
    const subscriber = await RawMqtt.connect(broker.mqtt, { clientId: "subscriber" })
    await subscriber.subscribe("t", 1)
    const heard: Array<string> = []
    const hearing = (async () => {
      for (;;) {
        const [{ payload } = { payload: new Uint8Array(0) }] = await subscriber.messages(1, {
          timeoutMs: 60_000
        })
        const text = textOf(payload)
        if (text.startsWith("m")) heard.push(text)
      }
    })().catch(() => {})
    const publisher = await RawMqtt.connect(broker.mqtt, { clientId: "publisher" })
    const published: Array<string> = []
    let isOn = true
    const publishing = (async () => {
      while (isOn) {
        const payload = `m${published.length}`
        await publisher.publishWhole({ topic: "t", qos: 1, id: 1 + (published.length % 60_000), payload })
        published.push(payload)
      }
    })()
    const before = await read(broker, "t")
    const moves = [
      { engine: "segment", mode: "hybrid" },
      { mode: "persistent" },
      { engine: "memory", mode: "memory" },
      { engine: "sqlite", mode: "hybrid" },
      { engine: "segment", mode: "persistent" }
    ]
    const { id } = (await ask(broker, "GET", "topics/t")).json
    for (const wish of moves) {
      await sleep(100)
      const answer = await moveTo(broker, "t", wish)
      expect([answer.status, answer.json]).toMatchObject([200, { name: "t" }])
      expect(await ended(broker, "t")).toMatchObject({ state: "done", reason: "" })
      expect((await ask(broker, "GET", "topics/t")).json).toMatchObject({ ...wish, id })
    }
    expect(await broker.sumOf("manifold_topic_moves_copied_bytes_total")).toBeGreaterThan(0)
    expect(await broker.sumOf("manifold_topic_moves_held_seconds_max")).toBeLessThan(5)
    await sleep(100)
    isOn = false
    await publishing
    await writer.end()
    expect(published.length).toBeGreaterThan(20)
    await until("all is heard", () => Promise.resolve(heard.length >= published.length))
    expect(heard).toEqual(published)
    subscriber.cut()
    await hearing
    const after = await read(broker, "t")
    expectAll(writer, after.found)
    // What was there before the first of them is there as it was: offsets, batches, leader epochs.
    for (const header of before.headers) expect(after.headers).toContain(header)
    await broker.kill()
    broker = await start()
    const again = await read(broker, "t")
    expect(again.found).toEqual(after.found)
    await broker.stop()
  }, 60_000)
}
