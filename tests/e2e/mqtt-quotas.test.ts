/** Limits of connections, rates and topics: the right Reason Code for each, and a number that counts it. */
import { afterEach, expect, test } from "bun:test"
import { type Broker, brokerSuite } from "../support/broker.ts"
import { encode, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep, until } from "../support/until.ts"

async function codeOf(broker: Broker, version: Version, connect: object = {}): Promise<number> {
  const client = await RawMqtt.open(broker.mqtt, version)
  client.send(encode.connect({ version, clientId: uniqueId(), ...connect }))
  return (await client.expect("connack")).code
}

brokerSuite(
  "limits of connections",
  { set: { "protocol-mqtt.connections_per_user_max": "1", "protocol-mqtt.connections_per_address_max": "6" } },
  (broker) => {
    afterEach(() => RawMqtt.cutAll())
    const refused = (limit: string): Promise<number> =>
      broker().sumOf("manifold_mqtt_connects_refused_total", `limit="${limit}"`)
    const empty = (): Promise<unknown> =>
      until("nobody connected", async () => (await broker().sumOf("manifold_mqtt_connections")) === 0 || undefined)

    test("a second connection of a user is refused with 0x97, 3 before version 5; one in the first's place is not", async () => {
      await empty()
      const user = uniqueId("user")
      // On one shard: the same client, and clients of its shard.
      const id = uniqueId()
      expect(await codeOf(broker(), 5, { clientId: id, username: user })).toBe(0)
      expect(await codeOf(broker(), 5, { clientId: id, username: user })).toBe(0)
      const codes: Array<number> = []
      for (let number = 0; number < 5; number++) {
        codes.push(await codeOf(broker(), number % 2 === 0 ? 5 : 4, { clientId: uniqueId(), username: user }))
      }
      expect(codes.filter((code) => code === 0x97 || code === 3).length).toBeGreaterThanOrEqual(4)
      expect(await refused("user")).toBeGreaterThanOrEqual(4)
    })

    test("from one address as many as are allowed on a shard, and room again when they have gone", async () => {
      await empty()
      const codes: Array<number> = []
      for (let number = 0; number < 20; number++) codes.push(await codeOf(broker(), 5))
      const accepted = codes.filter((code) => code === 0).length
      expect([6, 7, 8, 9, 10, 11, 12]).toContain(accepted)
      expect(codes.every((code) => code === 0 || code === 0x97)).toBe(true)
      expect(await refused("address")).toBeGreaterThanOrEqual(20 - accepted)
      RawMqtt.cutAll()
      await empty()
      expect(await codeOf(broker(), 5)).toBe(0)
    })
  }
)

brokerSuite(
  "limits of rates and topics",
  {
    set: {
      "protocol-mqtt.connect_rate_max": "20",
      "protocol-mqtt.publish_rate_max": "200",
      "protocol-mqtt.publish_bytes_rate_max": "100000",
      "protocol-mqtt.topic_levels_max": "4",
      "protocol-mqtt.topic_bytes_max": "40"
    }
  },
  (broker) => {
    afterEach(() => RawMqtt.cutAll())
    const settled = (): Promise<void> => sleep(1_100)

    test("CONNECTs above the rate are refused with 0x9F, and let in a moment later", async () => {
      await settled()
      const codes = await Promise.all(Array.from({ length: 60 }, () => codeOf(broker(), 5)))
      expect(codes.filter((code) => code === 0).length).toBeGreaterThanOrEqual(20)
      expect(codes.filter((code) => code === 0x9f).length).toBeGreaterThanOrEqual(10)
      await settled()
      expect(await codeOf(broker(), 5)).toBe(0)
    })

    test("who publishes too fast is slowed and loses nothing", async () => {
      await settled()
      const level = uniqueLevel()
      const [subscriber, publisher] = [
        await RawMqtt.connect(broker().mqtt, { version: 5 }),
        await RawMqtt.connect(broker().mqtt, { version: 5 })
      ]
      await subscriber.subscribe(level, 0)
      const started = performance.now()
      for (let number = 0; number < 600; number++) publisher.publish({ topic: level, payload: `${number}`, qos: 0 })
      const got = await subscriber.messages(600, { timeoutMs: 5_000 })
      const tookMs = performance.now() - started
      expect(got.map(({ payload }) => Number(Buffer.from(payload).toString()))).toEqual([...Array(600).keys()])
      // A burst of 200, and the rest at 200 a second.
      expect(tookMs).toBeGreaterThan(1_700)
      expect(tookMs).toBeLessThan(4_000)
      expect(await broker().sumOf("manifold_mqtt_publish_pauses_total")).toBeGreaterThan(0)
    })

    test("bytes count, too", async () => {
      await settled()
      const level = uniqueLevel()
      const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
      const started = performance.now()
      for (let id = 1; id <= 3; id++) publisher.publish({ topic: level, payload: new Uint8Array(90_000), qos: 1, id })
      for (let id = 1; id <= 3; id++) await publisher.expect("puback", 5_000)
      expect(performance.now() - started).toBeGreaterThan(700)
    })

    test("topics that are longer or deeper: 0x90 for a PUBLISH, 0x8F for a filter, 0x90 for a will", async () => {
      await settled()
      const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
      const deep = "a/b/c/d/e"
      const long = "x".repeat(41)
      client.send(
        encode.subscribe(
          5,
          1,
          [deep, long, "a/b/c/d", `$share/group/${deep}`, "$share/group/a/b/+/#"].map((filter) => ({ filter }))
        )
      )
      expect((await client.expect("suback")).codes).toEqual([0x8f, 0x8f, 0, 0x8f, 0])
      for (const [id, topic] of [deep, long].entries()) {
        client.publish({ topic, payload: "x", qos: 1, id: id + 1 })
        expect((await client.expect("puback")).code).toBe(0x90)
        client.publish({ topic, payload: "x", qos: 2, id: id + 11 })
        expect((await client.expect("pubrec")).code).toBe(0x90)
      }
      expect(await codeOf(broker(), 5, { will: { topic: deep, payload: "x" } })).toBe(0x90)
      client.publish({ topic: deep, payload: "x", qos: 0 })
      expect((await client.find("disconnect")).code).toBe(0x90)
      expect(await broker().sumOf("manifold_mqtt_topics_too_large_total")).toBeGreaterThanOrEqual(7)
    })
  }
)

brokerSuite("limit of all connections", { set: { "protocol-mqtt.connections_max": "3" } }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  test("above it CONNECT is refused with 0x97", async () => {
    const codes: Array<number> = []
    for (let number = 0; number < 12; number++) codes.push(await codeOf(broker(), number % 2 === 0 ? 5 : 4))
    expect([3, 4, 5, 6]).toContain(codes.filter((code) => code === 0).length)
    expect(codes.every((code) => [0, 3, 0x97].includes(code))).toBe(true)
    expect(codes).toContain(0x97)
  })
})
