/** UNSUBSCRIBE, UNSUBACK and PINGREQ: MQTT 5.0 sections 3.10 to 3.13, MQTT 3.1.1 the same. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { decode } from "../support/mqtt-decode.ts"
import { encode, field, type Properties, packet, textOf, two, type Version } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"

const VERSIONS: ReadonlyArray<Version> = [3, 4, 5]
const KEPT: Properties = [["sessionExpiry", 1_000]]
const NOT_UTF8 = [Uint8Array.of(0x61, 0xff), Uint8Array.of(0xc0, 0xaf), Uint8Array.of(0xed, 0xa0, 0x80)]
const UNSUBACK_CODES = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]

brokerSuite("conformance of UNSUBSCRIBE", {}, (broker) => {
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
  /** The codes of the UNSUBACK for these filters. */
  async function removed(client: RawMqtt, filters: ReadonlyArray<string>, id = 0x3456): Promise<ReadonlyArray<number>> {
    client.send(encode.unsubscribe(client.version, id, filters))
    const unsuback = await client.find("unsuback")
    expect(unsuback.id).toBe(id)
    return unsuback.codes
  }
  const textsOf = async (client: RawMqtt, count: number): Promise<ReadonlyArray<string>> =>
    (await client.messages(count)).map(({ payload }) => textOf(payload))

  test("an UNSUBSCRIBE with other flags than 0010 ends the connection [MQTT-3.10.1-1]", async () => {
    for (const version of [4, 5] as const) {
      const bytes = encode.unsubscribe(version, 1, ["a"])
      for (const first of [0xa0, 0xa1, 0xa3, 0xa6, 0xaa, 0xaf]) {
        await refused(version, Uint8Array.of(first, ...bytes.subarray(1)), 0x81)
      }
    }
  })

  test("a topic filter of UNSUBSCRIBE that is not UTF-8 ends the connection [MQTT-3.10.3-1]", async () => {
    for (const version of VERSIONS) {
      for (const filter of NOT_UTF8) {
        const before = version === 5 ? [two(1), Uint8Array.of(0)] : [two(1)]
        await refused(version, packet(0xa2, ...before, field(filter)), 0x81)
      }
    }
  })

  test("an UNSUBSCRIBE without a topic filter ends the connection [MQTT-3.10.3-2]", async () => {
    for (const version of VERSIONS) await refused(version, encode.unsubscribe(version, 1, []), 0x81, 0x82)
  })

  test("a filter of UNSUBSCRIBE removes the subscription that is equal to it, and no other [MQTT-3.10.4-1]", async () => {
    for (const version of VERSIONS) {
      const [client, publisher, level] = [await connect(version), await connect(version), uniqueLevel()]
      for (const filter of [`${level}/+/x`, `${level}/b/x`, `${level}/c/#`]) await client.subscribe(filter, 1)
      await removed(client, [`${level}/+/X`, `${level}/#`, `${level}/c/+`, `${level}/+/x/`, `+/+/x`])
      const publish = async (): Promise<void> => {
        for (const name of ["a/x", "b/x", "c/y"]) {
          await publisher.publishWhole({ topic: `${level}/${name}`, payload: name, qos: 1 })
        }
      }
      await publish()
      expect((await textsOf(client, 3)).toSorted()).toEqual(["a/x", "b/x", "c/y"])
      await removed(client, [`${level}/+/x`])
      await publish()
      expect((await textsOf(client, 2)).toSorted()).toEqual(["b/x", "c/y"])
      await client.quiet(20)
    }
  })

  test("after UNSUBSCRIBE nothing new comes [MQTT-3.10.4-2]", async () => {
    for (const version of VERSIONS) {
      const [publisher, topic] = [await connect(version), uniqueLevel()]
      for (const client of [await connect(version), await kept(uniqueId("c"), version)]) {
        await client.subscribe(topic, 2)
        await removed(client, [topic])
        for (const qos of [0, 1, 2] as const) await publisher.publishWhole({ topic, payload: "x", qos })
        await client.quiet(40)
      }
    }
  })

  test("what was on its way before UNSUBSCRIBE is completed, over a reconnect too [MQTT-3.10.4-3]", async () => {
    const [id, publisher, level] = [uniqueId(), await connect(), uniqueLevel()]
    for (const client of [await connect(), await kept(id)]) {
      await client.subscribe(`${level}/#`, 2)
      for (const qos of [1, 2] as const) await publisher.publishWhole({ topic: `${level}/${qos}`, payload: "x", qos })
      const found = await client.messages(2, { acknowledge: false })
      await removed(client, [`${level}/#`])
      const second = found.find(({ qos }) => qos === 2)?.id ?? 0
      client.ack("pubrec", second)
      expect(await client.expect("pubrel")).toMatchObject({ id: second, code: 0 })
      client.cut()
    }
    const back = await kept(id)
    const again = [await back.next(), await back.next()]
    expect(again.map(({ type }) => type).toSorted()).toEqual(["publish", "pubrel"])
  })

  test("each UNSUBSCRIBE is answered by an UNSUBACK with its identifier, also where nothing is removed [MQTT-3.10.4-4] [MQTT-3.10.4-5]", async () => {
    const client = await connect()
    const ids = [1, 0x1234, 65_535]
    client.send(...ids.map((id) => encode.unsubscribe(5, id, [uniqueLevel()])))
    for (const id of ids) expect(await client.expect("unsuback")).toMatchObject({ id, codes: [0x11] })
    await client.quiet(0)
  })

  test("3.1.1: each UNSUBSCRIBE is answered by an UNSUBACK of an identifier alone, also where nothing is removed [MQTT-3.10.4-4 of 3.1.1] [MQTT-3.10.4-5 of 3.1.1]", async () => {
    for (const version of [3, 4] as const) {
      const [client, topic] = [await connect(version), uniqueLevel()]
      await client.subscribe(topic, 1)
      client.send(encode.unsubscribe(version, 0x0a0b, [topic]), encode.unsubscribe(version, 0x0a0c, [topic]))
      await client.expectHex("b0 02 0a0b b0 02 0a0c")
    }
  })

  test("several filters of UNSUBSCRIBE are taken in turn and have one UNSUBACK [MQTT-3.10.4-6]", async () => {
    for (const version of VERSIONS) {
      const [client, publisher, level] = [await connect(version), await connect(version), uniqueLevel()]
      const filters = ["a", "b", "c"].map((name) => `${level}/${name}`)
      for (const filter of filters) await client.subscribe(filter, 1)
      const codes = await removed(client, [filters[0] ?? "", filters[0] ?? "", filters[2] ?? ""])
      expect(codes).toEqual(version === 5 ? [0, 0x11, 0] : [])
      for (const topic of filters) await publisher.publishWhole({ topic, payload: topic, qos: 1 })
      expect(await textsOf(client, 1)).toEqual([filters[1] ?? ""])
      await client.quiet(20)
    }
  })

  test("UNSUBACK has no property that makes it larger than the client takes [MQTT-3.11.2-1] [MQTT-3.11.2-2]", async () => {
    for (const size of [16, 40]) {
      const client = await connect(5, [["maximumPacketSize", size]])
      client.send(encode.unsubscribe(5, 1, ["a+", "never"]))
      const bytes = await client.nextBytes()
      expect(decode(bytes, 5)).toMatchObject({ type: "unsuback", codes: [0x8f, 0x11] })
      expect(bytes.length).toBeLessThanOrEqual(size)
    }
  })

  test("the codes of an UNSUBACK stand in the order of the filters, and are its own [MQTT-3.11.3-1] [MQTT-3.11.3-2]", async () => {
    const [client, level] = [await connect(), uniqueLevel()]
    for (const name of ["a", "b"]) await client.subscribe(`${level}/${name}`)
    const codes = await removed(client, [`${level}/a`, `${level}/c`, `${level}/c`, `${level}/b`, "a+"])
    expect(codes.slice(0, 4)).toEqual([0, 0x11, 0x11, 0])
    for (const code of codes) expect(UNSUBACK_CODES).toContain(code)
  })

  test("each PINGREQ is answered by a PINGRESP [MQTT-3.12.4-1]", async () => {
    for (const version of VERSIONS) {
      const client = await connect(version)
      client.send(encode.pingreq(), encode.pingreq(), encode.pingreq())
      await client.expectHex("d000 d000 d000")
      await client.quiet(0)
    }
  })
})
