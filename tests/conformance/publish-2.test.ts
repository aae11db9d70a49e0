/** Topic aliases, answers to PUBLISH and what it causes: MQTT 5.0 sections 3.3.2.3.4, 3.3.4 and 3.4 to 3.7. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { decode } from "../support/mqtt-decode.ts"
import {
  type Connect,
  encode,
  type Properties,
  propertiesOf,
  propertyOf,
  textOf,
  type Version
} from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"

const VERSIONS: ReadonlyArray<Version> = [3, 4, 5]
/** A name of more levels than the broker holds, which it refuses. */
const DEEP = "a/".repeat(140)
const PUBACK_CODES = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]
const RELEASE_CODES = [0x00, 0x92]

/** Nothing is stored without a subscription, so that some messages have nobody who wants them. */
const OPTIONS = { set: { "topics.auto_create_mqtt": "off" } }

brokerSuite("conformance of PUBLISH and its answers", OPTIONS, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (version: Version = 5, more: Connect = {}): Promise<ConnectedMqtt> =>
    RawMqtt.connect(broker().mqtt, { version, ...more })
  const withProperties = (...properties: Properties): Promise<ConnectedMqtt> => connect(5, { properties })

  /** Sends bytes that end the connection with a Reason Code. */
  async function refused(client: RawMqtt, bytes: Uint8Array, code: number): Promise<void> {
    client.send(bytes)
    await client.closed()
    expect(client.drain()).toMatchObject([{ type: "disconnect", code }])
  }

  /** Publishes to each name in turn; what the client gets: the name on the wire, and the alias. */
  async function aliased(
    client: RawMqtt,
    names: ReadonlyArray<string>
  ): Promise<ReadonlyArray<readonly [string, unknown]>> {
    const publisher = await connect()
    const found: Array<readonly [string, unknown]> = []
    for (const topic of names) {
      await publisher.publishWhole({ topic, payload: topic, qos: 1 })
      const message = await client.expect("publish")
      client.ack("puback", message.id)
      expect(textOf(message.payload)).toBe(topic)
      found.push([message.topic, propertyOf(message.properties, "topicAlias")])
    }
    return found
  }

  test("topic aliases end with their connection, in both directions [MQTT-3.3.2-7]", async () => {
    const [clientId, level] = [uniqueId(), uniqueLevel()]
    const again: Connect = {
      clientId,
      clean: false,
      properties: [
        ["sessionExpiry", 1_000],
        ["topicAliasMaximum", 10]
      ]
    }
    const first = await connect(5, again)
    await first.subscribe(`${level}/#`, 1)
    const name = `${level}/name`
    expect(await aliased(first, [name, name])).toEqual([
      [name, 1],
      ["", 1]
    ])
    await first.publishWhole({ topic: `${level}/own`, qos: 1, properties: [["topicAlias", 1]] })
    await first.disconnect(0)
    const second = await connect(5, again)
    await second.messages(1)
    expect((await aliased(second, [name]))[0]?.[0]).toBe(name)
    await refused(second, encode.publish(5, { topic: "", properties: [["topicAlias", 1]] }), 0x82)
  })

  test("Topic Alias 0 ends the connection, and is never sent [MQTT-3.3.2-8]", async () => {
    const level = uniqueLevel()
    const subscriber = await withProperties(["topicAliasMaximum", 2])
    await subscriber.subscribe(`${level}/#`, 1)
    const names = ["one", "one", "two", "two", "three", "three"].map((name) => `${level}/${name}`)
    for (const [name, alias] of await aliased(subscriber, names)) {
      expect(alias).not.toBe(0)
      expect(name !== "" || Number(alias) > 0).toBe(true)
    }
    await refused(await connect(), encode.publish(5, { topic: level, properties: [["topicAlias", 0]] }), 0x94)
  })

  test("no alias is sent above the client's Topic Alias Maximum, which is 0 where it says nothing [MQTT-3.3.2-11]", async () => {
    const level = uniqueLevel()
    const names = Array.from({ length: 24 }, (_, index) => `${level}/name${index % 6}`)
    for (const maximum of [undefined, 0, 1, 3]) {
      const subscriber = await withProperties(
        ...(maximum === undefined ? [] : [["topicAliasMaximum", maximum] as const])
      )
      await subscriber.subscribe(`${level}/#`, 1)
      for (const [, alias] of await aliased(subscriber, names))
        expect(Number(alias ?? 0)).toBeLessThanOrEqual(maximum ?? 0)
      subscriber.cut()
    }
  })

  test("every alias is taken from 1 to the Topic Alias Maximum of the CONNACK [MQTT-3.3.2-12]", async () => {
    const [level, publisher, subscriber] = [uniqueLevel(), await connect(), await connect()]
    await subscriber.subscribe(`${level}/#`, 1)
    const maximum = Number(propertyOf(publisher.connack.properties, "topicAliasMaximum"))
    expect(maximum).toBeGreaterThan(0)
    for (const isKnown of [false, true]) {
      for (let alias = 1; alias <= maximum; alias++) {
        const topic = isKnown ? "" : `${level}/${alias}`
        await publisher.publishWhole({ topic, payload: `${alias}`, qos: 1, properties: [["topicAlias", alias]] })
      }
      const found = await subscriber.messages(maximum)
      for (const { topic, payload } of found) expect(topic).toBe(`${level}/${textOf(payload)}`)
      expect(new Set(found.map(({ topic }) => topic)).size).toBe(maximum)
    }
  })

  test("an alias above the maximum, and one that was never set, end the connection", async () => {
    const client = await connect()
    const maximum = Number(propertyOf(client.connack.properties, "topicAliasMaximum") ?? 0)
    await refused(client, encode.publish(5, { topic: "a", properties: [["topicAlias", maximum + 1]] }), 0x94)
    await refused(await connect(), encode.publish(5, { topic: "", properties: [["topicAlias", 1]] }), 0x82)
  })

  test("QoS 0 has no answer, QoS 1 a PUBACK, QoS 2 a PUBREC, with the identifier of the PUBLISH [MQTT-3.3.4-1]", async () => {
    for (const version of VERSIONS) {
      const [client, topic] = [await connect(version), uniqueLevel()]
      client.publish({ topic, payload: "x" })
      await client.quiet(20)
      for (const id of [1, 0x1234, 65_535]) {
        client.publish({ topic, payload: "x", qos: 1, id })
        expect(await client.expect("puback")).toMatchObject({ id })
        client.publish({ topic, payload: "x", qos: 2, id })
        expect(await client.expect("pubrec")).toMatchObject({ id })
        client.ack("pubrel", id)
        expect(await client.expect("pubcomp")).toMatchObject({ id, code: 0 })
      }
    }
  })

  /** Three subscriptions that match one name, with identifiers 3, none and 200; the client has QoS 0, 2 and 1. */
  async function overlapping(version: Version): Promise<readonly [RawMqtt, string]> {
    const [client, level] = [await connect(version), uniqueLevel()]
    const identified = (value: number): Properties => (version === 5 ? [["subscriptionIdentifier", value]] : [])
    await client.subscribe(`${level}/#`, 0, identified(3))
    await client.subscribe(`${level}/+`, 2)
    await client.subscribe(`${level}/a`, 1, identified(200))
    return [client, `${level}/a`]
  }

  test("of subscriptions that overlap the highest QoS decides [MQTT-3.3.4-2]", async () => {
    const [[client, topic], publisher] = [await overlapping(5), await connect()]
    for (const qos of [2, 1, 0] as const) {
      await publisher.publishWhole({ topic, payload: "x", qos })
      expect((await client.messages(1))[0]?.qos).toBe(qos)
      if (qos === 2) client.ack("pubcomp", (await client.expect("pubrel")).id)
    }
  })

  test("3.1.1: of subscriptions that overlap the highest QoS decides [MQTT-3.3.5-1 of 3.1.1]", async () => {
    for (const version of [3, 4] as const) {
      const [[client, topic], publisher] = [await overlapping(version), await connect(version)]
      await publisher.publishWhole({ topic, payload: "x", qos: 2 })
      const qos = (await client.messages(1)).map((message) => message.qos)
      expect(qos).toEqual([2])
    }
  })

  test("a message has the Subscription Identifiers of those that match it and have one [MQTT-3.3.4-3] [MQTT-3.3.4-4]", async () => {
    const [[client, topic], publisher] = [await overlapping(5), await connect()]
    const other = topic.replace("/a", "/b")
    for (const [name, wanted] of [
      [topic, [3, 200]],
      [other, [3]],
      [`${other}/c`, [3]]
    ] as const) {
      await publisher.publishWhole({ topic: name, payload: "x", qos: 1 })
      const identifiers = (await client.messages(1)).map((each) =>
        propertiesOf(each.properties, "subscriptionIdentifier")
      )
      expect(identifiers.map((each) => each.map(Number).toSorted((a, b) => a - b))).toEqual([[...wanted]])
    }
    // The same for a session that was away.
    const more: Connect = { clientId: uniqueId(), clean: false, properties: [["sessionExpiry", 1_000]] }
    const away = await connect(5, more)
    for (const [filter, value] of [
      [topic, 7],
      [topic.replace("/a", "/+"), 8],
      [topic.replace("/a", "/#"), 9]
    ] as const) {
      await away.subscribe(filter, 1, [["subscriptionIdentifier", value]])
    }
    await away.disconnect(0)
    await publisher.publishWhole({ topic, payload: "x", qos: 1 })
    const [message] = await (await connect(5, more)).messages(1)
    expect(propertiesOf(message?.properties ?? [], "subscriptionIdentifier").toSorted()).toEqual([7, 8, 9])
  })

  test("where a message is sent twice each copy has the identifier of its own subscription [MQTT-3.3.4-5]", async () => {
    const [client, publisher, topic] = [await connect(), await connect(), uniqueLevel()]
    await client.subscribe(topic, 1, [["subscriptionIdentifier", 5]])
    await client.subscribe(`$share/g/${topic}`, 1, [["subscriptionIdentifier", 6]])
    await publisher.publishWhole({ topic, payload: "x", qos: 1 })
    const found = await client.messages(2)
    expect(found.map(({ properties }) => propertiesOf(properties, "subscriptionIdentifier")).toSorted()).toEqual([
      [5],
      [6]
    ])
  })

  test("a PUBLISH with a Subscription Identifier ends the connection and reaches nobody [MQTT-3.3.4-6]", async () => {
    const [subscriber, topic] = [await connect(), uniqueLevel()]
    await subscriber.subscribe(topic, 1)
    for (const qos of [0, 1, 2] as const) {
      const bytes = encode.publish(5, { topic, qos, properties: [["subscriptionIdentifier", 7]] })
      await refused(await connect(), bytes, 0x82)
    }
    await subscriber.quiet(20)
  })

  test("no more is on its way than the client's Receive Maximum [MQTT-3.3.4-9]", async () => {
    for (const sessionExpiry of [0, 1_000]) {
      const [publisher, level] = [await connect(), uniqueLevel()]
      const client = await withProperties(["receiveMaximum", 3], ["sessionExpiry", sessionExpiry])
      await client.subscribe(`${level}/#`, 2)
      for (let number = 0; number < 9; number++) {
        await publisher.publishWhole({ topic: `${level}/a`, payload: `${number}`, qos: number % 2 === 0 ? 1 : 2 })
      }
      const first = await client.messages(3, { acknowledge: false })
      await client.quiet(60)
      const [one, two, three] = first.map(({ id }) => id)
      // PUBREC keeps its place, PUBACK and PUBCOMP give it back, and so does a PUBREC that refuses.
      client.ack("pubrec", two ?? 0)
      expect((await client.expect("pubrel")).id).toBe(two ?? 0)
      await client.quiet(40)
      client.ack("puback", one ?? 0)
      const [fourth] = await client.messages(1, { acknowledge: false })
      client.ack("pubcomp", two ?? 0)
      await client.messages(1, { acknowledge: false })
      await client.quiet(40)
      client.ack("pubrec", fourth?.id ?? 0, 0x80)
      await client.messages(1, { acknowledge: false })
      client.ack("puback", three ?? 0)
      await client.messages(1, { acknowledge: false })
      await client.quiet(40)
      client.cut()
    }
  })

  test("with the Receive Maximum reached all other packets are sent [MQTT-3.3.4-10]", async () => {
    for (const sessionExpiry of [0, 1_000]) {
      const [publisher, topic] = [await connect(), uniqueLevel()]
      const client = await withProperties(["receiveMaximum", 1], ["sessionExpiry", sessionExpiry])
      await client.subscribe(topic, 2)
      for (let number = 0; number < 3; number++) await publisher.publishWhole({ topic, payload: "x", qos: 2 })
      const [message] = await client.messages(1, { acknowledge: false })
      client.send(encode.pingreq())
      await client.expect("pingresp")
      client.send(encode.subscribe(5, 2, [{ filter: `${topic}/other` }]))
      await client.expect("suback")
      client.send(encode.unsubscribe(5, 3, [`${topic}/other`]))
      await client.expect("unsuback")
      await client.publishWhole({ topic: `${topic}/x`, payload: "x", qos: 1 })
      await client.publishWhole({ topic: `${topic}/x`, payload: "x", qos: 2 })
      client.ack("pubrec", message?.id ?? 0)
      await client.expect("pubrel")
    }
  })

  test("PUBACK and PUBREC have Reason Codes of theirs [MQTT-3.4.2-1] [MQTT-3.5.2-1]", async () => {
    const [client, other, topic] = [await connect(), await connect(), uniqueLevel()]
    await other.subscribe(topic, 0)
    for (const [name, isRefused] of [
      [topic, false],
      [uniqueLevel(), false],
      [DEEP, true]
    ] as const) {
      client.publish({ topic: name, payload: "x", qos: 1, id: 1 })
      const puback = await client.expect("puback")
      client.publish({ topic: name, payload: "x", qos: 2, id: 2 })
      const pubrec = await client.expect("pubrec")
      for (const { code } of [puback, pubrec]) {
        expect(PUBACK_CODES).toContain(code)
        expect(code >= 0x80).toBe(isRefused)
      }
      if (isRefused) continue
      client.ack("pubrel", 2)
      await client.expect("pubcomp")
    }
  })

  /** Every acknowledgement that a client with this Maximum Packet Size gets, good and bad, by its type and code. */
  async function acknowledgements(size: number): Promise<Map<string, Uint8Array>> {
    const client = await withProperties(["maximumPacketSize", size])
    const found = new Map<string, Uint8Array>()
    for (const bytes of [
      encode.publish(5, { topic: "a", qos: 1, id: 1 }),
      encode.publish(5, { topic: DEEP, qos: 1, id: 2 }),
      encode.publish(5, { topic: "a", qos: 2, id: 3 }),
      encode.publish(5, { topic: DEEP, qos: 2, id: 4 }),
      encode.ack("pubrel", 3),
      encode.ack("pubrel", 5),
      encode.ack("pubrec", 6)
    ]) {
      client.send(bytes)
      const answer = await client.nextBytes()
      const decoded = decode(answer, 5)
      found.set(`${decoded.type} ${"code" in decoded && decoded.code >= 0x80 ? "bad" : "good"}`, answer)
    }
    expect([...found.keys()]).toEqual([
      "puback good",
      "puback bad",
      "pubrec good",
      "pubrec bad",
      "pubcomp good",
      "pubcomp bad",
      "pubrel bad"
    ])
    return found
  }
  async function fits(type: string): Promise<void> {
    for (const size of [16, 40]) {
      for (const [name, bytes] of await acknowledgements(size)) {
        if (name.startsWith(type)) expect([name, bytes.length <= size]).toEqual([name, true])
      }
    }
  }

  test("PUBACK has no property that makes it larger than the client takes [MQTT-3.4.2-2] [MQTT-3.4.2-3]", () =>
    fits("puback"))

  test("PUBREC has no property that makes it larger than the client takes [MQTT-3.5.2-2] [MQTT-3.5.2-3]", () =>
    fits("pubrec"))

  test("PUBREL has no property that makes it larger than the client takes [MQTT-3.6.2-2] [MQTT-3.6.2-3]", () =>
    fits("pubrel"))

  test("PUBCOMP has no property that makes it larger than the client takes [MQTT-3.7.2-2] [MQTT-3.7.2-3]", () =>
    fits("pubcomp"))

  test("a PUBREL with other flags than 0010 ends the connection [MQTT-3.6.1-1]", async () => {
    for (const version of [4, 5] as const) {
      for (const first of [0x60, 0x61, 0x63, 0x64, 0x66, 0x6a, 0x6f]) {
        const client = await connect(version)
        client.publish({ topic: "a", qos: 2, id: 1 })
        await client.expect("pubrec")
        client.send(Uint8Array.of(first, 2, 0, 1))
        await client.closed()
        expect(client.drain()).toMatchObject(version === 5 ? [{ type: "disconnect", code: 0x81 }] : [])
      }
    }
  })

  test("PUBREL has a Reason Code of its own: for what is known, and what is not [MQTT-3.6.2-1]", async () => {
    const [client, publisher, topic] = [await connect(), await connect(), uniqueLevel()]
    await client.subscribe(topic, 2)
    await publisher.publishWhole({ topic, payload: "x", qos: 2 })
    const [message] = await client.messages(1)
    expect(await client.expect("pubrel")).toMatchObject({ id: message?.id, code: 0 })
    client.ack("pubrec", 999)
    const unknown = await client.expect("pubrel")
    expect([unknown.id, RELEASE_CODES.includes(unknown.code)]).toEqual([999, true])
  })

  test("PUBCOMP has a Reason Code of its own: for what is known, and what is not [MQTT-3.7.2-1]", async () => {
    const client = await connect()
    client.publish({ topic: uniqueLevel(), qos: 2, id: 7 })
    await client.expect("pubrec")
    for (const id of [7, 8]) {
      client.ack("pubrel", id)
      const pubcomp = await client.expect("pubcomp")
      expect([pubcomp.id, RELEASE_CODES.includes(pubcomp.code)]).toEqual([id, true])
    }
  })

  test("3.1: QoS 2 in both directions, with packets of two bytes and no more", async () => {
    const [client, topic] = [await connect(3), uniqueLevel()]
    await client.subscribe(topic, 2)
    client.publish({ topic, payload: "x", qos: 2, id: 0x0a0b })
    expect(await client.find("pubrec")).toMatchObject({ id: 0x0a0b, code: 0 })
    client.send(encode.ack("pubrel", 0x0a0b))
    expect(await client.find("pubcomp")).toMatchObject({ id: 0x0a0b })
    const message = await client.find("publish")
    expect([message.topic, message.qos, textOf(message.payload)]).toEqual([topic, 2, "x"])
    client.ack("pubrec", message.id)
    expect(await client.expect("pubrel")).toMatchObject({ id: message.id, code: 0 })
    client.ack("pubcomp", message.id)
    await client.quiet(20)
  })
})
