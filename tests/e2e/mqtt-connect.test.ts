/** CONNECT to DISCONNECT, byte by byte: MQTT 5.0 sections 3.1, 3.2, 3.12 to 3.14; MQTT 3.1.1 the same sections. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { concat, encode, field, packet, propertyOf, two } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

brokerSuite("connect", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())

  test("3.1: MQIsdp level 3 is accepted with 20 02 00 00", async () => {
    const client = await RawMqtt.open(broker().mqtt, 3)
    client.send(encode.connect({ version: 3, clientId: uniqueId() }))
    await client.expectHex("20 02 00 00")
  })

  test("3.1.1: accepted with 20 02 00 00, ping answered with d0 00", async () => {
    const client = await RawMqtt.open(broker().mqtt)
    client.send(encode.connect({ clientId: uniqueId() }))
    await client.expectHex("20 02 00 00")
    client.sendHex("c0 00")
    await client.expectHex("d0 00")
  })

  test("5: what CONNACK announces is legal", async () => {
    const { connack } = await RawMqtt.connect(broker().mqtt, { version: 5 })
    expect(connack).toMatchObject({ sessionPresent: false, code: 0 })
    const list = connack.properties
    expect(propertyOf(list, "receiveMaximum") ?? 65_535).toBeGreaterThan(0)
    expect(propertyOf(list, "maximumPacketSize") ?? 1).toBeGreaterThan(0)
    expect(propertyOf(list, "maximumQos") ?? 2).toBe(2)
    expect(propertyOf(list, "retainAvailable") ?? 1).toBe(1)
    expect(propertyOf(list, "wildcardAvailable") ?? 1).toBe(1)
    expect(propertyOf(list, "subscriptionIdentifierAvailable") ?? 1).toBe(1)
    expect(propertyOf(list, "assignedClientIdentifier")).toBeUndefined()
    expect(propertyOf(list, "sharedAvailable") ?? 1).toBeLessThanOrEqual(1)
  })

  test("5: an empty client identifier gets a unique assigned one [MQTT-3.1.3-6]", async () => {
    const first = await RawMqtt.connect(broker().mqtt, { version: 5, clientId: "" })
    const second = await RawMqtt.connect(broker().mqtt, { version: 5, clientId: "", clean: false })
    const names = [first, second].map((client) => propertyOf(client.connack.properties, "assignedClientIdentifier"))
    expect(names.every((name) => typeof name === "string" && name.length > 0)).toBe(true)
    expect(names[0]).not.toBe(names[1])
  })

  test("3.1.1: an empty client identifier is accepted with a clean session only [MQTT-3.1.3-8]", async () => {
    await RawMqtt.connect(broker().mqtt, { clientId: "" })
    const client = await RawMqtt.open(broker().mqtt)
    client.send(encode.connect({ clientId: "", clean: false }))
    await client.expectHex("20 02 00 02")
    await client.closed()
  })

  for (const [name, level] of [
    ["MQTT", 6],
    ["MQTT", 0],
    ["MQIsdp", 4]
  ] as const) {
    test(`protocol ${name} level ${level} is refused and closed`, async () => {
      const client = await RawMqtt.open(broker().mqtt)
      client.send(packet(0x10, field(name), Uint8Array.of(level, 2), two(0), field(uniqueId())))
      await client.closed()
      const answer = client.drainBytes().map((bytes) => Buffer.from(bytes).toString("hex"))
      expect([[], ["20020001"], ["2003008400"]]).toContainEqual(answer)
    })
  }

  test("CONNECT in pieces of one byte", async () => {
    const client = await RawMqtt.open(broker().mqtt, 5)
    for (const byte of encode.connect({ version: 5, clientId: uniqueId(), properties: [["receiveMaximum", 10]] })) {
      client.send(Uint8Array.of(byte))
      await sleep(1)
    }
    expect((await client.expect("connack")).code).toBe(0)
  })

  test("CONNECT, SUBSCRIBE, PUBLISH, PINGREQ in one segment are answered in order [MQTT-3.1.4-5]", async () => {
    const topic = `${uniqueLevel()}/a`
    const client = await RawMqtt.open(broker().mqtt)
    client.send(
      encode.connect({ clientId: uniqueId() }),
      encode.subscribe(4, 1, [{ filter: topic }]),
      encode.publish(4, { topic, payload: "one", qos: 1, id: 2 }),
      encode.pingreq()
    )
    expect((await client.expect("connack")).code).toBe(0)
    // A PUBLISH may come before the SUBACK (MQTT 5.0, section 3.8.4).
    expect((await client.find("suback")).codes).toEqual([0])
    await client.find("puback")
    await client.find("pingresp")
    expect((await client.find("publish")).topic).toBe(topic)
  })

  test("DISCONNECT closes the connection and says nothing", async () => {
    for (const version of [3, 4, 5] as const) {
      const client = await RawMqtt.connect(broker().mqtt, { version })
      client.send(encode.disconnect(version))
      await client.closed()
      expect(client.drain()).toEqual([])
    }
  })

  test("a second client with the same identifier takes over; version 5 is told 0x8E, 3.1.1 nothing", async () => {
    const clientId = uniqueId()
    const old = await RawMqtt.connect(broker().mqtt, { version: 5, clientId })
    const next = await RawMqtt.connect(broker().mqtt, { version: 4, clientId })
    expect(await old.expect("disconnect")).toMatchObject({ code: 0x8e })
    await old.closed()
    const last = await RawMqtt.connect(broker().mqtt, { version: 5, clientId })
    await next.closed()
    expect(next.drain()).toEqual([])
    await last.quiet()
  })

  test("client identifiers with any characters are told apart", async () => {
    const clients = await Promise.all(
      ["#", "+", "a/+/#", "$" + "{clientid}", "../x", "ü€😀", "A", "a", " ", "x".repeat(200)].map((clientId) =>
        RawMqtt.connect(broker().mqtt, { version: 5, clientId })
      )
    )
    for (const client of clients) await client.quiet(0)
  })

  test("keep alive: silence for more than one and a half times the interval is cut, 5 is told 0x8D", async () => {
    const before = performance.now()
    const [old, recent] = await Promise.all([
      RawMqtt.connect(broker().mqtt, { version: 4, keepAlive: 1 }),
      RawMqtt.connect(broker().mqtt, { version: 5, keepAlive: 1 })
    ])
    await Promise.all([old.closed(4_000), recent.closed(4_000)])
    expect(performance.now() - before).toBeGreaterThan(1_400)
    expect(old.drain()).toEqual([])
    expect(recent.drain()).toMatchObject([{ type: "disconnect", code: 0x8d }])
  })

  test("keep alive: any packet counts, and zero means for ever", async () => {
    const silent = await RawMqtt.connect(broker().mqtt, { version: 4, keepAlive: 0 })
    const pinging = await RawMqtt.connect(broker().mqtt, { version: 4, keepAlive: 1 })
    const publishing = await RawMqtt.connect(broker().mqtt, { version: 5, keepAlive: 1 })
    const topic = `${uniqueLevel()}/a`
    for (let index = 0; index < 4; index++) {
      await sleep(700)
      pinging.send(encode.pingreq())
      publishing.publish({ topic, payload: "x" })
    }
    for (const client of [silent, pinging, publishing]) expect(client.isClosed).toBe(false)
  })

  test("5: an authentication method that the broker lacks is refused with 0x8C", async () => {
    const client = await RawMqtt.open(broker().mqtt, 5)
    client.send(
      encode.connect({ version: 5, clientId: uniqueId(), properties: [["authenticationMethod", "NONE-SUCH"]] })
    )
    expect((await client.expect("connack")).code).toBe(0x8c)
    await client.closed()
  })

  test("user name and password are read past, with and without a will", async () => {
    for (const version of [3, 4, 5] as const) {
      const client = await RawMqtt.connect(broker().mqtt, {
        version,
        username: "user",
        password: "secret",
        will: { topic: `${uniqueLevel()}/w`, payload: "gone", qos: 1, retain: true }
      })
      await client.disconnect()
    }
    expect(broker().stderr).not.toContain("secret")
  })

  test("many connections at once, each with its own session", async () => {
    const clients = await Promise.all(Array.from({ length: 200 }, () => RawMqtt.connect(broker().mqtt, { version: 5 })))
    for (const client of clients) client.send(concat(encode.pingreq(), encode.pingreq()))
    for (const client of clients) await client.expectHex("d000 d000")
  })
})
