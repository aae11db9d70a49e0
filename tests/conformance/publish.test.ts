/** PUBLISH, its flags, its topic name and its properties: MQTT 5.0 sections 3.3.1 and 3.3.2, MQTT 3.1.1 section 3.3.1. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import {
  bytesOf,
  encode,
  field,
  type Properties,
  packet,
  propertiesOf,
  propertyOf,
  type Qos,
  textOf,
  two,
  type Version
} from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const VERSIONS: ReadonlyArray<Version> = [3, 4, 5]
const QOS: ReadonlyArray<Qos> = [0, 1, 2]
const KEPT: Properties = [["sessionExpiry", 1_000]]

brokerSuite("conformance of PUBLISH", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (version: Version = 5): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, { version })
  /** A session that outlives its connection. */
  const kept = (clientId: string, version: Version = 5): Promise<ConnectedMqtt> =>
    RawMqtt.connect(broker().mqtt, { version, clientId, clean: false, properties: KEPT })

  /** Sends bytes that end the connection; version 5 is told why, with one of `codes`. */
  async function refused(version: Version, bytes: Uint8Array, ...codes: ReadonlyArray<number>): Promise<void> {
    const client = await connect(version)
    const answers = await client.answersUntilClosed(bytes)
    expect(answers.map(({ type }) => type)).toEqual(version === 5 ? ["disconnect"] : [])
    for (const answer of answers) if (answer.type === "disconnect") expect(codes).toContain(answer.code)
  }

  /** What a new subscription of `filter` is given, sorted: name, payload, QoS, and the flag where it is missing. */
  async function retainedOf(filter: string, version: Version = 5): Promise<Array<string>> {
    const client = await connect(version)
    await client.subscribe(filter, 2)
    await client.subscribe(`${uniqueLevel()}/never`)
    await sleep(40)
    const found = client.drain().map((each) => {
      if (each.type !== "publish") return each.type
      return `${each.topic} ${textOf(each.payload)} ${each.qos}${each.retain ? "" : " no flag"}`
    })
    client.cut()
    return found.toSorted()
  }

  /** The properties of one message by every way that it can take: live as it came, live at a lower QoS, stored, retained. */
  async function everyWay(list: Properties): Promise<ReadonlyArray<Properties>> {
    const level = uniqueLevel()
    const id = uniqueId()
    const away = await kept(id)
    await away.subscribe([{ filter: `${level}/#`, qos: 1, retainHandling: 2 }])
    await away.disconnect(0)
    const [same, lower, publisher] = [await connect(), await connect(), await connect()]
    await same.subscribe([{ filter: `${level}/#`, qos: 1, retainHandling: 2 }])
    await lower.subscribe([{ filter: `${level}/#`, qos: 0, retainHandling: 2 }])
    await publisher.publishWhole({ topic: `${level}/plain`, payload: "x", qos: 1, properties: list })
    await publisher.publishWhole({ topic: `${level}/kept`, payload: "x", qos: 1, retain: true, properties: list })
    const [back, late] = [await kept(id), await connect()]
    await late.subscribe(`${level}/kept`, 1)
    const found = [same, lower, back].map((client) => client.messages(2))
    const messages = (await Promise.all([...found, late.messages(1)])).flat()
    expect(messages.length).toBe(7)
    return messages.map(({ properties }) => properties)
  }

  test("what is sent again after a reconnect has DUP 1, at first it had DUP 0 [MQTT-3.3.1-1]", async () => {
    for (const version of VERSIONS) {
      const [id, level] = [uniqueId("c"), uniqueLevel()]
      const first = await kept(id, version)
      await first.subscribe(`${level}/#`, 2)
      const publisher = await connect(version)
      for (const qos of [1, 2] as const) await publisher.publishWhole({ topic: `${level}/${qos}`, payload: "x", qos })
      const flags = async (client: RawMqtt): Promise<ReadonlyArray<unknown>> => {
        const found = await client.messages(2, { acknowledge: false })
        return found.toSorted((a, b) => a.qos - b.qos).map(({ qos, dup }) => [qos, dup])
      }
      expect(await flags(first)).toEqual([
        [1, false],
        [2, false]
      ])
      first.cut()
      expect(await flags(await kept(id, version))).toEqual([
        [1, true],
        [2, true]
      ])
    }
  })

  test("DUP with QoS 0 ends the connection, and what is sent with QoS 0 has DUP 0 [MQTT-3.3.1-2]", async () => {
    for (const version of VERSIONS) {
      await refused(version, encode.publish(version, { topic: "a", dup: true }), 0x81)
      const [subscriber, publisher] = [await connect(version), await connect(version)]
      const topic = uniqueLevel()
      await subscriber.subscribe(topic, 0)
      await publisher.publishWhole({ topic, qos: 1, dup: true })
      expect(await subscriber.expect("publish")).toMatchObject({ qos: 0, dup: false })
    }
  })

  test("the DUP of a publisher is not handed on [MQTT-3.3.1-3]", async () => {
    for (const version of VERSIONS) {
      for (const qos of [1, 2] as const) {
        const [subscriber, publisher] = [await connect(version), await connect(version)]
        const topic = uniqueLevel()
        await subscriber.subscribe(topic, qos)
        await publisher.publishWhole({ topic, qos, dup: true })
        expect(await subscriber.expect("publish")).toMatchObject({ qos, dup: false })
      }
    }
  })

  test("a PUBLISH with both QoS bits ends the connection and reaches nobody [MQTT-3.3.1-4]", async () => {
    for (const version of VERSIONS) {
      const topic = uniqueLevel()
      const subscriber = await connect(version)
      await subscriber.subscribe(topic, 2)
      const bytes = encode.publish(version, { topic, payload: "x", qos: 2 })
      await refused(version, Uint8Array.of(0x36, ...bytes.subarray(1)), 0x81)
      await subscriber.quiet(20)
    }
  })

  test("a retained message replaces the one before, with its QoS [MQTT-3.3.1-5]", async () => {
    const [publisher, level] = [await connect(), uniqueLevel()]
    for (const qos of [1, 2, 0, 1] as const) {
      for (const name of ["a", "b", "c"]) {
        await publisher.publishWhole({ topic: `${level}/${name}`, payload: `${name}${qos}`, qos, retain: true })
      }
      await publisher.quiet(20)
      expect(await retainedOf(`${level}/#`)).toEqual(
        ["a", "b", "c"].map((name) => `${level}/${name} ${name}${qos} ${qos}`)
      )
    }
  })

  test("an empty retained message is delivered, and removes what was retained [MQTT-3.3.1-6]", async () => {
    const [publisher, subscriber, topic] = [await connect(), await connect(), uniqueLevel()]
    await publisher.publishWhole({ topic, payload: "x", qos: 1, retain: true })
    expect(await retainedOf(topic)).toEqual([`${topic} x 1`])
    await subscriber.subscribe([{ filter: topic, qos: 1, retainHandling: 2 }])
    await publisher.publishWhole({ topic, qos: 1, retain: true })
    expect((await subscriber.expect("publish")).payload.length).toBe(0)
    expect(await retainedOf(topic)).toEqual([])
  })

  test("an empty message is not retained [MQTT-3.3.1-7]", async () => {
    const [publisher, level] = [await connect(), uniqueLevel()]
    for (const qos of QOS) await publisher.publishWhole({ topic: `${level}/${qos}`, qos, retain: true })
    await publisher.quiet(20)
    expect(await retainedOf(`${level}/#`)).toEqual([])
  })

  test("a message with RETAIN 0 is not retained, and leaves what is retained, also when it is empty [MQTT-3.3.1-8]", async () => {
    const [publisher, level] = [await connect(), uniqueLevel()]
    await publisher.publishWhole({ topic: `${level}/kept`, payload: "x", qos: 1, retain: true })
    for (const qos of QOS) {
      for (const payload of ["y", ""]) {
        await publisher.publishWhole({ topic: `${level}/kept`, payload, qos })
        await publisher.publishWhole({ topic: `${level}/new`, payload, qos })
      }
    }
    await publisher.quiet(20)
    expect(await retainedOf(`${level}/#`)).toEqual([`${level}/kept x 1`])
  })

  /** Subscribes twice with a Retain Handling: so many of four retained messages come the first time, and the second. */
  async function handled(retainHandling: 0 | 1 | 2, ...counts: ReadonlyArray<number>): Promise<void> {
    const [publisher, subscriber, level] = [await connect(), await connect(), uniqueLevel()]
    const names = ["a", "b", "c", "d/e"]
    for (const name of names) {
      await publisher.publishWhole({ topic: `${level}/${name}`, payload: name, qos: 1, retain: true })
    }
    for (const count of counts) {
      await subscriber.subscribe([{ filter: `${level}/#`, qos: 1, retainHandling }])
      const found = (await subscriber.messages(count)).map(({ payload }) => textOf(payload))
      expect(found.toSorted()).toEqual(names.slice(0, count))
      await subscriber.quiet(40)
    }
  }

  test("Retain Handling 0: all retained messages come each time [MQTT-3.3.1-9]", () => handled(0, 4, 4))

  test("Retain Handling 1: they come for a new subscription alone [MQTT-3.3.1-10]", () => handled(1, 4, 0))

  test("Retain Handling 2: none comes [MQTT-3.3.1-11]", () => handled(2, 0, 0))

  /** The RETAIN flags of messages that were published with RETAIN 1 and 0: live, and to a session that was away. */
  async function flagsOf(retainAsPublished: boolean): Promise<ReadonlyArray<boolean>> {
    const [id, topic, publisher, live] = [uniqueId(), uniqueLevel(), await connect(), await connect()]
    const filters = [{ filter: topic, qos: 1, retainAsPublished, retainHandling: 2 }] as const
    const away = await kept(id)
    await away.subscribe(filters)
    await away.disconnect(0)
    await live.subscribe(filters)
    await publisher.publishWhole({ topic, payload: "x", qos: 1, retain: true })
    await publisher.publishWhole({ topic, payload: "y", qos: 1 })
    const back = await kept(id)
    return [...(await live.messages(2)), ...(await back.messages(2))].map(({ retain }) => retain)
  }

  test("without Retain As Published RETAIN is 0 [MQTT-3.3.1-12]", async () => {
    expect(await flagsOf(false)).toEqual([false, false, false, false])
  })

  test("with Retain As Published RETAIN is as it was published [MQTT-3.3.1-13]", async () => {
    expect(await flagsOf(true)).toEqual([true, false, true, false])
  })

  test("3.1.1: a new subscription gets the last retained message of each name that it matches [MQTT-3.3.1-6 of 3.1.1]", async () => {
    const [publisher, level] = [await connect(4), uniqueLevel()]
    for (const payload of ["1", "2"]) {
      for (const name of ["a", "b", "c/d"]) {
        await publisher.publishWhole({ topic: `${level}/${name}`, payload, qos: 1, retain: true })
      }
    }
    expect(await retainedOf(`${level}/+`, 4)).toEqual([`${level}/a 2 1`, `${level}/b 2 1`])
    expect(await retainedOf(`${level}/#`, 4)).toHaveLength(3)
  })

  test("3.1.1: a retained message of QoS 0 replaces what was retained before [MQTT-3.3.1-7 of 3.1.1]", async () => {
    const [publisher, topic] = [await connect(4), uniqueLevel()]
    await publisher.publishWhole({ topic, payload: "old", qos: 2, retain: true })
    publisher.publish({ topic, payload: "new", retain: true })
    await publisher.quiet(20)
    expect(await retainedOf(topic, 4)).toEqual([`${topic} new 0`])
  })

  test("3.1.1: RETAIN is 1 in what comes for a new subscription, and for one that is made again [MQTT-3.3.1-8 of 3.1.1]", async () => {
    const [publisher, subscriber, topic] = [await connect(4), await connect(4), uniqueLevel()]
    await publisher.publishWhole({ topic, payload: "x", qos: 1, retain: true })
    for (let times = 0; times < 2; times++) {
      await subscriber.subscribe(topic, 1)
      expect((await subscriber.messages(1))[0]?.retain).toBe(true)
    }
  })

  test("3.1.1: RETAIN is 0 in what comes for a subscription that is there [MQTT-3.3.1-9 of 3.1.1]", async () => {
    const [publisher, subscriber, topic] = [await connect(4), await connect(4), uniqueLevel()]
    await subscriber.subscribe(topic, 1)
    for (const retain of [false, true, true]) {
      await publisher.publishWhole({ topic, payload: "x", qos: 1, retain })
      expect((await subscriber.messages(1))[0]?.retain).toBe(false)
    }
  })

  test("3.1.1: an empty retained message removes, is delivered, and is not stored [MQTT-3.3.1-10 of 3.1.1] [MQTT-3.3.1-11 of 3.1.1]", async () => {
    const [publisher, subscriber, topic] = [await connect(4), await connect(4), uniqueLevel()]
    await publisher.publishWhole({ topic, payload: "x", qos: 1, retain: true })
    await subscriber.subscribe(topic, 1)
    for (const wanted of ["x", ""]) {
      expect((await subscriber.messages(1)).map(({ payload }) => textOf(payload))).toEqual([wanted])
      await publisher.publishWhole({ topic, qos: 1, retain: true })
    }
    expect(await retainedOf(topic, 4)).toEqual([])
  })

  test("3.1.1: a message with RETAIN 0 is not stored and removes nothing [MQTT-3.3.1-12 of 3.1.1]", async () => {
    const [publisher, level] = [await connect(4), uniqueLevel()]
    await publisher.publishWhole({ topic: `${level}/a`, payload: "x", qos: 1, retain: true })
    for (const topic of [`${level}/a`, `${level}/b`]) {
      for (const payload of ["y", ""]) await publisher.publishWhole({ topic, payload, qos: 1 })
    }
    expect(await retainedOf(`${level}/#`, 4)).toEqual([`${level}/a x 1`])
  })

  test("a topic name that is not UTF-8 ends the connection [MQTT-3.3.2-1]", async () => {
    const none = new Uint8Array(0)
    for (const version of VERSIONS) {
      for (const name of [Uint8Array.of(0x61, 0xff), Uint8Array.of(0xc0, 0xaf), Uint8Array.of(0xed, 0xa0, 0x80)]) {
        const end = version === 5 ? Uint8Array.of(0) : none
        await refused(version, packet(0x30, field(name), end, bytesOf("x")), 0x81, 0x90)
        if (version < 5) await refused(version, packet(0x32, field(name), two(1), bytesOf("x")))
      }
    }
  })

  test("a topic name with a wildcard ends the connection and reaches nobody [MQTT-3.3.2-2]", async () => {
    const [level, subscriber] = [uniqueLevel(), await connect()]
    await subscriber.subscribe(`${level}/#`, 2)
    for (const version of VERSIONS) {
      for (const name of ["#", "+", "a+", "+/a", "a/#"]) {
        await refused(version, encode.publish(version, { topic: `${level}/${name}` }), 0x81, 0x82, 0x90)
        if (version < 5) await refused(version, encode.publish(version, { topic: `${level}/${name}`, qos: 2 }))
      }
    }
    await subscriber.quiet(20)
  })

  test("what a subscriber gets has the name that was published, which its filter matches [MQTT-3.3.2-3]", async () => {
    const [level, publisher, subscriber] = [uniqueLevel(), await connect(), await connect()]
    await subscriber.subscribe(`${level}/+/x`, 1)
    const names = ["a/x", "a/y", "b/x", "x", "a/x/b", "/x", "A/X"]
    for (const name of names) await publisher.publishWhole({ topic: `${level}/${name}`, payload: name, qos: 1 })
    const found = await subscriber.messages(3)
    for (const { topic, payload } of found) expect(topic).toBe(`${level}/${textOf(payload)}`)
    expect(found.map(({ payload }) => textOf(payload)).toSorted()).toEqual(["/x", "a/x", "b/x"])
    await subscriber.quiet(20)
  })

  test("the Payload Format Indicator is handed on as it is [MQTT-3.3.2-4]", async () => {
    for (const value of [0, 1, undefined]) {
      const ways = await everyWay(value === undefined ? [] : [["payloadFormat", value]])
      for (const list of ways) expect(propertyOf(list, "payloadFormat")).toBe(value)
    }
  })

  test("a message that has expired is not delivered, the interval of others is less by the time of waiting [MQTT-3.3.2-5] [MQTT-3.3.2-6]", async () => {
    const [id, level, publisher, live] = [uniqueId(), uniqueLevel(), await connect(), await connect()]
    const away = await kept(id)
    const filters = [{ filter: `${level}/#`, qos: 2, retainHandling: 2 }] as const
    await away.subscribe(filters)
    await away.disconnect(0)
    await live.subscribe(filters)
    for (const [payload, seconds, qos] of [
      ["short", 1, 1],
      ["short", 1, 2],
      ["long", 500, 1]
    ] as const) {
      const properties: Properties = [["messageExpiry", seconds]]
      await publisher.publishWhole({ topic: `${level}/${payload}`, payload, qos, retain: true, properties })
    }
    const at = (await live.messages(3)).map(({ properties }) => Number(propertyOf(properties, "messageExpiry")))
    expect(at.toSorted((a, b) => a - b)).toEqual([1, 1, 500])
    await sleep(1_100)
    const [back, late] = [await kept(id), await connect()]
    await late.subscribe(`${level}/#`, 2)
    for (const client of [back, late]) {
      const [message] = await client.messages(1)
      expect(textOf(message?.payload ?? new Uint8Array(0))).toBe("long")
      const left = Number(propertyOf(message?.properties ?? [], "messageExpiry"))
      expect(left).toBeGreaterThan(490)
      expect(left).toBeLessThan(500)
      await client.quiet(20)
    }
  })

  test("a Response Topic that is not UTF-8 ends the connection [MQTT-3.3.2-13]", async () => {
    const properties: Properties = [["responseTopic", Uint8Array.of(0x61, 0xff)]]
    for (const qos of QOS) await refused(5, encode.publish(5, { topic: "a", qos, properties }), 0x81)
  })

  test("a Response Topic with a wildcard ends the connection [MQTT-3.3.2-14]", async () => {
    for (const name of ["#", "a/+", "+", "a/#"]) {
      await refused(5, encode.publish(5, { topic: "a", qos: 1, properties: [["responseTopic", name]] }), 0x81, 0x82)
    }
  })

  test("the Response Topic is handed on as it is [MQTT-3.3.2-15]", async () => {
    for (const list of await everyWay([["responseTopic", "ant/wort \u00fc"]])) {
      expect(propertyOf(list, "responseTopic")).toBe("ant/wort \u00fc")
    }
  })

  test("the Correlation Data are handed on as they are [MQTT-3.3.2-16]", async () => {
    const data = Uint8Array.of(0, 255, 0x23, 0, 7)
    for (const list of await everyWay([["correlationData", data]])) {
      expect([...(propertyOf(list, "correlationData") as Uint8Array)]).toEqual([...data])
    }
  })

  test("User Properties are handed on, all of them and in their order [MQTT-3.3.2-17] [MQTT-3.3.2-18]", async () => {
    const pairs = ["b=2", "a=1", "b=3", "=", "b=2", "mqtt.qos=1", "manifold-key=k"]
    const list = pairs.map((pair) => ["userProperty", pair.split("=") as [string, string]] as const)
    for (const found of await everyWay(list)) {
      expect(propertiesOf(found, "userProperty").map((pair) => (pair as [string, string]).join("="))).toEqual(pairs)
    }
  })

  test("a Content Type that is not UTF-8 ends the connection [MQTT-3.3.2-19]", async () => {
    const properties: Properties = [["contentType", Uint8Array.of(0xc3, 0x28)]]
    for (const qos of QOS) await refused(5, encode.publish(5, { topic: "a", qos, properties }), 0x81)
  })

  test("the Content Type is handed on as it is [MQTT-3.3.2-20]", async () => {
    for (const list of await everyWay([["contentType", "text/plain; \u00e9"]])) {
      expect(propertyOf(list, "contentType")).toBe("text/plain; \u00e9")
    }
  })
})
