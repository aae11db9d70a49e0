/** QoS, order and flow control: MQTT 5.0 sections 4.2, 4.3, 4.5, 4.6, 4.9; MQTT 3.1.1 sections 4.2, 4.3, 4.6. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { type AckType, type Connect, concat, encode, type Qos, textOf } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, hex, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { RawWebSocket } from "../support/raw-websocket.ts"
import { sleep } from "../support/until.ts"

/** Sessions that outlive their connection. */
const KEPT: ReadonlyArray<Connect> = [
  { version: 4, clean: false },
  { version: 5, clean: false, properties: [["sessionExpiry", 600]] }
]
/** Sessions of both versions that end with their connection, too: the broker keeps those in another way. */
const ALL: ReadonlyArray<Connect> = [{ version: 4 }, { version: 5 }, ...KEPT]
const IDENTIFIERS = [1, 2, 255, 256, 300, 32_768, 65_535]
const numbers = (count: number): Array<string> => Array.from({ length: count }, (_, index) => String(index))

brokerSuite("delivery", { set: { "protocol-mqtt.topic_levels_max": "8" } }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: Connect = {}): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, options)
  const payloads = async (client: ConnectedMqtt, count: number): Promise<Array<string>> =>
    (await client.messages(count)).map(({ payload }) => textOf(payload))
  /** Takes PUBREL packets and completes them; fails where something else comes. */
  const complete = async (client: ConnectedMqtt, count: number): Promise<void> => {
    for (let index = 0; index < count; index++) client.ack("pubcomp", (await client.expect("pubrel")).id)
  }

  test("a stream is taken as it comes, cut into single bytes or all at once, over TCP and over WebSocket [MQTT-4.2.0-1]", async () => {
    const topic = `${uniqueLevel()}/a`
    const subscriber = await connect()
    await subscriber.subscribe(topic)
    const stream = (): Uint8Array =>
      concat(
        encode.connect({ clientId: uniqueId() }),
        encode.publish(4, { topic, payload: "short", qos: 1, id: 1 }),
        encode.publish(4, { topic, payload: "long".repeat(40), qos: 1, id: 2 }),
        encode.pingreq()
      )
    const answer = "20020000400200014002" + "0002d000"
    for (const size of [1, 1_000]) {
      const client = await RawMqtt.open(broker().mqtt)
      const bytes = stream()
      for (let at = 0; at < bytes.length; at += size) {
        client.send(bytes.subarray(at, at + size))
        await sleep(0)
      }
      await client.expectHex(answer)
      expect(await payloads(subscriber, 2)).toEqual(["short", "long".repeat(40)])
      const socket = await RawWebSocket.open(broker().websocket)
      const again = stream()
      for (let at = 0; at < again.length; at += size) socket.binary(again.subarray(at, at + size))
      expect(hex(await socket.bytes(answer.length / 2))).toBe(answer)
      expect(await payloads(subscriber, 2)).toEqual(["short", "long".repeat(40)])
      socket.socket.destroy()
    }
  })

  test("what is delivered with QoS 0 has QoS 0 and no DUP in its first byte, however it was published [MQTT-4.3.1-1]", async () => {
    for (const kind of ALL) {
      const topic = `${uniqueLevel()}/a`
      const publisher = await connect({ version: kind.version ?? 4 })
      for (const [granted, qos] of [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
        [2, 0]
      ] as const) {
        const subscriber = await connect({ ...kind, clientId: uniqueId() })
        await subscriber.subscribe(topic, granted)
        await publisher.publishWhole({ topic, payload: "x", qos, dup: qos > 0 })
        expect((await subscriber.nextBytes())[0]).toBe(0x30)
        await subscriber.disconnect()
      }
    }
  })

  /** Identifiers of messages to a client, while some are acknowledged and others are not. */
  const lookAtIdentifiers = async (kind: Connect, qos: Qos): Promise<void> => {
    const topic = `${uniqueLevel()}/a`
    const publisher = await connect()
    const clientId = uniqueId()
    let subscriber = await connect({ ...kind, clientId })
    await subscriber.subscribe(topic, qos)
    const inUse = new Set<number>()
    const take = async (): Promise<void> => {
      for (let index = 0; index < 12; index++) await publisher.publishWhole({ topic, qos })
      for (const { id } of await subscriber.messages(12, { acknowledge: false })) {
        expect(id).toBeGreaterThan(0)
        expect(inUse.has(id)).toBe(false)
        inUse.add(id)
      }
    }
    for (let round = 0; round < 3; round++) {
      await take()
      for (const [index, id] of [...inUse].entries()) {
        if (qos === 2 && index % 3 !== 0) {
          subscriber.ack("pubrec", id)
          expect((await subscriber.expect("pubrel")).id).toBe(id)
        }
        // With PUBREL sent and no PUBCOMP an identifier stays in use.
        if (index % 3 !== 2) continue
        subscriber.ack(qos === 1 ? "puback" : "pubcomp", id)
        inUse.delete(id)
      }
    }
    if (kind.clean !== false) return
    await subscriber.quiet(0)
    subscriber.cut()
    subscriber = await connect({ ...kind, clientId })
    const again = new Set<number>()
    while (again.size < inUse.size) {
      const packet = await subscriber.next()
      if (packet.type === "publish" || packet.type === "pubrel") again.add(packet.id)
    }
    expect([...again].toSorted()).toEqual([...inUse].toSorted())
    await take()
  }

  test("each QoS 1 message to a client has an identifier that is not in use [MQTT-4.3.2-1]", async () => {
    for (const kind of ALL) await lookAtIdentifiers(kind, 1)
  })

  test("each QoS 2 message to a client has an identifier that is not in use [MQTT-4.3.3-1]", async () => {
    for (const kind of ALL) await lookAtIdentifiers(kind, 2)
  })

  /** What comes first to a subscriber, live and out of what waited, of messages that their publisher had to repeat. */
  const lookAtFirst = async (qos: Qos): Promise<void> => {
    for (const kind of ALL) {
      const topic = `${uniqueLevel()}/a`
      const clientId = uniqueId()
      const publisher = await connect({ version: kind.version ?? 4 })
      let subscriber = await connect({ ...kind, clientId })
      await subscriber.subscribe(topic, qos)
      await publisher.publishWhole({ topic, payload: "live", qos, dup: true })
      const [live] = await subscriber.messages(1)
      expect(live).toMatchObject({ qos, dup: false })
      if (qos === 2) await complete(subscriber, 1)
      if (kind.clean !== false) continue
      await subscriber.disconnect()
      await publisher.publishWhole({ topic, payload: "kept", qos, dup: true })
      subscriber = await connect({ ...kind, clientId })
      const [kept] = await subscriber.messages(1)
      expect([kept?.qos, kept?.dup, textOf(kept?.payload ?? new Uint8Array(0))]).toEqual([qos, false, "kept"])
    }
  }

  test("the first PUBLISH of a QoS 1 message says QoS 1 and no DUP, also where its publisher sent DUP [MQTT-4.3.2-2]", () =>
    lookAtFirst(1))

  test("the first PUBLISH of a QoS 2 message says QoS 2 and no DUP, also where its publisher sent DUP [MQTT-4.3.3-2]", () =>
    lookAtFirst(2))

  /** A message that is not acknowledged stays so through wrong acknowledgements, which end connections; `right` ends it. */
  const lookAtUnacknowledged = async (qos: Qos, right: AckType, wrong: ReadonlyArray<AckType>): Promise<void> => {
    for (const kind of KEPT) {
      const topic = `${uniqueLevel()}/a`
      const clientId = uniqueId()
      let subscriber = await connect({ ...kind, clientId })
      await subscriber.subscribe(topic, qos)
      await (await connect()).publishWhole({ topic, payload: "x", qos })
      const { id } = await subscriber.expect("publish")
      for (const type of [...wrong, undefined]) {
        subscriber.ack(right, id + 1)
        if (right === "pubrec") await subscriber.expect("pubrel")
        subscriber.ack("pubcomp", id + 1)
        await subscriber.quiet(0)
        if (type === undefined) subscriber.cut()
        else expect(await subscriber.answersUntilClosed(encode.ack(type, id))).toHaveLength(subscriber.version - 4)
        subscriber = await connect({ ...kind, clientId })
        expect(await subscriber.expect("publish")).toMatchObject({ id, qos, dup: true })
      }
      subscriber.ack(right, id)
      if (right === "pubrec") await complete(subscriber, 1)
      await subscriber.quiet(0)
      subscriber.cut()
      subscriber = await connect({ ...kind, clientId })
      await subscriber.quiet(30)
    }
    // It has its place in the window until then.
    for (const sessionExpiry of [0, 600]) {
      const topic = `${uniqueLevel()}/b`
      const subscriber = await connect({
        version: 5,
        properties: [["receiveMaximum", 1] as const, ["sessionExpiry", sessionExpiry] as const]
      })
      await subscriber.subscribe(topic, qos)
      const publisher = await connect()
      for (const payload of ["1", "2"]) await publisher.publishWhole({ topic, payload, qos })
      const { id } = await subscriber.expect("publish")
      subscriber.ack(right, id + 1)
      if (right === "pubrec") await subscriber.expect("pubrel")
      await subscriber.quiet(30)
      subscriber.ack(right, id)
      if (right === "pubrec") await complete(subscriber, 1)
      expect(textOf((await subscriber.expect("publish")).payload)).toBe("2")
    }
  }

  test("a QoS 1 message is unacknowledged until the PUBACK of its identifier comes [MQTT-4.3.2-3]", () =>
    lookAtUnacknowledged(1, "puback", ["pubrec", "pubcomp"]))

  test("a QoS 2 message is unacknowledged until the PUBREC of its identifier comes [MQTT-4.3.3-3]", () =>
    lookAtUnacknowledged(2, "pubrec", ["puback", "pubcomp"]))

  test("QoS 1 and 2 towards a 3.1.1 client: fresh identifiers, no DUP, unacknowledged until the last answer, no PUBLISH behind PUBREL [MQTT-4.3.2-1 of 3.1.1] [MQTT-4.3.3-1 of 3.1.1]", async () => {
    const topic = `${uniqueLevel()}/a`
    const kind = { version: 4, clean: false, clientId: uniqueId() } as const
    let subscriber = await connect(kind)
    await subscriber.subscribe(topic, 2)
    const publisher = await connect()
    for (const qos of [1, 2, 2] as const) await publisher.publishWhole({ topic, payload: "x", qos, dup: true })
    const first = await subscriber.messages(3, { acknowledge: false })
    expect(first.map(({ qos, dup }) => [qos, dup])).toEqual([
      [1, false],
      [2, false],
      [2, false]
    ])
    const [one = 0, two = 0, three = 0] = first.map(({ id }) => id)
    expect(new Set([0, one, two, three]).size).toBe(4)
    subscriber.ack("pubrec", two)
    expect((await subscriber.expect("pubrel")).id).toBe(two)
    for (let round = 0; round < 2; round++) {
      subscriber.cut()
      subscriber = await connect(kind)
      const again: Array<string> = []
      for (let index = 0; index < 3; index++) {
        const packet = await subscriber.next()
        again.push(`${packet.type} ${"id" in packet ? packet.id : ""}`)
      }
      expect(again.toSorted()).toEqual([`publish ${one}`, `publish ${three}`, `pubrel ${two}`].toSorted())
      await subscriber.quiet(30)
    }
    subscriber.ack("puback", one)
    subscriber.ack("pubcomp", two)
    subscriber.ack("pubrec", three)
    await complete(subscriber, 1)
    await subscriber.quiet(0)
    subscriber.cut()
    await (await connect(kind)).quiet(30)
  })

  test("PUBREC is answered by PUBREL with its identifier, but not where it says that the message was refused [MQTT-4.3.3-4]", async () => {
    for (const kind of ALL) {
      const topic = `${uniqueLevel()}/a`
      const subscriber = await connect({ ...kind, clientId: uniqueId() })
      await subscriber.subscribe(topic, 2)
      const publisher = await connect()
      const reasons = kind.version === 5 ? [undefined, 0, 0x10, 0x80, 0x97] : [undefined, undefined]
      for (const _ of reasons) await publisher.publishWhole({ topic, qos: 2 })
      const sent = await subscriber.messages(reasons.length, { acknowledge: false })
      for (const [index, reason] of reasons.entries()) {
        const { id } = sent[reasons.length - 1 - index] ?? { id: 0 }
        subscriber.ack("pubrec", id, reason)
        if (reason === undefined || reason < 0x80)
          expect(await subscriber.expect("pubrel")).toMatchObject({ id, code: 0 })
        else await subscriber.quiet(30)
      }
    }
  })

  test("PUBREL is unacknowledged until the PUBCOMP of its identifier comes [MQTT-4.3.3-5]", async () => {
    for (const kind of KEPT) {
      const topic = `${uniqueLevel()}/a`
      const clientId = uniqueId()
      const properties = kind.version === 5 ? [["sessionExpiry", 600] as const, ["receiveMaximum", 1] as const] : []
      let subscriber = await connect({ ...kind, clientId, properties })
      await subscriber.subscribe(topic, 2)
      await (await connect()).publishWhole({ topic, qos: 2 })
      const { id } = await subscriber.expect("publish")
      subscriber.ack("pubrec", id)
      expect((await subscriber.expect("pubrel")).id).toBe(id)
      for (const isWrong of [false, true, false]) {
        subscriber.ack("puback", id + 1)
        subscriber.ack("pubcomp", id + 1)
        await subscriber.quiet(0)
        if (isWrong) await subscriber.answersUntilClosed(encode.ack("puback", id))
        else subscriber.cut()
        subscriber = await connect({ ...kind, clientId, properties })
        expect((await subscriber.expect("pubrel")).id).toBe(id)
      }
      if (kind.version === 5) {
        await (await connect()).publishWhole({ topic, payload: "next", qos: 1 })
        await subscriber.quiet(30)
      }
      subscriber.ack("pubcomp", id)
      if (kind.version === 5) expect(await payloads(subscriber, 1)).toEqual(["next"])
      await subscriber.quiet(0)
      subscriber.cut()
      await (await connect({ ...kind, clientId, properties })).quiet(30)
    }
  })

  test("behind its PUBREL a message is not sent again [MQTT-4.3.3-6]", async () => {
    for (const kind of KEPT) {
      const topic = `${uniqueLevel()}/a`
      const clientId = uniqueId()
      let subscriber = await connect({ ...kind, clientId })
      await subscriber.subscribe(topic, 2)
      const publisher = await connect()
      for (let index = 0; index < 3; index++) await publisher.publishWhole({ topic, qos: 2 })
      const sent = await subscriber.messages(3, { acknowledge: false })
      for (const { id } of sent) {
        subscriber.ack("pubrec", id)
        await subscriber.expect("pubrel")
      }
      for (let round = 0; round < 2; round++) {
        subscriber.cut()
        subscriber = await connect({ ...kind, clientId })
        for (const { id } of sent) expect((await subscriber.expect("pubrel")).id).toBe(id)
        await subscriber.quiet(30)
      }
    }
  })

  /** Each identifier is answered by a packet of this type with the same, and its message is delivered. */
  const lookAtAnswers = async (qos: Qos, type: "puback" | "pubrec"): Promise<void> => {
    for (const kind of ALL) {
      const topic = `${uniqueLevel()}/a`
      const subscriber = await connect()
      await subscriber.subscribe(topic, 1)
      const publisher = await connect({ ...kind, clientId: uniqueId() })
      for (const id of IDENTIFIERS) {
        publisher.publish({ topic, payload: String(id), qos, id })
        expect(await publisher.expect(type)).toMatchObject({ id, code: 0 })
        expect(await payloads(subscriber, 1)).toEqual([String(id)])
      }
    }
  }

  test("a QoS 1 PUBLISH is answered by PUBACK with its identifier, and its message is delivered [MQTT-4.3.2-4]", () =>
    lookAtAnswers(1, "puback"))

  test("a QoS 2 PUBLISH is answered by PUBREC with its identifier, and its message is delivered [MQTT-4.3.3-8]", () =>
    lookAtAnswers(2, "pubrec"))

  test("after PUBACK a PUBLISH with the same identifier is a new message, with DUP and without, on a new connection too [MQTT-4.3.2-5] [MQTT-4.3.2-2 of 3.1.1]", async () => {
    for (const kind of ALL) {
      const topic = `${uniqueLevel()}/a`
      const subscriber = await connect()
      await subscriber.subscribe(topic, 1)
      const clientId = uniqueId()
      let publisher = await connect({ ...kind, clientId })
      for (let index = 0; index < 6; index++) {
        publisher.publish({ topic, payload: String(index), qos: 1, id: 9, dup: index % 2 === 1 })
        expect(await publisher.expect("puback")).toMatchObject({ id: 9, code: 0 })
        if (index !== 2) continue
        publisher.cut()
        publisher = await connect({ ...kind, clientId })
      }
      expect(await payloads(subscriber, 6)).toEqual(numbers(6))
      await subscriber.quiet(0)
    }
  })

  test("after a PUBREC that refuses it, a PUBLISH with the same identifier is a new message [MQTT-4.3.3-9]", async () => {
    for (const kind of ALL.filter(({ version }) => version === 5)) {
      const topic = `${uniqueLevel()}/a`
      const subscriber = await connect()
      await subscriber.subscribe(topic, 2)
      const publisher = await connect({ ...kind, clientId: uniqueId() })
      for (let round = 0; round < 2; round++) {
        publisher.publish({ topic: `${topic}/1/2/3/4/5/6/7/8`, payload: "refused", qos: 2, id: 8 })
        expect((await publisher.expect("pubrec")).code).toBeGreaterThanOrEqual(0x80)
        publisher.publish({ topic, payload: `taken ${round}`, qos: 2, id: 8, dup: true })
        expect(await publisher.expect("pubrec")).toMatchObject({ id: 8, code: 0 })
        publisher.ack("pubrel", 8)
        expect(await publisher.expect("pubcomp")).toMatchObject({ id: 8, code: 0 })
      }
      expect(await payloads(subscriber, 2)).toEqual(["taken 0", "taken 1"])
    }
  })

  test("until PUBREL each copy of a QoS 2 PUBLISH is answered by PUBREC and delivered to nobody, on a new connection too [MQTT-4.3.3-10]", async () => {
    for (const kind of ALL) {
      const topic = `${uniqueLevel()}/a`
      const subscribers = [await connect(), await connect({ version: 5 })]
      for (const subscriber of subscribers) await subscriber.subscribe(topic, 1)
      const clientId = uniqueId()
      let publisher = await connect({ ...kind, clientId })
      publisher.publish({ topic, payload: "once", qos: 2, id: 4 })
      expect((await publisher.expect("pubrec")).id).toBe(4)
      for (let copy = 0; copy < 4; copy++) {
        if (copy === 2 && kind.clean === false) {
          publisher.cut()
          publisher = await connect({ ...kind, clientId })
        }
        publisher.publish({ topic, payload: "once", qos: 2, id: 4, dup: copy > 0 })
        expect(await publisher.expect("pubrec")).toMatchObject({ id: 4, code: 0 })
      }
      for (const subscriber of subscribers) {
        expect(await payloads(subscriber, 1)).toEqual(["once"])
        await subscriber.quiet(20)
      }
    }
  })
})
