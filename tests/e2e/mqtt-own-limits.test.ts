/** Listeners with limits of their own, and the bounds of retained messages: what is over them is refused, others are not touched. */
import { afterEach, expect, test } from "bun:test"
import { type Address, brokerSuite, parseAddress, SHARD_COUNTS } from "../support/broker.ts"
import { encode, propertyOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { until } from "../support/until.ts"

const CONFIG = `
[[plugin]]
use = "protocol-mqtt"
[plugin.options]
connections_per_user_max = 3

[[plugin.options.listener]]
transport = "tcp"
address = "127.0.0.1:0"
connections_max = 3
packet_size_max = 2048
publish_rate_max = 50

[[plugin.options.listener]]
transport = "tcp"
address = "127.0.0.1:0"
connect_rate_max = 5

[[plugin]]
use = "admin-http"
[[plugin]]
use = "protocol-kafka"
`

brokerSuite("listeners with limits of their own", { config: CONFIG }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  /** The common one, the one that takes few clients, and the one that takes them slowly. */
  const addresses = (): ReadonlyArray<Address> => {
    const listed = /protocol-mqtt\.tcp=(\S+)/.exec(broker().readyLine)?.[1] ?? ""
    return listed.split(",").map(parseAddress)
  }
  const at = (index: number): Address => addresses()[index] ?? { host: "", port: 0 }
  async function codeOf(index: number, version: Version = 5, connect: object = {}): Promise<number> {
    const client = await RawMqtt.open(at(index), version)
    client.send(encode.connect({ version, clientId: uniqueId(), ...connect }))
    return (await client.expect("connack")).code
  }
  const empty = (): Promise<unknown> =>
    until("nobody connected", async () => (await broker().sumOf("manifold_mqtt_connections")) === 0 || undefined)

  test("each has an address of its own", () => {
    expect(new Set(addresses().map(({ port }) => port)).size).toBe(3)
  })

  test("its clients are counted apart, whichever shard they belong to; there is room again when they have gone", async () => {
    await empty()
    const codes: Array<number> = []
    for (let number = 0; number < 20; number++) codes.push(await codeOf(1, number % 2 === 0 ? 5 : 4))
    const accepted = codes.filter((code) => code === 0).length
    // Three on one shard, three on each of two.
    expect(accepted).toBeGreaterThanOrEqual(3)
    expect(accepted).toBeLessThanOrEqual(6)
    expect(codes.every((code, number) => code === 0 || code === (number % 2 === 0 ? 0x97 : 3))).toBe(true)
    expect(await broker().sumOf("manifold_mqtt_connects_refused_total", 'limit="listener"')).toBeGreaterThanOrEqual(14)
    // The others are open as before.
    expect([await codeOf(0), await codeOf(2)]).toEqual([0, 0])
    RawMqtt.cutAll()
    await empty()
    expect(await codeOf(1)).toBe(0)
  })

  test("a client that comes again through it takes its own place, though the listener is full", async () => {
    await empty()
    const ids = Array.from({ length: 40 }, () => uniqueId())
    const accepted: Array<string> = []
    for (const clientId of ids) if ((await codeOf(1, 5, { clientId })) === 0) accepted.push(clientId)
    for (const clientId of accepted) expect(await codeOf(1, 5, { clientId })).toBe(0)
    // Through another listener it was not there before.
    const full = ids.filter((id) => !accepted.includes(id))
    for (const clientId of full.slice(0, 3)) {
      expect(await codeOf(0, 5, { clientId })).toBe(0)
      expect(await codeOf(1, 5, { clientId })).toBe(0x97)
    }
  })

  test("packets larger than it takes end the connection with 0x95, and CONNACK tells the size", async () => {
    await empty()
    for (const [index, size] of [
      [0, 1_048_576],
      [1, 2_048]
    ] as const) {
      // Clients of every shard.
      for (let number = 0; number < 3 * SHARD_COUNTS.length; number++) {
        const client = await RawMqtt.open(at(index), 5)
        client.send(encode.connect({ version: 5, clientId: uniqueId() }))
        const connack = await client.expect("connack")
        if (connack.code !== 0) continue
        expect(propertyOf(connack.properties, "maximumPacketSize")).toBe(size)
        client.publish({ topic: "t", payload: new Uint8Array(3_000), qos: 1, id: 1 })
        if (index === 0) expect((await client.expect("puback")).code).toBeLessThan(0x80)
        else expect((await client.expect("disconnect")).code).toBe(0x95)
        client.cut()
      }
    }
  })

  test("its clients are slowed, those of others are not", async () => {
    const publishing = async (index: number): Promise<number> => {
      await empty()
      const client = await RawMqtt.open(at(index), 5)
      client.send(encode.connect({ version: 5, clientId: uniqueId() }))
      await client.expect("connack")
      const startedMs = performance.now()
      for (let id = 1; id <= 100; id++) client.publish({ topic: "t", payload: "x", qos: 1, id })
      for (let id = 1; id <= 100; id++) await client.expect("puback", 5_000)
      client.cut()
      return performance.now() - startedMs
    }
    expect(await publishing(1)).toBeGreaterThan(900)
    expect(await publishing(0)).toBeLessThan(800)
  })

  test("CONNECTs that come too fast: 0x9F through this one, and the others take them", async () => {
    const codes = await Promise.all(Array.from({ length: 40 }, () => codeOf(2)))
    expect(codes.filter((code) => code === 0x9f).length).toBeGreaterThanOrEqual(20)
    const others = await Promise.all(Array.from({ length: 40 }, () => codeOf(0)))
    expect(others.every((code) => code === 0)).toBe(true)
  })

  test("the limits of the options hold through it, too", async () => {
    await empty()
    const username = uniqueId("user")
    const codes: Array<number> = []
    for (let number = 0; number < 12; number++) codes.push(await codeOf(number % 2, 5, { username }))
    expect(codes.filter((code) => code === 0).length).toBeLessThanOrEqual(6)
    expect(await broker().sumOf("manifold_mqtt_connects_refused_total", 'limit="user"')).toBeGreaterThan(0)
  })
})

