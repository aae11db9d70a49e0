/** Replay: what is stored first, then what comes, in order, without a gap or a message twice. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, type Properties, type Qos, textOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const CONFIG = `
[[binding]]
filter = "stored/+/+"
topic = "stored"
partitions = 4
[[binding]]
filter = "one/#"
topic = "one"
partitions = 1
[[plugin]]
use = "protocol-mqtt"
[[plugin.options.topic_rewrite]]
name = "alias"
source_topic = "other/#"
regex = "^other/(.*)$"
dest_topic = "one/$1"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`
const NO = 0x83

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})

brokerSuite("replay", { config: CONFIG }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })

  /** Subscribes; the code of the SUBACK. */
  async function replay(
    client: RawMqtt,
    filter: string,
    from: string | undefined,
    qos: Qos = 1
  ): Promise<number | undefined> {
    const properties: Properties = from === undefined ? [] : [["userProperty", ["manifold-from", from]]]
    client.send(encode.subscribe(client.version, 77, [{ filter, qos }], properties))
    return (await client.expect("suback")).codes[0]
  }

  /** The next messages, acknowledged. */
  async function take(client: RawMqtt, count: number): Promise<ReadonlyArray<string>> {
    const found: Array<string> = []
    let open = 0
    while (found.length < count || open > 0) {
      const packet = await client.next(10_000)
      if (packet.type === "pubrel") {
        client.ack("pubcomp", packet.id)
        open -= 1
        continue
      }
      if (packet.type !== "publish") throw new Error(`expected a message, got ${packet.type}`)
      const { topic, payload, qos, id = 0 } = packet
      found.push(`${topic} ${textOf(payload)}`)
      if (qos > 0) client.ack(qos === 1 ? "puback" : "pubrec", id)
      if (qos === 2) open += 1
    }
    return found
  }

  async function publish(
    publisher: RawMqtt,
    topic: string,
    from: number,
    to: number,
    qos: 0 | 1 | 2 = 1
  ): Promise<void> {
    for (let each = from; each < to; each++) await publisher.publishWhole({ topic, payload: `${each}`, qos })
  }

  const numbered = (topic: string, from: number, to: number): ReadonlyArray<string> =>
    Array.from({ length: to - from }, (_, each) => `${topic} ${from + each}`)

  test("each version and QoS: history, then what comes; by the property and by the prefix", async () => {
    const topic = `one/${uniqueLevel()}`
    const publisher = await connect()
    for (const qos of [0, 1, 2] as const) await publish(publisher, topic, qos * 3, qos * 3 + 3, qos)
    for (const version of [3, 4, 5] as ReadonlyArray<Version>) {
      for (const qos of [0, 1, 2] as const) {
        const client = await connect({ version })
        expect(await replay(client, `$replay/earliest/${topic}`, undefined, qos)).toBe(qos)
        expect(await take(client, 9)).toEqual(numbered(topic, 0, 9))
        client.cut()
      }
    }
    const client = await connect()
    expect(await replay(client, topic, "earliest")).toBe(1)
    expect(await take(client, 9)).toEqual(numbered(topic, 0, 9))
    await publish(publisher, topic, 9, 12)
    expect(await take(client, 3)).toEqual(numbered(topic, 9, 12))
    await client.quiet(50)
    client.send(encode.unsubscribe(5, 9, [topic]))
    expect((await client.expect("unsuback")).codes).toEqual([0])
    await publish(publisher, topic, 12, 13)
    await client.quiet(50)
  })

  test("while others publish: no gap, no message twice, each name in its order, whatever the client's window", async () => {
    for (const receiveMaximum of [1, 7, 1_000]) {
      const level = uniqueLevel()
      const names = Array.from({ length: 6 }, (_, each) => `stored/${level}/${each}`)
      const publishers = await Promise.all(names.map(() => connect()))
      const next = names.map(() => 0)
      const send = (count: number): Promise<unknown> =>
        Promise.all(
          names.map(async (name, index) => {
            const from = next[index] ?? 0
            next[index] = from + count
            const publisher = publishers[index]
            if (publisher !== undefined) await publish(publisher, name, from, from + count)
          })
        )
      await send(40)
      const client = await connect({ properties: [["receiveMaximum", receiveMaximum]] })
      const during = send(40)
      expect(await replay(client, `stored/${level}/+`, "earliest")).toBe(1)
      const first = await take(client, names.length * 60)
      await during
      const rest = await take(client, names.length * 20)
      const all = [...first, ...rest]
      for (const name of names) {
        expect(all.filter((each) => each.startsWith(`${name} `))).toEqual([...numbered(name, 0, 80)])
      }
      await client.quiet(50)
      RawMqtt.cutAll()
    }
  }, 60_000)

  test("from an offset, from a time, from now on", async () => {
    const topic = `one/${uniqueLevel()}`
    const publisher = await connect()
    await publish(publisher, topic, 0, 5)
    await sleep(30)
    const at = new Date().toISOString()
    await sleep(30)
    await publish(publisher, topic, 5, 8)
    for (const from of [at, at.replace("Z", "+00:00")]) {
      const client = await connect()
      expect(await replay(client, topic, from)).toBe(1)
      expect(await take(client, 3)).toEqual(numbered(topic, 5, 8))
      client.cut()
    }
    const byPrefix = await connect({ version: 4 })
    expect(await replay(byPrefix, `$replay/${at}/${topic}`, undefined)).toBe(1)
    expect(await take(byPrefix, 3)).toEqual(numbered(topic, 5, 8))
    const latest = await connect()
    expect(await replay(latest, topic, "latest")).toBe(1)
    await latest.quiet(50)
    await publish(publisher, topic, 8, 9)
    expect(await take(latest, 1)).toEqual(numbered(topic, 8, 9))
    // The offset of its first message: the topic has those of other names, too.
    const { stdout } = await runCommand(["topic", "get", "one", "--output", "json", "--url", broker().url])
    expect(stdout).toContain("one")
    const all = await connect()
    expect(await replay(all, "one/#", "0")).toBe(1)
    const found = await all.expect("publish")
    expect(found.topic.startsWith("one/")).toBe(true)
  })

  test("what comes is as it was published: identifier, properties, RETAIN as asked, rewriting; no retained message of its own", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    await publisher.publishWhole({
      topic: `one/${level}`,
      payload: "kept",
      qos: 1,
      retain: true,
      properties: [
        ["contentType", "text/plain"],
        ["userProperty", ["a", "b"]]
      ]
    })
    const client = await connect()
    const properties: Properties = [
      ["subscriptionIdentifier", 9],
      ["userProperty", ["manifold-from", "earliest"]]
    ]
    client.send(encode.subscribe(5, 5, [{ filter: `other/${level}`, qos: 1 }], properties))
    expect((await client.expect("suback")).codes).toEqual([1])
    const found = await client.expect("publish")
    expect(found).toMatchObject({ topic: `one/${level}`, retain: false, qos: 1 })
    expect(found.properties).toContainEqual(["subscriptionIdentifier", 9])
    expect(found.properties).toContainEqual(["contentType", "text/plain"])
    expect(found.properties).toContainEqual(["userProperty", ["a", "b"]])
    client.ack("puback", found.id ?? 0)
    await client.quiet(50)
    client.send(encode.unsubscribe(5, 6, [`other/${level}`]))
    expect((await client.expect("unsuback")).codes).toEqual([0])
    await publisher.publishWhole({ topic: `one/${level}`, payload: "", qos: 1, retain: true })
  })

  test("names that nothing stores come live; a SUBSCRIBE again begins anew, without a word of replay it is one like others", async () => {
    const [level, topic] = [uniqueLevel(), `one/${uniqueLevel()}`]
    const publisher = await connect()
    await publish(publisher, topic, 0, 3)
    const client = await connect()
    expect(await replay(client, "#", "latest")).toBe(1)
    await publisher.publishWhole({ topic: `live/a b/${level}`, payload: "x", qos: 1 })
    expect(await take(client, 1)).toEqual([`live/a b/${level} x`])
    client.send(encode.unsubscribe(5, 3, ["#"]))
    await client.expect("unsuback")
    for (let round = 0; round < 2; round++) {
      expect(await replay(client, topic, "earliest")).toBe(1)
      expect(await take(client, 3)).toEqual(numbered(topic, 0, 3))
    }
    expect(await replay(client, topic, undefined)).toBe(1)
    await publish(publisher, topic, 3, 4)
    expect(await take(client, 1)).toEqual(numbered(topic, 3, 4))
    await client.quiet(50)
  })

  test("names that no topic stores: what sessions wait for still is history; a kept session is kept what comes", async () => {
    const level = uniqueLevel()
    const topic = `live/a b/${level}`
    const kept = { clean: false, properties: [["sessionExpiry", 60]] as Properties }
    const holder = await connect({ ...kept, clientId: `${level}h` })
    await holder.subscribe(topic, 1)
    await holder.disconnect()
    const publisher = await connect()
    await publish(publisher, topic, 0, 4)
    await sleep(20)
    const at = new Date().toISOString()
    await sleep(20)
    await publish(publisher, topic, 4, 6)
    for (const [from, first] of [
      ["earliest", 0],
      [at, 4],
      ["latest", 6]
    ] as const) {
      const client = await connect({ ...kept, clientId: `${level}${first}` })
      expect(await replay(client, topic, from, 2)).toBe(2)
      expect(await take(client, 6 - first)).toEqual(numbered(topic, first, 6))
      await client.quiet(20)
      await client.disconnect()
    }
    await publish(publisher, topic, 6, 8)
    const back = await connect({ ...kept, clientId: `${level}0` })
    expect(await take(back, 2)).toEqual(numbered(topic, 6, 8))
    await back.quiet(20)
    for (const each of ["h", "0", "4", "6"]) {
      const client = await connect({ clientId: `${level}${each}` })
      client.cut()
    }
  })

  test("a session that is kept keeps its place: what was stored while it was away comes, and nothing twice", async () => {
    const level = uniqueLevel()
    const [topic, other] = [`one/${level}/a`, `one/${level}/b`]
    const publisher = await connect()
    await publish(publisher, topic, 0, 5)
    const kept = {
      clientId: level,
      clean: false,
      properties: [
        ["sessionExpiry", 60],
        ["receiveMaximum", 2]
      ] as Properties
    }
    const first = await connect(kept)
    expect(await replay(first, `one/${level}/#`, "earliest", 2)).toBe(2)
    expect(await take(first, 3)).toEqual(numbered(topic, 0, 3))
    await first.disconnect()
    await publish(publisher, topic, 5, 8)
    await publish(publisher, other, 0, 2)
    let client = await connect(kept)
    const seen: Array<string> = []
    // Those that were in flight come again.
    for (const each of await take(client, 5)) if (!seen.includes(each)) seen.push(each)
    await client.disconnect()
    client = await connect(kept)
    while (seen.length < 7) for (const each of await take(client, 1)) if (!seen.includes(each)) seen.push(each)
    expect(seen).toEqual([...numbered(topic, 3, 8), ...numbered(other, 0, 2)])
    await publish(publisher, topic, 8, 9)
    expect(await take(client, 1)).toEqual(numbered(topic, 8, 9))
    await client.quiet(50)
    client.send(encode.unsubscribe(5, 9, [`$replay/earliest/one/${level}/#`]))
    expect((await client.expect("unsuback")).codes).toEqual([0])
    await client.disconnect()
    await publish(publisher, topic, 9, 10)
    client = await connect(kept)
    await client.quiet(50)
    // An ordinary one in its place, and back.
    expect(await replay(client, `one/${level}/#`, undefined)).toBe(1)
    await publish(publisher, topic, 10, 11)
    expect(await take(client, 1)).toEqual(numbered(topic, 10, 11))
    expect(await replay(client, `one/${level}/#`, "earliest")).toBe(1)
    expect((await take(client, 13)).length).toBe(13)
    await client.disconnect(0, [["sessionExpiry", 0]])
  })

  test("what cannot be replayed has its Reason Code, and its SUBSCRIBE's other filters hold", async () => {
    const client = await connect()
    for (const [filter, from, code] of [
      ["one/x", "", NO],
      ["one/x", "yesterday", NO],
      ["one/x", "-1", NO],
      ["one/x", "999999", NO],
      ["stored/+/+", "0", NO],
      ["none/x", "0", NO],
      ["$share/g/one/x", "yesterday", NO],
      ["$replay/earliest/$share/g/one/x", undefined, 0x8f],
      ["$exclusive/one/x", "earliest", NO],
      ["a/#/b", "earliest", 0x8f],
      ["$replay/yesterday/one/x", undefined, 0x8f],
      ["$replay/earliest", undefined, 0x8f],
      ["$replay/earliest/", undefined, 0x8f],
      ["$replay/earliest/one/x", "earliest", 0x8f],
      ["$replay/earliest/$replay/earliest/one/x", undefined, 0x8f]
    ] as const) {
      expect([filter, from, await replay(client, filter, from)]).toEqual([filter, from, code])
    }
    client.send(
      encode.subscribe(5, 8, [
        { filter: "one/a", qos: 1 },
        { filter: "$replay/earliest/one/b", qos: 1 }
      ])
    )
    expect((await client.expect("suback")).codes).toEqual([1, 0x8f])
    const two = [
      { filter: "one/c", qos: 1 as const },
      { filter: "one/d", qos: 1 as const }
    ]
    client.send(encode.subscribe(5, 9, two, [["userProperty", ["manifold-from", "earliest"]]]))
    expect((await client.expect("suback")).codes).toEqual([NO, NO])
    const old = await connect({ version: 4 })
    expect(await replay(old, "$replay/x/one/x", undefined)).toBe(0x80)
    const noLocal = await connect()
    noLocal.send(
      encode.subscribe(
        5,
        9,
        [{ filter: "one/x", qos: 1, noLocal: true }],
        [["userProperty", ["manifold-from", "latest"]]]
      )
    )
    expect((await noLocal.expect("suback")).codes).toEqual([NO])
  })
})

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  for (const qos of [1, 2] as const) {
    test(`over kill -9 at random: QoS ${qos} loses nothing and keeps the order, QoS 2 doubles nothing; shards = ${shards}`, async () => {
      const data = mkdtempSync(join(tmpdir(), "manifold-replay-"))
      directories.push(data)
      const start = (): Promise<Broker> => startBroker({ shards, config: CONFIG, set: { "node.data": data } })
      let broker = await start()
      const kept = {
        version: 5 as const,
        clientId: "kept",
        clean: false,
        properties: [
          ["sessionExpiry", 600],
          ["receiveMaximum", 5]
        ] as Properties
      }
      const names = ["stored/a/1", "stored/b/2", "one/x"]
      const count = 60
      const publisher = await RawMqtt.connect(broker.mqtt, { version: 5 })
      for (let each = 0; each < count; each++) {
        for (const topic of names) await publisher.publishWhole({ topic, payload: `${each}`, qos })
      }
      const seen = new Map<string, Array<number>>()
      const open = new Set<number>()
      /** Takes so many packets as the standard has it: what is released is done with, what comes again under its identifier is the same. */
      const work = async (client: RawMqtt, packets: number): Promise<void> => {
        for (let each = 0; each < packets; each++) {
          const packet = await client.next(5_000)
          if (packet.type === "disconnect") throw new Error(`closed: ${packet.code}`)
          if (packet.type === "pubrel") {
            open.delete(packet.id)
            client.ack("pubcomp", packet.id)
          }
          if (packet.type === "suback") expect(packet.codes).toEqual([qos])
          if (packet.type !== "publish") continue
          const { id = 0, topic, payload } = packet
          if (qos === 2 && open.has(id)) {
            client.ack("pubrec", id)
            continue
          }
          seen.set(topic, [...(seen.get(topic) ?? []), Number(textOf(payload))])
          if (qos === 2) open.add(id)
          client.ack(qos === 1 ? "puback" : "pubrec", id)
        }
      }
      let client = await RawMqtt.connect(broker.mqtt, kept)
      for (const filter of ["stored/+/+", "one/x"]) {
        client.send(encode.subscribe(5, 7, [{ filter, qos }], [["userProperty", ["manifold-from", "earliest"]]]))
      }
      for (const packets of [7, 23, 40]) {
        await work(client, packets)
        broker.kill()
        broker = await start()
        client = await RawMqtt.connect(broker.mqtt, kept)
      }
      const total = (): number => names.reduce((sum, name) => sum + new Set(seen.get(name)).size, 0)
      while (total() < names.length * count) await work(client, 1)
      for (const name of names) {
        const found = seen.get(name) ?? []
        const wanted = Array.from({ length: count }, (_, each) => each)
        // QoS 1: a message that was in flight may come once more; the first of each are in order.
        expect([name, qos === 2 ? found : [...new Set(found)]]).toEqual([name, wanted])
      }
      RawMqtt.cutAll()
      await broker.stop()
    }, 60_000)
  }
}
