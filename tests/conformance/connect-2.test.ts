/** MQTT 5.0 and 3.1.1, statement by statement: the will, user name, keep alive, limits and client identifier of a CONNECT (section 3.1). */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import type { Decoded } from "../support/mqtt-decode.ts"
import {
  type Connect,
  encode,
  field,
  type Properties,
  packet,
  properties,
  propertiesOf,
  propertyOf,
  textOf,
  two,
  type Version,
  type Will
} from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, fromHex, hex, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"

const BOTH = [4, 5] as const
const ALL = [3, 4, 5] as const
const KEPT: Properties = [["sessionExpiry", 60]]
const codesOf = (answers: ReadonlyArray<Decoded>): Array<string> =>
  answers.map((each) => ("code" in each ? `${each.type} ${hex(Uint8Array.of(each.code))}` : each.type))
const section = (version: Version): Uint8Array => (version === 5 ? properties([]) : new Uint8Array(0))
/** A CONNECT with these flags and this payload. */
const raw = (version: Version, flags: number, ...payload: ReadonlyArray<Uint8Array>): Uint8Array => {
  const head = Uint8Array.of(version, flags)
  return packet(0x10, field(version === 3 ? "MQIsdp" : "MQTT"), head, two(0), section(version), ...payload)
}
/** How a CONNECT that is not formed well is answered: before version 5 not at all. */
const refused = (version: Version): Array<string> => (version === 5 ? ["connack 81"] : [])
const X = field("x")