brokerSuite(
  "bounds of retained messages",
  { set: { "node.retained_messages_max": "20", "node.retained_bytes_max": "1048576" } },
  (broker) => {
    afterEach(() => RawMqtt.cutAll())
    const retain = async (client: RawMqtt, topic: string, payload: string | Uint8Array): Promise<number> => {
      client.publish({ topic, payload, qos: 1, id: 1, retain: true })
      return (await client.expect("puback")).code
    }

    test("one more is refused with 0x97; one in the place of another is not, and clearing makes room", async () => {
      const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
      const names = Array.from({ length: 60 }, () => uniqueLevel())
      const kept: Array<string> = []
      for (const name of names) {
        const code = await retain(client, name, "state")
        if (code === 0x97) continue
        expect(code).toBeLessThan(0x80)
        kept.push(name)
      }
      // Each of two shards has half of it, and names fall where they fall.
      expect(kept.length).toBeGreaterThanOrEqual(10)
      expect(kept.length).toBeLessThanOrEqual(20)
      expect(await broker().sumOf("manifold_retained_messages")).toBe(kept.length)
      const [first = ""] = kept
      expect(await retain(client, first, "other")).toBeLessThan(0x80)
      for (const name of kept) expect(await retain(client, name, "")).toBeLessThan(0x80)
      expect(await broker().sumOf("manifold_retained_messages")).toBe(0)
      expect(await retain(client, names.at(-1) ?? "", "state")).toBeLessThan(0x80)
      await retain(client, names.at(-1) ?? "", "")
    })

    test("bytes count, too", async () => {
      const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
      const codes: Array<number> = []
      const names = Array.from({ length: 8 }, () => uniqueLevel())
      for (const name of names) codes.push(await retain(client, name, new Uint8Array(300_000)))
      expect(codes.filter((code) => code === 0x97).length).toBeGreaterThanOrEqual(5)
      expect(codes.some((code) => code < 0x80)).toBe(true)
      for (const name of names) await retain(client, name, "")
    })
  }
)
