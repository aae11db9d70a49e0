/** Session state across connections: MQTT 5.0 sections 3.1.2.4, 3.1.2.11.2, 4.1, 4.4, 4.6; MQTT 3.1.1 section 3.1.2.4. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { type Connect, encode, propertyOf, type Qos, textOf } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const KEPT: ReadonlyArray<readonly [string, Connect]> = [
  ["3.1.1", { version: 4, clean: false }],
  ["5", { version: 5, clean: false, properties: [["sessionExpiry", 600]] }]
]

brokerSuite("session", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: Connect): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, options)

  for (const [name, kept] of KEPT) {
    test(`${name}: kept with its subscriptions and what came meanwhile, in order; a clean start forgets all`, async () => {
      const clientId = uniqueId()
      const level = uniqueLevel()
      const first = await connect({ ...kept, clientId })
      expect(first.connack.sessionPresent).toBe(false)
      await first.subscribe(`${level}/#`, 2)
      await first.disconnect()
      const publisher = await connect({ version: 5 })
      for (let index = 0; index < 100; index++) {
        await publisher.publishWhole({ topic: `${level}/a`, payload: String(index), qos: index % 2 === 0 ? 1 : 2 })
      }
      const second = await connect({ ...kept, clientId })
      expect(second.connack.sessionPresent).toBe(true)
      const found = (await second.messages(100)).map((message) => [textOf(message.payload), message.qos, message.dup])
      expect(found).toEqual(Array.from({ length: 100 }, (_, index) => [String(index), index % 2 === 0 ? 1 : 2, false]))
      await publisher.publishWhole({ topic: `${level}/a`, payload: "live", qos: 1 })
      expect(textOf((await second.find("publish")).payload)).toBe("live")
      await second.disconnect()
      await publisher.publishWhole({ topic: `${level}/a`, payload: "forgotten", qos: 1 })
      const third = await connect({ ...kept, clientId, clean: true })
      expect(third.connack.sessionPresent).toBe(false)
      await publisher.publishWhole({ topic: `${level}/a`, payload: "nobody", qos: 1 })
      await third.quiet()
    })

    test(`${name}: a session without subscriptions is present too`, async () => {
      const clientId = uniqueId()
      await (await connect({ ...kept, clientId })).disconnect()
      expect((await connect({ ...kept, clientId })).connack.sessionPresent).toBe(true)
    })

    test(`${name}: unacknowledged messages come again, first, in order, with DUP and their identifiers`, async () => {
      const clientId = uniqueId()
      const topic = `${uniqueLevel()}/a`
      const publisher = await connect({ version: 4 })
      const first = await connect({ ...kept, clientId })
      await first.subscribe(topic, 2)
      for (let index = 0; index < 6; index++) {
        await publisher.publishWhole({ topic, payload: String(index), qos: index % 2 === 0 ? 1 : 2 })
      }
      const sent = await first.messages(6, { acknowledge: false })
      first.ack("puback", sent[0]?.id ?? 0)
      first.ack("pubrec", sent[1]?.id ?? 0)
      expect((await first.expect("pubrel")).id).toBe(sent[1]?.id ?? 0)
      first.cut()
      await sleep(50)
      await publisher.publishWhole({ topic, payload: "6", qos: 1 })
      const second = await connect({ ...kept, clientId })
      expect(second.connack.sessionPresent).toBe(true)
      const again: Array<string> = []
      for (let index = 0; index < 6; index++) {
        const packet = await second.next()
        if (packet.type === "publish") again.push(`publish ${packet.id} ${textOf(packet.payload)} ${packet.dup}`)
        else again.push(`${packet.type} ${"id" in packet ? packet.id : ""}`)
      }
      const resent = sent.slice(2).map((message) => `publish ${message.id} ${textOf(message.payload)} true`)
      const released = again.filter((each) => each.startsWith("pubrel"))
      expect(released).toEqual([`pubrel ${sent[1]?.id}`])
      expect(again.filter((each) => !each.startsWith("pubrel")).slice(0, 4)).toEqual(resent)
      expect(again.at(-1)).toMatch(/^publish \d+ 6 false$/)
    })

    test(`${name}: QoS 2 towards the broker stays exactly once across a cut connection`, async () => {
      const clientId = uniqueId()
      const topic = `${uniqueLevel()}/a`
      const subscriber = await connect({ version: 4 })
      await subscriber.subscribe(topic, 2)
      const first = await connect({ ...kept, clientId })
      first.publish({ topic, payload: "once", qos: 2, id: 5 })
      expect((await first.expect("pubrec")).id).toBe(5)
      first.cut()
      await sleep(30)
      const second = await connect({ ...kept, clientId })
      expect(second.connack.sessionPresent).toBe(true)
      second.publish({ topic, payload: "once", qos: 2, id: 5, dup: true })
      expect(await second.expect("pubrec")).toMatchObject({ id: 5, code: 0 })
      second.cut()
      await sleep(30)
      const third = await connect({ ...kept, clientId })
      third.ack("pubrel", 5)
      expect(await third.expect("pubcomp")).toMatchObject({ id: 5, code: 0 })
      third.publish({ topic, payload: "new", qos: 2, id: 5 })
      await third.expect("pubrec")
      third.ack("pubrel", 5)
      await third.expect("pubcomp")
      const found = await subscriber.messages(2)
      expect(found.map((message) => textOf(message.payload))).toEqual(["once", "new"])
    })

    test(`${name}: take-over keeps the session and resends what the old connection had not acknowledged`, async () => {
      const clientId = uniqueId()
      const topic = `${uniqueLevel()}/a`
      const publisher = await connect({ version: 4 })
      const first = await connect({ ...kept, clientId })
      await first.subscribe(topic, 1)
      await publisher.publishWhole({ topic, payload: "1", qos: 1 })
      const [message] = await first.messages(1, { acknowledge: false })
      const second = await connect({ ...kept, clientId })
      expect(second.connack.sessionPresent).toBe(true)
      expect(await second.expect("publish")).toMatchObject({ id: message?.id ?? 0, dup: true })
      await first.closed()
      first.ack("puback", message?.id ?? 0)
      await publisher.publishWhole({ topic, payload: "2", qos: 1 })
      expect(textOf((await second.expect("publish")).payload)).toBe("2")
    })

    test(`${name}: a session resumed under live traffic misses nothing and keeps the order`, async () => {
      const clientId = uniqueId()
      const topic = `${uniqueLevel()}/a`
      const total = 900
      const publisher = await connect({ version: 4 })
      const first = await connect({ ...kept, clientId })
      await first.subscribe(topic, 1)
      const seen: Array<number> = []
      let isDone = false
      const publishing = (async () => {
        for (let index = 0; index < total; index++) {
          await publisher.publishWhole({ topic, payload: String(index), qos: 1 })
          if (index % 20 === 0) await sleep(1)
        }
        isDone = true
      })()
      let client: ConnectedMqtt = first
      while (!isDone || seen.at(-1) !== total - 1) {
        const end = performance.now() + 15
        while (performance.now() < end && seen.at(-1) !== total - 1) {
          const packet = await client.next(15).catch(() => undefined)
          if (packet?.type !== "publish") continue
          const value = Number(textOf(packet.payload))
          if (!packet.dup || !seen.includes(value)) seen.push(value)
          client.ack("puback", packet.id)
        }
        if (seen.at(-1) === total - 1) break
        client.cut()
        client = await connect({ ...kept, clientId })
      }
      await publishing
      expect(seen).toEqual(Array.from({ length: total }, (_, index) => index))
    }, 20_000)
  }

  test("3.1.1: a clean session leaves nothing behind", async () => {
    const clientId = uniqueId()
    const first = await connect({ clientId, clean: true })
    await first.subscribe(`${uniqueLevel()}/#`, 1)
    await first.disconnect()
    expect((await connect({ clientId, clean: false })).connack.sessionPresent).toBe(false)
  })

  test("5: without Session Expiry Interval the session ends with its connection", async () => {
    const clientId = uniqueId()
    const first = await connect({ version: 5, clientId, clean: false })
    await first.subscribe(`${uniqueLevel()}/#`, 1)
    first.cut()
    await sleep(50)
    expect((await connect({ version: 5, clientId, clean: false })).connack.sessionPresent).toBe(false)
  })

  test("5: a session expires after its interval, not before", async () => {
    const clientId = uniqueId()
    const properties = [["sessionExpiry", 1]] as const
    await (await connect({ version: 5, clientId, clean: false, properties })).disconnect()
    await sleep(300)
    const second = await connect({ version: 5, clientId, clean: false, properties })
    expect(second.connack.sessionPresent).toBe(true)
    await sleep(1_300)
    await second.quiet(0)
    await second.disconnect()
    await sleep(2_200)
    expect((await connect({ version: 5, clientId, clean: false, properties })).connack.sessionPresent).toBe(false)
  })

  test("5: DISCONNECT may change the interval, but not from zero", async () => {
    const clientId = uniqueId()
    const first = await connect({ version: 5, clientId, properties: [["sessionExpiry", 600]] })
    await first.disconnect(0, [["sessionExpiry", 0]])
    const second = await connect({ version: 5, clientId, clean: false })
    expect(second.connack.sessionPresent).toBe(false)
    second.send(encode.disconnect(5, 0, [["sessionExpiry", 600]]))
    expect((await second.expect("disconnect")).code).toBe(0x82)
    await second.closed()
  })

  test("5: an offline message expires; one that does not tells what is left", async () => {
    const clientId = uniqueId()
    const topic = `${uniqueLevel()}/a`
    const kept = { version: 5, clientId, clean: false, properties: [["sessionExpiry", 600]] } as const
    const first = await connect(kept)
    await first.subscribe(topic, 1)
    await first.disconnect()
    const publisher = await connect({ version: 5 })
    await publisher.publishWhole({ topic, payload: "short", qos: 1, properties: [["messageExpiry", 1]] })
    await publisher.publishWhole({ topic, payload: "long", qos: 1, properties: [["messageExpiry", 100]] })
    await sleep(2_100)
    const second = await connect(kept)
    const message = await second.expect("publish")
    expect(textOf(message.payload)).toBe("long")
    expect(Number(propertyOf(message.properties, "messageExpiry"))).toBeWithin(95, 100)
  })

  test("5: the Receive Maximum of the new connection holds for what is sent again, too", async () => {
    const clientId = uniqueId()
    const topic = `${uniqueLevel()}/a`
    const kept = { version: 5, clientId, clean: false } as const
    const first = await connect({ ...kept, properties: [["sessionExpiry", 60]] })
    await first.subscribe(topic, 1)
    const publisher = await connect({})
    for (let index = 0; index < 10; index++) await publisher.publishWhole({ topic, payload: String(index), qos: 1 })
    await first.messages(10, { acknowledge: false })
    first.cut()
    const properties = [["sessionExpiry", 60] as const, ["receiveMaximum", 3] as const]
    const second = await connect({ ...kept, properties })
    const unacknowledged = await second.messages(3, { acknowledge: false })
    await second.quiet()
    for (let index = 3; index < 10; index++) {
      second.ack("puback", unacknowledged.shift()?.id ?? 0)
      const message = await second.expect("publish")
      expect([textOf(message.payload), message.dup]).toEqual([String(index), true])
      unacknowledged.push(message)
    }
  })

  test("5: the Maximum Packet Size of the new connection holds for what is sent again, too [MQTT-3.1.2-24]", async () => {
    const clientId = uniqueId()
    const topic = `${uniqueLevel()}/a`
    const kept = { version: 5, clientId, clean: false } as const
    const first = await connect({ ...kept, properties: [["sessionExpiry", 60]] })
    await first.subscribe(topic, 2)
    const publisher = await connect({})
    await publisher.publishWhole({ topic, payload: "x".repeat(300), qos: 1 })
    await publisher.publishWhole({ topic, payload: "y".repeat(300), qos: 2 })
    await publisher.publishWhole({ topic, payload: "small", qos: 1 })
    const large = (await first.messages(3, { acknowledge: false })).find(({ qos }) => qos === 2)
    first.cut()
    const second = await connect({
      ...kept,
      properties: [["sessionExpiry", 60] as const, ["maximumPacketSize", 100] as const]
    })
    expect(textOf((await second.expect("publish")).payload)).toBe("small")
    // The client may have taken its identifier: it is let go of as if PUBREC had come, or the next message under it would be a copy.
    expect((await second.expect("pubrel")).id).toBe(large?.id ?? 0)
    await second.quiet()
  })

  test("what several publishers sent meanwhile is in order for each of them", async () => {
    const clientId = uniqueId()
    const level = uniqueLevel()
    const first = await connect({ clientId, clean: false })
    await first.subscribe(`${level}/+`, 1)
    await first.disconnect()
    const publishers = await Promise.all([0, 1, 2, 3].map(() => connect({ version: 4 })))
    for (let index = 0; index < 100; index++) {
      for (const [number, publisher] of publishers.entries()) {
        publisher.publish({ topic: `${level}/${number}`, payload: String(index), qos: 1, id: index + 1 })
      }
    }
    for (const publisher of publishers) for (let index = 0; index < 100; index++) await publisher.expect("puback")
    const found = await (await connect({ clientId, clean: false })).messages(400)
    for (const number of publishers.keys()) {
      const own = found
        .filter((message) => message.topic === `${level}/${number}`)
        .map((message) => Number(textOf(message.payload)))
      expect(own).toEqual(Array.from({ length: 100 }, (_, index) => index))
    }
  })

  test("unsubscribed while online: what was queued for the next connection stops coming", async () => {
    const clientId = uniqueId()
    const topic = `${uniqueLevel()}/a`
    const first = await connect({ clientId, clean: false })
    await first.subscribe(topic, 1)
    first.send(encode.unsubscribe(4, 3, [topic]))
    await first.expect("unsuback")
    await first.disconnect()
    const publisher = await connect({})
    for (const qos of [0, 1, 2] as ReadonlyArray<Qos>) await publisher.publishWhole({ topic, qos })
    const second = await connect({ clientId, clean: false })
    expect(second.connack.sessionPresent).toBe(true)
    await second.quiet()
  })
})
