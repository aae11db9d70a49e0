/** SUBSCRIBE and SUBACK: MQTT 5.0 sections 3.8 and 3.9, MQTT 3.1.1 the same. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { decode } from "../support/mqtt-decode.ts"
import {
  encode,
  type Filter,
  field,
  type Properties,
  packet,
  propertiesOf,
  type Qos,
  textOf,
  two,
  type Version
} from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"

const VERSIONS: ReadonlyArray<Version> = [3, 4, 5]
const KEPT: Properties = [["sessionExpiry", 1_000]]
const NOT_UTF8 = [Uint8Array.of(0x61, 0xff), Uint8Array.of(0xc0, 0xaf), Uint8Array.of(0xed, 0xa0, 0x80)]
const SUBACK_CODES = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]

brokerSuite("conformance of SUBSCRIBE", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (version: Version = 5, properties: Properties = []): Promise<ConnectedMqtt> =>
    RawMqtt.connect(broker().mqtt, { version, properties })
  const kept = (clientId: string, version: Version = 5): Promise<ConnectedMqtt> =>
    RawMqtt.connect(broker().mqtt, { version, clientId, clean: false, properties: KEPT })

  /** Sends bytes that end the connection; version 5 is told why, with one of `codes`. */
  async function refused(version: Version, bytes: Uint8Array, ...codes: ReadonlyArray<number>): Promise<void> {
    const client = await connect(version)
    const answers = await client.answersUntilClosed(bytes)
    expect(answers.map(({ type }) => type)).toEqual(version === 5 ? ["disconnect"] : [])
    for (const answer of answers) if (answer.type === "disconnect") expect(codes).toContain(answer.code)
  }
  /** The codes of the SUBACK for these filters. */
  async function granted(client: RawMqtt, filters: ReadonlyArray<Filter>, id = 0x2345): Promise<ReadonlyArray<number>> {
    client.send(encode.subscribe(client.version, id, filters))
    const suback = await client.find("suback")
    expect(suback.id).toBe(id)
    return suback.codes
  }
  const textsOf = async (client: RawMqtt, count: number): Promise<ReadonlyArray<string>> =>
    (await client.messages(count)).map(({ payload }) => textOf(payload))

  test("a SUBSCRIBE with other flags than 0010 ends the connection [MQTT-3.8.1-1]", async () => {
    for (const version of [4, 5] as const) {
      const bytes = encode.subscribe(version, 1, [{ filter: "a" }])
      for (const first of [0x80, 0x81, 0x83, 0x86, 0x8a, 0x8f]) {
        await refused(version, Uint8Array.of(first, ...bytes.subarray(1)), 0x81)
      }
    }
  })

  test("a topic filter of SUBSCRIBE that is not UTF-8 ends the connection [MQTT-3.8.3-1]", async () => {
    for (const version of VERSIONS) {
      for (const filter of NOT_UTF8) {
        const before = version === 5 ? [two(1), Uint8Array.of(0)] : [two(1)]
        await refused(version, packet(0x82, ...before, field(filter), Uint8Array.of(0)), 0x81)
      }
    }
  })

  test("a SUBSCRIBE without a topic filter ends the connection [MQTT-3.8.3-2] [MQTT-3.8.3-3 of 3.1.1]", async () => {
    for (const version of VERSIONS) await refused(version, encode.subscribe(version, 1, []), 0x81, 0x82)
  })

  test("3.1.1: filters with wildcards are taken [MQTT-3.8.3-2 of 3.1.1]", async () => {
    for (const version of [3, 4] as const) {
      const [client, publisher, level] = [await connect(version), await connect(version), uniqueLevel()]
      expect(await granted(client, [{ filter: `${level}/+`, qos: 1 }, { filter: `${level}/b/#` }])).toEqual([1, 0])
      for (const name of ["a", "b/c/d"])
        await publisher.publishWhole({ topic: `${level}/${name}`, payload: name, qos: 1 })
      expect((await textsOf(client, 2)).toSorted()).toEqual(["a", "b/c/d"])
    }
  })

  test("with No Local a client's own messages do not come back, those of others do [MQTT-3.8.3-3]", async () => {
    for (const sessionExpiry of [0, 1_000]) {
      const client = await connect(5, [["sessionExpiry", sessionExpiry]])
      const [other, topic] = [await connect(), uniqueLevel()]
      await client.subscribe([{ filter: topic, qos: 2, noLocal: true }])
      for (const qos of [0, 1, 2] as const) {
        await client.publishWhole({ topic, payload: "own", qos })
        await other.publishWhole({ topic, payload: `${qos}`, qos })
      }
      const found = (await client.wholeMessages(3)).map(({ payload }) => textOf(payload))
      expect(found.toSorted()).toEqual(["0", "1", "2"])
      await client.quiet(20)
    }
    // What a slow client has not taken yet is read from where it is stored.
    const [slow, other, topic] = [await connect(5, [...KEPT, ["receiveMaximum", 1]]), await connect(), uniqueLevel()]
    await slow.subscribe([{ filter: topic, qos: 1, noLocal: true }])
    for (const number of [1, 2, 3]) {
      await other.publishWhole({ topic, payload: `${number}`, qos: 1 })
      await slow.publishWhole({ topic, payload: "own", qos: 1 })
    }
    expect(await textsOf(slow, 3)).toEqual(["1", "2", "3"])
    await slow.quiet(20)
  })

  test("No Local with a shared subscription ends the connection [MQTT-3.8.3-4]", async () => {
    await refused(5, encode.subscribe(5, 1, [{ filter: "$share/g/a", noLocal: true }]), 0x82)
  })

  test("a reserved bit in the subscription options ends the connection [MQTT-3.8.3-5]", async () => {
    for (const options of [0x40, 0x80, 0xc0, 0x41]) {
      const bytes = encode.subscribe(5, 1, [{ filter: "a" }])
      bytes[bytes.length - 1] = options
      await refused(5, bytes, 0x81)
    }
  })

  test("3.1.1: reserved bits beside the QoS, and QoS 3, end the connection [MQTT-3.8.3-4 of 3.1.1]", async () => {
    for (const options of [3, 4, 8, 16, 32, 64, 128]) {
      const bytes = encode.subscribe(4, 1, [{ filter: "a" }])
      bytes[bytes.length - 1] = options
      await refused(4, bytes)
    }
  })

  test("QoS 3 and Retain Handling 3 end the connection", async () => {
    for (const options of [0x03, 0x30]) {
      const bytes = encode.subscribe(5, 1, [{ filter: "a" }])
      bytes[bytes.length - 1] = options
      await refused(5, bytes, 0x81, 0x82)
    }
  })

  test("each SUBSCRIBE is answered by a SUBACK with its identifier [MQTT-3.8.4-1] [MQTT-3.8.4-2]", async () => {
    for (const version of VERSIONS) {
      const client = await connect(version)
      const ids = [1, 2, 0x1234, 65_535]
      client.send(...ids.map((id) => encode.subscribe(version, id, [{ filter: uniqueLevel(), qos: 1 }])))
      for (const id of ids) expect(await client.expect("suback")).toMatchObject({ id, codes: [1] })
      await client.quiet(0)
    }
  })

  test("the same filter again replaces the subscription with all its options [MQTT-3.8.4-3]", async () => {
    const [client, other, topic] = [await connect(), await connect(), uniqueLevel()]
    const first: Filter = { filter: topic, qos: 2, retainAsPublished: true }
    await client.subscribe([first], 0, [["subscriptionIdentifier", 9]])
    await client.subscribe([{ filter: topic, qos: 1, noLocal: true, retainHandling: 2 }], 0, [
      ["subscriptionIdentifier", 10]
    ])
    await client.publishWhole({ topic, payload: "own", qos: 1 })
    await other.publishWhole({ topic, payload: "x", qos: 2, retain: true })
    const [message] = await client.messages(1)
    expect([message?.qos, message?.retain, textOf(message?.payload ?? new Uint8Array(0))]).toEqual([1, false, "x"])
    expect(propertiesOf(message?.properties ?? [], "subscriptionIdentifier")).toEqual([10])
    await client.quiet(20)
  })

  /** Subscribes again and again while messages are published: none is lost, and what is retained comes each time. */
  async function replaced(version: Version, client: RawMqtt): Promise<void> {
    const [publisher, topic] = [await connect(version), uniqueLevel()]
    await publisher.publishWhole({ topic, payload: "kept", qos: 1, retain: true })
    await client.subscribe(topic, 1)
    for (let round = 0; round < 20; round++) {
      publisher.publish({ topic, payload: `${round}`, qos: 1, id: round + 1 })
      client.send(encode.subscribe(version, round + 1, [{ filter: topic, qos: 1 }]))
    }
    const found: Array<string> = []
    for (let subacks = 0; found.length < 41 || subacks < 20; ) {
      const each = await client.next()
      if (each.type === "suback") subacks += 1
      if (each.type !== "publish") continue
      found.push(textOf(each.payload))
      client.ack("puback", each.id)
    }
    expect(found.filter((text) => text === "kept").length).toBe(21)
    expect(found.filter((text) => text !== "kept").map(Number)).toEqual([...Array(20).keys()])
  }

  test("a subscription that is replaced loses nothing, and gets the retained messages again [MQTT-3.8.4-4]", async () => {
    await replaced(5, await connect())
    await replaced(5, await kept(uniqueId()))
  })

  test("3.1.1: a subscription that is replaced loses nothing, and gets the retained messages again [MQTT-3.8.4-3 of 3.1.1]", async () => {
    for (const version of [3, 4] as const) {
      await replaced(version, await connect(version))
      await replaced(version, await kept(uniqueId("c"), version))
    }
  })

  /** One SUBSCRIBE of several filters, one of them not valid and one twice: its codes; what is granted holds. */
  async function several(version: Version): Promise<ReadonlyArray<number>> {
    const [client, publisher, level] = [await connect(version), await connect(version), uniqueLevel()]
    const filters: ReadonlyArray<Filter> = [
      { filter: `${level}/a`, qos: 2 },
      { filter: `${level}/#/b`, qos: 1 },
      { filter: `${level}/b`, qos: 0 },
      { filter: `${level}/a`, qos: 1 },
      { filter: `${level}/d`, qos: 1 }
    ]
    const codes = await granted(client, filters)
    for (const name of ["a", "b", "c"])
      await publisher.publishWhole({ topic: `${level}/${name}`, payload: name, qos: 2 })
    const found = (await client.messages(2)).map(({ payload, qos }) => `${textOf(payload)} ${qos}`)
    expect(found.toSorted()).toEqual(["a 1", "b 0"])
    await client.quiet(20)
    return codes
  }

  test("several filters are taken in turn and have one SUBACK, with a code for each: what is granted, or a failure [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.8.4-7]", async () => {
    expect(await several(5)).toEqual([2, 0x8f, 0, 1, 1])
  })

  test("3.1.1: several filters have one SUBACK, with a code for each: what is granted, or a failure [MQTT-3.8.4-4 of 3.1.1] [MQTT-3.8.4-5 of 3.1.1]", async () => {
    expect(await several(4)).toEqual([2, 0x80, 0, 1, 1])
  })

  /** Each QoS of a message with each that is granted: live, retained, and to a session that was away. */
  async function everyQos(version: Version): Promise<void> {
    const [id, level, publisher] = [uniqueId("c"), uniqueLevel(), await connect(version)]
    const filters = ([0, 1, 2] as const).map((qos) => ({ filter: `${level}/${qos}/+`, qos }))
    const [away, live] = [await kept(id, version), await connect(version)]
    for (const client of [away, live]) expect(await granted(client, filters)).toEqual([0, 1, 2])
    away.cut()
    const names = ["0/0", "0/1", "0/2", "1/0", "1/1", "1/2", "2/0", "2/1", "2/2"]
    const publish = async (first: string, retain: boolean): Promise<void> => {
      for (const name of names) {
        const qos = Number(name[2]) as Qos
        await publisher.publishWhole({ topic: `${first}/${name}`, payload: name, qos, retain })
      }
    }
    await publish(level, false)
    await publish(`kept/${level}`, true)
    const late = await connect(version)
    const retained = filters.map(({ filter, qos }) => ({ filter: `kept/${filter}`, qos }))
    expect(await granted(late, retained)).toEqual([0, 1, 2])
    const wanted = ["0/0 0", "0/1 0", "0/2 0", "1/0 0", "1/1 1", "1/2 1", "2/0 0", "2/1 1", "2/2 2"]
    const kinds = async (client: RawMqtt, count: number): Promise<ReadonlyArray<string>> =>
      (await client.messages(count)).map(({ payload, qos }) => `${textOf(payload)} ${qos}`).toSorted()
    expect(await kinds(live, 9)).toEqual(wanted)
    expect(await kinds(late, 9)).toEqual(wanted)
    expect(await kinds(await kept(id, version), 4)).toEqual(wanted.filter((each) => !each.endsWith("0")))
  }

  test("a message comes with the lower of its QoS and the granted one [MQTT-3.8.4-8]", () => everyQos(5))

  test("3.1.1: a message comes with the lower of its QoS and the granted one [MQTT-3.8.4-6 of 3.1.1]", async () => {
    for (const version of [3, 4] as const) await everyQos(version)
  })

  test("SUBACK has no property that makes it larger than the client takes [MQTT-3.9.2-1] [MQTT-3.9.2-2]", async () => {
    for (const size of [16, 40, 70]) {
      const client = await connect(5, [["maximumPacketSize", size]])
      client.send(encode.subscribe(5, 1, [{ filter: "a+" }, { filter: uniqueLevel() }]))
      const bytes = await client.nextBytes()
      expect(decode(bytes, 5)).toMatchObject({ type: "suback", codes: [0x8f, 0] })
      expect(bytes.length).toBeLessThanOrEqual(size)
    }
  })

  test("the codes of a SUBACK stand in the order of the filters [MQTT-3.9.3-1]", async () => {
    for (const version of VERSIONS) {
      const [client, level] = [await connect(version), uniqueLevel()]
      const wished: ReadonlyArray<Qos> = [0, 1, 2, 2, 1, 0, 0, 2, 0]
      const filters = wished.map((qos, index) => ({ filter: `${level}/${index}`, qos }))
      expect(await granted(client, filters)).toEqual([...wished])
    }
  })

  /** The codes for filters that are valid and filters that are not. */
  async function allCodes(version: Version): Promise<ReadonlyArray<number>> {
    const client = await connect(version)
    const wrong = ["", "a+", "a/#/b", "#a", "$share//a", "$share/g", "$share/g+/a", "a/".repeat(140)]
    const right = ["a", "#", "+/+", "$share/g/a"]
    const codes = await granted(
      client,
      [...wrong, ...right].map((filter) => ({ filter, qos: 1 }))
    )
    expect(codes.map((code) => code >= 0x80)).toEqual([...wrong.map(() => true), ...right.map(() => false)])
    return codes
  }

  test("SUBACK has Reason Codes of its own [MQTT-3.9.3-2]", async () => {
    for (const code of await allCodes(5)) expect(SUBACK_CODES).toContain(code)
  })

  test("3.1.1: SUBACK has the return codes 0, 1, 2 and 0x80 and no other [MQTT-3.9.3-2 of 3.1.1]", async () => {
    for (const code of await allCodes(4)) expect([0, 1, 2, 0x80]).toContain(code)
  })
})
