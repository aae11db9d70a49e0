/** MQTT and Kafka on one topic at once: many names in several partitions with their order, several times round, keys and values of any kind. */
import { afterEach, expect, test } from "bun:test"
import { Kafka, logLevel, Partitioners } from "kafkajs"
import { type Broker, brokerSuite } from "../support/broker.ts"
import { type Properties, propertiesOf, textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, partitionOf, readBatches, type StoredRecord } from "../support/record-batch.ts"
import { until } from "../support/until.ts"

const CONFIG = `
[[binding]]
topic = "fleet"
filter = "fleet/+/+/state"
partitions = 6
[[binding]]
topic = "by-level"
filter = "lines/#"
partitions = 5
partition_by = "level:2"
[[binding]]
topic = "by-client"
filter = "clients/#"
partitions = 5
partition_by = "client"
[[binding]]
topic = "one-name"
filter = "just/this"
`
const NAMES = 120
const ROUNDS = 25

const text = (bytes: Uint8Array | null | undefined): string => textOf(bytes ?? new Uint8Array(0))
const userOf = (list: Properties): Array<[string, string]> =>
  propertiesOf(list, "userProperty") as Array<[string, string]>

async function recordsOf(broker: Broker, topic: string, partitions: number): Promise<Array<Array<StoredRecord>>> {
  const client = await RawKafka.open(broker.kafka)
  await client.topic(topic)
  const found: Array<Array<StoredRecord>> = []
  for (let partition = 0; partition < partitions; partition++) {
    const batches = readBatches(await client.readAll(topic, partition))
    expect(batches.every(({ isCrcRight }) => isCrcRight)).toBe(true)
    found.push(batches.flatMap(({ records }) => records))
  }
  return found
}

