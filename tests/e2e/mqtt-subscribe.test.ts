/** SUBSCRIBE, UNSUBSCRIBE and topic matching: MQTT 5.0 sections 3.8 to 3.11, 4.7. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, propertiesOf, textOf } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

/** Filter, what it matches, what it does not; `~` stands for a level of its own, so that rows do not meet. */
const MATCHES: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<string>]> = [
  ["~/player/#", ["~/player", "~/player/ranking", "~/player/score/final", "~/player/"], ["~/players", "~"]],
  ["~/#", ["~", "~/", "~/a", "~/a/b/c/d/e/f/g"], ["~a", "/~"]],
  ["~/tennis/+", ["~/tennis/a", "~/tennis/"], ["~/tennis", "~/tennis/a/b"]],
  ["~/+", ["~/", "~/a"], ["~", "~/a/b"]],
  ["+/~", ["/~", "a/~"], ["~", "a/b/~"]],
  ["/+/~", ["//~", "/a/~"], ["a/~", "/~"]],
  ["~/+/c/#", ["~/b/c", "~/b/c/d", "~//c/"], ["~/c", "~/b/d"]],
  ["+/~/+/#", ["a/~/b", "a/~/b/c", "/~/"], ["a/~", "~/a/b"]],
  ["~/a", ["~/a"], ["~/A", "~/a/", "/~/a", "~/a/b"]],
  ["~//b", ["~//b"], ["~/b", "~/x/b"]],
  ["~/ü €/😀", ["~/ü €/😀"], ["~/ü/😀"]],
  ["~/ ", ["~/ "], ["~/", "~"]],
  ["+/+/~/+", ["a/b/~/c", "//~/"], ["a/~/c"]],
  ["$~/#", ["$~/a", "$~"], ["~/a"]],
  ["$~/+/b", ["$~/a/b"], ["$~/b"]]
]

