/** Topics whose batches are compressed: whoever reads them, by whichever way, reads what MQTT clients published. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { openBroker } from "../../mod.ts"
import { BrokerProcess } from "../crash/BrokerProcess.ts"
import { HAS_DURABLE_STORAGE } from "../crash/has-durable-storage.ts"
import { type Address, brokerSuite, IS_EXTERNAL, runCommand } from "../support/broker.ts"
import { encode, textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { CODEC, readBatches, type StoredBatch } from "../support/record-batch.ts"
import { pathOf, run, testWith, tools } from "../support/tools.ts"

const COUNT = 60
const TOPICS = ["packed", "plain"] as const
const CONFIG = `
[[binding]]
topic = "packed"
filter = "packed/#"
compression = "zstd"
[[binding]]
topic = "plain"
filter = "plain/#"
[[binding]]
topic = "hot"
filter = "hot/#"
engine = "memory"
compression = "zstd"
`
const payloadOf = (index: number): string =>
  JSON.stringify({ device: `dev-${index % 7}`, index, temperature: 20 + (index % 5), unit: "degrees Celsius" })

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
const freshDirectory = (): string => {
  const directory = mkdtempSync(join(tmpdir(), "manifold-compression-"))
  directories.push(directory)
  return directory
}

/** Publishes in one piece, so that many messages share a turn; done when all are acknowledged. Returns what was published. */
async function publish(mqtt: Address, topic: string, count = COUNT): Promise<ReadonlyArray<string>> {
  const client = await RawMqtt.connect(mqtt, { version: 5 })
  const payloads = Array.from({ length: count }, (_, index) => payloadOf(index))
  const properties = [["userProperty", ["site", "north"]]] as const
  client.send(
    ...payloads.map((payload, index) => encode.publish(5, { topic, payload, qos: 1, id: index + 1, properties }))
  )
  for (let index = 0; index < count; index++) expect((await client.expect("puback")).code).toBe(0)
  await client.disconnect()
  return payloads
}

const codecsOf = (batches: ReadonlyArray<StoredBatch>): ReadonlySet<number> =>
  new Set(batches.map(({ attributes }) => attributes & 7))
const valuesOf = (batches: ReadonlyArray<StoredBatch>): ReadonlyArray<string> =>
  batches.flatMap(({ records }) => records.map(({ value }) => Buffer.from(value ?? []).toString()))

brokerSuite("compression", { config: CONFIG }, (broker) => {
  afterEach(() => {
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })

  test("stored batches are compressed where the topic is, and have the same records as where it is not", async () => {
    const level = uniqueLevel()
    const kafka = await RawKafka.open(broker().kafka)
    const found = new Map<string, ReadonlyArray<StoredBatch>>()
    for (const topic of TOPICS) {
      const { offset } = await kafka.listOffset(topic, 0, -1)
      const payloads = await publish(broker().mqtt, `${topic}/${level}`)
      const batches = readBatches(await kafka.readAll(topic, 0, offset))
      expect(valuesOf(batches)).toEqual([...payloads])
      expect(batches.every(({ isCrcRight }) => isCrcRight)).toBe(true)
      found.set(topic, batches)
    }
    const [packed = [], plain = []] = TOPICS.map((topic) => found.get(topic))
    const sizeOf = (batches: ReadonlyArray<StoredBatch>): number =>
      batches.reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect([...codecsOf(plain)]).toEqual([CODEC.none])
    expect(codecsOf(packed).has(CODEC.zstd)).toBe(true)
    expect(sizeOf(packed) * 2).toBeLessThan(sizeOf(plain))
    const headersOf = (batches: ReadonlyArray<StoredBatch>): unknown =>
      batches.flatMap(({ records }) =>
        records.map(({ headers }) => headers.map(({ name, value }) => [name, String(value)]))
      )
    expect(headersOf(packed)).toEqual(headersOf(plain))
  })

  for (const topic of ["packed", "hot"]) {
    testWith([tools.kcat], `librdkafka reads it, checksums and all: ${topic}`, async () => {
      const name = `${topic}/${uniqueLevel()}`
      const kafka = await RawKafka.open(broker().kafka)
      const { offset } = await kafka.listOffset(topic, 0, -1)
      const payloads = await publish(broker().mqtt, name)
      expect(codecsOf(readBatches(await kafka.readAll(topic, 0, offset))).has(CODEC.zstd)).toBe(true)
      const args = ["-b", broker().bootstrap, "-C", "-q", "-e", "-J", "-X", "check.crcs=true", "-t", topic]
      const { stdout, code } = await run(pathOf(tools.kcat), [...args, "-o", String(offset)])
      expect(code).toBe(0)
      const records = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>)
      expect(records.map(({ offset: at, key, payload }) => [at, key, payload])).toEqual(
        payloads.map((payload, index) => [offset + index, name, payload])
      )
      expect(records.every(({ headers }) => (headers as ReadonlyArray<string>).join().includes("site,north"))).toBe(
        true
      )
    })

    test(`a replay gives it, and who subscribed has got it: ${topic}`, async () => {
      const name = `${topic}/${uniqueLevel()}`
      const take = async (client: RawMqtt): Promise<ReadonlyArray<string>> => {
        const found: Array<string> = []
        while (found.length < COUNT) {
          const packet = await client.expect("publish")
          found.push(textOf(packet.payload))
          expect(
            packet.properties?.some(([key, value]) => key === "userProperty" && String(value) === "site,north")
          ).toBe(true)
          client.ack("puback", packet.id ?? 0)
        }
        return found
      }
      const live = await RawMqtt.connect(broker().mqtt, { version: 5 })
      await live.subscribe(name, 1)
      const published = publish(broker().mqtt, name)
      expect(await take(live)).toEqual([...(await published)])
      const late = await RawMqtt.connect(broker().mqtt, { version: 5 })
      await late.subscribe(`$replay/earliest/${name}`, 1)
      expect(await take(late)).toEqual([...(await published)])
    })
  }

  test("the resource shows it, and topics are made with it; metrics tell what it gained", async () => {
    const call = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> => {
      const content = body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }
      const answer = await fetch(`${broker().url}/api/v1/${path}`, { method, ...content })
      return (await answer.json()) as Record<string, unknown>
    }
    for (const topic of TOPICS) {
      expect((await call("GET", `topics/${topic}`))["compression"]).toBe(topic === "packed" ? "zstd" : "none")
    }
    const name = uniqueLevel("made")
    expect((await call("POST", "topics", { name, compression: "zstd", filter: `${name}/#` }))["compression"]).toBe(
      "zstd"
    )
    expect((await call("POST", "topics", { name: `${name}2`, compression: "lz4" }))["status"]).toBe(422)
    const metrics = ["input_bytes", "output_bytes"].map((what) => `manifold_compression_${what}_total`)
    const read = (): Promise<ReadonlyArray<number>> => Promise.all(metrics.map((metric) => broker().sumOf(metric)))
    const [inputBefore = 0, outputBefore = 0] = await read()
    const batches = "manifold_compression_batches_total"
    const before = await broker().sumOf(batches, 'outcome="compressed"')
    await publish(broker().mqtt, `${name}/a`)
    const [input = 0, output = 0] = await read()
    expect((input - inputBefore) / (output - outputBefore)).toBeGreaterThan(2)
    expect(await broker().sumOf(batches, 'outcome="compressed"')).toBeGreaterThan(before)
    const small = await broker().sumOf(batches, 'outcome="small"')
    const client = await RawMqtt.connect(broker().mqtt)
    await client.publishWhole({ topic: `${name}/a`, payload: "21", qos: 1 })
    expect(await broker().sumOf(batches, 'outcome="small"')).toBe(small + 1)
  })
})

