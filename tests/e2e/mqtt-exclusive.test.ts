/** `$exclusive/<filter>`: one client at a time, on whichever shard, until it gives the filter up or its session ends; over restarts. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, type Properties, textOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep, until } from "../support/until.ts"

/** Kept for ten minutes. */
const KEPT = { version: 5, clean: false, properties: [["sessionExpiry", 600]] as Properties } as const

async function codesOf(client: RawMqtt, ...filters: ReadonlyArray<string>): Promise<ReadonlyArray<number>> {
  client.send(
    encode.subscribe(
      client.version,
      7,
      filters.map((filter) => ({ filter, qos: 1 }))
    )
  )
  return (await client.expect("suback")).codes
}

brokerSuite("exclusive subscriptions", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (version: Version = 5): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version })
  const free = (): Promise<unknown> =>
    until("nothing held", async () => (await broker().sumOf("manifold_mqtt_exclusive_filters")) === 0 || undefined)

  test("the first client has it, others are refused: 0x97, before version 5 0x80; their other filters hold", async () => {
    for (let round = 0; round < 6; round++) {
      const level = uniqueLevel()
      const first = await connect()
      expect(await codesOf(first, `$exclusive/${level}/+`)).toEqual([1])
      for (const version of [5, 4, 3] as const) {
        const other = await connect(version)
        const refused = version === 5 ? 0x97 : 0x80
        expect(await codesOf(other, `${level}/a`, `$exclusive/${level}/+`, "b")).toEqual([1, refused, 1])
        other.cut()
      }
      // Messages come to it as to any subscriber, and to ordinary ones.
      const ordinary = await connect()
      await ordinary.subscribe(`${level}/+`, 0)
      ordinary.publish({ topic: `${level}/x`, payload: "y", qos: 0 })
      for (const client of [first, ordinary]) expect(textOf((await client.expect("publish")).payload)).toBe("y")
      expect(await codesOf(first, `$exclusive/${level}/+`)).toEqual([1])
    }
  })

  test("other filters are other filters, whichever names they match", async () => {
    const level = uniqueLevel()
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect()))
    const filters = [`${level}/+`, `${level}/#`, `${level}/a`, `+/${level}`]
    for (const [index, client] of clients.entries())
      expect(await codesOf(client, `$exclusive/${filters[index]}`)).toEqual([1])
  })

  test("it is free when its client unsubscribes, asks for the filter without the prefix, disconnects, or is cut", async () => {
    const endings: ReadonlyArray<(client: RawMqtt, filter: string) => Promise<unknown>> = [
      async (client, filter) => {
        client.send(encode.unsubscribe(5, 3, [`$exclusive/${filter}`]))
        expect((await client.expect("unsuback")).codes).toEqual([0])
      },
      async (client, filter) => {
        client.send(encode.unsubscribe(5, 3, [filter]))
        expect((await client.expect("unsuback")).codes).toEqual([0])
      },
      (client, filter) => codesOf(client, filter),
      (client) => {
        client.send(encode.disconnect(5))
        return client.closed()
      },
      async (client) => client.cut()
    ]
    for (const end of endings) {
      const filter = `${uniqueLevel()}/a`
      const first = await connect()
      expect(await codesOf(first, `$exclusive/${filter}`)).toEqual([1])
      await end(first, filter)
      await free()
      const second = await connect()
      expect(await codesOf(second, `$exclusive/${filter}`)).toEqual([1])
      expect(await broker().sumOf("manifold_mqtt_exclusive_filters")).toBe(1)
      second.cut()
      await free()
    }
  })

  test("a session that is kept keeps it while its client is away, and until it ends", async () => {
    const filter = uniqueLevel()
    const clientId = uniqueId()
    const first = await RawMqtt.connect(broker().mqtt, { ...KEPT, clientId })
    expect(await codesOf(first, `$exclusive/${filter}`)).toEqual([1])
    first.cut()
    await sleep(100)
    const other = await connect()
    expect(await codesOf(other, `$exclusive/${filter}`)).toEqual([0x97])
    other.publish({ topic: filter, payload: "kept", qos: 1, id: 1 })
    await other.expect("puback")
    const again = await RawMqtt.connect(broker().mqtt, { ...KEPT, clientId })
    expect(textOf((await again.expect("publish")).payload)).toBe("kept")
    again.ack("puback", 1)
    // One of a short life gives it up when that is over.
    again.send(encode.disconnect(5, 0, [["sessionExpiry", 1]]))
    await again.closed()
    expect(await codesOf(other, `$exclusive/${filter}`)).toEqual([0x97])
    await free()
    expect(await codesOf(other, `$exclusive/${filter}`)).toEqual([1])
  })

  test("a client that comes anew takes what its former session held, connected or away", async () => {
    const filter = uniqueLevel()
    for (const facts of [
      { ...KEPT, clientId: uniqueId() },
      { version: 5 as const, clientId: uniqueId() }
    ]) {
      const first = await RawMqtt.connect(broker().mqtt, facts)
      expect(await codesOf(first, `$exclusive/${filter}`)).toEqual([1])
      if (facts.clientId !== undefined && "clean" in facts) first.cut()
      const second = await RawMqtt.connect(broker().mqtt, { ...facts, clean: true })
      expect(await codesOf(second, `$exclusive/${filter}`)).toEqual([1])
      await sleep(100)
      expect(await broker().sumOf("manifold_mqtt_exclusive_filters")).toBe(1)
      const other = await connect()
      expect(await codesOf(other, `$exclusive/${filter}`)).toEqual([0x97])
      second.send(encode.disconnect(5, 0, "clean" in facts ? [["sessionExpiry", 0]] : []))
      await second.closed()
      await free()
    }
  })

  test("many clients at once: one of them has it, whoever comes and goes", async () => {
    const filter = uniqueLevel()
    for (let round = 0; round < 5; round++) {
      const clients = await Promise.all(Array.from({ length: 20 }, () => connect()))
      const codes = await Promise.all(clients.map((client) => codesOf(client, `$exclusive/${filter}`)))
      expect(codes.filter(([code]) => code === 1)).toHaveLength(1)
      expect(codes.filter(([code]) => code === 0x97)).toHaveLength(19)
      // What is sent right behind a SUBSCRIBE is read behind it.
      for (const client of clients) {
        client.send(encode.subscribe(5, 8, [{ filter: `$exclusive/${filter}` }]), encode.unsubscribe(5, 9, [filter]))
      }
      for (const [index, client] of clients.entries()) {
        const [suback, unsuback] = [await client.expect("suback"), await client.expect("unsuback")]
        expect(unsuback.codes).toEqual([suback.codes[0] === 0x97 ? 0x11 : 0])
        if (codes[index]?.[0] === 1) expect(suback.codes).toEqual([0])
        client.cut()
      }
      await free()
    }
  })

  test("what is no filter behind the prefix is refused: 0x8F", async () => {
    const client = await connect()
    const filters = [
      "$exclusive/",
      "$exclusive/a+",
      "$exclusive/#/a",
      "$exclusive/$share/g/a",
      "$exclusive/$exclusive/a"
    ]
    expect(await codesOf(client, ...filters)).toEqual(filters.map(() => 0x8f))
    expect(await broker().sumOf("manifold_mqtt_exclusive_filters")).toBe(0)
  })
})

