/**
 * Bindings that are made, changed and taken back while MQTT clients publish and subscribe, over kill -9 too: every acknowledged message stands once,
 * in the topic that was its name's home, or where none was in what sessions wait for.
 */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import { batch, readBatches } from "../support/record-batch.ts"
import { SturdyClient } from "../support/sturdy-client.ts"
import { sleep, until } from "../support/until.ts"

const CONFIG = `
[topics]
auto_create_mqtt = "off"
partitions = 1
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
const TOPICS: ReadonlyArray<readonly [name: string, partitions: number]> = [
  ["one", 3],
  ["two", 4],
  ["three", 1]
]
const NAMES = ["l/1/t", "l/2/t", "l/1/u", "l/odd name"]

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
const sturdy: Array<SturdyClient> = []
afterEach(() => {
  for (const client of sturdy.splice(0)) client.stop()
  RawKafka.cutAll()
  RawMqtt.cutAll()
})

function starter(shards: number): () => Promise<Broker> {
  const data = mkdtempSync(join(tmpdir(), "manifold-bindings-"))
  directories.push(data)
  return () => startBroker({ shards, config: CONFIG, set: { "node.data": data } })
}

async function ask(broker: Broker, method: string, path: string, body?: object) {
  const content =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }
  const answer = await fetch(`${broker.url}/api/v1/${path}`, { method, ...content })
  const text = await answer.text()
  return { status: answer.status, json: text === "" ? {} : JSON.parse(text) }
}

const bind = (broker: Broker, topic: string, filter: string) => ask(broker, "POST", `topics/${topic}/bind`, { filter })
const unbind = (broker: Broker, topic: string) => ask(broker, "POST", `topics/${topic}/unbind`, {})

async function createAll(broker: Broker): Promise<void> {
  for (const [name, partitions] of TOPICS) {
    const engine = name === "two" ? "segment" : "sqlite"
    expect((await ask(broker, "POST", "topics", { name, partitions, engine, mode: "persistent" })).status).toBe(201)
  }
}

/** What each topic holds: "key=value" with its place. */
async function stored(broker: Broker): Promise<ReadonlyArray<{ readonly line: string; readonly where: string }>> {
  const client = await RawKafka.open(broker.kafka)
  const found: Array<{ line: string; where: string }> = []
  for (const [topic, partitions] of TOPICS) {
    await client.topic(topic)
    for (let partition = 0; partition < partitions; partition++) {
      for (const { records, isCrcRight } of readBatches(await client.readAll(topic, partition))) {
        expect(isCrcRight).toBe(true)
        for (const { key, value } of records) {
          found.push({
            line: `${textOf(key ?? new Uint8Array(0))}=${textOf(value ?? new Uint8Array(0))}`,
            where: topic
          })
        }
      }
    }
  }
  return found
}

/** Notes "topic payload" of all that comes. */
class Listener {
  readonly heard: Array<string> = []
  readonly #client: RawMqtt

  constructor(client: RawMqtt) {
    this.#client = client
  }

  async begin(filter: string): Promise<void> {
    await this.#client.subscribe(filter, 1)
    void this.#hear().catch(() => {})
  }

  async #hear(): Promise<void> {
    for (;;) {
      const [message] = await this.#client.messages(1, { timeoutMs: 60_000 })
      if (message !== undefined) this.heard.push(`${message.topic}=${textOf(message.payload)}`)
    }
  }
}

/** Publishers of QoS 1 and 2 over every end of a connection; each payload is "publisher.number", on a name by the number. */
class Load {
  readonly sent: Array<{ readonly line: string; readonly qos: 1 | 2; readonly publisher: number }> = []
  readonly #publishers: ReadonlyArray<SturdyClient>
  #isOn = true
  readonly #done: Promise<void>

  constructor(address: () => Broker["mqtt"] | undefined, publishers: number) {
    this.#publishers = Array.from({ length: publishers }, () => new SturdyClient(address, ""))
    sturdy.push(...this.#publishers)
    this.#done = this.#run()
  }

  async end(): Promise<void> {
    this.#isOn = false
    await this.#done
    await until("all is acknowledged", async () => this.#publishers.every(({ pending }) => pending === 0), 30_000)
  }

  async #run(): Promise<void> {
    for (let number = 0; this.#isOn; number++) {
      for (const [publisher, client] of this.#publishers.entries()) {
        if (client.pending > 40) continue
        const topic = NAMES[(number + publisher) % NAMES.length] ?? ""
        const qos = publisher % 2 === 0 ? 1 : 2
        const payload = `${publisher}.${number}`
        this.sent.push({ line: `${topic}=${payload}`, qos, publisher })
        client.publish(topic, payload, qos)
      }
      await sleep(1)
    }
  }
}

/** Of each publisher and name the numbers rise, each once. */
function expectInOrder(heard: ReadonlyArray<string>, sent: Load["sent"]): void {
  for (const name of NAMES) {
    for (const publisher of new Set(sent.map((each) => each.publisher))) {
      const isOne = (line: string): boolean => line.startsWith(`${name}=${publisher}.`)
      expect(heard.filter(isOne)).toEqual(sent.map(({ line }) => line).filter(isOne))
    }
  }
}

/** All kinds of changes; each is done when it is answered. */
async function changeAll(broker: Broker): Promise<void> {
  const steps: ReadonlyArray<() => Promise<{ readonly status: number }>> = [
    () => bind(broker, "one", "l/+/t"),
    () => bind(broker, "two", "l/1/+"),
    () => bind(broker, "one", "l/#"),
    () => bind(broker, "three", "l/odd name"),
    () => unbind(broker, "two"),
    () => bind(broker, "two", "l/2/t"),
    () => unbind(broker, "one"),
    () => bind(broker, "three", "+/1/#"),
    () => bind(broker, "two", "l/+/u"),
    () => unbind(broker, "three"),
    () => unbind(broker, "two")
  ]
  for (const step of steps) {
    expect((await step()).status).toBe(200)
    await sleep(20)
  }
}

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`all goes on while bindings change, and nothing is lost or comes twice; shards = ${shards}`, async () => {
    const broker = await starter(shards)()
    await createAll(broker)
    const live = new Listener(await RawMqtt.connect(broker.mqtt, { clientId: "live" }))
    await live.begin("l/#")
    const replay = new Listener(await RawMqtt.connect(broker.mqtt, { clientId: "replay" }))
    await replay.begin("$replay/earliest/l/#")
    const kept = { version: 5, properties: [["sessionExpiry", 3_600]] } as const
    for (const [clientId, filter] of [
      ["kept", "l/#"],
      ["kept-replay", "$replay/earliest/l/#"]
    ] as const) {
      const client = await RawMqtt.connect(broker.mqtt, { ...kept, clientId })
      await client.subscribe(filter, 1)
      await client.disconnect()
    }
    const load = new Load(() => broker.mqtt, 4)
    for (let round = 0; round < 3; round++) await changeAll(broker)
    await load.end()
    const lines = load.sent.map(({ line }) => line)
    expect(lines.length).toBeGreaterThan(500)
    const isComplete = (count: number): boolean => count >= lines.length
    await until(
      "everybody heard all",
      async () => [live, replay].every(({ heard }) => isComplete(heard.length)),
      20_000
    )
    expectInOrder(live.heard, load.sent)
    expect(live.heard).toHaveLength(lines.length)
    expect(replay.heard.toSorted()).toEqual(lines.toSorted())
    for (const clientId of ["kept", "kept-replay"]) {
      const client = await RawMqtt.connect(broker.mqtt, { ...kept, clientId, clean: false })
      const found = await client.messages(lines.length, { timeoutMs: 10_000 })
      await client.quiet(200)
      const heard = found.map(({ topic, payload }) => `${topic}=${textOf(payload)}`)
      expect(heard.toSorted()).toEqual(lines.toSorted())
    }
    const records = (await stored(broker)).map(({ line }) => line)
    expect(new Set(records).size).toBe(records.length)
    expect(lines).toEqual(expect.arrayContaining(records))
    // Something was stored and something was not, in each of the rounds.
    expect(records.length).toBeGreaterThan(lines.length / 10)
    expect(records.length).toBeLessThan(lines.length)
    expect(await broker.sumOf("manifold_binding_changes_total")).toBe(33)
    expect(await broker.sumOf("manifold_binding_changes_held_seconds_max")).toBeLessThan(5)
    await broker.stop()
  }, 90_000)

  test(`what a change answers holds at once, and is refused where it must be; shards = ${shards}`, async () => {
    const start = starter(shards)
    let broker = await start()
    await createAll(broker)
    const client = await RawMqtt.connect(broker.mqtt, { version: 5 })
    const publish = (payload: string) => client.publishWhole({ topic: "l/1/t", qos: 1, payload })
    const lines = async () => (await stored(broker)).map(({ line, where }) => `${where} ${line.split("=")[1]}`)
    await publish("0")
    expect((await bind(broker, "one", "l/+/t")).json).toMatchObject({ name: "one", filter: "l/+/t" })
    await publish("1")
    expect((await bind(broker, "two", "l/+/t")).json.code).toBe("topic-filter-conflict")
    expect((await bind(broker, "two", "l/#/t")).json.code).toBe("invalid-topic-filter")
    expect((await bind(broker, "missing", "l/2")).json.code).toBe("topic-not-found")
    // Its own former filter is no rival.
    expect((await bind(broker, "one", "l/1/+")).status).toBe(200)
    expect((await bind(broker, "two", "l/+/t")).status).toBe(200)
    await publish("2")
    const url = ["--url", broker.url]
    const unbound = await runCommand(["topic", "unbind", "one", ...url, "--output", "json"])
    expect([unbound.code, JSON.parse(unbound.stdout)]).toMatchObject([0, { name: "one", filter: null }])
    await publish("3")
    const bound = await runCommand(["topic", "bind", "three", "--filter", "l/1/t", ...url])
    expect([bound.code, bound.stderr]).toEqual([0, ""])
    await publish("4")
    expect((await ask(broker, "DELETE", "topics/three")).status).toBe(204)
    await publish("5")
    const wanted = ["one 1", "one 2", "two 3", "two 5"]
    const without = async () => (await lines().catch(() => [])).filter((line) => !line.startsWith("three"))
    await ask(broker, "POST", "topics", { name: "three", partitions: 1 })
    expect(await without()).toEqual(wanted)
    await broker.kill()
    broker = await start()
    expect((await ask(broker, "GET", "topics/two")).json).toMatchObject({ filter: "l/+/t" })
    expect((await ask(broker, "GET", "topics/one")).json).toMatchObject({ filter: null })
    expect(await without()).toEqual(wanted)
    await broker.stop()
  }, 60_000)

  test(`a replay reads a topic from where it was bound to its names; shards = ${shards}`, async () => {
    const broker = await starter(shards)()
    await createAll(broker)
    const kafka = await RawKafka.open(broker.kafka)
    await kafka.topic("three")
    // Of a key that is not its name then, and is one later.
    await kafka.produce("three", 0, batch([{ key: "l/1/t", value: "before" }]))
    const replay = new Listener(await RawMqtt.connect(broker.mqtt))
    await replay.begin("$replay/latest/l/#")
    // A session that is away keeps in the queue log what no topic has.
    const kept = { version: 5, clientId: "away", properties: [["sessionExpiry", 3_600]] } as const
    const away = await RawMqtt.connect(broker.mqtt, kept)
    await away.subscribe("l/#", 1)
    await away.disconnect()
    const live = new Listener(await RawMqtt.connect(broker.mqtt))
    await live.begin("l/#")
    await bind(broker, "three", "l/+/t")
    await kafka.produce("three", 0, batch([{ key: "l/1/t", value: "bound" }]))
    const client = await RawMqtt.connect(broker.mqtt)
    await client.publishWhole({ topic: "l/1/t", qos: 1, payload: "published" })
    await until("it is read", async () => replay.heard.length >= 2)
    await unbind(broker, "three")
    await client.publishWhole({ topic: "l/1/t", qos: 1, payload: "nowhere" })
    await until("it is read", async () => replay.heard.length >= 3)
    await kafka.produce("three", 0, batch([{ key: "l/1/t", value: "not its name" }]))
    await bind(broker, "three", "l/+/t")
    await client.publishWhole({ topic: "l/1/t", qos: 1, payload: "again" })
    await until("it is read", async () => replay.heard.includes("l/1/t=again"))
    expect(replay.heard.slice(0, 3)).toEqual(["l/1/t=bound", "l/1/t=published", "l/1/t=nowhere"])
    // Live by what is bound at that moment, also where the log was opened before.
    await until("it came live", async () => live.heard.includes("l/1/t=again"))
    expect(live.heard).toEqual(["l/1/t=bound", "l/1/t=published", "l/1/t=nowhere", "l/1/t=again"])
    // One that was not there finds in its home what is its home's, by what each record was bound to, and the rest in the queue log.
    const late = new Listener(await RawMqtt.connect(broker.mqtt))
    await late.begin("$replay/earliest/l/1/t")
    await until("all is read", async () => late.heard.length >= 4)
    const inTopic = late.heard.filter((line) => line !== "l/1/t=nowhere")
    expect([inTopic, late.heard.length]).toEqual([["l/1/t=bound", "l/1/t=published", "l/1/t=again"], 4])
    await broker.stop()
  }, 60_000)

  // It starts brokers again and again: once, with the most shards.
  if (shards !== SHARD_COUNTS.at(-1)) continue
  test(`kill -9 in the midst of changes: what was acknowledged stands once, QoS 2 for sessions too; shards = ${shards}`, async () => {
    const start = starter(shards)
    let broker: Broker | undefined = await start()
    await createAll(broker)
    const kept = new SturdyClient(() => broker?.mqtt, "l/#")
    sturdy.push(kept)
    await until("the session is there", async () => kept.isReady)
    const load = new Load(() => broker?.mqtt, 4)
    for (let kills = 0; kills < 6; kills++) {
      const running: Broker = broker
      const changing = changeAll(running).catch(() => {})
      await sleep(60 + 61 * kills)
      broker = undefined
      await running.kill()
      await changing
      broker = await start()
    }
    await changeAll(broker)
    await load.end()
    await until(
      "the session has all",
      async () => load.sent.every(({ line }) => kept.received.has(line.split("=")[1] ?? "")),
      20_000
    )
    expect(kept.sessionsLost).toBe(0)
    const records = (await stored(broker)).map(({ line }) => line)
    const count = new Map<string, number>()
    for (const line of records) count.set(line, (count.get(line) ?? 0) + 1)
    for (const { line, qos } of load.sent) {
      if (qos === 1) continue
      expect({ line, isTwice: (count.get(line) ?? 0) > 1 }).toEqual({ line, isTwice: false })
      expect([line, kept.received.get(line.split("=")[1] ?? "")]).toEqual([line, 1])
    }
    expect(records.length).toBeGreaterThan(0)
    await broker.stop()
  }, 120_000)
}
