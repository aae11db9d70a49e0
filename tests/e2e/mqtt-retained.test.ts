/** Retained messages: MQTT 5.0 sections 3.3.1.3, 3.8.3.1 (Retain Handling), 3.3.2.3.3 (expiry). */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, type Properties, propertyOf, textOf } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

brokerSuite("retained", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (version: 3 | 4 | 5 = 5): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, { version })

  /** What a new subscriber of `filter` is given. */
  async function retainedOf(filter: string): Promise<Array<string>> {
    const client = await connect(4)
    await client.subscribe(filter, 2)
    await sleep(60)
    const found = client.drain().map((each) => {
      if (each.type !== "publish") return each.type
      return `${each.topic}=${textOf(each.payload)}${each.retain ? "" : " without the retain flag"}`
    })
    await client.disconnect()
    return found.toSorted()
  }

  test("set, replace, leave, clear", async () => {
    const publisher = await connect(4)
    const topic = `${uniqueLevel()}/a`
    await publisher.publishWhole({ topic, payload: "plain", qos: 1 })
    expect(await retainedOf(topic)).toEqual([])
    await publisher.publishWhole({ topic, payload: "one", qos: 1, retain: true })
    expect(await retainedOf(topic)).toEqual([`${topic}=one`])
    await publisher.publishWhole({ topic, payload: "plain again", qos: 1 })
    expect(await retainedOf(topic)).toEqual([`${topic}=one`])
    await publisher.publishWhole({ topic, payload: "two", qos: 2, retain: true })
    expect(await retainedOf(topic)).toEqual([`${topic}=two`])
    publisher.publish({ topic, payload: "three", qos: 0, retain: true })
    await publisher.quiet(30)
    expect(await retainedOf(topic)).toEqual([`${topic}=three`])
    await publisher.publishWhole({ topic, qos: 1, retain: true })
    expect(await retainedOf(topic)).toEqual([])
    await publisher.publishWhole({ topic, qos: 1, retain: true })
    expect(await retainedOf(topic)).toEqual([])
  })

  test("present subscribers get it with the flag 0, the empty one too", async () => {
    const publisher = await connect(4)
    const subscriber = await connect(4)
    const topic = `${uniqueLevel()}/a`
    await subscriber.subscribe(topic, 1)
    await publisher.publishWhole({ topic, payload: "set", qos: 1, retain: true })
    await publisher.publishWhole({ topic, payload: "", qos: 1, retain: true })
    const found = await subscriber.messages(2)
    expect(found.map((message) => [textOf(message.payload), message.retain])).toEqual([
      ["set", false],
      ["", false]
    ])
  })

  test("wildcards give all that match, at the lower QoS of both, with the subscription's identifier", async () => {
    const publisher = await connect(4)
    const level = uniqueLevel()
    for (const [index, name] of ["a", "a/b", "a/b/c", "d", ""].entries()) {
      await publisher.publishWhole({
        topic: `${level}/${name}`,
        payload: name === "" ? "empty" : name,
        qos: index % 2 === 0 ? 1 : 2,
        retain: true
      })
    }
    expect(await retainedOf(`${level}/#`)).toHaveLength(5)
    expect(await retainedOf(`${level}/+`)).toEqual([`${level}/=empty`, `${level}/a=a`, `${level}/d=d`])
    expect(await retainedOf(`${level}/+/b`)).toEqual([`${level}/a/b=a/b`])
    expect(await retainedOf(`+/a`)).toContain(`${level}/a=a`)
    const client = await connect(5)
    await client.subscribe([{ filter: `${level}/+/b`, qos: 1 }], 0, [["subscriptionIdentifier", 77]])
    expect(await client.expect("publish")).toMatchObject({
      qos: 1,
      retain: true,
      properties: [["subscriptionIdentifier", 77]]
    })
  })

  test("a retained message comes at the lower of its own QoS and the granted one", async () => {
    const publisher = await connect(4)
    for (const qos of [0, 1, 2] as const) {
      const topic = `${uniqueLevel()}/q`
      await publisher.publishWhole({ topic, payload: "x", qos, retain: true })
      await publisher.quiet(0)
      for (const granted of [0, 1, 2] as const) {
        const client = await connect(granted === 1 ? 5 : 4)
        await client.subscribe(topic, granted)
        const delivered: number = (await client.expect("publish")).qos
        expect([qos, granted, delivered]).toEqual([qos, granted, Math.min(qos, granted)])
      }
    }
  })

  test("# gives no retained message of a topic name that begins with $", async () => {
    const publisher = await connect(4)
    const level = uniqueLevel("$r")
    await publisher.publishWhole({ topic: `${level}/a`, payload: "x", qos: 1, retain: true })
    expect((await retainedOf("#")).filter((each) => each.startsWith("$"))).toEqual([])
    expect(await retainedOf(`${level}/#`)).toEqual([`${level}/a=x`])
  })

  test("200 retained messages reach a new wildcard subscriber, all of them, at QoS 1 with a window of 5", async () => {
    const publisher = await connect(5)
    const level = uniqueLevel()
    for (let index = 0; index < 200; index++) {
      await publisher.publishWhole({ topic: `${level}/n${index}`, payload: String(index), qos: 1, retain: true })
    }
    const client = await RawMqtt.connect(broker().mqtt, { version: 5, properties: [["receiveMaximum", 5]] })
    await client.subscribe(`${level}/#`, 1)
    const found = (await client.messages(200)).map((message) => Number(textOf(message.payload)))
    expect(found.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, index) => index))
  }, 15_000)

  test("a SUBSCRIBE right behind a retained PUBLISH ends at that one, not at the one before it", async () => {
    const publisher = await connect(4)
    for (let round = 0; round < 10; round++) {
      const topic = `${uniqueLevel()}/a`
      await publisher.publishWhole({ topic, payload: "old", qos: 1, retain: true })
      const qos = round % 2 === 0 ? 0 : 1
      const filter = round % 4 < 2 ? topic : topic.replace("/a", "/+")
      for (const payload of ["new", ""]) {
        const client = await connect(4)
        client.send(
          encode.publish(4, { topic, payload, qos, id: 1, retain: true }),
          encode.subscribe(4, 2, [{ filter }])
        )
        await client.find("suback")
        await sleep(25)
        client.send(encode.pingreq())
        await client.find("pingresp")
        // It may come live, retained, or both; what counts is where the subscriber ends.
        const texts = client.drain().flatMap((packet) => (packet.type === "publish" ? [textOf(packet.payload)] : []))
        expect([round, texts.at(-1) ?? ""]).toEqual([round, payload])
      }
    }
  })

  test("under live updates a new subscriber never goes back to an older value, and misses none after its first", async () => {
    const names = Array.from({ length: 4 }, () => `${uniqueLevel()}/state`)
    const publisher = await connect(4)
    let isOver = false
    const publishing = (async () => {
      for (let value = 1; !isOver; value++) {
        for (const topic of names) await publisher.publishWhole({ topic, payload: String(value), qos: 1, retain: true })
      }
    })()
    publishing.catch(() => {})
    for (let round = 0; round < 150; round++) {
      const topic = names[round % names.length] ?? ""
      const client = await connect(round % 2 === 0 ? 4 : 5)
      await client.subscribe(round % 3 === 0 ? topic.replace("/state", "/+") : topic, 1)
      const values = (await client.messages(8)).map((message) => Number(textOf(message.payload)))
      for (const [index, value] of values.entries()) {
        const before = values[index - 1] ?? value
        expect([values, value - before === 0 || value - before === 1]).toEqual([values, true])
      }
      client.cut()
    }
    isOver = true
    await publishing
    for (const topic of names) await publisher.publishWhole({ topic, qos: 1, retain: true })
  }, 60_000)

  test("a SUBSCRIBE for a filter that is there sends them again (retain handling 0, and 3.1.1)", async () => {
    const publisher = await connect(4)
    const topic = `${uniqueLevel()}/a`
    await publisher.publishWhole({ topic, payload: "again", qos: 1, retain: true })
    for (const version of [4, 5] as const) {
      const client = await connect(version)
      for (let turn = 0; turn < 2; turn++) {
        await client.subscribe(topic)
        expect(await client.expect("publish")).toMatchObject({ retain: true, topic })
      }
    }
  })

  test("5: retain handling 1 sends them to a new subscription only, 2 never", async () => {
    const publisher = await connect(4)
    const topic = `${uniqueLevel()}/a`
    await publisher.publishWhole({ topic, payload: "kept", qos: 1, retain: true })
    const once = await connect()
    await once.subscribe([{ filter: topic, retainHandling: 1 }])
    expect((await once.expect("publish")).retain).toBe(true)
    await once.subscribe([{ filter: topic, retainHandling: 1, qos: 1 }])
    await once.quiet()
    const never = await connect()
    await never.subscribe([{ filter: topic, retainHandling: 2 }])
    await never.quiet()
    await never.subscribe([{ filter: topic, retainHandling: 1 }])
    await never.quiet()
    await never.subscribe([{ filter: topic, retainHandling: 0 }])
    expect((await never.expect("publish")).retain).toBe(true)
  })

  test("5: properties stay with it, the expiry is counted down, an expired one is gone", async () => {
    const publisher = await connect()
    const level = uniqueLevel()
    const list: Properties = [
      ["contentType", "text/plain"],
      ["responseTopic", "reply/here"],
      ["correlationData", Uint8Array.of(1, 2)],
      ["payloadFormat", 1],
      ["userProperty", ["z", "1"]],
      ["userProperty", ["a", "2"]]
    ]
    await publisher.publishWhole({
      topic: `${level}/long`,
      payload: "x",
      qos: 1,
      retain: true,
      properties: [...list, ["messageExpiry", 60]]
    })
    await publisher.publishWhole({
      topic: `${level}/short`,
      payload: "x",
      qos: 1,
      retain: true,
      properties: [["messageExpiry", 1]]
    })
    await sleep(2_100)
    const client = await connect()
    await client.subscribe(`${level}/#`)
    const message = await client.expect("publish")
    expect(message).toMatchObject({ topic: `${level}/long`, retain: true })
    for (const [name, value] of list.slice(0, 4)) expect(propertyOf(message.properties, name)).toEqual(value)
    expect(message.properties.filter(([name]) => name === "userProperty")).toEqual(list.slice(4))
    expect(Number(propertyOf(message.properties, "messageExpiry"))).toBeWithin(55, 60)
    await client.quiet()
  })

  test("retained messages that wait for a kept session's window come to its next connection", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    for (let number = 0; number < 6; number++) {
      await publisher.publishWhole({ topic: `${level}/${number}`, payload: `${number}`, qos: 1, retain: true })
    }
    const kept = { version: 5, clean: false, clientId: uniqueLevel() } as const
    const small: Properties = [
      ["sessionExpiry", 600],
      ["receiveMaximum", 2]
    ]
    const first = await RawMqtt.connect(broker().mqtt, { ...kept, properties: small })
    await first.subscribe(`${level}/#`, 1)
    expect(await first.messages(2, { acknowledge: false })).toHaveLength(2)
    // Until all shards have told what they have.
    await sleep(200)
    first.cut()
    await sleep(50)
    const second = await RawMqtt.connect(broker().mqtt, { ...kept, properties: [["sessionExpiry", 0]] })
    const got = (await second.messages(6)).map(({ payload }) => textOf(payload))
    expect(got.toSorted()).toEqual(["0", "1", "2", "3", "4", "5"])
  })
})

