/** PUBLISH and its acknowledgements in both directions: MQTT 5.0 sections 3.3 to 3.7, 4.3, 4.4, 4.6, 4.9. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, type Properties, propertyOf, type Qos, textOf, type Version } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, hex, RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"

const QOS: ReadonlyArray<Qos> = [0, 1, 2]
const VERSIONS: ReadonlyArray<Version> = [3, 4, 5]

brokerSuite("publish", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const pair = async (version: Version = 4): Promise<[ConnectedMqtt, ConnectedMqtt]> => [
    await RawMqtt.connect(broker().mqtt, { version }),
    await RawMqtt.connect(broker().mqtt, { version })
  ]

  test("3.1.1: the exact bytes of each flow", async () => {
    const [publisher, subscriber] = await pair()
    const level = uniqueLevel("b")
    const name = Buffer.from(level).toString("hex")
    const length = (2 + level.length).toString(16).padStart(2, "0")
    const size = (extra: number): string => (2 + level.length + extra).toString(16).padStart(2, "0")
    const topic = `00${level.length.toString(16).padStart(2, "0")}${name}`
    subscriber.sendHex(`82 ${(5 + level.length).toString(16).padStart(2, "0")} 0001 ${topic} 02`)
    await subscriber.expectHex("90 03 0001 02")
    publisher.sendHex(`30 ${length} ${topic}`)
    await subscriber.expectHex(`30 ${length} ${topic}`)
    publisher.sendHex(`32 ${size(3)} ${topic} 000a 78`)
    await publisher.expectHex("40 02 000a")
    const first = await subscriber.nextBytes()
    expect(hex(first).replace(/....78$/, "----78")).toBe(`32${size(3)}${topic}----78`)
    const firstId = hex(first).slice(-6, -2)
    subscriber.sendHex(`40 02 ${firstId}`)
    publisher.sendHex(`34 ${size(3)} ${topic} 000b 79`)
    await publisher.expectHex("50 02 000b")
    publisher.sendHex("62 02 000b")
    await publisher.expectHex("70 02 000b")
    const second = await subscriber.nextBytes()
    const id = hex(second).slice(-6, -2)
    expect(hex(second)).toBe(`34${size(3)}${topic}${id}79`)
    subscriber.sendHex(`50 02 ${id}`)
    await subscriber.expectHex(`62 02 ${id}`)
    subscriber.sendHex(`70 02 ${id}`)
    await subscriber.quiet()
    await publisher.quiet(0)
  })

  test("delivered QoS is the lower of published and granted, each version to each", async () => {
    for (const [from, to] of VERSIONS.flatMap((from) => VERSIONS.map((to) => [from, to] as const))) {
      const publisher = await RawMqtt.connect(broker().mqtt, { version: from })
      for (const granted of QOS) {
        const topic = `${uniqueLevel()}/a`
        const subscriber = await RawMqtt.connect(broker().mqtt, { version: to })
        expect(await subscriber.subscribe(topic, granted)).toEqual([granted])
        for (const qos of QOS) {
          await publisher.publishWhole({ topic: topic, payload: `${qos}`, qos: qos })
          const [message] = await subscriber.messages(1)
          expect(message).toMatchObject({ topic, qos: Math.min(qos, granted), retain: false, dup: false })
          expect(textOf(message?.payload ?? new Uint8Array(0))).toBe(`${qos}`)
          if (message?.qos === 2) subscriber.ack("pubcomp", (await subscriber.expect("pubrel")).id)
        }
        await subscriber.quiet(0)
      }
    }
  }, 20_000)

  for (const qos of QOS) {
    test(`QoS ${qos}: 2,000 pipelined messages arrive once, in order, acknowledged in order`, async () => {
      const [publisher, subscriber] = await pair(5)
      const window = Math.min(Number(propertyOf(publisher.connack.properties, "receiveMaximum") ?? 65_535), 100)
      const topic = `${uniqueLevel()}/a`
      await subscriber.subscribe(topic, qos)
      const received = subscriber.messages(2_000, { timeoutMs: 5_000 })
      received.catch(() => {})
      for (let start = 0; start < 2_000; start += window) {
        const ids = Array.from({ length: Math.min(window, 2_000 - start) }, (_, index) => index + 1)
        publisher.send(...ids.map((id) => encode.publish(5, { topic, payload: String(start + id - 1), qos, id })))
        if (qos === 0) continue
        for (const id of ids)
          expect(await publisher.expect(qos === 1 ? "puback" : "pubrec")).toMatchObject({ id, code: 0 })
        if (qos === 1) continue
        publisher.send(...ids.map((id) => encode.ack("pubrel", id)))
        for (const id of ids) expect(await publisher.expect("pubcomp")).toMatchObject({ id, code: 0 })
      }
      const payloads = (await received).map((message) => Number(textOf(message.payload)))
      expect(payloads).toEqual(Array.from({ length: 2_000 }, (_, index) => index))
    }, 20_000)
  }

  test("QoS 2: copies of an unreleased PUBLISH are acknowledged and delivered once; the identifier is free after PUBREL", async () => {
    const [publisher, subscriber] = await pair(5)
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe(topic, 2)
    publisher.publish({ topic, payload: "one", qos: 2, id: 7 })
    expect((await publisher.expect("pubrec")).code).toBe(0)
    for (let copy = 0; copy < 5; copy++) {
      publisher.publish({ topic, payload: "one", qos: 2, id: 7, dup: true })
      expect(await publisher.expect("pubrec")).toMatchObject({ id: 7 })
    }
    publisher.ack("pubrel", 7)
    expect(await publisher.expect("pubcomp")).toMatchObject({ id: 7, code: 0 })
    publisher.publish({ topic, payload: "two", qos: 2, id: 7 })
    await publisher.expect("pubrec")
    publisher.ack("pubrel", 7)
    await publisher.expect("pubcomp")
    const found = await subscriber.messages(2)
    expect(found.map((message) => textOf(message.payload))).toEqual(["one", "two"])
    subscriber.ack("pubcomp", (await subscriber.find("pubrel")).id)
    subscriber.ack("pubcomp", (await subscriber.find("pubrel")).id)
    await subscriber.quiet()
  })

  test("PUBREL and PUBREC for unknown identifiers: 0x92 in version 5, a plain answer in 3.1.1", async () => {
    const [recent] = await pair(5)
    recent.ack("pubrel", 99)
    expect(await recent.expect("pubcomp")).toMatchObject({ id: 99, code: 0x92 })
    recent.ack("pubrec", 98)
    expect(await recent.expect("pubrel")).toMatchObject({ id: 98, code: 0x92 })
    const [old] = await pair(4)
    old.ack("pubrel", 99)
    await old.expectHex("70 02 0063")
    old.ack("puback", 97)
    old.ack("pubcomp", 96)
    await old.quiet(0)
  })

  test("5: PUBREC with an error ends the flow: no PUBREL, the next message follows", async () => {
    const [publisher, subscriber] = await pair(5)
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe(topic, 2)
    await publisher.publishWhole({ topic: topic, payload: "refused", qos: 2 })
    const [message] = await subscriber.messages(1, { acknowledge: false })
    subscriber.ack("pubrec", message?.id ?? 0, 0x80)
    await publisher.publishWhole({ topic: topic, payload: "next", qos: 2 })
    expect(textOf((await subscriber.expect("publish")).payload)).toBe("next")
  })

  test("5: never more unacknowledged than the client's Receive Maximum, and QoS 0 is not held back by it", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5, properties: [["receiveMaximum", 3]] })
    const level = uniqueLevel()
    await subscriber.subscribe(`${level}/#`, 2)
    for (let index = 0; index < 10; index++)
      await publisher.publishWhole({ topic: `${level}/a`, payload: String(index), qos: index % 2 === 0 ? 1 : 2 })
    const first = await subscriber.messages(3, { acknowledge: false })
    expect(first.map((message) => textOf(message.payload))).toEqual(["0", "1", "2"])
    await subscriber.quiet()
    publisher.publish({ topic: `${level}/b`, payload: "zero" })
    expect(await subscriber.expect("publish")).toMatchObject({ qos: 0, topic: `${level}/b` })
    subscriber.ack("puback", first[0]?.id ?? 0)
    expect(textOf((await subscriber.expect("publish")).payload)).toBe("3")
    subscriber.ack("pubrec", first[1]?.id ?? 0)
    await subscriber.expect("pubrel")
    await subscriber.quiet()
    subscriber.ack("pubcomp", first[1]?.id ?? 0)
    expect(textOf((await subscriber.expect("publish")).payload)).toBe("4")
    await subscriber.quiet()
  })

  test("5: a message over the client's Maximum Packet Size is left out and the next one comes [MQTT-3.1.2-24]", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5, properties: [["maximumPacketSize", 100]] })
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe(topic, 1)
    await publisher.publishWhole({ topic: topic, payload: "x".repeat(200), qos: 1 })
    await publisher.publishWhole({ topic: topic, payload: "small", qos: 1 })
    expect(textOf((await subscriber.expect("publish")).payload)).toBe("small")
  })

  test("DUP of the publisher is not handed on [MQTT-3.3.1-3]", async () => {
    const [publisher, subscriber] = await pair()
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe(topic, 1)
    publisher.publish({ topic, qos: 1, id: 5, dup: true })
    expect((await subscriber.expect("publish")).dup).toBe(false)
  })

  test("payloads of every size come whole: 0, 1, around every length border, 200 KiB of any bytes", async () => {
    const [publisher, subscriber] = await pair()
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe(topic, 1)
    const border = 127 - topic.length
    const sizes = [
      0,
      1,
      border - 4,
      border - 3,
      border - 2,
      border - 1,
      16_383 - topic.length - 4,
      16_384,
      65_535,
      65_536,
      204_800
    ]
    for (const size of sizes) {
      const payload = Uint8Array.from({ length: size }, (_, index) => (index * 7 + size) & 255)
      publisher.publish({ topic, payload, qos: 1, id: 1 })
      await publisher.expect("puback")
      const [message] = await subscriber.messages(1)
      expect(Buffer.compare(message?.payload ?? new Uint8Array(0), payload)).toBe(0)
      expect(message?.payload.length).toBe(size)
    }
  })

  test("5: every property of PUBLISH reaches a version 5 subscriber unaltered, user properties in order [MQTT-3.3.2-18]", async () => {
    const [publisher, subscriber] = await pair(5)
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe(topic, 1)
    const list: Properties = [
      ["payloadFormat", 1],
      ["contentType", "text/plain"],
      ["responseTopic", "reply/here"],
      ["correlationData", Uint8Array.of(0, 1, 255)],
      ["userProperty", ["b", "2"]],
      ["userProperty", ["a", "1"]],
      ["userProperty", ["b", "3"]],
      ["userProperty", ["", ""]],
      ["userProperty", ["ü", "€"]]
    ]
    await publisher.publishWhole({ topic: topic, payload: "text", qos: 1, properties: list })
    const message = await subscriber.expect("publish")
    const sorted = (entries: Properties) => [
      ...entries.filter(([name]) => name !== "userProperty").toSorted(([a], [b]) => (a < b ? -1 : 1)),
      ...entries.filter(([name]) => name === "userProperty")
    ]
    expect(sorted(message.properties)).toEqual(sorted(list))
  })

  test("5: topic aliases towards the broker, as many as it announced", async () => {
    const [publisher, subscriber] = await pair(5)
    const maximum = Number(propertyOf(publisher.connack.properties, "topicAliasMaximum") ?? 0)
    const level = uniqueLevel()
    await subscriber.subscribe(`${level}/#`)
    if (maximum > 0) {
      for (const [topic, payload] of [
        [`${level}/a`, "1"],
        ["", "2"],
        [`${level}/b`, "3"],
        ["", "4"]
      ] as const) {
        publisher.publish({ topic, payload, properties: [["topicAlias", maximum]] })
      }
      const first = `${level}/a`
      const second = `${level}/b`
      // Order holds per topic name: two names may be sequenced by two shards.
      const found = (await subscriber.messages(4))
        .map((each) => [each.topic, textOf(each.payload), each.properties] as const)
        .toSorted(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0))
      expect(found).toEqual([
        [first, "1", []],
        [first, "2", []],
        [second, "3", []],
        [second, "4", []]
      ])
    }
    publisher.publish({ topic: `${level}/c`, properties: [["topicAlias", maximum + 1]] })
    expect((await publisher.expect("disconnect")).code).toBe(0x94)
    await publisher.closed()
  })

  test("5: topic aliases towards a client: as many as it takes [MQTT-3.1.2-26], anew on each connection, none where it takes none", async () => {
    const level = uniqueLevel()
    const [publisher, plain] = await pair(5)
    const connect = { version: 5, clientId: `${level}-alias`, clean: false } as const
    const kept: Properties = [
      ["sessionExpiry", 60],
      ["topicAliasMaximum", 2]
    ]
    let subscriber = await RawMqtt.connect(broker().mqtt, { ...connect, properties: kept })
    await subscriber.subscribe(`${level}/#`, 1)
    await plain.subscribe(`${level}/#`, 1)
    /** The topic name and the alias, as they stand in the packets. */
    const wire = async (client: ConnectedMqtt, topics: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
      const found: Array<string> = []
      // One at a time: several shards may sequence the names.
      for (const [index, topic] of topics.entries()) {
        const qos = (index % 2) as Qos
        publisher.publish({ topic: `${level}/${topic}`, payload: topic, qos, ...(qos === 0 ? {} : { id: 1 + index }) })
        const message = await client.expect("publish")
        expect(textOf(message.payload)).toBe(topic)
        if (message.id !== undefined && message.id > 0) client.send(encode.ack("puback", message.id))
        const alias = propertyOf(message.properties, "topicAlias") ?? 0
        found.push(`${message.topic.slice(level.length + 1)}/${alias}`)
      }
      return found
    }
    // The third name finds no place at first; the fourth time its turn has come.
    const names = ["one", "one", "two", "one", "two", "three", "two"]
    expect(await wire(subscriber, names)).toEqual(["one/1", "/1", "two/2", "/1", "/2", "three/0", "/2"])
    expect(
      (await plain.messages(names.length)).every(({ topic, properties }) => topic !== "" && properties.length === 0)
    ).toBe(true)
    await subscriber.disconnect()
    subscriber = await RawMqtt.connect(broker().mqtt, { ...connect, properties: kept })
    expect(await wire(subscriber, ["two", "two", "one"])).toEqual(["two/1", "/1", "one/2"])
  })

  test("one message to subscribers of every version, QoS and identifier: each gets its own form, time after time", async () => {
    const level = uniqueLevel()
    const subscribers = await Promise.all(
      VERSIONS.flatMap((version) => QOS.map((qos) => ({ version, qos, identifier: 0 })))
        .concat([
          { version: 5, qos: 1, identifier: 9 },
          { version: 5, qos: 0, identifier: 300 }
        ])
        .map(async (wish) => {
          const client = await RawMqtt.connect(broker().mqtt, { version: wish.version })
          const list: Properties = wish.identifier > 0 ? [["subscriptionIdentifier", wish.identifier]] : []
          await client.subscribe([{ filter: `${level}/+`, qos: wish.qos }], 0, list)
          return { ...wish, client }
        })
    )
    const publishers = await Promise.all(VERSIONS.map((version) => RawMqtt.connect(broker().mqtt, { version })))
    for (let round = 0; round < 36; round++) {
      const publisher = publishers[round % 3]
      if (publisher === undefined) continue
      const five = publisher.version === 5
      const list: Properties =
        five && round % 2 === 0
          ? [
              ["userProperty", ["round", String(round)]],
              ["contentType", "c".repeat(round)]
            ]
          : []
      const qos = (Math.floor(round / 3) % 3) as Qos
      const payload = `${round}${"p".repeat(round * 7)}`
      const topic = `${level}/${"n".repeat(1 + (round % 5))}`
      await publisher.publishWhole({ topic, payload, qos, retain: false, properties: list })
      for (const { client, version, qos: granted, identifier } of subscribers) {
        const [message] = await client.messages(1)
        const wanted =
          version === 5 ? [...list, ...(identifier > 0 ? [["subscriptionIdentifier", identifier]] : [])] : []
        const sorted = (entries: ReadonlyArray<unknown>): Array<string> =>
          entries.map((entry) => JSON.stringify(entry)).toSorted()
        expect([
          round,
          version,
          message?.topic,
          message?.qos,
          textOf(message?.payload ?? new Uint8Array(0)),
          sorted(message?.properties ?? [])
        ]).toEqual([round, version, topic, Math.min(qos, granted), payload, sorted(wanted)])
        if (message?.qos === 2) client.ack("pubcomp", (await client.expect("pubrel")).id)
      }
    }
  }, 15_000)

  test("a subscriber that is also the publisher gets its own message, between its acknowledgements", async () => {
    const client = await RawMqtt.connect(broker().mqtt, { version: 4 })
    const topic = `${uniqueLevel()}/a`
    await client.subscribe(topic, 1)
    client.publish({ topic, payload: "self", qos: 1, id: 1 })
    await client.find("puback")
    expect(textOf((await client.find("publish")).payload)).toBe("self")
  })

  test("one publisher to 100 subscribers: each gets all, in order", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt)
    const topic = `${uniqueLevel()}/a`
    const subscribers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const client = await RawMqtt.connect(broker().mqtt, { version: index % 2 === 0 ? 4 : 5 })
        await client.subscribe(index % 3 === 0 ? topic : topic.replace("/a", "/+"), 0)
        return client
      })
    )
    publisher.send(...Array.from({ length: 50 }, (_, index) => encode.publish(4, { topic, payload: String(index) })))
    for (const subscriber of subscribers) {
      const payloads = (await subscriber.messages(50)).map((message) => textOf(message.payload))
      expect(payloads).toEqual(Array.from({ length: 50 }, (_, index) => String(index)))
    }
  })
})
