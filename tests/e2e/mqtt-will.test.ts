/** The Will Message: MQTT 5.0 sections 3.1.2.5, 3.1.3.2, 3.14; once, and only where the connection did not end well. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { encode, type Properties, textOf, type Version, type Will } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

brokerSuite("will", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())

  interface Scene {
    readonly watcher: ConnectedMqtt
    readonly client: ConnectedMqtt
    readonly clientId: string
    readonly topic: string
  }
  /** A client with a will, and one that subscribed to it. */
  async function scene(
    version: Version,
    will: Partial<Will> = {},
    properties: Properties = [],
    keepAlive = 0
  ): Promise<Scene> {
    const topic = `${uniqueLevel("w")}/will`
    const clientId = uniqueId()
    const watcher = await RawMqtt.connect(broker().mqtt, { version: 5 })
    await watcher.subscribe(topic, 2)
    const whole: Will = { topic, payload: "gone", ...will }
    const client = await RawMqtt.connect(broker().mqtt, { version, clientId, will: whole, properties, keepAlive })
    return { watcher, client, clientId, topic }
  }

  for (const version of [3, 4, 5] as const) {
    test(`${version}: a cut connection publishes it at its QoS, a DISCONNECT removes it`, async () => {
      for (const qos of [0, 1, 2] as const) {
        const { watcher, client, topic } = await scene(version, { qos })
        client.cut()
        const message = await watcher.expect("publish")
        expect(message).toMatchObject({ topic, qos, retain: false })
        expect(textOf(message.payload)).toBe("gone")
      }
      const { watcher, client } = await scene(version)
      await client.disconnect()
      await watcher.quiet()
    })
  }

  test("the end of the stream without DISCONNECT publishes it", async () => {
    const { watcher, client } = await scene(4)
    client.socket.end()
    expect(textOf((await watcher.expect("publish")).payload)).toBe("gone")
  })

  test("5: DISCONNECT 0x04 publishes it, 0x00 does not", async () => {
    const { watcher, client } = await scene(5)
    await client.disconnect(4)
    await watcher.expect("publish")
    const other = await scene(5)
    await other.client.disconnect(0)
    await other.watcher.quiet()
  })

  test("a malformed packet publishes it", async () => {
    const { watcher, client } = await scene(4)
    client.sendHex("f0 00")
    await watcher.expect("publish")
    await client.closed()
  })

  test("a silent client past its keep alive publishes it", async () => {
    const { watcher } = await scene(5, { qos: 1 }, [], 1)
    expect((await watcher.expect("publish", 4_000)).qos).toBe(1)
  })

  test("take-over publishes the old connection's will and not the new one's", async () => {
    const { watcher, clientId, topic } = await scene(4)
    const next = await RawMqtt.connect(broker().mqtt, { clientId, will: { topic, payload: "newer" } })
    expect(textOf((await watcher.expect("publish")).payload)).toBe("gone")
    await next.disconnect()
    await watcher.quiet()
  })

  test("a retained will is retained, a second one replaces it", async () => {
    const { watcher, client, topic } = await scene(4, { retain: true, qos: 1 })
    client.cut()
    expect((await watcher.expect("publish")).retain).toBe(false)
    const late = await RawMqtt.connect(broker().mqtt, { version: 4 })
    await late.subscribe(topic)
    expect(await late.expect("publish")).toMatchObject({ retain: true, topic })
    await late.publishWhole({ topic, retain: true })
  })

  test("5: its properties go with it", async () => {
    const list: Properties = [
      ["payloadFormat", 1],
      ["contentType", "text/plain"],
      ["responseTopic", "reply/here"],
      ["correlationData", Uint8Array.of(9)],
      ["userProperty", ["b", "1"]],
      ["userProperty", ["a", "2"]]
    ]
    const { watcher, client } = await scene(5, { properties: [...list, ["willDelay", 0]] })
    client.cut()
    const message = await watcher.expect("publish")
    for (const entry of list) expect(message.properties).toContainEqual(entry)
    expect(message.properties).toHaveLength(list.length)
  })

  test("5: the will delay is waited for while the session lives, and a return in time cancels it", async () => {
    const { watcher, client } = await scene(5, { properties: [["willDelay", 1]] }, [["sessionExpiry", 60]])
    const returning = await scene(5, { properties: [["willDelay", 1]] }, [["sessionExpiry", 60]])
    const before = performance.now()
    client.cut()
    returning.client.cut()
    await sleep(300)
    const { clientId } = returning
    const back = await RawMqtt.connect(broker().mqtt, {
      version: 5,
      clientId,
      clean: false,
      properties: [["sessionExpiry", 60]]
    })
    expect(back.connack.sessionPresent).toBe(true)
    await watcher.expect("publish", 4_000)
    expect(performance.now() - before).toBeGreaterThan(950)
    await returning.watcher.quiet(600)
  })

  test("5: a session that ends first publishes it at once, whatever its delay", async () => {
    const { watcher, client } = await scene(5, { properties: [["willDelay", 30]] })
    client.cut()
    await watcher.expect("publish", 2_000)
    const other = await scene(5, { properties: [["willDelay", 30]] }, [["sessionExpiry", 60]])
    other.client.cut()
    await sleep(100)
    const next = await RawMqtt.connect(broker().mqtt, { version: 5, clientId: other.clientId, clean: true })
    expect(next.connack.sessionPresent).toBe(false)
    await other.watcher.expect("publish", 2_000)
  })

  test("no will, no message", async () => {
    const watcher = await RawMqtt.connect(broker().mqtt)
    await watcher.subscribe("#")
    const client = await RawMqtt.connect(broker().mqtt)
    client.send(encode.pingreq())
    client.cut()
    await watcher.quiet()
  })

  test("a topic of more levels than are held: 0x90, before 5 the end without a CONNACK, which knows no such code", async () => {
    for (const version of [3, 4, 5] as const) {
      const client = await RawMqtt.open(broker().mqtt, version)
      client.send(encode.connect({ version, clientId: uniqueId(), will: { topic: "a/".repeat(300), payload: "x" } }))
      await client.closed()
      expect(client.drain().map((packet) => (packet.type === "connack" ? packet.code : packet.type))).toEqual(
        version === 5 ? [0x90] : []
      )
    }
  })
})
