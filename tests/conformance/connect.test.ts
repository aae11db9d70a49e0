/** MQTT 5.0 and 3.1.1, statement by statement: data, fixed header, packet identifiers (sections 1, 2), CONNECT (section 3.1). */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import type { Decoded } from "../support/mqtt-decode.ts"
import {
  type Connect,
  concat,
  encode,
  field,
  type Properties,
  packet,
  properties,
  textOf,
  two,
  type Version,
  variable
} from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, fromHex, hex, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

/** The versions that most statements hold for. */
const BOTH = [4, 5] as const
const KEPT: Properties = [["sessionExpiry", 60]]
/** What an end for a malformed packet says: before version 5 nothing. */
const malformed = (version: Version, type: "connack" | "disconnect"): Array<string> =>
  version === 5 ? [`${type} 81`] : []
/** How a topic name or filter that is no text may be answered. */
const endsOfText = (version: Version): Array<Array<string>> =>
  version === 5 ? [["disconnect 81"], ["disconnect 8f"], ["disconnect 90"]] : [[]]
const codesOf = (answers: ReadonlyArray<Decoded>): Array<string> =>
  answers.map((each) => ("code" in each ? `${each.type} ${hex(Uint8Array.of(each.code))}` : each.type))
const section = (version: Version, list: Properties = []): Uint8Array =>
  version === 5 ? properties(list) : new Uint8Array(0)
/** A CONNECT with these flags and this payload. */
const raw = (version: Version, flags: number, ...payload: ReadonlyArray<Uint8Array>): Uint8Array =>
  packet(
    0x10,
    field(version === 3 ? "MQIsdp" : "MQTT"),
    Uint8Array.of(version, flags),
    two(0),
    section(version),
    ...payload
  )
const withFirst = (firstByte: number, bytes: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(firstByte), bytes.subarray(1))
/** A session that outlives its connection, in the words of each version. */
const durable = (version: Version, clientId: string, clean = false): Connect => ({
  version,
  clientId,
  clean,
  properties: version === 5 ? KEPT : []
})