brokerSuite("interop", { config: CONFIG }, (broker) => {
  afterEach(() => {
    RawKafka.cutAll()
    RawMqtt.cutAll()
  })

  test("many names in one topic, published and produced at once: each in the partition of its key, in order, for both sides", async () => {
    const names = Array.from({ length: NAMES }, (_, index) => `fleet/${index % 7}/${index}/state`)
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe("fleet/#", 1)
    const heard = subscriber.messages(2 * NAMES * ROUNDS, { timeoutMs: 30_000 })
    const kafka = new Kafka({ brokers: [broker().bootstrap], logLevel: logLevel.NOTHING })
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    const producing = (async () => {
      for (let round = 0; round < ROUNDS; round++) {
        await producer.send({
          topic: "fleet",
          acks: -1,
          messages: names.map((key) => ({ key, value: `kafka ${round}` }))
        })
      }
      await producer.disconnect()
    })()
    const publishers = await Promise.all([1, 2, 3].map(() => RawMqtt.connect(broker().mqtt, { version: 5 })))
    const publishing = publishers.map(async (publisher, index) => {
      for (let round = 0; round < ROUNDS; round++) {
        const own = names.filter((_, each) => each % publishers.length === index)
        for (const [at, topic] of own.entries())
          publisher.publish({ topic, payload: `mqtt ${round}`, qos: 1, id: 1 + at })
        for (const _ of own) await publisher.find("puback", 10_000)
      }
    })
    await Promise.all([producing, ...publishing])
    const all = (await heard).map(({ topic, payload }) => `${topic} ${textOf(payload)}`)
    const stored = await recordsOf(broker(), "fleet", 6)
    for (const name of names) {
      const partition = partitionOf(name, 6)
      for (const from of ["kafka", "mqtt"]) {
        const wanted = Array.from({ length: ROUNDS }, (_, round) => `${name} ${from} ${round}`)
        expect(all.filter((line) => line.startsWith(`${name} ${from} `))).toEqual(wanted)
        const inPartition = stored.map((records) =>
          records.filter(({ key, value }) => text(key) === name && text(value).startsWith(from))
        )
        expect(inPartition[partition]?.map(({ value }) => `${name} ${text(value)}`)).toEqual(wanted)
        expect(inPartition.flat()).toHaveLength(ROUNDS)
      }
    }
    // What came live came as it is stored, whoever sent it.
    const order = (name: string, lines: ReadonlyArray<string>) => lines.filter((line) => line.startsWith(`${name} `))
    const lines = stored.flat().map(({ key, value }) => `${text(key)} ${text(value)}`)
    for (const name of names) expect(order(name, all)).toEqual(order(name, lines))
  }, 60_000)

  test("partitioned by a level: what shares it shares a partition; a name that has not so many goes by itself", async () => {
    const client = await RawMqtt.connect(broker().mqtt)
    const level = uniqueLevel()
    const names = Array.from({ length: 30 }, (_, index) => `lines/${level}${index % 9}/${index}`)
    for (const [index, topic] of names.entries()) await client.publishWhole({ topic, payload: `${index}`, qos: 1 })
    await client.publishWhole({ topic: "lines", payload: "short", qos: 1 })
    const stored = await recordsOf(broker(), "by-level", 5)
    for (const name of names) {
      const where = stored.findIndex((records) => records.some(({ key }) => text(key) === name))
      expect([name, where]).toEqual([name, partitionOf(name.split("/")[1] ?? "", 5)])
    }
    expect(stored[partitionOf("lines", 5)]?.some(({ key }) => text(key) === "lines")).toBe(true)
  })

  test("partitioned by client: all of a publisher in one partition and in order, of one name in several; retained and live ones too", async () => {
    const ids = Array.from({ length: 8 }, () => uniqueLevel("client-"))
    const subscriber = await RawMqtt.connect(broker().mqtt)
    await subscriber.subscribe("clients/#", 1)
    const clients = await Promise.all(ids.map((clientId) => RawMqtt.connect(broker().mqtt, { clientId })))
    for (let round = 0; round < 10; round++) {
      for (const [index, client] of clients.entries()) {
        const topic = `clients/${round % 3}`
        await client.publishWhole({ topic, payload: `${ids[index]} ${round}`, qos: 1, retain: round === 9 })
      }
    }
    const heard = (await subscriber.messages(80, { timeoutMs: 10_000 })).map(({ payload }) => textOf(payload))
    const stored = await recordsOf(broker(), "by-client", 5)
    for (const id of ids) {
      const wanted = Array.from({ length: 10 }, (_, round) => `${id} ${round}`)
      const found = stored.map((records) =>
        records.map(({ value }) => text(value)).filter((value) => value.startsWith(id))
      )
      expect(found[partitionOf(id, 5)]).toEqual(wanted)
      expect(found.flat()).toHaveLength(10)
      expect(heard.filter((line) => line.startsWith(id))).toEqual(wanted)
    }
    expect(stored.filter((records) => records.length > 0).length).toBeGreaterThan(1)
    const late = await RawMqtt.connect(broker().mqtt)
    await late.subscribe("clients/0", 1)
    expect(textOf((await late.expect("publish")).payload)).toBe(`${ids.at(-1)} 9`)
    // No header says who it was.
    expect(
      stored
        .flat()
        .flatMap(({ headers }) => headers.map(({ name }) => name))
        .sort()
        .every((name) => name.startsWith("mqtt."))
    ).toBe(true)
  })

  test("keys of any bytes: a name, another text, no text, empty and null, on a topic of one name", async () => {
    const kafka = await RawKafka.open(broker().kafka)
    await kafka.topic("one-name")
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe("just/this", 1)
    const keys = ["just/this", "other", Uint8Array.of(0xff, 0xfe), Uint8Array.of(0x61, 0), "", null] as const
    const records = keys.map((key, index) => ({ value: `${index}`, ...(key === null ? {} : { key }) }))
    expect((await kafka.produce("one-name", 0, batch(records))).error).toBe(0)
    const found = await subscriber.messages(keys.length)
    const keyOf = (list: Properties) => userOf(list).filter(([name]) => name.startsWith("manifold-key"))
    expect(found.map(({ properties }) => keyOf(properties))).toEqual([
      [],
      [["manifold-key", "other"]],
      [["manifold-key-b64", "//4="]],
      [["manifold-key-b64", "YQA="]],
      [["manifold-key", ""]],
      []
    ])
    // Kafka to Kafka everything.
    const [stored = []] = await recordsOf(broker(), "one-name", 1)
    expect(
      stored.slice(-keys.length).map(({ key }) => (key === null ? null : Buffer.from(key).toString("hex")))
    ).toEqual(keys.map((key) => (key === null ? null : Buffer.from(key).toString("hex"))))
  })

  test("a retained message is a record as any, its removal a tombstone; what Kafka produces is never retained, nor takes away", async () => {
    const level = uniqueLevel()
    const name = `${level}/state`
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await client.publishWhole({ topic: name, payload: "kept", qos: 1, retain: true })
    const kafka = await RawKafka.open(broker().kafka)
    await kafka.topic(`${level}.state`)
    await kafka.produce(
      `${level}.state`,
      0,
      batch([
        { key: name, value: "produced", headers: [{ name: "mqtt.retain", value: Buffer.from("1") }] },
        { key: name, value: null }
      ])
    )
    const retained = async () => {
      const late = await RawMqtt.connect(broker().mqtt)
      await late.subscribe(name, 1)
      await late.quiet(50).catch(() => {})
      const found = late.drain().flatMap((packet) => (packet.type === "publish" ? [textOf(packet.payload)] : []))
      late.cut()
      return found
    }
    const late = await RawMqtt.connect(broker().mqtt)
    await late.subscribe(name, 1)
    expect(textOf((await late.expect("publish")).payload)).toBe("kept")
    await late.quiet(50)
    await client.publishWhole({ topic: name, payload: "", qos: 1, retain: true })
    expect(await retained()).toEqual([])
    const records = (await recordsOf(broker(), `${level}.state`, 1))[0] ?? []
    expect(records.map(({ key, value }) => [text(key), value === null ? null : text(value)])).toEqual([
      [name, "kept"],
      [name, "produced"],
      [name, null],
      [name, null]
    ])
    expect(records.map(({ headers }) => headers.some(({ name: header }) => header === "mqtt.retain"))).toEqual([
      true,
      true,
      false,
      true
    ])
  })

  test("what an MQTT client got and publishes again, and a Kafka client produces again, is data and stays it", async () => {
    const level = uniqueLevel()
    const kafka = await RawKafka.open(broker().kafka)
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe(`${level}/#`, 2)
    const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
    let properties: Properties = [
      ["userProperty", ["mqtt.qos", "2"]],
      ["userProperty", ["manifold-key", "x"]],
      ["userProperty", ["plain", "ü"]]
    ]
    for (let round = 1; round <= 4; round++) {
      const [mqttName, kafkaName] = [`${level}/m${round}`, `${level}/k${round}`]
      await publisher.publishWhole({ topic: mqttName, payload: "x", qos: 1, properties })
      const direct = await subscriber.expect("publish")
      subscriber.ack("puback", direct.id)
      expect([direct.qos, userOf(direct.properties)]).toEqual([1, userOf(properties)] as never)
      const topic = mqttName.replaceAll("/", ".")
      await until("it is stored", async () => (await recordsOf(broker(), topic, 1))[0]?.length === 1)
      const [[record] = []] = await recordsOf(broker(), topic, 1)
      const other = kafkaName.replaceAll("/", ".")
      await kafka.topic(other)
      await kafka.produce(other, 0, batch([{ value: record?.value ?? null, headers: record?.headers ?? [] }]))
      const copied = await subscriber.expect("publish")
      subscriber.ack("puback", copied.id)
      expect([copied.topic, copied.qos, copied.retain]).toEqual([kafkaName, 1, false])
      const got = userOf(copied.properties).filter(([name]) => name !== "manifold-timestamp")
      const escapes = "manifold-raw:".repeat(2 * round)
      // The broker's own mqtt.qos came back as data, too.
      expect(got.filter(([, value]) => value !== "1")).toEqual([
        [`${escapes}mqtt.qos`, "2"],
        [`${escapes}manifold-key`, "x"],
        ["plain", "ü"]
      ])
      properties = got.filter(([, value]) => value !== "1").map((pair) => ["userProperty", pair])
    }
  })
})
