/** Replay: what is stored first, then what comes, in order, without a gap or a message twice. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite, runCommand } from "../support/broker.ts"
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

  test("what cannot be replayed has its Reason Code, and its SUBSCRIBE's other filters hold", async () => {
    const client = await connect()
    for (const [filter, from, code] of [
      ["one/x", "", NO],
      ["one/x", "yesterday", NO],
      ["one/x", "-1", NO],
      ["one/x", "999999", NO],
      ["stored/+/+", "0", NO],
      ["none/x", "0", NO],
      ["$share/g/one/x", "earliest", NO],
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
    // One that is kept would have to keep its place: not yet.
    const kept = await connect({ clean: false, properties: [["sessionExpiry", 60]] })
    expect(await replay(kept, "one/x", "earliest")).toBe(NO)
    await kept.disconnect(0, [["sessionExpiry", 0]])
  })
})