test("a program that reads the log gets the records, while they are new and when they are not", async () => {
  const binding = { topic: "packed", filter: "packed/#", engine: "memory", compression: "zstd" } as const
  await using broker = await openBroker({ binding: [binding] })
  const texts = Array.from({ length: COUNT }, (_, index) => payloadOf(index))
  await Promise.all(texts.map((text) => broker.publish("packed/a", text)))
  // Enough of it that what was sealed first is held no more.
  const noise = Array.from({ length: 20_000 }, (_, index) => (index * 7_919).toString(36))
  for (let round = 0; round < 3; round++) {
    const seen: Array<string> = []
    for await (const record of broker.read("packed")) {
      if (record.topicName === "packed/a") seen.push(record.text)
    }
    expect(seen).toEqual(texts)
    for (let each = 0; each < 30; each++) {
      await broker.publish(
        "packed/b",
        `${round} ${each} ${noise
          .slice(each * 10)
          .join(" ")
          .slice(0, 90_000)}`
      )
    }
  }
})

if (HAS_DURABLE_STORAGE && !IS_EXTERNAL) {
  const filesBelow = (directory: string): ReadonlyArray<string> =>
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))

  test("what was acknowledged is there after a kill; what is damaged then is told and not served", async () => {
    const directory = freshDirectory()
    const data = join(directory, "data")
    const config = join(directory, "manifold.toml")
    writeFileSync(config, CONFIG)
    const first = await BrokerProcess.start({ data, config })
    const payloads = await publish(first.mqtt, "packed/a")
    await first.kill()
    const second = await BrokerProcess.start({ data, config })
    const kafka = await RawKafka.open(second.kafka)
    const batches = readBatches(await kafka.readAll("packed", 0))
    expect(valuesOf(batches)).toEqual([...payloads])
    expect(codecsOf(batches).has(CODEC.zstd)).toBe(true)
    await second.stop()
    const verify = () => runCommand(["storage", "verify", "--config", config, "--data", data], 30_000)
    expect((await verify()).code).toBe(0)
    const [stored] = batches.filter(({ attributes }) => (attributes & 7) === CODEC.zstd)
    const payload = stored?.bytes.subarray(61) ?? Buffer.alloc(1)
    const segment = filesBelow(data).find((file) => file.endsWith(".log") && readFileSync(file).includes(payload)) ?? ""
    const dumped = await runCommand(["storage", "dump", segment, "--records", "--config", config], 30_000)
    expect(dumped.code).toBe(0)
    expect(dumped.stdout).toContain(", zstd, ")
    expect(dumped.stdout.match(/ key "?packed\/a"? value /g)?.length).toBe(COUNT)
    const bytes = readFileSync(segment)
    const place = bytes.indexOf(payload) + Math.floor(payload.length / 2)
    bytes[place] = (bytes[place] ?? 0) ^ 0x10
    writeFileSync(segment, bytes)
    const told = await verify()
    expect([told.code, told.stderr.includes(segment)]).toEqual([1, true])
    const third = await BrokerProcess.start({ data, config })
    const damaged = await RawKafka.open(third.kafka)
    const found = await damaged.fetch("packed", 0, stored?.baseOffset ?? 0)
    expect(found.error).not.toBe(0)
    expect(found.records).toHaveLength(0)
    await third.kill()
    RawKafka.cutAll()
  })
}