brokerSuite("conformance of CONNECT", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (wish: Connect = {}): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, wish)
  /** What is answered to bytes on a new connection, until the broker has closed it. */
  async function first(version: Version, ...bytes: ReadonlyArray<Uint8Array>): Promise<Array<string>> {
    const client = await RawMqtt.open(broker().mqtt, version)
    return codesOf(await client.answersUntilClosed(...bytes))
  }
  /** What is answered to bytes after an accepted CONNECT, until the broker has closed the connection. */
  async function later(version: Version, ...bytes: ReadonlyArray<Uint8Array>): Promise<Array<string>> {
    const client = await connect({ version })
    return codesOf(await client.answersUntilClosed(...bytes))
  }

  test("text that is not UTF-8 ends the connection [MQTT-1.5.4-1, MQTT-1.5.3-1 of 3.1.1]", async () => {
    for (const version of BOTH) {
      for (const bad of ["c328", "eda080", "edbfbf", "c0af", "e28280ff", "f4908080", "61e282"]) {
        const text = field(fromHex(bad))
        expect(await first(version, raw(version, 2, text))).toEqual(malformed(version, "connack"))
        const publish = packet(0x30, text, section(version))
        const wish = packet(0x82, two(1), section(version), text, Uint8Array.of(0))
        for (const bytes of [publish, wish]) expect(endsOfText(version)).toContainEqual(await later(version, bytes))
      }
    }
  })

  test("U+0000 in text ends the connection [MQTT-1.5.4-2, MQTT-1.5.3-2 of 3.1.1]", async () => {
    for (const version of BOTH) {
      expect(await first(version, encode.connect({ version, clientId: "a\0b" }))).toEqual(malformed(version, "connack"))
      for (const bytes of [
        encode.publish(version, { topic: "a\0" }),
        encode.subscribe(version, 1, [{ filter: "\0" }])
      ]) {
        expect(endsOfText(version)).toContainEqual(await later(version, bytes))
      }
    }
  })

  test("U+FEFF is a character of a text and is not left out [MQTT-1.5.4-3, MQTT-1.5.3-3 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const topic = uniqueLevel()
      const id = uniqueId()
      const marked = await connect({ version, clientId: `\ufeff${id}` })
      const plain = await connect({ version, clientId: id })
      await marked.subscribe(`\ufeff${topic}`)
      await plain.subscribe(topic)
      plain.publish({ topic: `\ufeff${topic}` })
      expect(hex(await marked.nextBytes())).toContain(hex(field(`\ufeff${topic}`)))
      await plain.quiet(20)
    }
  })

  test("variable byte integers are written, and taken, in their shortest form only [MQTT-1.5.5-1]", async () => {
    const topic = uniqueLevel()
    const watcher = await connect({ version: 4 })
    await watcher.subscribe(topic)
    const publisher = await connect({ version: 5 })
    for (const remaining of [127, 128, 16_383, 16_384]) {
      publisher.publish({ topic, payload: "x".repeat(remaining - 2 - topic.length) })
      const bytes = await watcher.nextBytes()
      expect(hex(bytes).startsWith(`30${hex(variable(remaining))}${hex(field(topic))}`)).toBe(true)
      expect(bytes.length).toBe(1 + variable(remaining).length + remaining)
    }
    for (const long of ["c0 80 00", "30 04 0001 61 8000"])
      expect(await later(5, fromHex(long))).toEqual(["disconnect 81"])
    expect(await later(4, fromHex("c0 80 00"))).toEqual([])
  })

  test("name and value of a User Property are both checked as text [MQTT-1.5.7-1]", async () => {
    const bad = field(fromHex("ff"))
    for (const pair of [concat(bad, field("v")), concat(field("n"), bad), concat(field("n"), field("\0"))]) {
      const body = concat(Uint8Array.of(0x26), pair)
      const list = concat(variable(body.length), body)
      expect(await later(5, packet(0x30, field("a"), list))).toEqual(["disconnect 81"])
    }
  })

  test("a reserved flag of a fixed header ends the connection [MQTT-2.1.3-1, MQTT-2.2.2-1 of 3.1.1, MQTT-2.2.2-2 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const own = encode.connect({ version, clientId: uniqueId() })
      for (const byte of [0x11, 0x12, 0x18]) expect(await first(version, withFirst(byte, own))).toEqual([])
      for (const [byte, bytes] of [
        [0x41, encode.ack("puback", 1)],
        [0x58, encode.ack("pubrec", 1)],
        [0x60, encode.ack("pubrel", 1)],
        [0x63, encode.ack("pubrel", 1)],
        [0x72, encode.ack("pubcomp", 1)],
        [0x80, encode.subscribe(version, 1, [{ filter: "a" }])],
        [0xa0, encode.unsubscribe(version, 1, ["a"])],
        [0xc1, encode.pingreq()]
      ] as const) {
        expect(await later(version, withFirst(byte, bytes))).toEqual(malformed(version, "disconnect"))
      }
    }
  })

  test("a PUBLISH of QoS 0 has no packet identifier [MQTT-2.2.1-2, MQTT-2.3.1-5 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const topic = uniqueLevel()
      const watcher = await connect({ version })
      await watcher.subscribe(topic, 0)
      const publisher = await connect({ version: version === 5 ? 4 : 5 })
      await publisher.publishWhole({ topic, qos: 2, payload: "p" })
      await watcher.expectHex(hex(packet(0x30, field(topic), section(version), Uint8Array.of(0x70))))
    }
  })

  test("packet identifier 0 is refused [MQTT-2.2.1-3, MQTT-2.3.1-1 of 3.1.1]", async () => {
    for (const version of BOTH) {
      for (const bytes of [
        encode.publish(version, { topic: "a", qos: 1, id: 0 }),
        encode.publish(version, { topic: "a", qos: 2, id: 0 }),
        encode.subscribe(version, 0, [{ filter: "a" }]),
        encode.unsubscribe(version, 0, ["a"])
      ]) {
        expect([["disconnect 81"], ["disconnect 82"], []]).toContainEqual(await later(version, bytes))
      }
    }
  })

  test("the broker's packet identifiers are unused ones, never 0 [MQTT-2.2.1-4, MQTT-2.3.1-4 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const topic = uniqueLevel()
      const watcher = await connect({ version })
      await watcher.subscribe(topic, 2)
      const publisher = await connect({ version: 5 })
      for (const qos of [1, 2, 1, 2, 1, 2] as const) await publisher.publishWhole({ topic, qos })
      const held = await watcher.messages(6, { acknowledge: false })
      const done = held.find(({ qos }) => qos === 1)?.id ?? 0
      watcher.ack("puback", done)
      for (const qos of [1, 2, 1] as const) await publisher.publishWhole({ topic, qos })
      const ids = [...held.map(({ id }) => id).filter((id) => id !== done)]
      for (const { id } of await watcher.messages(3, { acknowledge: false })) ids.push(id)
      expect(new Set(ids).size).toBe(8)
      expect(ids).not.toContain(0)
    }
  })

  test("acknowledgements name the identifier of their PUBLISH [MQTT-2.2.1-5, MQTT-2.3.1-6 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const topic = uniqueLevel()
      const client = await connect({ version })
      for (const id of [1, 255, 256, 65_535]) {
        client.publish({ topic, qos: 1, id })
        expect((await client.expect("puback")).id).toBe(id)
        client.publish({ topic, qos: 2, id })
        expect((await client.expect("pubrec")).id).toBe(id)
        client.ack("pubrel", id)
        expect((await client.expect("pubcomp")).id).toBe(id)
      }
      await client.subscribe(topic, 2)
      await (await connect()).publishWhole({ topic, qos: 2 })
      const { id } = await client.expect("publish")
      client.ack("pubrec", id)
      expect((await client.expect("pubrel")).id).toBe(id)
    }
  })

  test("SUBACK and UNSUBACK name the identifier of their request [MQTT-2.2.1-6, MQTT-2.3.1-7 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const client = await connect({ version })
      for (const id of [1, 255, 256, 65_535]) {
        client.send(encode.subscribe(version, id, [{ filter: uniqueLevel() }]))
        expect((await client.expect("suback")).id).toBe(id)
        client.send(encode.unsubscribe(version, id, ["a"]))
        expect((await client.expect("unsuback")).id).toBe(id)
      }
    }
  })

  test("no properties are said by a length of 0 [MQTT-2.2.2-1]", async () => {
    const topic = uniqueLevel()
    const client = await connect({ version: 5 })
    client.send(encode.subscribe(5, 7, [{ filter: topic }]))
    await client.expectHex("90 04 0007 00 00")
    const older = await connect({ version: 4 })
    older.publish({ topic, payload: "p" })
    await client.expectHex(hex(packet(0x30, field(topic), Uint8Array.of(0, 0x70))))
    client.send(encode.unsubscribe(5, 7, [topic]))
    await client.expectHex("b0 04 0007 00 00")
  })

  test("the first packet is a CONNECT or the connection ends [MQTT-3.1.0-1]", async () => {
    for (const version of BOTH) {
      for (const bytes of [
        encode.publish(version, { topic: "a", qos: 1 }),
        encode.subscribe(version, 1, [{ filter: "a" }]),
        encode.pingreq(),
        encode.auth(0x18, [["authenticationMethod", "SCRAM-SHA-256"]])
      ]) {
        expect(await first(version, bytes, encode.connect({ version, clientId: uniqueId() }))).toEqual([])
      }
    }
  })

  test("a second CONNECT on a connection is a protocol error [MQTT-3.1.0-2]", async () => {
    for (const version of BOTH) {
      const again = encode.connect({ version, clientId: uniqueId() })
      expect(await later(version, again)).toEqual(version === 5 ? ["disconnect 82"] : [])
    }
  })

  test("another protocol name is not served [MQTT-3.1.2-1, MQTT-3.1.2-1 of 3.1.1]", async () => {
    for (const name of ["HTTP", "mqtt", "MQTT5", ""]) {
      for (const version of BOTH) {
        const body = concat(Uint8Array.of(version, 2), two(0), section(version), field("x"))
        expect([[], ["connack 84"]]).toContainEqual(await first(version, packet(0x10, field(name), body)))
      }
    }
  })

  test("a version above 5 is refused with 0x84 [MQTT-3.1.2-2]", async () => {
    for (const level of [6, 7, 127]) {
      const body = concat(Uint8Array.of(level, 2), two(0), section(5), field("x"))
      expect(await first(5, packet(0x10, field("MQTT"), body))).toEqual(["connack 84"])
    }
  })

  test("a level below 4 under the name MQTT is refused with 0x01 [MQTT-3.1.2-2 of 3.1.1]", async () => {
    for (const level of [0, 1, 2, 3]) {
      const body = concat(Uint8Array.of(level, 2), two(0), field("x"))
      expect(await first(4, packet(0x10, field("MQTT"), body))).toEqual(["connack 01"])
    }
  })

  test("the reserved connect flag ends the connection [MQTT-3.1.2-3]", async () => {
    for (const version of BOTH) {
      expect(await first(version, raw(version, 3, field("x")))).toEqual(malformed(version, "connack"))
    }
  })

  test("a clean start ends the session that was there [MQTT-3.1.2-4, MQTT-3.2.2-2, MQTT-3.1.2-6 of 3.1.1, MQTT-3.2.2-1 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const [clientId, topic] = [uniqueId(), uniqueLevel()]
      const before = await connect(durable(version, clientId))
      await before.subscribe(topic, 1)
      await before.disconnect()
      const publisher = await connect()
      await publisher.publishWhole({ topic, qos: 1 })
      const client = await connect(durable(version, clientId, true))
      expect(client.connack).toMatchObject({ code: 0, sessionPresent: false })
      await publisher.publishWhole({ topic, qos: 1 })
      await client.quiet(30)
    }
  })

  test("before 5 what belongs to a clean session is never used again [MQTT-3.1.4-3 of 3.1.1]", async () => {
    const [clientId, topic] = [uniqueId(), uniqueLevel()]
    const before = await connect({ version: 4, clientId, clean: true })
    await before.subscribe(topic, 1)
    await before.disconnect()
    const client = await connect(durable(4, clientId))
    expect(client.connack.sessionPresent).toBe(false)
    await (await connect()).publishWhole({ topic, qos: 1 })
    await client.quiet(30)
  })

  test("without a clean start the session goes on [MQTT-3.1.2-5, MQTT-3.1.4-4, MQTT-3.1.2-4 of 3.1.1, MQTT-3.1.2-5 of 3.1.1, MQTT-3.2.2-2 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const [clientId, topic] = [uniqueId(), uniqueLevel()]
      const before = await connect(durable(version, clientId, version === 5))
      await before.subscribe(topic, 2)
      await before.disconnect()
      const publisher = await connect()
      await publisher.publishWhole({ topic, qos: 1, payload: "one" })
      await publisher.publishWhole({ topic, qos: 2, payload: "two" })
      const client = await connect(durable(version, clientId))
      expect(client.connack).toMatchObject({ code: 0, sessionPresent: true })
      expect((await client.messages(2)).map(({ qos, payload }) => [qos, textOf(payload)])).toEqual([
        [1, "one"],
        [2, "two"]
      ])
    }
  })

  test("where there is no session a new one is made [MQTT-3.1.2-6, MQTT-3.2.2-3, MQTT-3.2.2-3 of 3.1.1]", async () => {
    for (const version of BOTH) {
      const client = await connect(durable(version, uniqueId()))
      expect(client.connack).toMatchObject({ code: 0, sessionPresent: false })
      const topic = uniqueLevel()
      await client.subscribe(topic, 1)
      await client.disconnect()
    }
    const clientId = uniqueId()
    for (const isPresent of [false, true, true]) {
      const client = await connect(durable(5, clientId))
      expect(client.connack.sessionPresent).toBe(isPresent)
      await client.disconnect()
    }
  })

  test("retained messages outlive the session of their publisher [MQTT-3.1.2-7 of 3.1.1]", async () => {
    const topic = uniqueLevel()
    const publisher = await connect({ version: 4, clean: true })
    await publisher.publishWhole({ topic, qos: 1, retain: true, payload: "kept" })
    await publisher.disconnect()
    const late = await connect()
    await late.subscribe(topic)
    expect(textOf((await late.expect("publish")).payload)).toBe("kept")
  })

  test("a session outlives its connection for its expiry interval, not longer [MQTT-3.1.2-23]", async () => {
    const seconds = [undefined, 0, 1, 60]
    const ids = seconds.map(() => uniqueId())
    const again = async (index: number): Promise<ConnectedMqtt> => {
      const expiry = seconds[index]
      const list: Properties = expiry === undefined ? [] : [["sessionExpiry", expiry]]
      return await connect({ version: 5, clientId: ids[index] ?? "", clean: false, properties: list })
    }
    for (const index of seconds.keys()) (await again(index)).cut()
    await sleep(1_300)
    const present: Array<boolean> = []
    for (const index of seconds.keys()) present.push((await again(index)).connack.sessionPresent)
    expect(present).toEqual([false, false, false, true])
  })
})
