/** What survives which direction, field by field: the table of DESIGN 4. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { type Properties, propertiesOf, propertyOf, textOf } from "../support/mqtt-packets.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { batch, type Header, type NewRecord, readBatches, type StoredRecord } from "../support/record-batch.ts"
import { until } from "../support/until.ts"

const text = (bytes: Uint8Array | null | undefined): string | null =>
  bytes === null || bytes === undefined ? null : textOf(bytes)
const headersOf = (record: StoredRecord | undefined): Array<[string, string | null]> =>
  (record?.headers ?? []).map((each) => [each.name, each.value === null ? null : Buffer.from(each.value).toString()])
const header = (name: string, value: string | Uint8Array | null): Header => ({
  name,
  value: value === null ? null : Buffer.from(value)
})

brokerSuite("fields", {}, (broker) => {
  afterEach(() => {
    RawMqtt.cutAll()
    RawKafka.cutAll()
  })

  /** The records of a topic's partition, once there are `count`. */
  async function recordsOf(topic: string, count: number, partition = 0): Promise<ReadonlyArray<StoredRecord>> {
    const client = await RawKafka.open(broker().kafka)
    return await until(`${count} records in ${topic}`, async () => {
      const found = await client.fetch(topic, partition, 0)
      const records = found.error === 0 ? readBatches(found.records).flatMap((each) => each.records) : []
      return records.length >= count ? records : undefined
    })
  }
  /** What a new topic holds after these were published to `level/a` through version 5. */
  async function stored(
    publishes: ReadonlyArray<{
      payload?: string | Uint8Array
      qos?: 0 | 1 | 2
      retain?: boolean
      properties?: Properties
    }>
  ) {
    const level = uniqueLevel()
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    for (const publish of publishes) await client.publishWhole({ topic: `${level}/a`, ...publish })
    return { level, records: await recordsOf(`${level}.a`, publishes.length) }
  }
  /** What an MQTT subscriber of version 5 gets of one record that a Kafka client produced to a plain topic. */
  async function delivered(record: NewRecord, timestamp = Date.now() - 60_000, version: 4 | 5 = 5) {
    const kafka = await RawKafka.open(broker().kafka)
    const topic = uniqueLevel("k")
    await kafka.topic(topic)
    const subscriber = await RawMqtt.connect(broker().mqtt, { version })
    await subscriber.subscribe(topic, 2)
    expect((await kafka.produce(topic, 0, batch([record], { timestamp }))).error).toBe(0)
    return { topic, timestamp, message: await subscriber.expect("publish") }
  }
  const userOf = (list: Properties): Array<[string, string]> =>
    propertiesOf(list, "userProperty") as Array<[string, string]>

  test("topic name = key, payload = value, receive time = timestamp, defaults leave no header", async () => {
    const before = Date.now()
    const { level, records } = await stored([{ payload: "21.5" }])
    expect(text(records[0]?.key)).toBe(`${level}/a`)
    expect(text(records[0]?.value)).toBe("21.5")
    expect(records[0]?.timestamp).toBeWithin(before - 5, Date.now() + 6)
    expect(records[0]?.headers).toEqual([])
  })

  test("binary payloads; empty = empty value; empty and retained = null value", async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index)
    const { records } = await stored([
      { payload: bytes, qos: 1 },
      { payload: "", qos: 1 },
      { payload: "", retain: true, qos: 1 }
    ])
    expect(Buffer.from(records[0]?.value ?? []).equals(bytes)).toBe(true)
    expect(records[1]?.value).toEqual(new Uint8Array(0))
    expect(records[2]?.value).toBeNull()
    expect(headersOf(records[2])).toContainEqual(["mqtt.retain", "1"])
  })

  test("QoS and retain flag are headers unless they are 0", async () => {
    const { records } = await stored([
      { payload: "0" },
      { payload: "1", qos: 1 },
      { payload: "2", qos: 2 },
      { payload: "3", retain: true },
      { payload: "4", qos: 2, retain: true }
    ])
    const byPayload = new Map(records.map((record) => [text(record.value), headersOf(record)]))
    expect(byPayload.get("0")).toEqual([])
    expect(byPayload.get("1")).toEqual([["mqtt.qos", "1"]])
    expect(byPayload.get("2")).toEqual([["mqtt.qos", "2"]])
    expect(byPayload.get("3")).toEqual([["mqtt.retain", "1"]])
    expect(byPayload.get("4")?.toSorted()).toEqual([
      ["mqtt.qos", "2"],
      ["mqtt.retain", "1"]
    ])
  })

  test("every PUBLISH property is a header: user properties by their names in order, the others as mqtt.*", async () => {
    const { records } = await stored([
      {
        payload: "x",
        qos: 1,
        properties: [
          ["userProperty", ["z", "1"]],
          ["payloadFormat", 1],
          ["messageExpiry", 3_600],
          ["userProperty", ["a", "ü€"]],
          ["contentType", "text/plain"],
          ["responseTopic", "reply/here"],
          ["userProperty", ["z", "2"]],
          ["correlationData", Uint8Array.of(0, 255, 7)],
          ["userProperty", ["", ""]]
        ]
      }
    ])
    const headers = records[0]?.headers ?? []
    const named = new Map(
      headers.filter((each) => each.name.startsWith("mqtt.")).map((each) => [each.name, each.value])
    )
    expect([...named.keys()].toSorted()).toEqual([
      "mqtt.content-type",
      "mqtt.correlation-data",
      "mqtt.message-expiry",
      "mqtt.payload-format",
      "mqtt.qos",
      "mqtt.response-topic"
    ])
    expect(text(named.get("mqtt.content-type"))).toBe("text/plain")
    expect(text(named.get("mqtt.response-topic"))).toBe("reply/here")
    expect(text(named.get("mqtt.message-expiry"))).toBe("3600")
    expect(text(named.get("mqtt.payload-format"))).toBe("1")
    expect(named.get("mqtt.correlation-data")).toEqual(Uint8Array.of(0, 255, 7))
    const users = headersOf(records[0]).filter(([name]) => !name.startsWith("mqtt."))
    expect(users).toEqual([
      ["z", "1"],
      ["a", "ü€"],
      ["z", "2"],
      ["", ""]
    ])
  })

  test("names that begin with mqtt. or manifold- are stored escaped and given back to MQTT as they were", async () => {
    const names = [
      "mqtt.qos",
      "mqtt.",
      "manifold-key",
      "manifold-raw:mqtt.qos",
      "manifold-",
      "mqtt",
      "manifold",
      "Mqtt.qos",
      "x-mqtt.qos"
    ]
    const list: Properties = names.map((name, index) => ["userProperty", [name, String(index)]])
    const level = uniqueLevel()
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe(`${level}/a`, 2)
    const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await publisher.publishWhole({ topic: `${level}/a`, payload: "x", retain: true, properties: list })
    const wanted = names.map((name, index) => [name, String(index)])
    const live = await subscriber.expect("publish")
    expect([live.qos, userOf(live.properties)]).toEqual([0, wanted] as unknown as [0, Array<[string, string]>])
    const late = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await late.subscribe(`${level}/a`, 2)
    const kept = await late.expect("publish")
    expect([kept.qos, userOf(kept.properties)]).toEqual([0, wanted] as unknown as [0, Array<[string, string]>])
    const [record] = await recordsOf(`${level}.a`, 1)
    const escaped = wanted.map(([name, value], index) => [index < 5 ? `manifold-raw:${name}` : name, value])
    expect(headersOf(record).filter(([name]) => name !== "mqtt.retain")).toEqual(escaped as Array<[string, string]>)
  })

  test("3.1.1 publishes the same record without properties", async () => {
    const level = uniqueLevel()
    const client = await RawMqtt.connect(broker().mqtt, { version: 4 })
    await client.publishWhole({ topic: `${level}/a`, payload: "old", qos: 1 })
    const [record] = await recordsOf(`${level}.a`, 1)
    expect([text(record?.key), text(record?.value), headersOf(record)]).toEqual([
      `${level}/a`,
      "old",
      [["mqtt.qos", "1"]]
    ])
  })

  test("a will is stored like any message", async () => {
    const level = uniqueLevel()
    const will = {
      topic: `${level}/will`,
      payload: "gone",
      qos: 1,
      properties: [["userProperty", ["why", "cut"]]]
    } as const
    const client = await RawMqtt.connect(broker().mqtt, { version: 5, will })
    client.cut()
    const [record] = await recordsOf(`${level}.will`, 1)
    expect([text(record?.key), text(record?.value)]).toEqual([`${level}/will`, "gone"])
    expect(headersOf(record)).toEqual([
      ["why", "cut"],
      ["mqtt.qos", "1"]
    ])
  })

  test("Kafka to MQTT 5: value, QoS 1, no retain, headers as user properties, timestamp; unkeyed on the topic's own name", async () => {
    const { topic, timestamp, message } = await delivered({
      value: "21.5",
      headers: [header("b", "2"), header("a", "ü"), header("b", "")]
    })
    expect(message).toMatchObject({ topic, qos: 1, retain: false, dup: false })
    expect(textOf(message.payload)).toBe("21.5")
    const users = userOf(message.properties)
    expect(users.filter(([name]) => !name.startsWith("manifold-"))).toEqual([
      ["b", "2"],
      ["a", "ü"],
      ["b", ""]
    ])
    expect(users.filter(([name]) => name.startsWith("manifold-"))).toEqual([["manifold-timestamp", String(timestamp)]])
    expect(message.properties.every(([name]) => name === "userProperty")).toBe(true)
  })

  test("Kafka to MQTT 5: binary and null headers as manifold-header-b64, a null value as an empty payload", async () => {
    const { message } = await delivered({
      value: null,
      headers: [
        header("bin", Uint8Array.of(0xff, 0, 1)),
        header("none", null),
        header("ok", "yes"),
        header("zero", "a\0b")
      ]
    })
    expect(message.payload).toHaveLength(0)
    const users = userOf(message.properties)
    expect(users.filter(([name]) => name === "manifold-header-b64").map(([, value]) => value)).toEqual([
      "bin=/wAB",
      "none",
      "zero=YQBi"
    ])
    expect(users.filter(([name]) => !name.startsWith("manifold-"))).toEqual([["ok", "yes"]])
  })

  test("Kafka to MQTT 5: reserved header names are escaped, never obeyed", async () => {
    const { message } = await delivered({
      value: "x",
      headers: [
        header("mqtt.qos", "2"),
        header("mqtt.retain", "1"),
        header("mqtt.content-type", "t"),
        header("mqtt.message-expiry", "1"),
        header("manifold-key", "k"),
        header("manifold-raw:mqtt.qos", "0")
      ]
    })
    expect(message).toMatchObject({ qos: 1, retain: false })
    expect(propertyOf(message.properties, "contentType")).toBeUndefined()
    expect(propertyOf(message.properties, "messageExpiry")).toBeUndefined()
    const users = userOf(message.properties).filter(([name]) => name !== "manifold-timestamp")
    expect(users).toEqual([
      ["manifold-raw:mqtt.qos", "2"],
      ["manifold-raw:mqtt.retain", "1"],
      ["manifold-raw:mqtt.content-type", "t"],
      ["manifold-raw:mqtt.message-expiry", "1"],
      ["manifold-raw:manifold-key", "k"],
      ["manifold-raw:manifold-raw:mqtt.qos", "0"]
    ])
  })

  test("Kafka to 3.1.1: topic name and payload alone", async () => {
    const { topic, message } = await delivered({ value: "plain", headers: [header("a", "b")] }, undefined, 4)
    expect(message).toMatchObject({ topic, qos: 1, retain: false, properties: [] })
    expect(textOf(message.payload)).toBe("plain")
  })

  test("a Kafka record does not touch the retained message of its name", async () => {
    const { topic } = await delivered({ value: "not retained" })
    const late = await RawMqtt.connect(broker().mqtt)
    await late.subscribe(topic)
    await late.quiet()
  })

  test("the client identifier is in no header and no property", async () => {
    const level = uniqueLevel()
    const clientId = `very-secret-${level}`
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await subscriber.subscribe(`${level}/a`)
    const publisher = await RawMqtt.connect(broker().mqtt, { version: 5, clientId })
    await publisher.publishWhole({ topic: `${level}/a`, payload: "x" })
    const bytes = await subscriber.nextBytes()
    expect(Buffer.from(bytes).includes(clientId)).toBe(false)
    const kafka = await RawKafka.open(broker().kafka)
    expect((await kafka.readAll(`${level}.a`, 0)).includes(clientId)).toBe(false)
  })
})
