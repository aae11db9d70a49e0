/** Shared subscriptions that replay: one place for a group, what is stored first, then what comes, each message to one member. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import type { Decoded } from "../support/mqtt-decode.ts"
import { encode, type Properties, type Qos, textOf } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const CONFIG = `
[[binding]]
filter = "stored/+/+"
topic = "stored"
partitions = 4
[[plugin]]
use = "protocol-mqtt"
`
const NO = 0x83

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

/** What came before a SUBACK, as it may [MQTT-3.8.4]. */
const early = new WeakMap<RawMqtt, Array<Decoded>>()

/** What has come to a client, the earliest first. */
function drain(client: RawMqtt): ReadonlyArray<Decoded> {
  return [...(early.get(client)?.splice(0) ?? []), ...client.drain()]
}

/** Subscribes; the code of the SUBACK. */
async function subscribe(client: RawMqtt, filter: string, from?: string, qos: Qos = 1): Promise<number | undefined> {
  const properties: Properties = from === undefined ? [] : [["userProperty", ["manifold-from", from]]]
  client.send(encode.subscribe(client.version, 77, [{ filter, qos }], properties))
  for (;;) {
    const packet = await client.next(5_000)
    if (packet.type === "suback") return packet.codes[0]
    early.set(client, [...(early.get(client) ?? []), packet])
  }
}

/** Takes what comes, acknowledged as the standard has it, until `count` messages have come to all of them together. */
async function takeAll(clients: ReadonlyArray<RawMqtt>, count: number): Promise<ReadonlyArray<ReadonlyArray<string>>> {
  const got = clients.map((): Array<string> => [])
  const end = performance.now() + 10_000
  let open = 0
  while ((got.flat().length < count || open > 0) && performance.now() < end) {
    for (const [index, client] of clients.entries()) {
      for (const packet of drain(client)) {
        if (packet.type === "pubrel") {
          client.ack("pubcomp", packet.id)
          open -= 1
        }
        if (packet.type !== "publish") continue
        if (packet.qos === 2) open += 1
        got[index]?.push(textOf(packet.payload))
        if (packet.qos > 0) client.ack(packet.qos === 1 ? "puback" : "pubrec", packet.id ?? 0)
      }
    }
    await sleep(5)
  }
  return got
}

/** Publishes numbers on the names of a level, one after the other. */
async function publish(broker: Broker, level: string, from: number, to: number, qos: Qos = 1): Promise<void> {
  const publisher = await RawMqtt.connect(broker.mqtt, { version: 5 })
  for (let each = from; each < to; each++) {
    await publisher.publishWhole({ topic: `stored/${level}/${each % 7}`, payload: `${each}`, qos })
  }
  await publisher.disconnect()
}

const sorted = (got: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<number> =>
  got
    .flat()
    .map(Number)
    .sort((one, other) => one - other)
const numbers = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from }, (_, each) => from + each)