brokerSuite("conformance of wills, limits and identifiers", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (wish: Connect = {}): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, wish)
  /** What is answered to bytes on a new connection, until the broker has closed it. */
  async function first(version: Version, ...bytes: ReadonlyArray<Uint8Array>): Promise<Array<string>> {
    const client = await RawMqtt.open(broker().mqtt, version)
    return codesOf(await client.answersUntilClosed(...bytes))
  }
  /** What a CONNECT is answered with first, whether the connection ends or not. */
  async function answerTo(version: Version, bytes: Uint8Array): Promise<string | undefined> {
    const client = await RawMqtt.open(broker().mqtt, version)
    client.send(bytes)
    return codesOf([await client.next()])[0]
  }
  async function watcherOf(topic: string, list: Properties = []): Promise<ConnectedMqtt> {
    const watcher = await connect({ version: 5, properties: list })
    await watcher.subscribe(topic, 2)
    return watcher
  }
  /** A client with a will, and one that subscribed to it. */
  async function scene(version: Version, will: Partial<Will> = {}, more: Connect = {}) {
    const topic = uniqueLevel("w")
    const watcher = await watcherOf(topic)
    const clientId = uniqueId()
    const client = await connect({ version, clientId, will: { topic, payload: "gone", ...will }, ...more })
    return { watcher, client, clientId, topic }
  }

  test("a will belongs to its session: where that ends, it is published [MQTT-3.1.2-7]", async () => {
    const will = { properties: [["willDelay", 60]] } as const
    const { watcher, client, clientId } = await scene(5, will, { properties: KEPT })
    client.cut()
    await watcher.quiet(30)
    await connect({ version: 5, clientId, clean: true })
    expect(textOf((await watcher.expect("publish")).payload)).toBe("gone")
  })

  test("a will is published where the connection ends without a DISCONNECT that removes it [MQTT-3.1.2-8, MQTT-3.1.2-8 of 3.1.1]", async () => {
    const ends: ReadonlyArray<(client: ConnectedMqtt) => void> = [
      (client) => client.cut(),
      (client) => client.socket.end(),
      (client) => client.sendHex("c1 00"),
      (client) => client.send(encode.connect({ version: client.version, clientId: "again" })),
      (client) => client.send(encode.disconnect(client.version, 4))
    ]
    for (const version of BOTH) {
      for (const end of version === 5 ? ends : ends.slice(0, 4)) {
        const { watcher, client } = await scene(version)
        end(client)
        expect(textOf((await watcher.expect("publish")).payload)).toBe("gone")
      }
    }
  })

  test("a will waits for its delay, and a client that is back before takes it along [MQTT-3.1.3-9]", async () => {
    const will = { properties: [["willDelay", 1]] } as const
    const leaving = await scene(5, will, { properties: KEPT })
    const returning = await scene(5, will, { properties: KEPT })
    const before = performance.now()
    leaving.client.cut()
    returning.client.cut()
    await returning.watcher.quiet(50)
    const back = await connect({ version: 5, clientId: returning.clientId, clean: false, properties: KEPT })
    expect(back.connack.sessionPresent).toBe(true)
    await leaving.watcher.expect("publish", 4_000)
    expect(performance.now() - before).toBeGreaterThan(900)
    await returning.watcher.quiet(200)
  })

  test("QoS, topic and payload of a will are what CONNECT says, and must be there [MQTT-3.1.2-9, MQTT-3.1.2-9 of 3.1.1]", async () => {
    for (const version of BOTH) {
      for (const qos of [0, 1, 2] as const) {
        const { watcher, client, topic } = await scene(version, { qos, payload: `at ${qos}` })
        client.cut()
        const message = await watcher.expect("publish")
        expect([message.topic, message.qos, textOf(message.payload)]).toEqual([topic, qos, `at ${qos}`])
      }
      expect(await first(version, raw(version, 6, X))).toEqual(refused(version))
      expect(await first(version, raw(version, 6, X, section(version), field("w")))).toEqual(refused(version))
    }
  })

  test("a will is published once [MQTT-3.1.2-10, MQTT-3.1.2-10 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const more: Connect = { clean: false, properties: version === 5 ? KEPT : [] }
      const { watcher, client, clientId } = await scene(version, {}, more)
      client.cut()
      await watcher.expect("publish")
      const next = await connect({ version, clientId, ...more })
      expect(next.connack.sessionPresent).toBe(true)
      next.cut()
      await watcher.quiet(50)
    }
  })

  test("DISCONNECT removes the will [MQTT-3.14.4-3, MQTT-3.14.4-3 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const { watcher, client } = await scene(version)
      await client.disconnect()
      const delayed = await scene(version, version === 5 ? { properties: [["willDelay", 0]] } : {})
      await delayed.client.disconnect(0)
      await watcher.quiet(30)
      await delayed.watcher.quiet(0)
    }
  })

  test("a Will QoS without a will is malformed [MQTT-3.1.2-11, MQTT-3.1.2-13 of 3.1.1]", async () => {
    for (const version of BOTH) {
      for (const flags of [0x0a, 0x12]) expect(await first(version, raw(version, flags, X))).toEqual(refused(version))
    }
  })

  test("a Will QoS of 3 is malformed, 0 to 2 are not [MQTT-3.1.2-12, MQTT-3.1.2-14 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const payload = [X, section(version), field("w"), field("")]
      expect(await first(version, raw(version, 0x1e, ...payload))).toEqual(refused(version))
      for (const flags of [0x06, 0x0e, 0x16]) {
        expect(await answerTo(version, raw(version, flags, ...payload))).toBe("connack 00")
      }
    }
  })

  test("Will Retain without a will is malformed [MQTT-3.1.2-13, MQTT-3.1.2-15 of 3.1.1]", async () => {
    for (const version of BOTH) expect(await first(version, raw(version, 0x22, X))).toEqual(refused(version))
  })

  test("a will without Will Retain is not retained [MQTT-3.1.2-14, MQTT-3.1.2-16 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const { watcher, client, topic } = await scene(version, { qos: 1 })
      client.cut()
      expect((await watcher.expect("publish")).retain).toBe(false)
      await (await watcherOf(topic)).quiet(20)
    }
  })

  test("a will with Will Retain is retained [MQTT-3.1.2-15, MQTT-3.1.2-17 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const { watcher, client, topic } = await scene(version, { qos: 1, retain: true })
      client.cut()
      await watcher.expect("publish")
      const message = await (await watcherOf(topic)).expect("publish")
      expect([message.retain, textOf(message.payload)]).toEqual([true, "gone"])
    }
  })

  test("no will, no message: also not an earlier one, and no will fields without the flag [MQTT-3.1.2-11 of 3.1.1, MQTT-3.1.2-12 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const { watcher, client, clientId, topic } = await scene(version)
      await client.disconnect()
      const next = await connect({ version, clientId })
      next.cut()
      const fields = [X, section(version), field(topic), field("gone")]
      expect(await first(version, raw(version, 2, ...fields))).toEqual(refused(version))
      await watcher.quiet(50)
    }
  })

  test("User Properties of a will keep their order [MQTT-3.1.3-10]", async () => {
    const list: Properties = ["b", "a", "b", "c"].map((name, index) => ["userProperty", [name, String(index)]])
    const { watcher, client } = await scene(5, { properties: list })
    client.cut()
    const { properties: got } = await watcher.expect("publish")
    expect(propertiesOf(got, "userProperty")).toEqual(list.map(([, value]) => value))
  })

  test("a client identifier that is not UTF-8 is malformed [MQTT-3.1.3-4, MQTT-3.1.3-4 of 3.1.1]", async () => {
    for (const version of BOTH) {
      expect(await first(version, raw(version, 2, field(fromHex("61ff"))))).toEqual(refused(version))
    }
  })

  test("a will topic that is not UTF-8 is malformed [MQTT-3.1.3-11, MQTT-3.1.3-10 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const payload = [X, section(version), field(fromHex("61ff")), field("")]
      expect(await first(version, raw(version, 6, ...payload))).toEqual(refused(version))
    }
  })

  test("a user name that is not UTF-8 is malformed [MQTT-3.1.3-12, MQTT-3.1.3-11 of 3.1.1]", async () => {
    for (const version of BOTH) {
      expect(await first(version, raw(version, 0x82, X, field(fromHex("61ff"))))).toEqual(refused(version))
    }
  })

  test("a user name stands where its flag says so [MQTT-3.1.2-16, MQTT-3.1.2-17, MQTT-3.1.2-18 of 3.1.1, MQTT-3.1.2-19 of 3.1.1]", async () => {
    for (const version of BOTH) {
      expect(await first(version, raw(version, 0x02, X, field("user")))).toEqual(refused(version))
      expect(await first(version, raw(version, 0x82, X))).toEqual(refused(version))
      expect(await answerTo(version, raw(version, 0x82, X, field("user")))).toBe("connack 00")
    }
  })

  test("a password stands where its flag says so [MQTT-3.1.2-18, MQTT-3.1.2-19, MQTT-3.1.2-20 of 3.1.1, MQTT-3.1.2-21 of 3.1.1]", async () => {
    for (const version of BOTH) {
      expect(await first(version, raw(version, 0x82, X, field("user"), field("pw")))).toEqual(refused(version))
      expect(await first(version, raw(version, 0xc2, X, field("user")))).toEqual(refused(version))
      expect(await answerTo(version, raw(version, 0xc2, X, field("user"), field("pw")))).toBe("connack 00")
    }
  })

  test("a password without a user name is malformed before 5 only [MQTT-3.1.2-22 of 3.1.1]", async () => {
    for (const version of [3, 4] as const) expect(await first(version, raw(version, 0x42, X, field("pw")))).toEqual([])
    expect(await answerTo(5, raw(5, 0x42, X, field("pw")))).toBe("connack 00")
  })

  test("silence for one and a half times the client's keep alive ends the connection [MQTT-3.1.2-22, MQTT-3.2.2-22, MQTT-3.1.2-24 of 3.1.1]", async () => {
    const before = performance.now()
    const [old, recent, talking, unlimited] = await Promise.all([
      connect({ version: 4, keepAlive: 1 }),
      connect({ version: 5, keepAlive: 1 }),
      connect({ version: 5, keepAlive: 1 }),
      connect({ version: 5, keepAlive: 0 })
    ])
    for (const client of [recent, talking, unlimited]) {
      expect(propertyOf(client.connack.properties, "serverKeepAlive")).toBeUndefined()
    }
    await talking.quiet(1_000)
    await Promise.all([old.closed(), recent.closed()])
    const took = performance.now() - before
    expect([took > 1_400, took < 3_000]).toEqual([true, true])
    expect([codesOf(old.drain()), codesOf(recent.drain())]).toEqual([[], ["disconnect 8d"]])
    await talking.quiet(0)
    await unlimited.quiet(0)
  })

  test("nothing larger than the client's Maximum Packet Size is sent [MQTT-3.1.2-24]", async () => {
    const topic = uniqueLevel()
    const watcher = await watcherOf(topic, [["maximumPacketSize", 100]])
    const publisher = await connect({ version: 4 })
    for (const [qos, extra] of [
      [0, 5],
      [1, 7],
      [2, 7]
    ] as const) {
      const fitting = "x".repeat(100 - extra - topic.length)
      for (const payload of [`${fitting}x`, fitting]) await publisher.publishWhole({ topic, qos, payload })
      expect((await watcher.nextBytes()).length).toBe(100)
    }
    await watcher.quiet(20)
  })

  test("a message that is too large counts as sent [MQTT-3.1.2-25]", async () => {
    const [clientId, topic] = [uniqueId(), uniqueLevel()]
    const small: Properties = [...KEPT, ["maximumPacketSize", 100], ["receiveMaximum", 1]]
    const watcher = await connect({ version: 5, clientId, properties: small })
    await watcher.subscribe(topic, 2)
    const publisher = await connect()
    for (const qos of [1, 2] as const) {
      await publisher.publishWhole({ topic, qos, payload: "x".repeat(100) })
      await publisher.publishWhole({ topic, qos, payload: "small" })
    }
    expect((await watcher.messages(2)).map(({ payload }) => textOf(payload))).toEqual(["small", "small"])
    await watcher.expect("pubrel")
    await watcher.disconnect()
    const later = await connect({ version: 5, clientId, clean: false, properties: KEPT })
    expect(later.connack.sessionPresent).toBe(true)
    expect(await later.expect("pubrel")).toMatchObject({ code: 0 })
    await later.quiet(30)
  })

  test("topic aliases stay within the client's Topic Alias Maximum [MQTT-3.1.2-26]", async () => {
    const level = uniqueLevel()
    const watcher = await watcherOf(`${level}/#`, [["topicAliasMaximum", 2]])
    const publisher = await connect()
    const names = [1, 2, 3, 4, 1, 2, 1, 2].map((number) => `${level}/name/${number}`)
    for (const topic of names) publisher.publish({ topic })
    const aliases = (await watcher.messages(names.length)).map((each) => propertyOf(each.properties, "topicAlias"))
    const used = aliases.filter((alias) => alias !== undefined)
    expect(used.length).toBeGreaterThan(1)
    for (const alias of used) expect([1, 2]).toContain(Number(alias))
  })

  test("no topic aliases for a client that takes none [MQTT-3.1.2-27]", async () => {
    const level = uniqueLevel()
    for (const list of [[], [["topicAliasMaximum", 0]]] as const) {
      const watcher = await watcherOf(`${level}/#`, list)
      const publisher = await connect()
      for (let index = 0; index < 4; index++) publisher.publish({ topic: `${level}/long/name` })
      for (const { topic, properties: got } of await watcher.messages(4)) {
        expect([topic, propertyOf(got, "topicAlias")]).toEqual([`${level}/long/name`, undefined])
      }
    }
  })

  test("no Reason String but in CONNACK and DISCONNECT for a client that wants none [MQTT-3.1.2-29]", async () => {
    for (const wish of [1, 0]) {
      const client = await connect({ version: 5, properties: [["requestProblemInformation", wish]] })
      client.send(encode.subscribe(5, 1, [{ filter: "a/#/b" }]))
      const suback = await client.expect("suback")
      expect([suback.codes, suback.properties.length]).toEqual([[0x8f], wish])
      client.publish({ topic: "a/".repeat(300), qos: 1, id: 2 })
      const puback = await client.expect("puback")
      expect([puback.code, puback.properties.length]).toEqual([0x90, wish])
    }
  })

  test("a session is its client identifier's and nobody else's [MQTT-3.1.3-2, MQTT-3.1.3-2 of 3.1.1]", async () => {
    const base = uniqueId()
    const ids = [base, `${base} `, base.toUpperCase(), `${base}/+`]
    const level = uniqueLevel()
    const more: Connect = { version: 5, clean: false, properties: KEPT }
    for (const [index, clientId] of ids.entries()) {
      const client = await connect({ ...more, clientId })
      expect(client.connack.sessionPresent).toBe(false)
      await client.subscribe(`${level}/${index}`, 1)
      await client.disconnect()
    }
    const publisher = await connect()
    for (const index of ids.keys()) await publisher.publishWhole({ topic: `${level}/${index}`, qos: 1 })
    for (const [index, clientId] of ids.entries()) {
      const client = await connect({ clientId, version: 4, clean: false })
      expect((await client.messages(1)).map(({ topic }) => topic)).toEqual([`${level}/${index}`])
      await client.quiet(0)
    }
  })

  test("a CONNECT without a client identifier is malformed [MQTT-3.1.3-3, MQTT-3.1.3-3 of 3.1.1]", async () => {
    for (const version of BOTH) expect(await first(version, raw(version, 2))).toEqual(refused(version))
  })

  test("client identifiers of 1 to 23 letters and digits are accepted [MQTT-3.1.3-5, MQTT-3.1.3-5 of 3.1.1]", async () => {
    const characters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    const ids = [...characters, characters.slice(0, 23), characters.slice(23, 46), characters.slice(39)]
    for (const version of ALL) {
      for (const id of ids)
        expect(await answerTo(version, encode.connect({ version, clientId: id }))).toBe("connack 00")
    }
  })

  test("a client without an identifier gets one of its own, and is told [MQTT-3.1.3-6, MQTT-3.1.3-7, MQTT-3.2.2-16, MQTT-3.1.3-6 of 3.1.1]", async () => {
    const assigned: Array<string> = []
    for (let index = 0; index < 3; index++) {
      const client = await connect({ version: 5, clientId: "", properties: KEPT })
      assigned.push(String(propertyOf(client.connack.properties, "assignedClientIdentifier")))
      await client.quiet(0)
      await client.disconnect()
    }
    expect(new Set(assigned).size).toBe(3)
    for (const clientId of assigned) {
      const back = await connect({ version: 5, clientId, clean: false })
      expect(back.connack.sessionPresent).toBe(true)
      expect(propertyOf(back.connack.properties, "assignedClientIdentifier")).toBeUndefined()
    }
    const nameless = [await connect({ clientId: "" }), await connect({ clientId: "" })]
    for (const client of nameless) await client.quiet(0)
  })

  test("a client identifier that is too long is rejected, and the connection ends [MQTT-3.1.3-8, MQTT-3.1.3-9 of 3.1.1]", async () => {
    const clientId = "x".repeat(1_025)
    expect(await first(5, encode.connect({ version: 5, clientId }))).toEqual(["connack 85"])
    expect(await first(4, encode.connect({ version: 4, clientId }))).toEqual(["connack 02"])
  })

  test("no client identifier and no clean session is rejected [MQTT-3.1.3-8 of 3.1.1]", async () => {
    expect(await first(4, encode.connect({ clientId: "", clean: false }))).toEqual(["connack 02"])
  })
})
