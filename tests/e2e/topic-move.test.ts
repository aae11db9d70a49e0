/** Topics that are moved to another engine or mode while MQTT and Kafka clients use them, over kill -9 too. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
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
/** Of the broker that was started last. */
let data = ""
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
afterEach(() => {
  RawKafka.cutAll()
  RawMqtt.cutAll()
})

function starter(shards: number): () => Promise<Broker> {
  data = mkdtempSync(join(tmpdir(), "manifold-move-"))
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

  /** Puts so much there that a slow copy takes a while. */
  async fill(client: RawKafka, topic: string): Promise<void> {
    for (const [partition, values] of this.acknowledged.entries()) {
      for (let round = 0; round < 10; round++) {
        const records = Array.from({ length: 500 }, (_, at) => ({ value: `f${round}-${at}-${"y".repeat(60)}` }))
        const { error, baseOffset } = await client.produce(topic, partition, batch(records))
        expect(error).toBe(0)
        for (const [at, { value }] of records.entries()) values.set(baseOffset + at, value)
      }
    }
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

/** Notes the messages that begin with "m", as they come. */
class Listener {
  readonly #heard: Array<string> = []
  readonly #client: RawMqtt
  #hearing: Promise<void> = Promise.resolve()

  constructor(client: RawMqtt) {
    this.#client = client
  }

  async begin(filter: string): Promise<void> {
    await this.#client.subscribe(filter, 1)
    this.#hearing = this.#hear().catch(() => {})
  }

  /** What it has heard, when that are so many. */
  async end(count: number): Promise<ReadonlyArray<string>> {
    await until("all is heard", () => Promise.resolve(this.#heard.length >= count))
    this.#client.cut()
    await this.#hearing
    return this.#heard
  }

  async #hear(): Promise<void> {
    for (;;) {
      const [message] = await this.#client.messages(1, { timeoutMs: 60_000 })
      const text = textOf(message?.payload ?? new Uint8Array(0))
      if (text.startsWith("m")) this.#heard.push(text)
    }
  }
}

/** A consumer that waits at the end of a partition: what it gets rises by one, whatever the log is kept in. */
class Follower {
  next = 0
  polls = 0
  #isOn = true
  readonly #done: Promise<void>

  constructor(broker: Broker, topic: string, partition: number) {
    this.#done = this.#run(broker, topic, partition)
  }

  /** Settled when it has come to `end`. */
  async end(end: number): Promise<void> {
    await until("the follower is at the end", () => Promise.resolve(this.next >= end))
    this.#isOn = false
    await this.#done
  }

  async #run(broker: Broker, topic: string, partition: number): Promise<void> {
    const client = await RawKafka.open(broker.kafka)
    await client.topic(topic)
    while (this.#isOn) {
      const answer = await client.fetch(topic, partition, this.next, { maxWait: 300, minBytes: 1 })
      const { error, records, highWatermark, logStartOffset } = answer
      expect({ error, highWatermark, logStartOffset, next: this.next }).toMatchObject({ error: 0 })
      this.polls += 1
      for (const batch of readBatches(records)) {
        expect([batch.isCrcRight, batch.baseOffset]).toEqual([true, this.next])
        this.next += batch.records.length
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
      if (!isCrcRight || baseOffset !== next)
        throw new Error(`${topic}/${partition}: offset ${baseOffset} after ${next}`)
      next += records.length
      headers.push(`${partition}/${baseOffset}/${leaderEpoch}`)
      for (const [at, { value }] of records.entries()) values.set(baseOffset + at, Buffer.from(value ?? []).toString())
    }
    found.push(values)
  }
  return { found, headers }
}

/** The logs that lie on the disk of a broker, which is stopped: by engine and partition. */
async function keptBy(broker: Broker): Promise<ReadonlyArray<string>> {
  // What was removed lately is.
  await sleep(500)
  await broker.stop()
  const config = join(data, "stats.toml")
  writeFileSync(config, CONFIG)
  const { stdout } = await runCommand(["storage", "stats", "--config", config, "--data", data, "--json"])
  const { topics }: { topics: ReadonlyArray<{ engine: string; partition: number }> } = JSON.parse(stdout)
  return topics.map(({ engine, partition }) => `${engine} ${partition}`).sort()
}

function expectAll({ acknowledged }: Writer, found: ReadonlyArray<Map<number, string>>): void {
  for (const [partition, values] of acknowledged.entries()) {
    const differing = [...values].filter(([offset, value]) => found[partition]?.get(offset) !== value)
    expect(differing).toEqual([])
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
    const subscriber = new Listener(await RawMqtt.connect(broker.mqtt, { clientId: "subscriber" }))
    await subscriber.begin("t")
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
    // Behind what is published, so that it reads the log while that is moved.
    const replay = new Listener(await RawMqtt.connect(broker.mqtt, { clientId: "replay" }))
    await replay.begin("$replay/earliest/t")
    const followers = Array.from({ length: PARTITIONS }, (_, partition) => new Follower(broker, "t", partition))
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
    expect(await subscriber.end(published.length)).toEqual(published)
    expect(await replay.end(published.length)).toEqual(published)
    const after = await read(broker, "t")
    expectAll(writer, after.found)
    for (const [partition, follower] of followers.entries()) {
      await follower.end(after.found[partition]?.size ?? 0)
      expect(follower.polls).toBeGreaterThan(moves.length)
    }
    // What was there before the first of them is there as it was: offsets, batches, leader epochs.
    for (const header of before.headers) expect(after.headers).toContain(header)
    await broker.kill()
    broker = await start()
    const again = await read(broker, "t")
    expect(again.found).toEqual(after.found)
    await broker.stop()
  }, 60_000)

  test(`a move is refused, cancelled and deleted with its topic; shards = ${shards}`, async () => {
    const broker = await starter(shards)()
    await create(broker, "t", "sqlite", "persistent")
    const client = await RawKafka.open(broker.kafka)
    await client.topic("t")
    const writer = new Writer()
    await writer.fill(client, "t")
    writer.begin(client, "t")
    const code = async (wish: object, name = "t") => (await moveTo(broker, name, wish)).json.code
    expect(await code({ engine: "segment", mode: "memory" })).toBe("mode-not-available")
    expect(await code({ engine: "nowhere" })).toBe("engine-not-available")
    expect(await code({ mode: "persistent" })).toBe("topic-move-refused")
    expect(await code({ engine: "segment" }, "missing")).toBe("topic-not-found")
    const publisher = await RawMqtt.connect(broker.mqtt)
    await publisher.publishWhole({ topic: "made/by/publish", qos: 1, payload: "1" })
    expect(await code({ engine: "segment", mode: "hybrid" }, "made.by.publish")).toBe("topic-move-refused")
    expect((await ask(broker, "POST", "topics/t/cancel-move", {})).json.code).toBe("topic-not-moving")

    expect((await moveTo(broker, "t", { engine: "segment", rate: 0.02 })).status).toBe(200)
    expect(await code({ engine: "segment" })).toBe("topic-moving")
    await until("something is copied", async () => (await progress(broker, "t")).copied_bytes > 0)
    const item = await progress(broker, "t")
    expect(item).toMatchObject({ state: "copying", from_engine: "sqlite", engine: "segment", mode: "persistent" })
    expect(item.partitions.map(({ partition }: { partition: number }) => partition)).toEqual([0, 1, 2])
    expect(item.bytes).toBeGreaterThan(item.copied_bytes)
    const path = join(data, "..", `backup-of-${process.pid}-${shards}`)
    expect((await ask(broker, "POST", "backups", { path })).json.code).toBe("topic-moving")
    expect((await ask(broker, "POST", "topics/t/cancel-move", {})).status).toBe(200)
    expect(await progress(broker, "t")).toMatchObject({ state: "cancelled" })
    expect((await ask(broker, "GET", "topics/t")).json.engine).toBe("sqlite")
    await writer.end()
    expectAll(writer, (await read(broker, "t")).found)

    await moveTo(broker, "t", { engine: "segment", rate: 0.02 })
    expect((await ask(broker, "DELETE", "topics/t")).status).toBeLessThan(300)
    expect(await keptBy(broker)).toEqual([])
  }, 60_000)

  // Once, with the most shards: it starts brokers again and again.
  if (shards !== SHARD_COUNTS.at(-1)) continue
  test(`kill -9 at any moment of a move leaves one whole log, and nothing of the other; shards = ${shards}`, async () => {
    const start = starter(shards)
    let broker = await start()
    await create(broker, "t", "segment", "persistent")
    const writer = new Writer()
    let client = await RawKafka.open(broker.kafka)
    await client.topic("t")
    await writer.fill(client, "t")
    writer.begin(client, "t")
    /** When it is killed: after so many milliseconds, in the midst of a slow copy or anywhere, or when it has switched. */
    for (const [killAfterMs, rate] of [
      [300, 0.02],
      [301, 0.02],
      [60, 1_000],
      [150, 1_000],
      [Number.NaN, 1_000]
    ] as const) {
      const { engine } = (await ask(broker, "GET", "topics/t")).json
      await moveTo(broker, "t", { engine: engine === "sqlite" ? "segment" : "sqlite", rate })
      if (killAfterMs > 0) await sleep(killAfterMs)
      else await until("it switched", async () => (await ask(broker, "GET", "topics/t")).json.engine !== engine)
      // Once in good order.
      if (killAfterMs === 301) await broker.stop()
      else await broker.kill()
      await writer.end()
      broker = await start()
      const after = (await ask(broker, "GET", "topics/t")).json
      if (rate < 1) expect(after.engine).toBe(engine)
      if (!(killAfterMs > 0)) expect(after.engine).not.toBe(engine)
      expectAll(writer, (await read(broker, "t")).found)
      client = await RawKafka.open(broker.kafka)
      writer.begin(client, "t")
    }
    await writer.end()
    const { engine } = (await ask(broker, "GET", "topics/t")).json
    expect(await keptBy(broker)).toEqual([0, 1, 2].map((partition) => `${engine} ${partition}`))
  }, 60_000)
}
