/** The end of a QoS 2 exchange, order, flow control: MQTT 5.0 sections 4.3.3, 4.6, 4.9; MQTT 3.1.1 sections 4.3.3, 4.6. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { type Connect, encode, type Properties, type Qos, textOf } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

/** Sessions that outlive their connection. */
const KEPT: ReadonlyArray<Connect> = [
  { version: 4, clean: false },
  { version: 5, clean: false, properties: [["sessionExpiry", 600]] }
]
/** Sessions of both versions that end with their connection, too: the broker keeps those in another way. */
const ALL: ReadonlyArray<Connect> = [{ version: 4 }, { version: 5 }, ...KEPT]
const numbers = (count: number): Array<string> => Array.from({ length: count }, (_, index) => String(index))

brokerSuite("delivery in order", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: Connect = {}): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, options)
  const payloads = async (client: ConnectedMqtt, count: number): Promise<Array<string>> =>
    (await client.messages(count)).map(({ payload }) => textOf(payload))

  test("when identifiers begin anew after 65,535 messages, one that is in use is passed over [MQTT-4.3.2-1]", async () => {
    const topic = `${uniqueLevel()}/a`
    const subscriber = await connect()
    await subscriber.subscribe(topic, 1)
    const publisher = await connect()
    await publisher.publishWhole({ topic, qos: 1 })
    const held = (await subscriber.expect("publish")).id
    for (let round = 0; round < 132; round++) {
      publisher.send(...Array.from({ length: 500 }, (_, index) => encode.publish(4, { topic, qos: 1, id: index + 1 })))
      const identifiers: Array<number> = []
      while (identifiers.length < 500) identifiers.push((await subscriber.expect("publish")).id)
      subscriber.send(...identifiers.map((id) => encode.ack("puback", id)))
      expect(new Set([...identifiers, held]).size).toBe(501)
      publisher.drainBytes()
    }
    await subscriber.quiet(0)
  }, 15_000)

  test("PUBREL is answered by PUBCOMP with its identifier, also where that is not known [MQTT-4.3.3-11]", async () => {
    for (const kind of ALL) {
      const topic = `${uniqueLevel()}/a`
      const client = await connect({ ...kind, clientId: uniqueId() })
      for (const id of [1, 256, 65_535]) {
        client.publish({ topic, qos: 2, id })
        expect((await client.expect("pubrec")).id).toBe(id)
      }
      for (const id of [256, 65_535, 1]) {
        client.ack("pubrel", id)
        expect(await client.expect("pubcomp")).toMatchObject({ id, code: 0 })
      }
      for (const id of [256, 300]) {
        client.ack("pubrel", id)
        expect((await client.expect("pubcomp")).id).toBe(id)
      }
    }
  })

  test("after PUBCOMP a PUBLISH with the same identifier is a new message [MQTT-4.3.3-12]", async () => {
    for (const kind of ALL) {
      const topic = `${uniqueLevel()}/a`
      const subscriber = await connect()
      await subscriber.subscribe(topic, 1)
      const clientId = uniqueId()
      let client = await connect({ ...kind, clientId })
      for (let index = 0; index < 6; index++) {
        client.publish({ topic, payload: String(index), qos: 2, id: 6, dup: index % 2 === 1 })
        expect(await client.expect("pubrec")).toMatchObject({ id: 6, code: 0 })
        client.ack("pubrel", 6)
        expect(await client.expect("pubcomp")).toMatchObject({ id: 6, code: 0 })
        if (index !== 2) continue
        client.cut()
        client = await connect({ ...kind, clientId })
      }
      expect(await payloads(subscriber, 6)).toEqual(numbers(6))
      await subscriber.quiet(0)
    }
  })

  test("QoS 2 from a 3.1.1 client: PUBREC, nothing twice before PUBREL, PUBCOMP, then the identifier is free [MQTT-4.3.3-2 of 3.1.1]", async () => {
    for (const clean of [true, false]) {
      const topic = `${uniqueLevel()}/a`
      const subscriber = await connect()
      await subscriber.subscribe(topic, 2)
      const client = await connect({ version: 4, clean })
      for (const payload of ["first", "second"]) {
        for (const dup of [false, true, true]) {
          client.publish({ topic, payload, qos: 2, id: 77, dup })
          await client.expectHex("5002004d")
        }
        for (let copy = 0; copy < 2; copy++) {
          client.ack("pubrel", 77)
          await client.expectHex("7002004d")
        }
      }
      const found = await subscriber.wholeMessages(2)
      expect(found.map(({ payload }) => textOf(payload))).toEqual(["first", "second"])
      await subscriber.quiet(0)
    }
  })

  /** Clients that have had a message of both QoS whose expiry is over since. */
  const expired = async (
    publisher: ConnectedMqtt
  ): Promise<ReadonlyArray<readonly [ConnectedMqtt, Connect, ReadonlyArray<number>]>> => {
    const topic = `${uniqueLevel()}/a`
    const clients: Array<readonly [ConnectedMqtt, Connect]> = []
    for (const each of ALL) {
      const kind = { ...each, clientId: uniqueId() }
      const client = await connect(kind)
      await client.subscribe(topic, 2)
      clients.push([client, kind])
    }
    for (const qos of [1, 2] as const) {
      await publisher.publishWhole({ topic, payload: `QoS ${qos}`, qos, properties: [["messageExpiry", 1]] })
    }
    const found: Array<readonly [ConnectedMqtt, Connect, ReadonlyArray<number>]> = []
    for (const [client, kind] of clients) {
      found.push([client, kind, (await client.messages(2, { acknowledge: false })).map(({ id }) => id)])
    }
    return found
  }

  test("a message that expires after it was sent is sent again all the same, and its exchange goes on in both directions [MQTT-4.3.3-7] [MQTT-4.3.3-13]", async () => {
    const publisher = await connect({ version: 5 })
    const clients = await expired(publisher)
    const topic = `${uniqueLevel()}/a`
    publisher.publish({ topic, qos: 2, id: 3, properties: [["messageExpiry", 1]] })
    expect((await publisher.expect("pubrec")).id).toBe(3)
    await sleep(1_150)
    for (const [client, kind, [first = 0, second = 0]] of clients) {
      let current = client
      if (kind.clean === false) {
        current.cut()
        current = await connect(kind)
        expect(await current.expect("publish")).toMatchObject({ id: first, qos: 1, dup: true })
        expect(await current.expect("publish")).toMatchObject({ id: second, qos: 2, dup: true })
      }
      current.ack("puback", first)
      current.ack("pubrec", second)
      expect(await current.expect("pubrel")).toMatchObject({ id: second, code: 0 })
      current.ack("pubcomp", second)
      await current.quiet(0)
    }
    publisher.publish({ topic, qos: 2, id: 3, dup: true, properties: [["messageExpiry", 1]] })
    expect(await publisher.expect("pubrec")).toMatchObject({ id: 3, code: 0 })
    publisher.ack("pubrel", 3)
    expect(await publisher.expect("pubcomp")).toMatchObject({ id: 3, code: 0 })
  })

  /** Publishes to names with and without subscribers, which are stored in one way or another; answers must not overtake. */
  const answersInOrder = async (qos: Qos, type: "puback" | "pubrec"): Promise<void> => {
    const level = uniqueLevel()
    await (await connect({ clean: false })).subscribe(`${level}/kept/+`, 2)
    await (await connect()).subscribe(`${level}/live/+`, 0)
    for (const clean of [true, false]) {
      const publisher = await connect({ version: 4, clean })
      const packets: Array<Uint8Array> = []
      for (let id = 1; id <= 300; id++) {
        const topic = `${level}/${["kept", "nobody", "live"][id % 3]}/${id % 7}`
        packets.push(encode.publish(4, { topic, qos, id }))
      }
      publisher.send(...packets)
      for (let id = 1; id <= 300; id++) expect((await publisher.expect(type)).id).toBe(id)
    }
  }

  test("PUBACK packets come in the order of the PUBLISH packets that they answer [MQTT-4.6.0-2 of 3.1.1]", () =>
    answersInOrder(1, "puback"))

  test("PUBREC packets come in the order of the PUBLISH packets that they answer [MQTT-4.6.0-3 of 3.1.1]", () =>
    answersInOrder(2, "pubrec"))

  test("PUBREL packets come in the order of the PUBREC packets that they answer [MQTT-4.6.0-4 of 3.1.1]", async () => {
    for (const clean of [true, false]) {
      const topic = `${uniqueLevel()}/a`
      const subscriber = await connect({ version: 4, clean })
      await subscriber.subscribe(topic, 2)
      const publisher = await connect()
      for (let index = 0; index < 30; index++) await publisher.publishWhole({ topic, qos: 2 })
      const sent = (await subscriber.messages(30, { acknowledge: false })).map(({ id }) => id)
      const shuffled = sent.map((_, index) => sent[(index * 7) % 30] ?? 0)
      subscriber.send(...shuffled.map((id) => encode.ack("pubrec", id)))
      for (const id of shuffled) expect((await subscriber.expect("pubrel")).id).toBe(id)
    }
  })

  /** Two publishers send at once; each subscriber gets each one's messages in its order, those of one QoS for themselves. */
  const lookAtOrder = async (version: 4 | 5): Promise<void> => {
    const topic = `${uniqueLevel()}/a/b`
    const subscribers: Array<readonly [Connect, ConnectedMqtt]> = []
    for (const kind of ALL.filter((each) => each.version === version)) {
      for (const filter of [topic, topic.replace("/a/", "/+/"), topic.replace("/a/b", "/#")]) {
        for (const isAway of kind.clean === false ? [false, true] : [false]) {
          const own = { ...kind, clientId: uniqueId() }
          // A small window, so that most of it waits.
          const narrow: Properties = [...(kind.properties ?? []), ["receiveMaximum", 5]]
          const connected = await connect(version === 5 ? { ...own, properties: narrow } : own)
          await connected.subscribe(filter, 2)
          if (isAway) await connected.disconnect()
          subscribers.push([own, connected])
        }
      }
    }
    const publishers = [await connect({ version }), await connect({ version, clean: false })]
    const qosOf = (index: number): Qos => (index % 3) as Qos
    for (const [number, publisher] of publishers.entries()) {
      const packets = numbers(90).map((text, index) =>
        encode.publish(version, { topic, payload: `${number} ${text}`, qos: qosOf(index), id: index + 1 })
      )
      publisher.send(...packets)
    }
    for (const publisher of publishers) {
      for (let index = 0; index < 60; index++) {
        const { type } = await publisher.next()
        if (type !== "puback" && type !== "pubrec") throw new Error(`got ${type}`)
      }
    }
    for (const [own, before] of subscribers) {
      const wasAway = before.isClosed
      const client = wasAway ? await connect(own) : before
      const found = await client.messages(wasAway ? 120 : 180)
      for (const number of publishers.keys()) {
        for (const qos of wasAway ? ([1, 2] as const) : ([0, 1, 2] as const)) {
          const texts = found.filter((each) => each.qos === qos).map((each) => textOf(each.payload))
          const wanted = numbers(90).filter((_, index) => qosOf(index) === qos)
          expect(texts.filter((text) => text.startsWith(`${number} `))).toEqual(
            wanted.map((text) => `${number} ${text}`)
          )
        }
      }
    }
  }

  test("messages of one topic and QoS come in the order in which their publisher sent them, for each kind of filter and session [MQTT-4.6.0-5] [MQTT-4.6.0-6]", () =>
    lookAtOrder(5))

  test("messages of one topic and QoS come to 3.1.1 clients in the order in which their publisher sent them [MQTT-4.6.0-5 of 3.1.1] [MQTT-4.6.0-6 of 3.1.1]", () =>
    lookAtOrder(4))

  test("the first messages are one at least and no more than the client's Receive Maximum, old connection or new [MQTT-4.9.0-1]", async () => {
    for (const sessionExpiry of [0, 600]) {
      for (const [before, maximum, count] of [
        [1, 1, 1],
        [1, 4, 4],
        [4, 1, 1],
        [undefined, 3, 3],
        [2, undefined, 12]
      ] as const) {
        const topic = `${uniqueLevel()}/a`
        const kind = (receiveMaximum: number | undefined): Connect => ({
          version: 5,
          clean: false,
          clientId: topic,
          properties: [
            ["sessionExpiry", sessionExpiry],
            ...(receiveMaximum === undefined ? [] : ([["receiveMaximum", receiveMaximum]] as const))
          ]
        })
        await (await connect(kind(before))).disconnect()
        const subscriber = await connect(kind(maximum))
        await subscriber.subscribe(topic, 2)
        const publisher = await connect()
        for (let index = 0; index < 12; index++) {
          await publisher.publishWhole({ topic, payload: String(index), qos: ((index % 2) + 1) as Qos })
        }
        const found = await subscriber.messages(count, { acknowledge: false })
        expect(found.map(({ payload }) => textOf(payload))).toEqual(numbers(count))
        await subscriber.quiet(20)
      }
    }
  })

  test("with as many unacknowledged as its Receive Maximum a client gets no more, and one for each that PUBACK, PUBCOMP or a refusal ends [MQTT-4.9.0-2]", async () => {
    for (const sessionExpiry of [0, 600]) {
      const topic = `${uniqueLevel()}/a`
      const kind: Connect = {
        version: 5,
        clean: false,
        clientId: uniqueId(),
        properties: [
          ["receiveMaximum", 4],
          ["sessionExpiry", sessionExpiry]
        ]
      }
      let client = await connect(kind)
      await client.subscribe(topic, 2)
      const publisher = await connect()
      for (let index = 0; index < 20; index++) {
        await publisher.publishWhole({ topic, payload: String(index), qos: ((index % 2) + 1) as Qos })
      }
      let next = 4
      const one = async (): Promise<void> => {
        expect(textOf((await client.expect("publish")).payload)).toBe(String(next))
        next += 1
      }
      const [first, second, third, fourth] = (await client.messages(4, { acknowledge: false })).map(({ id }) => id)
      await client.quiet(20)
      client.ack("puback", first ?? 0)
      await one()
      await client.quiet(20)
      client.ack("pubrec", second ?? 0)
      await client.expect("pubrel")
      await client.quiet(20)
      client.ack("pubcomp", second ?? 0)
      await one()
      client.ack("puback", third ?? 0, 0x80)
      await one()
      client.ack("pubrec", fourth ?? 0, 0x80)
      await one()
      await client.quiet(20)
      // What acknowledges nothing makes no room.
      client.ack("puback", first ?? 0)
      client.ack("pubcomp", second ?? 0)
      await client.quiet(20)
      if (sessionExpiry === 0) continue
      client.cut()
      client = await connect(kind)
      const again = await client.messages(4, { acknowledge: false })
      expect(again.map(({ payload, dup }) => `${textOf(payload)} ${dup}`)).toEqual(
        ["4", "5", "6", "7"].map((n) => `${n} true`)
      )
      await client.quiet(20)
    }
  })

  test("a client with a full window is served in everything else [MQTT-4.9.0-3]", async () => {
    for (const sessionExpiry of [0, 600]) {
      const level = uniqueLevel()
      const properties = [["receiveMaximum", 1] as const, ["sessionExpiry", sessionExpiry] as const]
      const client = await connect({ version: 5, properties })
      await client.subscribe(`${level}/a`, 2)
      const publisher = await connect({ version: 5 })
      await publisher.subscribe(`${level}/from`, 2)
      for (const qos of [2, 1] as const)
        await publisher.publishWhole({ topic: `${level}/a`, payload: `QoS ${qos}`, qos })
      const { id } = await client.expect("publish")
      await client.quiet(0)
      client.publish({ topic: `${level}/from`, payload: "0", qos: 0 })
      await client.publishWhole({ topic: `${level}/from`, payload: "1", qos: 1, id: 1 })
      await client.publishWhole({ topic: `${level}/from`, payload: "2", qos: 2, id: 2 })
      expect(await payloads(publisher, 3)).toEqual(["0", "1", "2"])
      expect(await client.subscribe(`${level}/other`, 1)).toEqual([1])
      client.send(encode.unsubscribe(5, 9, [`${level}/nothing`]))
      expect((await client.expect("unsuback")).id).toBe(9)
      await publisher.publishWhole({ topic: `${level}/other`, payload: "QoS 0", qos: 0 })
      expect(textOf((await client.expect("publish")).payload)).toBe("QoS 0")
      client.ack("pubrec", id)
      expect((await client.expect("pubrel")).id).toBe(id)
      client.ack("pubrel", 99)
      expect((await client.expect("pubcomp")).id).toBe(99)
      await client.quiet(0)
      client.ack("pubcomp", id)
      expect(textOf((await client.expect("publish")).payload)).toBe("QoS 1")
    }
  })
})
