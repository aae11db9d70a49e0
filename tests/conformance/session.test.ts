/** Session state, sending again, large packets: MQTT 5.0 sections 3.1.2.11, 4.1, 4.4, 4.5; MQTT 3.1.1 sections 3.1.2.4, 4.1, 4.4, 4.6. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { type Connect, encode, type Properties, type Qos, textOf } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const expiry = (seconds: number): Properties => [["sessionExpiry", seconds]]
/** Sessions that outlive their connection. */
const KEPT: ReadonlyArray<Connect> = [
  { version: 4, clean: false },
  { version: 5, clean: false, properties: expiry(600) }
]
/** Sessions of both versions that end with their connection, too: the broker keeps those in another way. */
const ALL: ReadonlyArray<Connect> = [{ version: 4 }, { version: 5 }, ...KEPT]

brokerSuite("session", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: Connect = {}): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, options)
  const payloads = async (client: ConnectedMqtt, count: number): Promise<Array<string>> =>
    (await client.messages(count)).map(({ payload }) => textOf(payload))

  /** Sends a QoS 2 PUBLISH without its PUBREL. */
  const beginQos2 = async (client: ConnectedMqtt, topic: string, payload: string, id: number): Promise<void> => {
    client.publish({ topic, payload, qos: 2, id })
    expect(await client.expect("pubrec")).toMatchObject({ id, code: 0 })
  }

  test("a session stays while its connection is open, however short its expiry interval [MQTT-4.1.0-1] [MQTT-4.1.0-2 of 3.1.1]", async () => {
    const watcher = await connect()
    const level = uniqueLevel()
    await watcher.subscribe(`${level}/from`, 1)
    const kinds: ReadonlyArray<Connect> = [
      { version: 4 },
      { version: 4, clean: false },
      { version: 5 },
      { version: 5, properties: expiry(0) },
      { version: 5, clean: false, properties: expiry(1) }
    ]
    const clients: Array<ConnectedMqtt> = []
    for (const kind of kinds) {
      const clientId = uniqueId()
      // One that was left before must not end at the time that was set then.
      await (await connect({ ...kind, clientId })).disconnect()
      const client = await connect({ ...kind, clientId })
      await client.subscribe(`${level}/to`, 1)
      await beginQos2(client, `${level}/from`, "once", 5)
      clients.push(client)
    }
    expect(await payloads(watcher, clients.length)).toEqual(clients.map(() => "once"))
    await sleep(1_700)
    await watcher.publishWhole({ topic: `${level}/to`, payload: "late", qos: 1 })
    for (const client of clients) {
      expect(await payloads(client, 1)).toEqual(["late"])
      client.publish({ topic: `${level}/from`, payload: "once", qos: 2, id: 5, dup: true })
      expect(await client.expect("pubrec")).toMatchObject({ id: 5 })
      client.ack("pubrel", 5)
      expect(await client.expect("pubcomp")).toMatchObject({ id: 5, code: 0 })
    }
    await watcher.quiet(0)
  }, 10_000)

  test("a session that was left is forgotten when its expiry interval is over [MQTT-4.1.0-2]", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    const watcher = await connect()
    await watcher.subscribe(`${level}/from`, 1)
    const ways: ReadonlyArray<readonly [Connect, number | undefined]> = [
      [{ version: 5, properties: expiry(1) }, undefined],
      [{ version: 5, properties: expiry(600) }, 1],
      [{ version: 5, properties: expiry(600) }, 0],
      [{ version: 5, properties: expiry(0) }, undefined],
      [{ version: 5 }, undefined],
      [{ version: 4 }, undefined]
    ]
    const left: Array<string> = []
    for (const [kind, changed] of ways) {
      const clientId = uniqueId()
      const client = await connect({ ...kind, clientId })
      await client.subscribe(`${level}/to`, 1)
      await beginQos2(client, `${level}/from`, "first", 5)
      if (changed === undefined) client.cut()
      else await client.disconnect(0, expiry(changed))
      left.push(clientId)
    }
    await payloads(watcher, left.length)
    await publisher.publishWhole({ topic: `${level}/to`, payload: "meanwhile", qos: 1 })
    await sleep(1_400)
    for (const clientId of left) {
      const client = await connect({ version: 5, clientId, clean: false })
      expect(client.connack.sessionPresent).toBe(false)
      await publisher.publishWhole({ topic: `${level}/to`, payload: "now", qos: 1 })
      await client.quiet(20)
      // Its packet identifiers are forgotten with it: this is another message.
      await beginQos2(client, `${level}/from`, "second", 5)
      expect(await payloads(watcher, 1)).toEqual(["second"])
    }
  }, 10_000)

  test("with an expiry interval above 0 a session is kept when its connection ends, in whatever way [MQTT-3.1.2-23]", async () => {
    for (const [seconds, isCut] of [
      [5, true],
      [600, false],
      [0xffff_ffff, true],
      [0xffff_ffff, false]
    ] as const) {
      const level = uniqueLevel()
      const kind = { version: 5, clientId: uniqueId(), properties: expiry(seconds) } as const
      const publisher = await connect()
      await publisher.subscribe(`${level}/from`, 1)
      const first = await connect(kind)
      await first.subscribe(`${level}/to`, 2)
      await publisher.publishWhole({ topic: `${level}/to`, payload: "in flight", qos: 2 })
      const { id } = await first.expect("publish")
      await beginQos2(first, `${level}/from`, "once", 5)
      expect(await payloads(publisher, 1)).toEqual(["once"])
      if (isCut) first.cut()
      else await first.disconnect(0)
      await publisher.publishWhole({ topic: `${level}/to`, payload: "meanwhile", qos: 1 })
      const second = await connect({ ...kind, clean: false })
      expect(second.connack.sessionPresent).toBe(true)
      expect(await second.expect("publish")).toMatchObject({ id, dup: true })
      expect(textOf((await second.expect("publish")).payload)).toBe("meanwhile")
      await beginQos2(second, `${level}/from`, "once", 5)
      await publisher.publishWhole({ topic: `${level}/to`, payload: "now", qos: 1 })
      expect(textOf((await second.expect("publish")).payload)).toBe("now")
      await publisher.quiet(0)
    }
  })

  test("clean session 0 goes on with the session that is there, over many connections, or makes one [MQTT-3.1.2-4 of 3.1.1] [MQTT-4.1.0-1 of 3.1.1]", async () => {
    const level = uniqueLevel()
    const kind = { version: 4, clean: false, clientId: uniqueId() } as const
    const publisher = await connect()
    await publisher.subscribe(`${level}/from`, 1)
    let client = await connect(kind)
    expect(client.connack.sessionPresent).toBe(false)
    await client.subscribe(`${level}/to`, 2)
    await publisher.publishWhole({ topic: `${level}/to`, payload: "in flight", qos: 1 })
    const { id } = await client.expect("publish")
    await beginQos2(client, `${level}/from`, "once", 5)
    for (let round = 0; round < 3; round++) {
      if (round % 2 === 0) await client.disconnect()
      else client.cut()
      client = await connect(kind)
      expect(client.connack.sessionPresent).toBe(true)
      expect(await client.expect("publish")).toMatchObject({ id, dup: true })
      await beginQos2(client, `${level}/from`, "once", 5)
      await publisher.publishWhole({ topic: `${level}/to`, payload: String(round), qos: 2 })
      expect(await payloads(client, 1)).toEqual([String(round)])
      client.ack("pubcomp", (await client.expect("pubrel")).id)
      await client.quiet(0)
    }
    expect(await payloads(publisher, 1)).toEqual(["once"])
    await publisher.quiet(0)
  })

  test("clean session 0: messages of QoS 1 and 2 that its subscriptions match are kept for a client that is away [MQTT-3.1.2-5 of 3.1.1]", async () => {
    const level = uniqueLevel()
    const kind = { version: 4, clean: false, clientId: uniqueId() } as const
    const first = await connect(kind)
    await first.subscribe([
      { filter: `${level}/one/+`, qos: 1 },
      { filter: `${level}/two`, qos: 2 },
      { filter: `${level}/left`, qos: 1 }
    ])
    first.send(encode.unsubscribe(4, 3, [`${level}/left`]))
    await first.expect("unsuback")
    await first.disconnect()
    const publisher = await connect()
    for (const qos of [1, 2] as const) {
      for (const name of ["one/a", "one/b", "two", "left", "other"]) {
        await publisher.publishWhole({ topic: `${level}/${name}`, payload: `${name} ${qos}`, qos })
      }
    }
    const second = await connect(kind)
    const found = (await second.wholeMessages(6)).map((each) => `${textOf(each.payload)} as ${each.qos}`)
    expect(found.toSorted()).toEqual([
      "one/a 1 as 1",
      "one/a 2 as 1",
      "one/b 1 as 1",
      "one/b 2 as 1",
      "two 1 as 1",
      "two 2 as 2"
    ])
    await second.quiet(30)
  })

  test("clean session 1 forgets what was there, and leaves nothing behind [MQTT-3.1.2-6 of 3.1.1]", async () => {
    const level = uniqueLevel()
    const clientId = uniqueId()
    const publisher = await connect()
    await publisher.subscribe(`${level}/from`, 1)
    const first = await connect({ clientId, clean: false })
    await first.subscribe(`${level}/to`, 2)
    for (const qos of [1, 2] as const) await publisher.publishWhole({ topic: `${level}/to`, payload: "old", qos })
    await first.messages(2, { acknowledge: false })
    await beginQos2(first, `${level}/from`, "old", 5)
    for (const clean of [true, false]) {
      if (clean) {
        first.cut()
        await publisher.publishWhole({ topic: `${level}/to`, payload: "old", qos: 1 })
      }
      const client = await connect({ clientId, clean })
      expect(client.connack.sessionPresent).toBe(false)
      await publisher.publishWhole({ topic: `${level}/to`, payload: "unwanted", qos: 1 })
      await client.quiet(30)
      await beginQos2(client, `${level}/from`, "new", 5)
      await client.subscribe(`${level}/to`, 1)
      await publisher.publishWhole({ topic: `${level}/to`, payload: "unacknowledged", qos: 1 })
      await client.expect("publish")
      if (clean) client.cut()
    }
    expect(await payloads(publisher, 3)).toEqual(["old", "new", "new"])
  })

  test("retained messages stay when the session ends in which they were published [MQTT-3.1.2-7 of 3.1.1]", async () => {
    const level = uniqueLevel()
    const clientId = uniqueId()
    const short = await connect({ clean: true })
    await short.publishWhole({ topic: `${level}/short`, payload: "short", qos: 1, retain: true })
    await short.disconnect()
    const kept = await connect({ clientId, clean: false })
    await kept.subscribe(`${level}/#`, 1)
    await kept.publishWhole({ topic: `${level}/kept`, payload: "kept", qos: 1, retain: true })
    await kept.disconnect()
    await (await connect({ clientId, clean: true })).disconnect()
    const subscriber = await connect()
    await subscriber.subscribe(`${level}/+`, 1)
    const found = (await subscriber.messages(2)).map(({ payload, retain }) => [textOf(payload), retain])
    expect(found.toSorted()).toEqual([
      ["kept", true],
      ["short", true]
    ])
  })

  test("a new connection gets what was not acknowledged, under its identifiers and in its order, PUBREL where PUBREC came; an open one gets nothing again [MQTT-4.4.0-1] [MQTT-4.4.0-1 of 3.1.1] [MQTT-4.6.0-1 of 3.1.1]", async () => {
    for (const kind of KEPT) {
      const topic = `${uniqueLevel()}/a`
      const clientId = uniqueId()
      let client = await connect({ ...kind, clientId })
      await client.subscribe(topic, 2)
      const publisher = await connect()
      for (let index = 0; index < 24; index++) {
        await publisher.publishWhole({ topic, payload: String(index), qos: ((index % 2) + 1) as Qos })
      }
      const sent = await client.messages(24, { acknowledge: false })
      for (const index of [7, 3]) {
        client.ack("pubrec", sent[index]?.id ?? 0)
        expect((await client.expect("pubrel")).id).toBe(sent[index]?.id ?? 0)
      }
      for (const index of [10, 0]) client.ack("puback", sent[index]?.id ?? 0)
      const publishes = sent
        .filter((_, index) => ![0, 3, 7, 10].includes(index))
        .map(({ id, qos, payload }) => `${id} ${qos} ${textOf(payload)} again`)
      const pubrels = [sent[3]?.id ?? 0, sent[7]?.id ?? 0]
      await publisher.publishWhole({ topic, payload: "other", qos: 0 })
      expect(textOf((await client.expect("publish")).payload)).toBe("other")
      await client.quiet(150)
      for (let round = 0; round < 2; round++) {
        // By a connection that ended, and by one that takes the place of another.
        if (round === 0) await client.disconnect(...(kind.version === 5 ? [0] : []))
        client = await connect({ ...kind, clientId })
        const found: Array<string> = []
        const released: Array<number> = []
        while (found.length + released.length < 22) {
          const packet = await client.next()
          if (packet.type === "pubrel") released.push(packet.id)
          else if (packet.type !== "publish") throw new Error(`got ${packet.type}`)
          else found.push(`${packet.id} ${packet.qos} ${textOf(packet.payload)} ${packet.dup ? "again" : "new"}`)
        }
        expect(found).toEqual(publishes)
        expect(released.toSorted()).toEqual(pubrels.toSorted())
        await client.quiet(100)
      }
    }
  })

  test("what a client refused by PUBACK or PUBREC is not sent again [MQTT-4.4.0-2]", async () => {
    const topic = `${uniqueLevel()}/a`
    const kind = { version: 5, clean: false, clientId: uniqueId(), properties: expiry(600) } as const
    const first = await connect(kind)
    await first.subscribe(topic, 2)
    const publisher = await connect()
    for (const qos of [1, 2, 1, 2] as const) await publisher.publishWhole({ topic, payload: `QoS ${qos}`, qos })
    const sent = await first.messages(4, { acknowledge: false })
    first.ack("puback", sent[0]?.id ?? 0, 0x80)
    first.ack("pubrec", sent[1]?.id ?? 0, 0x97)
    await first.quiet(30)
    first.cut()
    const second = await connect(kind)
    const again = await second.messages(2, { acknowledge: false })
    expect(again.map(({ id }) => id)).toEqual(sent.slice(2).map(({ id }) => id))
    await second.quiet(30)
  })

  test("a message is added to each session with a matching subscription, connected or not, and to no other [MQTT-4.5.0-1]", async () => {
    const level = uniqueLevel()
    const filters = [`${level}/a/b`, `${level}/+/b`, `${level}/#`, `${level}/a/b/#`, `+/a/b`]
    const others = [`${level}/a`, `${level}/a/+/c`, `${level}/b/#`]
    const subscribers: Array<readonly [Connect, ConnectedMqtt]> = []
    for (const kind of [...ALL, ...KEPT]) {
      for (const filter of [...filters, ...others]) {
        const own = { ...kind, clientId: `${uniqueId()}${others.includes(filter) ? "-other" : ""}` }
        const client = await connect(own)
        await client.subscribe(filter, 2)
        // Of those that outlive their connection, half are away.
        if (subscribers.length >= 4 * 8) await client.disconnect()
        subscribers.push([own, client])
      }
    }
    const publisher = await connect()
    for (const qos of [1, 2] as const)
      await publisher.publishWhole({ topic: `${level}/a/b`, payload: `QoS ${qos}`, qos })
    for (const [own, before] of subscribers) {
      const client = before.isClosed ? await connect(own) : before
      expect(client.connack.sessionPresent).toBe(before.isClosed)
      if (own.clientId?.endsWith("-other") !== true) {
        expect(await payloads(client, 2)).toEqual(["QoS 1", "QoS 2"])
        await client.expect("pubrel")
      }
      await client.quiet(0)
    }
  })

  /** Clients that take packets of 60 bytes; two have one message of QoS 1 and 2 in flight at most. */
  const small = async (topic: string): Promise<ReadonlyArray<ConnectedMqtt>> => {
    const clients: Array<ConnectedMqtt> = []
    for (const more of [[], expiry(600)]) {
      for (const receiveMaximum of [1, 100]) {
        const properties = [["maximumPacketSize", 60], ["receiveMaximum", receiveMaximum], ...more] as Properties
        const client = await connect({ version: 5, properties })
        await client.subscribe(topic, 2)
        clients.push(client)
      }
    }
    return clients
  }
  /** A payload with which the PUBLISH of this topic and QoS is as long as that. */
  const filling = (size: number, topic: string, qos: Qos): string =>
    "x".repeat(size - 2 - 2 - topic.length - (qos === 0 ? 0 : 2) - 1)

  test("no message comes in a packet that is larger than the client's Maximum Packet Size, and one that is as large comes [MQTT-3.1.2-24]", async () => {
    const topic = `${uniqueLevel()}/a`
    const clients = await small(topic)
    const publisher = await connect({ version: 5 })
    for (const qos of [0, 1, 2] as const) {
      for (const size of [61, 60, 200, 59]) {
        await publisher.publishWhole({ topic, payload: filling(size, topic, qos), qos })
      }
    }
    for (const client of clients) {
      const sizes: Array<number> = []
      while (sizes.length < 6) {
        const bytes = await client.nextBytes()
        const type = (bytes[0] ?? 0) >> 4
        const id = type === 3 ? ((bytes[4 + topic.length] ?? 0) << 8) | (bytes[5 + topic.length] ?? 0) : 0
        if (type === 3) sizes.push(bytes.length)
        const qos = ((bytes[0] ?? 0) >> 1) & 3
        if (type === 3 && qos === 1) client.ack("puback", id)
        if (type === 3 && qos === 2) client.ack("pubrec", id)
        if (type === 6) client.ack("pubcomp", ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0))
      }
      expect(sizes.toSorted()).toEqual([59, 59, 59, 60, 60, 60])
    }
  })

  test("a message that is too large is passed over as if it had been sent: nothing waits for it [MQTT-3.1.2-25]", async () => {
    const topic = `${uniqueLevel()}/a`
    const clients = await small(topic)
    const large = await connect({ version: 5 })
    await large.subscribe(topic, 1)
    const publisher = await connect({ version: 5 })
    for (let index = 0; index < 5; index++) {
      for (const qos of [1, 2] as const) {
        await publisher.publishWhole({ topic, payload: "x".repeat(100), qos })
        await publisher.publishWhole({ topic, payload: String(index), qos })
      }
    }
    for (const client of clients) {
      expect(await payloads(client, 10)).toEqual(["0", "0", "1", "1", "2", "2", "3", "3", "4", "4"])
    }
    expect((await large.messages(20)).filter(({ payload }) => payload.length === 100).length).toBe(10)
  })
})