brokerSuite(
  "exclusive subscriptions, not allowed",
  { set: { "protocol-mqtt.exclusive_subscriptions": "false" } },
  (broker) => {
    afterEach(() => RawMqtt.cutAll())
    test("0x8F", async () => {
      const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
      expect(await codesOf(client, "$exclusive/a", "a")).toEqual([0x8f, 1])
    })
  }
)

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`kept sessions have their exclusive filters after a stop and after a kill -9; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-exclusive-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, set: { "node.data": data } })
    const filters = Array.from({ length: 8 }, () => uniqueLevel())
    const ids = filters.map(() => uniqueId())
    let broker = await start()
    for (const [index, clientId] of ids.entries()) {
      const client = await RawMqtt.connect(broker.mqtt, { ...KEPT, clientId })
      expect(await codesOf(client, `$exclusive/${filters[index]}`)).toEqual([1])
      if (index % 2 === 0) client.cut()
    }
    for (const end of ["stop", "kill"] as const) {
      if (end === "stop") await broker.stop()
      else await broker.kill()
      broker = await start()
      const other = await RawMqtt.connect(broker.mqtt, { version: 5 })
      expect(await broker.sumOf("manifold_mqtt_exclusive_filters")).toBe(ids.length)
      expect(await codesOf(other, ...filters.map((filter) => `$exclusive/${filter}`))).toEqual(filters.map(() => 0x97))
      other.cut()
    }
    for (const clientId of ids) {
      const client = await RawMqtt.connect(broker.mqtt, { ...KEPT, clientId, clean: true, properties: [] })
      client.cut()
    }
    await until("nothing held", async () => (await broker.sumOf("manifold_mqtt_exclusive_filters")) === 0 || undefined)
    await broker.stop()
  }, 40_000)
}
