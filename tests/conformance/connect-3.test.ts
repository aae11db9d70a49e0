/** MQTT 5.0 and 3.1.1, statement by statement: what a CONNECT is answered with (sections 3.1.4, 3.2). */
import { afterEach, expect, test } from "bun:test"
import { makeScramCredential } from "../../core/access/Scram.ts"
import { brokerSuite } from "../support/broker.ts"
import type { Decoded } from "../support/mqtt-decode.ts"
import {
  type Connect,
  encode,
  field,
  type Properties,
  packet,
  propertyOf,
  textOf,
  two,
  type Version
} from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, fromHex, hex, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"

const BOTH = [4, 5] as const
const KEPT: Properties = [["sessionExpiry", 60]]
const utf8 = new TextEncoder()
const codesOf = (answers: ReadonlyArray<Decoded>): Array<string> =>
  answers.map((each) => ("code" in each ? `${each.type} ${hex(Uint8Array.of(each.code))}` : each.type))
const DEEP = "a/".repeat(300)

const set = {
  "protocol-mqtt.scram_credentials": `alice:${makeScramCredential("secret", utf8.encode("sixteen bytes so"), 4_096)}`,
  "protocol-mqtt.response_information": "answers/$" + "{clientid}/"
}

brokerSuite("conformance of CONNACK", { set }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (wish: Connect = {}): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, wish)
  /** What is answered to bytes on a new connection, until the broker has closed it. */
  async function first(version: Version, ...bytes: ReadonlyArray<Uint8Array>): Promise<Array<Decoded>> {
    const client = await RawMqtt.open(broker().mqtt, version)
    return client.answersUntilClosed(...bytes)
  }
  /** What is answered to bytes after an accepted CONNECT, until the broker has closed the connection. */
  async function later(wish: Connect, ...bytes: ReadonlyArray<Uint8Array>): Promise<Array<Decoded>> {
    const client = await connect(wish)
    return client.answersUntilClosed(...bytes)
  }
  const connecting = (version: Version, more: Connect = {}): Uint8Array =>
    encode.connect({ version, clientId: uniqueId(), ...more })
  /** CONNECTs that are refused, and the Reason Codes that say so. */
  const refusals = (): ReadonlyArray<readonly [Uint8Array, string]> => [
    [connecting(5, { clientId: "x".repeat(2_000) }), "connack 85"],
    [connecting(5, { username: "alice", password: "secret" }), "connack 87"],
    [connecting(5, { properties: [["authenticationMethod", "NONE-SUCH"]] }), "connack 8c"],
    [connecting(5, { will: { topic: DEEP, payload: "" } }), "connack 90"],
    [connecting(5, { properties: [["receiveMaximum", 0]] }), "connack 82"],
    [packet(0x10, field("MQTT"), Uint8Array.of(6, 2), two(0), Uint8Array.of(0), field("x")), "connack 84"],
    [packet(0x10, field("MQTT"), Uint8Array.of(5, 2), two(0), Uint8Array.of(0)), "connack 81"]
  ]
  /** The same before version 5. */
  const olderRefusals = (): ReadonlyArray<readonly [Uint8Array, string]> => [
    [connecting(4, { clientId: "x".repeat(2_000) }), "connack 02"],
    [connecting(4, { username: "alice", password: "secret" }), "connack 05"],
    [packet(0x10, field("MQTT"), Uint8Array.of(2, 2), two(0), field("x")), "connack 01"]
  ]

  test("the payload of CONNECT is read in its order: identifier, will, user name, password [MQTT-3.1.3-1, MQTT-3.1.3-1 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const [topic, clientId] = [uniqueLevel(), uniqueId()]
      const whole = { version, clientId, will: { topic, payload: "gone" }, username: "carol", password: "alice" }
      const watcher = await connect({ version: 5 })
      await watcher.subscribe(topic)
      const client = await connect(whole)
      const [answer] = codesOf(await first(version, encode.connect({ ...whole, username: "alice" })))
      expect(answer).toBe(version === 5 ? "connack 87" : "connack 05")
      client.cut()
      const message = await watcher.expect("publish")
      expect([message.topic, textOf(message.payload)]).toEqual([topic, "gone"])
    }
  })

  test("a CONNECT that is not formed as it must be ends the connection, before 5 without a CONNACK [MQTT-3.1.4-1, MQTT-3.1.4-1 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const good = encode.connect({ version, clientId: "x", username: "u" })
      const bad = [packet(0x10, good.subarray(2), Uint8Array.of(0)), packet(0x10, good.subarray(2, -1))]
      for (const bytes of bad) expect(codesOf(await first(version, bytes))).toEqual(version === 5 ? ["connack 81"] : [])
    }
    const twice = (list: Properties): Properties => [...list, ...list]
    for (const list of [
      [["maximumPacketSize", 0]],
      [["requestProblemInformation", 2]],
      [["requestResponseInformation", 2]],
      [["authenticationData", "x"]],
      twice(KEPT),
      twice([["topicAliasMaximum", 1]])
    ] as ReadonlyArray<Properties>) {
      expect(codesOf(await first(5, connecting(5, { properties: list })))).toEqual(["connack 82"])
    }
    expect(codesOf(await first(5, connecting(5, { properties: [["topicAlias", 1]] })))).toEqual(["connack 81"])
  })

  test("a CONNECT that is formed well and not allowed ends the connection [MQTT-3.1.4-2]", async () => {
    for (const [bytes, code] of refusals().slice(0, 4)) expect(codesOf(await first(5, bytes))).toEqual([code])
  })

  test("a client that connects again takes the place of its connection, which is told [MQTT-3.1.4-3, MQTT-3.1.4-2 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const clientId = uniqueId()
      const before = await connect({ version, clientId })
      const next = await connect({ version, clientId })
      await before.closed()
      expect(codesOf(before.drain())).toEqual(version === 5 ? ["disconnect 8e"] : [])
      await next.quiet(0)
    }
  })

  test("a CONNECT that is accepted is answered with 0x00 [MQTT-3.1.4-5, MQTT-3.1.4-4 of 3.1.1]", async () => {
    const old = await RawMqtt.open(broker().mqtt, 4)
    for (const byte of connecting(4)) old.send(Uint8Array.of(byte))
    await old.expectHex("20 02 00 00")
    const recent = await RawMqtt.open(broker().mqtt, 5)
    for (const byte of connecting(5)) recent.send(Uint8Array.of(byte))
    expect((await recent.expect("connack")).code).toBe(0)
  })

  test("nothing behind a CONNECT that was refused is looked at [MQTT-3.1.4-6, MQTT-3.1.4-5 of 3.1.1]", async () => {
    const topic = uniqueLevel()
    const watcher = await connect()
    await watcher.subscribe(topic)
    for (const [version, list] of [
      [5, refusals()],
      [4, olderRefusals()]
    ] as const) {
      for (const [bytes, code] of list) {
        const more = [connecting(version), encode.publish(version, { topic }), encode.pingreq()]
        expect(codesOf(await first(version, bytes, ...more))).toEqual([code])
      }
    }
    await watcher.quiet(50)
  })

  test("CONNACK is the first packet, whatever waits for the client [MQTT-3.2.0-1, MQTT-3.2.0-1 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const [clientId, topic] = [uniqueId(), uniqueLevel()]
      const kept: Connect = { version, clientId, clean: false, properties: version === 5 ? KEPT : [] }
      const before = await connect(kept)
      await before.subscribe(topic, 1)
      await before.disconnect()
      await (await connect()).publishWhole({ topic, qos: 1, retain: true })
      const client = await RawMqtt.open(broker().mqtt, version)
      client.send(encode.connect(kept), encode.pingreq(), encode.subscribe(version, 1, [{ filter: topic, qos: 1 }]))
      expect((await client.next()).type).toBe("connack")
      for (const type of ["pingresp", "suback", "publish"] as const) await client.find(type)
    }
  })

  test("a connection gets one CONNACK [MQTT-3.2.0-2]", async () => {
    expect(codesOf(await first(5, connecting(5), connecting(5)))).toEqual(["connack 00", "disconnect 82"])
    expect(codesOf(await first(4, connecting(4), connecting(4)))).toEqual(["connack 00"])
    for (const [bytes, code] of refusals()) expect(codesOf(await first(5, bytes, bytes))).toEqual([code])
  })

  test("of the flags in CONNACK only Session Present is ever set [MQTT-3.2.2-1]", async () => {
    for (const version of BOTH) {
      const clientId = uniqueId()
      for (const flags of [0, 1]) {
        const client = await RawMqtt.open(broker().mqtt, version)
        const list = version === 5 ? KEPT : []
        client.send(encode.connect({ version, clientId, clean: false, properties: list }))
        expect((await client.nextBytes())[2]).toBe(flags)
        await client.disconnect()
      }
    }
  })

  test("Session Present is 0 in a refusal, also where there is a session [MQTT-3.2.2-6, MQTT-3.2.2-4 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const clientId = uniqueId()
      const kept: Connect = { version, clientId, clean: false, properties: version === 5 ? KEPT : [] }
      await (await connect(kept)).disconnect()
      const [answer] = await first(version, encode.connect({ ...kept, username: "alice" }))
      expect(answer).toMatchObject({ type: "connack", sessionPresent: false, code: version === 5 ? 0x87 : 5 })
      expect((await connect(kept)).connack.sessionPresent).toBe(true)
    }
  })

  test("after a refusal the broker closes [MQTT-3.2.2-7, MQTT-3.2.2-5 of 3.1.1, MQTT-4.13.2-1]", async () => {
    for (const [bytes, code] of refusals()) expect(codesOf(await first(5, bytes))).toEqual([code])
    for (const [bytes, code] of olderRefusals()) expect(codesOf(await first(4, bytes))).toEqual([code])
    expect(codesOf(await later({ version: 5 }, fromHex("c1 00")))).toEqual(["disconnect 81"])
  })

  test("a refusal has the Reason Code of CONNACK that is meant for it [MQTT-3.2.2-8]", async () => {
    for (const [bytes, code] of refusals()) expect(codesOf(await first(5, bytes))).toEqual([code])
  })

  test("what no return code says is refused without a CONNACK [MQTT-3.2.2-6 of 3.1.1]", async () => {
    expect(await first(4, connecting(4, { will: { topic: DEEP, payload: "" } }))).toEqual([])
  })

  test("QoS 2 and retained messages are there, and CONNACK does not say otherwise [MQTT-3.2.2-9, MQTT-3.2.2-10, MQTT-3.2.2-12, MQTT-3.2.2-13]", async () => {
    const topic = uniqueLevel()
    const client = await connect({ version: 5, will: { topic, payload: "", qos: 2, retain: true } })
    expect(propertyOf(client.connack.properties, "maximumQos")).toBeUndefined()
    expect(propertyOf(client.connack.properties, "retainAvailable") ?? 1).toBe(1)
    const filters = ([0, 1, 2] as const).map((qos) => ({ filter: `${topic}/${qos}`, qos }))
    expect(await client.subscribe(filters)).toEqual([0, 1, 2])
    await client.publishWhole({ topic: `${topic}/2`, qos: 2, retain: true })
    expect((await client.expect("publish")).qos).toBe(2)
  })

  test("a Reason String goes with a refusal where the client takes a packet of that size [MQTT-3.2.2-19, MQTT-3.2.2-20]", async () => {
    for (const size of [undefined, 20]) {
      const limit: Properties = size === undefined ? [] : [["maximumPacketSize", size]]
      const list: Properties = [...limit, ["authenticationMethod", "NONE-SUCH"]]
      const client = await RawMqtt.open(broker().mqtt, 5)
      client.send(connecting(5, { properties: list }))
      const bytes = await client.nextBytes()
      expect([bytes[3], bytes.length > 20]).toEqual([0x8c, size === undefined])
    }
  })

  test("Response Information is for clients that ask for it [MQTT-3.1.2-28]", async () => {
    const clientId = uniqueId()
    for (const [list, told] of [
      [[], undefined],
      [[["requestResponseInformation", 0]], undefined],
      [[["requestResponseInformation", 1]], `answers/${clientId}/`]
    ] as ReadonlyArray<readonly [Properties, string | undefined]>) {
      const { connack } = await connect({ version: 5, clientId, properties: list })
      expect(propertyOf(connack.properties, "responseInformation")).toBe(told)
    }
  })
})