brokerSuite("shared replay", { config: CONFIG }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })

  test("each version and QoS: history and then what comes, each message to one member", async () => {
    const level = uniqueLevel()
    await publish(broker(), level, 0, 60, 2)
    for (const qos of [0, 1, 2] as const) {
      const filter = `stored/${level}/+`
      const members = [await connect(), await connect({ version: 4 }), await connect({ version: 3 })]
      expect(await subscribe(members[0] as RawMqtt, `$share/g${qos}/${filter}`, "earliest", qos)).toBe(qos)
      // The others come where the group is, whatever they ask for.
      expect(await subscribe(members[1] as RawMqtt, `$share/g${qos}/$replay/latest/${filter}`, undefined, qos)).toBe(
        qos
      )
      expect(await subscribe(members[2] as RawMqtt, `$share/g${qos}/${filter}`, undefined, qos)).toBe(qos)
      const first = await takeAll(members, 60 + qos * 30)
      expect(sorted(first)).toEqual(numbers(0, 60 + qos * 30))
      await publish(broker(), level, 60 + qos * 30, 90 + qos * 30, 2)
      const rest = await takeAll(members, 30)
      expect(sorted(rest)).toEqual(numbers(60 + qos * 30, 90 + qos * 30))
      for (const part of rest) expect(part.length).toBeGreaterThan(0)
      for (const member of members) await member.quiet(20)
      RawMqtt.cutAll()
      if (qos < 2) continue
      // What one group has read another reads from its own place.
      const one = await connect()
      expect(await subscribe(one, `$share/other/${filter}`, "latest")).toBe(1)
      await one.quiet(50)
    }
  }, 30_000)

  test("what a member leaves unacknowledged goes to another; the group ends with its last member", async () => {
    // While shards start it is not known who a group's members are: one that seems to have none stays.
    await sleep(600)
    const level = uniqueLevel()
    const filter = `$share/g/stored/${level}/+`
    await publish(broker(), level, 0, 20)
    const [lazy, other] = [await connect({ properties: [["receiveMaximum", 5]] }), await connect()]
    expect(await subscribe(lazy, filter, "earliest")).toBe(1)
    await sleep(50)
    expect(drain(lazy).length).toBe(5)
    expect(await subscribe(other, filter, "earliest")).toBe(1)
    expect((await takeAll([other], 15)).flat().length).toBe(15)
    lazy.cut()
    expect((await takeAll([other], 5)).flat().length).toBe(5)
    // Begun anew there is no place to go on from.
    other.send(encode.unsubscribe(5, 9, [`$share/g/$replay/earliest/stored/${level}/+`]))
    expect((await other.expect("unsuback")).codes).toEqual([0])
    expect(await subscribe(other, filter, "earliest")).toBe(1)
    expect(sorted(await takeAll([other], 20))).toEqual(numbers(0, 20))
  })

  test("QoS 0 comes as fast as each takes it, and none is lost on the way", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    const count = 3_000
    for (let each = 0; each < count; each++) {
      publisher.send(encode.publish(5, { topic: `stored/${level}/x`, payload: `${each}`, qos: 0 }))
    }
    await publisher.publishWhole({ topic: `stored/${level}/x`, payload: `${count}`, qos: 1 })
    const members = [await connect(), await connect()]
    for (const member of members) expect(await subscribe(member, `$share/g/stored/${level}/x`, "earliest", 0)).toBe(0)
    expect(sorted(await takeAll(members, count + 1))).toEqual(numbers(0, count + 1))
  }, 20_000)

  test("names that no topic stores come to the group, too", async () => {
    const level = uniqueLevel()
    const members = [await connect(), await connect()]
    for (const member of members) expect(await subscribe(member, `$share/g/live/a b/${level}`, "latest")).toBe(1)
    const publisher = await connect()
    for (let each = 0; each < 10; each++) {
      await publisher.publishWhole({ topic: `live/a b/${level}`, payload: `${each}`, qos: 1 })
    }
    expect(sorted(await takeAll(members, 10))).toEqual(numbers(0, 10))
  })

  test("what cannot be had has its Reason Code", async () => {
    const level = uniqueLevel()
    const client = await connect()
    const live = await connect()
    expect(await subscribe(live, `$share/live/stored/${level}/+`)).toBe(1)
    for (const [filter, from, code] of [
      [`$share/live/stored/${level}/+`, "earliest", NO],
      [`$share/g/stored/${level}/+`, "0", NO],
      [`$share/g/stored/${level}/+`, "soon", NO],
      [`$share/g/$replay/soon/stored/${level}/+`, undefined, 0x8f],
      [`$share/g/$replay/earliest/$replay/earliest/a`, undefined, 0x8f],
      [`$replay/earliest/$share/g/stored/${level}/+`, undefined, 0x8f],
      [`$share/g/$replay/earliest`, undefined, 0x8f]
    ] as const) {
      expect([filter, await subscribe(client, filter, from)]).toEqual([filter, code])
    }
  })
})

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`over kill -9 a group of kept sessions goes on: QoS 1 loses nothing, QoS 2 doubles nothing; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-shared-replay-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, config: CONFIG, set: { "node.data": data } })
    let broker = await start()
    const count = 120
    for (const qos of [1, 2] as const) await publish(broker, `q${qos}`, 0, count, qos)
    const connect = (name: string): Promise<RawMqtt> =>
      RawMqtt.connect(broker.mqtt, {
        version: 5,
        clientId: name,
        clean: false,
        properties: [
          ["sessionExpiry", 600],
          ["receiveMaximum", 5]
        ]
      })
    const names = ["one", "two", "three"]
    let clients = await Promise.all(names.map(connect))
    const seen = { q1: new Set<string>(), q2: [] as Array<string> }
    /** Identifiers that were taken and not released, by client. */
    const open = names.map(() => new Set<number>())
    const work = async (packets: number): Promise<void> => {
      const end = performance.now() + 500
      for (let left = packets; left > 0 && performance.now() < end; ) {
        for (const [index, client] of clients.entries()) {
          for (const packet of drain(client)) {
            left -= 1
            if (packet.type === "pubrel") {
              open[index]?.delete(packet.id)
              client.ack("pubcomp", packet.id)
            }
            if (packet.type !== "publish") continue
            const { id = 0, payload, qos } = packet
            if (qos === 1) seen.q1.add(textOf(payload))
            else if (open[index]?.has(id) !== true) seen.q2.push(textOf(payload))
            if (qos === 2) open[index]?.add(id)
            client.ack(qos === 1 ? "puback" : "pubrec", id)
          }
        }
        await sleep(1)
      }
    }
    for (const client of clients) {
      for (const level of ["q1", "q2"]) {
        expect(await subscribe(client, `$share/g/stored/${level}/+`, "earliest", 2)).toBe(2)
      }
    }
    for (const packets of [20, 60, 90]) {
      await work(packets)
      broker.kill()
      broker = await start()
      clients = await Promise.all(names.map(connect))
    }
    for (let round = 0; round < 200 && (seen.q1.size < count || seen.q2.length < count); round++) await work(10)
    expect([...seen.q1].map(Number).sort((one, other) => one - other)).toEqual([...numbers(0, count)])
    expect([...seen.q2].map(Number).sort((one, other) => one - other)).toEqual([...numbers(0, count)])
    RawMqtt.cutAll()
    await broker.stop()
  }, 60_000)
}