brokerSuite("subscribe", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())

  test("filters match what section 4.7 says, and nothing else", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt)
    const rows = await Promise.all(
      MATCHES.map(async ([filter, yes, no]) => {
        const level = uniqueLevel()
        const real = (text: string) => text.replace("~", level)
        const subscriber = await RawMqtt.connect(broker().mqtt)
        await subscriber.subscribe(real(filter), 1)
        return { filter, subscriber, yes: yes.map(real), no: no.map(real) }
      })
    )
    for (const topic of rows.flatMap((row) => [...row.yes, ...row.no])) await publisher.publishWhole({ topic, qos: 1 })
    await sleep(200)
    for (const { filter, subscriber, yes } of rows) {
      const topics = subscriber.drain().map((each) => (each.type === "publish" ? each.topic : each.type))
      expect([filter, ...topics.toSorted()]).toEqual([filter, ...yes.toSorted()])
    }
  })

  test("a leading wildcard does not match topic names that begin with $ [MQTT-4.7.2-1]", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt)
    const [all, plus, exact] = await Promise.all(
      ["#", "+/~", "$~/~"].map(async (filter, _, __, level = "dollar") => {
        const client = await RawMqtt.connect(broker().mqtt)
        await client.subscribe(filter.replaceAll("~", level), 1)
        return client
      })
    )
    await publisher.publishWhole({ topic: "$dollar/dollar", payload: "1", qos: 1 })
    await publisher.publishWhole({ topic: "x/dollar", payload: "2", qos: 1 })
    expect((await exact?.expect("publish"))?.topic).toBe("$dollar/dollar")
    expect((await plus?.expect("publish"))?.topic).toBe("x/dollar")
    expect((await all?.expect("publish"))?.topic).toBe("x/dollar")
  })

  test("SUBACK has a code for each filter in its order, equal filters too", async () => {
    const client = await RawMqtt.connect(broker().mqtt, { version: 4 })
    const level = uniqueLevel()
    client.send(
      encode.subscribe(4, 0x1234, [
        { filter: `${level}/a`, qos: 2 },
        { filter: `${level}/b`, qos: 0 },
        { filter: `${level}/a`, qos: 1 },
        { filter: `${level}/#`, qos: 1 }
      ])
    )
    await client.expectHex("90 06 1234 02 00 01 01")
  })

  for (const version of [4, 5] as const) {
    test(`${version}: overlapping subscriptions give one copy with the highest QoS${version === 5 ? " and all identifiers" : ""}`, async () => {
      const publisher = await RawMqtt.connect(broker().mqtt)
      const subscriber = await RawMqtt.connect(broker().mqtt, { version })
      const level = uniqueLevel()
      await subscriber.subscribe(
        [{ filter: `${level}/#`, qos: 1 }],
        0,
        version === 5 ? [["subscriptionIdentifier", 1]] : []
      )
      await subscriber.subscribe(
        [{ filter: `${level}/+`, qos: 2 }],
        0,
        version === 5 ? [["subscriptionIdentifier", 200]] : []
      )
      await subscriber.subscribe(
        [{ filter: `${level}/a`, qos: 0 }],
        0,
        version === 5 ? [["subscriptionIdentifier", 268_435_455]] : []
      )
      await subscriber.subscribe([{ filter: "+/a", qos: 0 }])
      await publisher.publishWhole({ topic: `${level}/a`, payload: "one", qos: 2 })
      const message = await subscriber.expect("publish")
      expect(message).toMatchObject({ qos: 2, topic: `${level}/a` })
      const identifiers = propertiesOf(message.properties, "subscriptionIdentifier").map(Number)
      expect(identifiers.toSorted((a, b) => a - b)).toEqual(version === 5 ? [1, 200, 268_435_455] : [])
      subscriber.ack("pubrec", message.id)
      subscriber.ack("pubcomp", (await subscriber.expect("pubrel")).id)
      await subscriber.quiet()
    })
  }

  test("a new SUBSCRIBE with the same filter replaces the old one: QoS, identifier, options", async () => {
    const subscriber = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe([{ filter: topic, qos: 0, noLocal: true }], 0, [["subscriptionIdentifier", 5]])
    subscriber.publish({ topic, payload: "own", qos: 1, id: 1 })
    await subscriber.find("puback")
    await subscriber.quiet()
    await subscriber.subscribe([{ filter: topic, qos: 1 }], 0, [["subscriptionIdentifier", 6]])
    subscriber.publish({ topic, payload: "own again", qos: 1, id: 2 })
    const message = await subscriber.find("publish")
    expect(message).toMatchObject({ qos: 1, properties: [["subscriptionIdentifier", 6]] })
    subscriber.ack("puback", message.id)
    await subscriber.find("puback")
    await subscriber.subscribe([{ filter: topic, qos: 0 }])
    subscriber.publish({ topic, payload: "third" })
    expect(await subscriber.find("publish")).toMatchObject({ qos: 0, properties: [] })
    await subscriber.quiet()
  })

  test("5: no local keeps back the client's own messages only", async () => {
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const other = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const topic = `${uniqueLevel()}/a`
    await client.subscribe([{ filter: topic, qos: 1, noLocal: true }])
    await client.publishWhole({ topic, payload: "own", qos: 1 })
    await other.publishWhole({ topic, payload: "other", qos: 1 })
    expect(textOf((await client.expect("publish")).payload)).toBe("other")
  })

  test("5: retain as published keeps the flag, otherwise it is 0", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const keeping = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const plain = await RawMqtt.connect(broker().mqtt, { version: 5 })
    const topic = `${uniqueLevel()}/a`
    await keeping.subscribe([{ filter: topic, retainAsPublished: true }])
    await plain.subscribe(topic)
    await publisher.publishWhole({ topic, payload: "1", retain: true })
    await publisher.publishWhole({ topic, payload: "2", retain: false })
    expect((await keeping.messages(2)).map((message) => message.retain)).toEqual([true, false])
    expect((await plain.messages(2)).map((message) => message.retain)).toEqual([false, false])
    await publisher.publishWhole({ topic, retain: true })
  })

  test("UNSUBSCRIBE: exact bytes in 3.1.1, a code each in 5, and nothing more arrives", async () => {
    const level = uniqueLevel()
    const publisher = await RawMqtt.connect(broker().mqtt)
    const old = await RawMqtt.connect(broker().mqtt, { version: 4 })
    await old.subscribe(`${level}/a`)
    await old.subscribe(`${level}/+`)
    old.send(encode.unsubscribe(4, 0x0a0b, [`${level}/a`, "never/there"]))
    await old.expectHex("b0 02 0a0b")
    const recent = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await recent.subscribe(`${level}/#`)
    recent.send(encode.unsubscribe(5, 7, [`${level}/a`, `${level}/#`, `${level}/#`]))
    expect(await recent.expect("unsuback")).toMatchObject({ id: 7, codes: [0x11, 0, 0x11] })
    await publisher.publishWhole({ topic: `${level}/a`, payload: "1", qos: 1 })
    expect(textOf((await old.expect("publish")).payload)).toBe("1")
    old.send(encode.unsubscribe(4, 1, [`${level}/+`]))
    await old.expectHex("b0 02 0001")
    await publisher.publishWhole({ topic: `${level}/a`, payload: "2", qos: 1 })
    await old.quiet()
    await recent.quiet()
  })

  test("a subscription holds from its SUBACK on, whoever publishes", async () => {
    const publisher = await RawMqtt.connect(broker().mqtt)
    for (let index = 0; index < 50; index++) {
      const level = uniqueLevel()
      const subscriber = await RawMqtt.connect(broker().mqtt)
      publisher.publish({ topic: `${level}/a`, payload: "before" })
      await subscriber.subscribe(index % 2 === 0 ? `${level}/a` : `${level}/+`)
      publisher.publish({ topic: `${level}/a`, payload: "after" })
      await subscriber.expect("publish").then(async (message) => {
        if (textOf(message.payload) === "before")
          expect(textOf((await subscriber.expect("publish")).payload)).toBe("after")
      })
    }
  })

  test("a wildcard subscription made after a topic was hot takes effect, and its end too", async () => {
    const level = uniqueLevel()
    const publisher = await RawMqtt.connect(broker().mqtt)
    const exact = await RawMqtt.connect(broker().mqtt)
    await exact.subscribe(`${level}/a/b`)
    for (let index = 0; index < 100; index++) publisher.publish({ topic: `${level}/a/b`, payload: "hot" })
    await exact.messages(100)
    const filters = ["#", "+/a/b", `${level}/#`, `${level}/a/+`, `${level}/+/b`]
    for (const filter of filters) {
      const wild = await RawMqtt.connect(broker().mqtt)
      await wild.subscribe(filter)
      await publisher.publishWhole({ topic: `${level}/a/b`, payload: filter, qos: 1 })
      expect(textOf((await wild.expect("publish")).payload)).toBe(filter)
      wild.send(encode.unsubscribe(4, 9, [filter]))
      await wild.expect("unsuback")
      await publisher.publishWhole({ topic: `${level}/a/b`, payload: "late", qos: 1 })
      await wild.quiet(30)
    }
    expect(await exact.messages(filters.length * 2)).toHaveLength(filters.length * 2)
  })
})