brokerSuite(
  "retained messages for slow takers",
  { set: { "protocol-mqtt.queue_messages_max": "100", "protocol-mqtt.output_bytes_max": "65536" } },
  (broker) => {
    afterEach(() => RawMqtt.cutAll())
    const COUNT = 2_000
    const level = uniqueLevel()
    const publishAll = async (): Promise<void> => {
      const publisher = await RawMqtt.connect(broker().mqtt, { version: 5 })
      for (let index = 0; index < COUNT; index++) {
        publisher.publish({
          topic: `${level}/${index}`,
          payload: "x".repeat(1_000),
          qos: 1,
          id: index + 1,
          retain: true
        })
      }
      for (let index = 0; index < COUNT; index++) await publisher.expect("puback")
    }
    const numbersOf = (topics: ReadonlyArray<string>): ReadonlyArray<number> =>
      topics.map((topic) => Number(topic.split("/")[1])).toSorted((a, b) => a - b)
    const all = Array.from({ length: COUNT }, (_, index) => index)

    test("all come, at the pace of their taker, however little may wait: QoS 0 and 1, kept or not", async () => {
      await publishAll()
      for (const [qos, isKept] of [
        [0, false],
        [1, false],
        [0, true],
        [1, true]
      ] as const) {
        const properties: Properties = [["receiveMaximum", 20], ...(isKept ? [["sessionExpiry", 600] as const] : [])]
        const client = await RawMqtt.connect(broker().mqtt, { version: 5, properties })
        await client.subscribe(`${level}/#`, qos)
        client.socket.pause()
        await sleep(150)
        client.socket.resume()
        const got = await client.messages(COUNT, { timeoutMs: 10_000 })
        expect(numbersOf(got.map(({ topic }) => topic))).toEqual(all)
        client.send(encode.disconnect(5, 0, isKept ? [["sessionExpiry", 0]] : []))
        await client.closed()
      }
    }, 30_000)

    test("a kept session gets the rest on its next connection", async () => {
      const facts = { version: 5, clean: false, clientId: uniqueLevel() } as const
      const properties: Properties = [
        ["sessionExpiry", 600],
        ["receiveMaximum", 10]
      ]
      const topics = new Set<string>()
      let client = await RawMqtt.connect(broker().mqtt, { ...facts, properties })
      await client.subscribe(`${level}/#`, 1)
      for (let round = 0; round < 3; round++) {
        for (const { topic } of await client.messages(300, { timeoutMs: 10_000 })) topics.add(topic)
        client.cut()
        await sleep(50)
        client = await RawMqtt.connect(broker().mqtt, { ...facts, properties })
      }
      while (topics.size < COUNT) topics.add((await client.messages(1, { timeoutMs: 10_000 }))[0]?.topic ?? "")
      expect(numbersOf([...topics])).toEqual(all)
      client.send(encode.disconnect(5, 0, [["sessionExpiry", 0]]))
      await client.closed()
    }, 30_000)

    test("one that leaves in the midst of them leaves nothing behind", async () => {
      for (let round = 0; round < 10; round++) {
        const client = await RawMqtt.connect(broker().mqtt, { version: 5, properties: [["receiveMaximum", 5]] })
        await client.subscribe(`${level}/#`, 1)
        await client.messages(20)
        client.cut()
      }
      const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
      await client.subscribe(`${level}/1`, 0)
      expect((await client.expect("publish")).topic).toBe(`${level}/1`)
    })
  }
)
