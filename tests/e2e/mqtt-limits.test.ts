/** Limits that the configuration sets: announced in CONNACK where MQTT 5 has a property for them, and kept (sections 3.2.2.3, 4.9). */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, propertyOf, textOf } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const set = {
  "protocol-mqtt.receive_maximum": "20",
  "protocol-mqtt.packet_size_max": "10000",
  "protocol-mqtt.topic_alias_maximum": "5",
  "protocol-mqtt.keep_alive_max": "2",
  "protocol-mqtt.session_expiry_max": "2",
  "protocol-mqtt.queue_messages_max": "10",
  "protocol-mqtt.inflight_max": "4",
  "protocol-mqtt.subscriptions_max": "8",
  "protocol-mqtt.connect_timeout": "1",
  "protocol-mqtt.response_information": "reply/\u0024{clientid}/",
  "protocol-mqtt.client_identifier_bytes_max": "30"
}

brokerSuite("limits", { set }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (properties: Parameters<typeof encode.connect>[0]["properties"] = []) =>
    RawMqtt.connect(broker().mqtt, { version: 5, properties })

  test("CONNACK announces them", async () => {
    const client = await RawMqtt.connect(broker().mqtt, {
      version: 5,
      keepAlive: 100,
      properties: [["sessionExpiry", 1_000]]
    })
    const list = client.connack.properties
    expect(propertyOf(list, "receiveMaximum")).toBe(20)
    expect(propertyOf(list, "maximumPacketSize")).toBe(10_000)
    expect(propertyOf(list, "topicAliasMaximum")).toBe(5)
    expect(propertyOf(list, "serverKeepAlive")).toBe(2)
    expect(propertyOf(list, "sessionExpiry")).toBe(2)
  })

  test("Response Information is for clients that ask, each has its own", async () => {
    const clientId = uniqueId()
    const asked = [["requestResponseInformation", 1]] as const
    const client = await RawMqtt.connect(broker().mqtt, { version: 5, clientId, properties: asked })
    expect(propertyOf(client.connack.properties, "responseInformation")).toBe(`reply/${clientId}/`)
    expect(propertyOf((await connect()).connack.properties, "responseInformation")).toBeUndefined()
    const refusing = await connect([["requestResponseInformation", 0]])
    expect(propertyOf(refusing.connack.properties, "responseInformation")).toBeUndefined()
  })

  test("as many unacknowledged QoS 2 messages as the Receive Maximum are taken, one more is 0x93", async () => {
    const client = await connect()
    const topic = `${uniqueLevel()}/a`
    const ids = Array.from({ length: 20 }, (_, index) => index + 1)
    client.send(...ids.map((id) => encode.publish(5, { topic, qos: 2, id })))
    for (const id of ids) expect(await client.expect("pubrec")).toMatchObject({ id })
    client.ack("pubrel", 1)
    expect(await client.expect("pubcomp")).toMatchObject({ id: 1, code: 0 })
    client.publish({ topic, qos: 2, id: 1 })
    expect(await client.expect("pubrec")).toMatchObject({ id: 1 })
    client.publish({ topic, qos: 2, id: 21 })
    expect(await client.expect("disconnect")).toMatchObject({ code: 0x93 })
    await client.closed()
  })

  test("QoS 0 and copies do not count against the Receive Maximum", async () => {
    const client = await connect()
    const topic = `${uniqueLevel()}/a`
    for (let id = 1; id <= 20; id++) client.publish({ topic, qos: 2, id })
    for (let id = 1; id <= 20; id++) await client.expect("pubrec")
    for (let index = 0; index < 30; index++) client.publish({ topic })
    client.publish({ topic, qos: 2, id: 7, dup: true })
    expect(await client.expect("pubrec")).toMatchObject({ id: 7 })
    await client.quiet(0)
  })

  test("a packet over the Maximum Packet Size is 0x95, one of exactly that size is taken", async () => {
    const client = await connect()
    const topic = `${uniqueLevel()}/a`
    const head = encode.publish(5, { topic, payload: "x".repeat(9_000) }).length - 9_000
    await client.subscribe(topic)
    client.publish({ topic, payload: "x".repeat(10_000 - head) })
    expect((await client.expect("publish")).payload).toHaveLength(10_000 - head)
    client.publish({ topic, payload: "x".repeat(10_001 - head) })
    expect(await client.expect("disconnect")).toMatchObject({ code: 0x95 })
    const old = await RawMqtt.connect(broker().mqtt)
    old.publish({ topic, payload: "x".repeat(20_000) })
    await old.closed()
    expect(old.drain()).toEqual([])
  })

  test("the broker's keep alive holds instead of the client's", async () => {
    const start = performance.now()
    const client = await RawMqtt.connect(broker().mqtt, { version: 5, keepAlive: 0 })
    await client.closed(6_000)
    expect(performance.now() - start).toBeWithin(2_900, 5_900)
    expect(client.drain()).toMatchObject([{ type: "disconnect", code: 0x8d }])
  }, 10_000)

  test("a session lives no longer than the broker said", async () => {
    const clientId = uniqueId("s")
    const kept = { version: 5, clientId, clean: false, properties: [["sessionExpiry", 1_000]] } as const
    await (await RawMqtt.connect(broker().mqtt, kept)).disconnect()
    await sleep(3_300)
    expect((await RawMqtt.connect(broker().mqtt, kept)).connack.sessionPresent).toBe(false)
  }, 10_000)

  test("no more in flight than the broker's own window, whatever the client allows", async () => {
    const subscriber = await connect()
    const publisher = await connect()
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe(topic, 1)
    for (let index = 0; index < 10; index++) await publisher.publishWhole({ topic, payload: String(index), qos: 1 })
    const first = await subscriber.messages(4, { acknowledge: false })
    await subscriber.quiet(50)
    subscriber.ack("puback", first[0]?.id ?? 0)
    expect(textOf((await subscriber.expect("publish")).payload)).toBe("4")
  })

  test("the queue of a session that is away keeps its bound and its order, and what is dropped is counted", async () => {
    const clientId = uniqueId("q")
    const kept = { version: 4, clientId, clean: false } as const
    const topic = `${uniqueLevel()}/a`
    const first = await RawMqtt.connect(broker().mqtt, kept)
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await connect()
    const before = await broker().metrics()
    for (let index = 0; index < 50; index++) await publisher.publishWhole({ topic, payload: String(index), qos: 1 })
    const second = await RawMqtt.connect(broker().mqtt, kept)
    const found: Array<number> = []
    for (let packet = await second.next(); packet.type === "publish"; packet = await second.next()) {
      found.push(Number(textOf(packet.payload)))
      second.ack("puback", packet.id)
      if (found.length >= 10) second.send(encode.pingreq())
    }
    expect(found.length).toBeWithin(10, 15)
    expect(found).toEqual(found.toSorted((a, b) => a - b))
    const dropped = (text: string): number =>
      [...text.matchAll(/^manifold_mqtt_\w*dropped\w*(?:\{[^}]*\})? (\d+)$/gm)].reduce(
        (sum, match) => sum + Number(match[1]),
        0
      )
    expect(dropped(await broker().metrics()) - dropped(before)).toBe(50 - found.length)
  })

  test("one filter more than allowed is refused with 0x97, those before it hold", async () => {
    const client = await connect()
    const level = uniqueLevel()
    client.send(
      encode.subscribe(
        5,
        1,
        Array.from({ length: 9 }, (_, index) => ({ filter: `${level}/${index}` }))
      )
    )
    expect((await client.expect("suback")).codes).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0x97])
    client.publish({ topic: `${level}/7` })
    client.publish({ topic: `${level}/8` })
    await client.messages(1)
    await client.quiet(50)
  })

  test("at the limit of filters one that is there can still be replaced, and a freed place can be taken", async () => {
    const client = await connect()
    const level = uniqueLevel()
    await client.subscribe(Array.from({ length: 8 }, (_, index) => ({ filter: `${level}/${index}` })))
    expect(await client.subscribe(`${level}/3`, 2)).toEqual([2])
    client.send(encode.unsubscribe(5, 2, [`${level}/5`]))
    expect((await client.expect("unsuback")).codes).toEqual([0])
    expect(await client.subscribe(`${level}/new`, 1)).toEqual([1])
  })

  test("topic alias 5 is taken, 6 is 0x94", async () => {
    const client = await connect()
    const topic = `${uniqueLevel()}/a`
    await client.subscribe(topic)
    client.publish({ topic, properties: [["topicAlias", 5]] })
    await client.messages(1)
    client.publish({ topic, properties: [["topicAlias", 6]] })
    expect(await client.expect("disconnect")).toMatchObject({ code: 0x94 })
  })

  test("a client identifier that is too long is refused: 0x85, in 3.1.1 0x02", async () => {
    const recent = await RawMqtt.open(broker().mqtt, 5)
    recent.send(encode.connect({ version: 5, clientId: "x".repeat(31) }))
    expect(await recent.expect("connack")).toMatchObject({ code: 0x85 })
    await recent.closed()
    await RawMqtt.connect(broker().mqtt, { version: 5, clientId: "€".repeat(10) })
    const wide = await RawMqtt.open(broker().mqtt, 5)
    wide.send(encode.connect({ version: 5, clientId: "€".repeat(11) }))
    expect(await wide.expect("connack")).toMatchObject({ code: 0x85 })
    const old = await RawMqtt.open(broker().mqtt, 4)
    old.send(encode.connect({ version: 4, clientId: "x".repeat(31) }))
    await old.expectHex("20 02 00 02")
    await old.closed()
  })

  test("the connect time-out", async () => {
    const start = performance.now()
    const client = await RawMqtt.open(broker().mqtt)
    await client.closed(4_000)
    expect(performance.now() - start).toBeWithin(900, 3_000)
  })
})
