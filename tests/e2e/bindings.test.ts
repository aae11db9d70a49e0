/** Bindings: which topic a topic name belongs to, and on which name a Kafka record reaches MQTT (DESIGN 8). */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { type Properties, propertiesOf, textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, type NewRecord, partitionOf, readBatches } from "../support/record-batch.ts"

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString())
const userOf = (list: Properties): Array<[string, string]> =>
  propertiesOf(list, "userProperty") as Array<[string, string]>

const CONFIG = `
[topics]
partitions = 1

[[binding]]
topic = "telemetry"
filter = "devices/+/telemetry"
partitions = 4

[[binding]]
topic = "alarm-log"
filter = "alarms/fire"
`

brokerSuite("bindings", { config: CONFIG }, (broker) => {
  afterEach(() => {
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })

  test("the default binding is for plain names alone; what no topic claims is not stored", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt)
    const level = uniqueLevel()
    for (const topic of [
      `${level}/a.b`,
      `${level}//b`,
      `/${level}`,
      `${level}/ü`,
      `_${level}/a`,
      `$${level}/a`,
      `${level}/ `
    ]) {
      await publisher.publishWhole({ topic, payload: "x", qos: 1 })
    }
    await publisher.publishWhole({ topic: `${level}/A_b-9/0`, payload: "x", qos: 1 })
    const kafka = await RawKafka.open(broker().kafka)
    const names = (await kafka.metadata(null)).topics.map((topic) => topic.name).filter((name) => name.includes(level))
    expect(names).toEqual([`${level}.A_b-9.0`])
  })

  test("a filter's topic takes every name that matches, partitioned by Kafka's hash of the name", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt)
    const names = Array.from({ length: 12 }, () => `devices/${uniqueLevel("d")}/telemetry`)
    for (const topic of names) await publisher.publishWhole({ topic, payload: topic, qos: 1 })
    const kafka = await RawKafka.open(broker().kafka)
    const [topic] = (await kafka.metadata(["telemetry"])).topics
    expect(topic?.partitions).toHaveLength(4)
    for (let partition = 0; partition < 4; partition++) {
      const keys = readBatches(await kafka.readAll("telemetry", partition)).flatMap((each) =>
        each.records.map((record) => text(record.key))
      )
      expect(keys).toEqual(names.filter((name) => partitionOf(name, 4) === partition))
    }
  })

  test("Kafka to MQTT: a key that is a name of the topic's filter is the topic name, without manifold-key", async () => {
    const kafka = await RawKafka.open(broker().kafka)
    const name = `devices/${uniqueLevel("d")}/telemetry`
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe(name, 2)
    await kafka.topic("telemetry")
    await kafka.produce("telemetry", partitionOf(name, 4), batch([{ key: name, value: "x" }]))
    const message = await subscriber.expect("publish")
    expect([message.topic, message.qos]).toEqual([name, 1])
    expect(userOf(message.properties).map(([key]) => key)).toEqual(["manifold-timestamp"])
  })

  test("Kafka to MQTT: what has no name here is stored, not delivered, and counted", async () => {
    const kafka = await RawKafka.open(broker().kafka)
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe("#", 1)
    await subscriber.subscribe("devices/#", 1)
    const before = await broker().metrics()
    const records: ReadonlyArray<NewRecord> = [
      { value: "unkeyed" },
      { key: "elsewhere/x", value: "foreign" },
      { key: "devices/+/telemetry", value: "wildcard" },
      { key: Uint8Array.of(255), value: "binary" }
    ]
    for (const record of records) expect((await kafka.produce("telemetry", 0, batch([record]))).error).toBe(0)
    await subscriber.quiet(150)
    const stored = readBatches(await kafka.readAll("telemetry", 0)).flatMap((each) =>
      each.records.map((record) => text(record.value))
    )
    expect(stored.slice(-4)).toEqual(records.map((record) => String(record.value)))
    const after = await broker().metrics()
    const sum = (metrics: string): number =>
      [
        ...metrics.matchAll(
          /^manifold_\w*(?:undelivered|unroutable|not_delivered|unnamed|without_name|no_name)\w*(?:\{[^}]*\})? (\d+)$/gm
        )
      ].reduce((total, match) => total + Number(match[1]), 0)
    expect(sum(after) - sum(before)).toBe(4)
  })

  test("a binding without a wildcard: unkeyed records on its name, a key that is not the name as manifold-key", async () => {
    const kafka = await RawKafka.open(broker().kafka)
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe("alarms/fire", 1)
    await kafka.topic("alarm-log")
    await kafka.produce(
      "alarm-log",
      0,
      batch([{ value: "1" }, { key: "alarms/fire", value: "2" }, { key: "sensor-7", value: "3" }])
    )
    const found = await subscriber.messages(3)
    expect(found.map((message) => [message.topic, textOf(message.payload)])).toEqual([
      ["alarms/fire", "1"],
      ["alarms/fire", "2"],
      ["alarms/fire", "3"]
    ])
    const keys = found.map((message) =>
      userOf(message.properties)
        .filter(([name]) => name === "manifold-key")
        .map(([, value]) => value)
    )
    expect(keys).toEqual([[], [], ["sensor-7"]])
  })
})
