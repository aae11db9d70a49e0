/** Topic rewriting: what clients publish and subscribe to, and what it is called here; rules of the manifest and made ones. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, type Properties, textOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { until } from "../support/until.ts"

const CONFIG = `
[[plugin]]
use = "protocol-mqtt"
[[plugin.options.topic_rewrite]]
name = "10-devices"
action = "publish"
source_topic = "up/#"
regex = "^up/([^/]+)/(.*)$"
dest_topic = "devices/$1/\u0024{clientid}/$2"
[[plugin.options.topic_rewrite]]
name = "20-old"
source_topic = "old/#"
regex = "^old/(.*)$"
dest_topic = "new/$1"
[[plugin.options.topic_rewrite]]
name = "30-wrong"
source_topic = "wrong/#"
regex = "^wrong/(.*)$"
dest_topic = "$1"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`

brokerSuite("topic rewriting", { config: CONFIG }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })

  test("each version and QoS: published on the other name, with the client's own; subscribers of the first get nothing", async () => {
    const level = uniqueLevel()
    const [subscriber, first] = [await connect(), await connect()]
    await subscriber.subscribe(`devices/${level}/#`, 2)
    await first.subscribe(`up/${level}/#`, 2)
    const expected: Array<string> = []
    for (const version of [3, 4, 5] as ReadonlyArray<Version>) {
      const clientId = uniqueId()
      const publisher = await connect({ version, clientId })
      for (const qos of [0, 1, 2] as const) {
        await publisher.publishWhole({ topic: `up/${level}/a/b`, payload: `${qos}`, qos })
        expected.push(`devices/${level}/${clientId}/a/b ${qos}`)
      }
    }
    const found = (await subscriber.wholeMessages(expected.length)).map(
      ({ topic, payload }) => `${topic} ${textOf(payload)}`
    )
    expect(found.toSorted()).toEqual(expected.toSorted())
    await first.quiet(50)
  })

  test("subscriptions, too, also shared and exclusive ones; UNSUBSCRIBE by the same name takes them off", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    const filters = [`old/${level}/+`, `$share/g/old/${level}/#`, `$exclusive/old/${level}/#`]
    for (const filter of filters) {
      const client = await connect()
      await client.subscribe(filter, 1)
      await publisher.publishWhole({ topic: `new/${level}/x`, payload: "new", qos: 1 })
      await publisher.publishWhole({ topic: `old/${level}/y`, payload: "old", qos: 1 })
      const found = (await client.messages(2)).map(({ topic, payload }) => `${topic} ${textOf(payload)}`)
      expect(found.toSorted()).toEqual([`new/${level}/x new`, `new/${level}/y old`])
      client.send(encode.unsubscribe(5, 9, [filter]))
      expect((await client.expect("unsuback")).codes).toEqual([0])
      await publisher.publishWhole({ topic: `new/${level}/x`, payload: "gone", qos: 1 })
      await client.quiet(20)
      client.cut()
    }
  })

  test("retained, delayed and will messages are rewritten once; aliases stay with the name that the client says", async () => {
    const level = uniqueLevel()
    const client = await connect()
    const subscriber = await connect()
    await subscriber.subscribe(`new/${level}/#`, 1)
    await client.publishWhole({ topic: `old/${level}/r`, payload: "retained", qos: 1, retain: true })
    await client.publishWhole({ topic: `$delayed/1/old/${level}/d`, payload: "delayed", qos: 1 })
    const dying = await connect({ will: { topic: `old/${level}/w`, payload: "will", qos: 1 } })
    dying.send(encode.publish(5, { topic: `old/${level}/a`, payload: "1", qos: 0, properties: [["topicAlias", 1]] }))
    dying.send(encode.publish(5, { topic: "", payload: "2", qos: 0, properties: [["topicAlias", 1]] }))
    dying.send(encode.pingreq())
    await dying.expect("pingresp")
    dying.cut()
    const found: Array<string> = []
    for (const { topic, payload } of await subscriber.messages(5)) {
      found.push(`${topic.slice(level.length + 5)} ${textOf(payload)}`)
    }
    expect(found.toSorted()).toEqual(["a 1", "a 2", "d delayed", "r retained", "w will"])
    await subscriber.quiet(50)
    await client.publishWhole({ topic: `old/${level}/r`, payload: "", qos: 1, retain: true })
  })

  test("a name that a rule makes and that is none, or not for clients, is refused each time: by PUBLISH, delay and will", async () => {
    const client = await connect()
    for (const topic of ["wrong/$SYS/x", "wrong/", "wrong/$share/g/x", "wrong/$delayed/1/x"]) {
      for (const name of [topic, topic, `$delayed/1/${topic}`]) {
        client.publish({ topic: name, payload: "x", qos: 1, id: 1 })
        expect([name, (await client.expect("puback")).code]).toEqual([name, 0x87])
        const dying = await RawMqtt.open(broker().mqtt, 5)
        const will = { topic: name, payload: "x", qos: 1 as const }
        const [connack] = await dying.answersUntilClosed(encode.connect({ version: 5, clientId: uniqueId(), will }))
        expect([name, connack]).toEqual([name, expect.objectContaining({ type: "connack", code: 0x87 })])
      }
    }
    // Of QoS 0, and before version 5, it is dropped: its client did nothing wrong.
    for (const version of [3, 4, 5] as ReadonlyArray<Version>) {
      const other = await connect({ version })
      other.publish({ topic: "wrong/", payload: "x", qos: 0 })
      other.send(encode.pingreq())
      await other.expect("pingresp")
    }
    for (const [filter, code] of [
      ["wrong/", 0x8f],
      ["wrong/$share/g/x", 0x8f],
      ["$share/g/wrong/$exclusive/x", 0x8f],
      ["wrong/$SYS/x", 1]
    ] as const) {
      client.send(encode.subscribe(5, 2, [{ filter, qos: 1 }]))
      expect([filter, (await client.expect("suback")).codes]).toEqual([filter, [code]])
    }
  })

  test("what a client is called makes neither its own topics nor others' wide: the answer is no", async () => {
    const level = uniqueLevel()
    const rule = {
      name: `own-${level}`,
      source_topic: `${level}/#`,
      regex: `^${level}/(.*)$`,
      dest_topic: `\u0024{clientid}/${level}/$1`
    }
    await make(broker(), rule)
    for (const clientId of ["spy/x", "#", "+", "$share", "$SYS", "$exclusive"]) {
      const client = await connect({ clientId })
      await until("the rule holds", async () => {
        client.send(encode.subscribe(5, 2, [{ filter: `${level}/#`, qos: 1 }]))
        return (await client.expect("suback")).codes[0] === 0x8f || undefined
      })
      client.publish({ topic: `${level}/x`, payload: "x", qos: 1, id: 1 })
      expect((await client.expect("puback")).code).toBe(0x87)
      client.cut()
    }
    await remove(broker(), rule.name)
  })

  test("UNSUBSCRIBE takes the name that SUBSCRIBE had, whatever rules there are by then; over a resumed session too", async () => {
    const level = uniqueLevel()
    const rule = (to: string) => ({
      name: `r-${level}`,
      source_topic: `${level}/#`,
      regex: `^${level}/(.*)$`,
      dest_topic: `${to}/${level}/$1`,
      action: "subscribe"
    })
    const publisher = await connect()
    const kept = { clientId: uniqueId(), clean: false, properties: [["sessionExpiry", 60]] as const }
    let client = await connect(kept)
    const filters = [`${level}/a`, `$share/g/${level}/b`, `$exclusive/${level}/c`, `none/${level}/a`]
    const codesOf = async (): Promise<ReadonlyArray<number>> => {
      client.send(encode.unsubscribe(5, 9, filters))
      return (await client.expect("unsuback")).codes
    }
    const subscribe = async (): Promise<void> => {
      const wishes = filters.slice(0, 3).map((filter) => ({ filter, qos: 1 as const }))
      client.send(encode.subscribe(5, 8, wishes))
      expect((await client.expect("suback")).codes).toEqual([1, 1, 1])
    }
    const got = async (to: string): Promise<string> => {
      for (const name of ["a", "b", "c"])
        await publisher.publishWhole({ topic: `${to}${level}/${name}`, payload: name, qos: 1 })
      client.send(encode.pingreq())
      const names: Array<string> = []
      for (let next = await client.next(); next.type !== "pingresp"; next = await client.next()) {
        if (next.type !== "publish") continue
        names.push(textOf(next.payload))
        if (next.id !== undefined) client.ack("puback", next.id)
      }
      return names.toSorted().join("")
    }
    const holds = async (to: string): Promise<void> => {
      await until("every shard has the rules", async () => {
        const probe = await connect()
        await probe.subscribe(`${level}/probe`, 1)
        await publisher.publishWhole({ topic: `${to}${level}/probe`, payload: "x", qos: 1 })
        probe.send(encode.pingreq())
        const isThere = (await probe.next()).type === "publish"
        probe.cut()
        return isThere || undefined
      })
    }
    for (const isResumed of [false, true]) {
      await make(broker(), rule("one"))
      await holds("one/")
      await subscribe()
      expect(await got("one/")).toBe("abc")
      if (isResumed) {
        await client.disconnect()
        client = await connect(kept)
      }
      await remove(broker(), rule("one").name)
      await holds("")
      expect([await got("one/"), await got("")]).toEqual(["abc", ""])
      // With the same words under no rule: the new ones take the place of the old.
      await subscribe()
      expect([await got("one/"), await got("")]).toEqual(["", "abc"])
      await make(broker(), rule("two"))
      await holds("two/")
      expect(await codesOf()).toEqual([0, 0, 0, 0x11])
      expect([await got("one/"), await got(""), await got("two/")]).toEqual(["", "", ""])
      expect(await codesOf()).toEqual([0x11, 0x11, 0x11, 0x11])
      await remove(broker(), rule("two").name)
      await holds("")
    }
  }, 30_000)

  test("two names of one subscription: it goes with the last of them", async () => {
    const level = uniqueLevel()
    const [client, publisher] = [await connect(), await connect()]
    const reach = async (): Promise<boolean> => {
      await publisher.publishWhole({ topic: `new/${level}`, payload: "x", qos: 1 })
      client.send(encode.pingreq())
      let isThere = false
      for (let next = await client.next(); next.type !== "pingresp"; next = await client.next()) {
        if (next.type === "publish" && next.id !== undefined) client.ack("puback", next.id)
        isThere ||= next.type === "publish"
      }
      return isThere
    }
    const unsubscribe = async (filter: string): Promise<number | undefined> => {
      client.send(encode.unsubscribe(5, 9, [filter]))
      return (await client.expect("unsuback")).codes[0]
    }
    for (const [first, second] of [
      [`old/${level}`, `new/${level}`],
      [`new/${level}`, `old/${level}`]
    ] as const) {
      await client.subscribe(first, 1)
      await client.subscribe(second, 1)
      expect([await unsubscribe(first), await reach()]).toEqual([0, true])
      expect([await unsubscribe(first), await unsubscribe(second), await reach()]).toEqual([0x11, 0, false])
    }
  })

  test("many filters and many rules at once hold up nobody else", async () => {
    const level = uniqueLevel()
    const rule = (each: number) => ({
      name: `m${each}-${level}`,
      source_topic: `${level}/#`,
      regex: `^${level}/${each}x([a-z]+)z$`,
      dest_topic: "n/$1"
    })
    for (let each = 0; each < 90; each++) await make(broker(), rule(each))
    // A client of the same shard, whichever that is.
    const others = await Promise.all(Array.from({ length: 8 }, () => connect()))
    const client = await connect()
    const filters = Array.from({ length: 8_000 }, (_, each) => `${level}/${"abc".repeat(20)}/${each}`)
    const packets = [
      encode.subscribe(
        5,
        3,
        filters.map((filter) => ({ filter, qos: 0 as const }))
      ),
      encode.unsubscribe(5, 4, filters)
    ]
    let slowest = 0
    let isDone = false
    client.send(...packets)
    const answer = async (): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
      const codes = [(await client.expect("suback", 30_000)).codes, (await client.expect("unsuback", 30_000)).codes]
      isDone = true
      return codes
    }
    const answered = answer()
    while (!isDone) {
      for (const other of others) {
        const start = performance.now()
        other.send(encode.pingreq())
        await other.expect("pingresp", 10_000)
        slowest = Math.max(slowest, performance.now() - start)
      }
    }
    for (const codes of await answered) expect(codes.filter((code) => code === 0).length).toBe(8_000)
    expect(slowest).toBeLessThan(1_000)
    for (let each = 0; each < 90; each++) await remove(broker(), rule(each).name)
  }, 60_000)

  test("rules are made and deleted while it runs; a dry run says what becomes of a name, and by which rule", async () => {
    const level = uniqueLevel()
    const command = (...words: ReadonlyArray<string>) => runCommand(["topic-rewrite", ...words, "--url", broker().url])
    const made = await command(
      ...["create", "--name", level, "--source_topic", `${level}/#`, "--regex", `^${level}/(.*)$`],
      ...["--dest_topic", `made${level}/$1`, "--action", "publish"]
    )
    expect([made.code, made.stderr]).toEqual([0, ""])
    const tested = await command("test", "--topic", `${level}/a`, "--output", "json")
    expect(JSON.parse(tested.stdout)).toEqual({ topic: `made${level}/a`, rule: level, reasonCode: 0 })
    const dry = async (input: object): Promise<unknown> => {
      const init = { method: "POST", body: JSON.stringify(input), headers: { "content-type": "application/json" } }
      return (await fetch(`${broker().url}/api/v1/topic-rewrite/test`, init)).json()
    }
    for (const [input, topic, rule, reasonCode] of [
      [{ topic: "up/7/x", clientid: "c" }, "devices/7/c/x", "10-devices", 0],
      [{ topic: "up/7/x", clientid: "c/d" }, "", "10-devices", 0x87],
      [{ topic: "$delayed/5/up/7/x", clientid: "c" }, "$delayed/5/devices/7/c/x", "10-devices", 0],
      [{ topic: "other/x" }, "other/x", null, 0],
      [{ topic: "old/+" }, "old/+", null, 0x90],
      [{ topic: "$SYS/x" }, "$SYS/x", null, 0x87],
      [{ topic: "wrong/$SYS/x" }, "$SYS/x", "30-wrong", 0x87],
      [{ topic: "old/+/b", action: "subscribe" }, "new/+/b", "20-old", 0],
      [{ topic: "$share/g/old/+", action: "subscribe" }, "$share/g/new/+", "20-old", 0],
      [{ topic: "$exclusive/old/+", action: "subscribe" }, "$exclusive/new/+", "20-old", 0],
      [{ topic: "wrong/", action: "subscribe" }, "", "30-wrong", 0x8f],
      [{ topic: "a/#/b", action: "subscribe" }, "a/#/b", null, 0x8f],
      [{ topic: "$delayed/abc/x" }, "$delayed/abc/x", null, 0x90],
      [{ topic: "$delayed/5/$SYS/x" }, "$delayed/5/$SYS/x", null, 0x90],
      [{ topic: "x/".repeat(200) }, "x/".repeat(200), null, 0x90],
      [{ topic: `x${"/x".repeat(200)}`, action: "subscribe" }, `x${"/x".repeat(200)}`, null, 0x8f]
    ] as const) {
      expect([input, await dry(input)]).toEqual([input, { topic, rule, reasonCode }])
    }
    const subscriber = await connect()
    await subscriber.subscribe(`made${level}/#`, 1)
    const send = async (): Promise<void> => {
      const publisher = await connect({ clientId: uniqueId() })
      await publisher.publishWhole({ topic: `${level}/a`, payload: "x", qos: 1 })
      publisher.cut()
    }
    await until("it holds", async () => {
      await send()
      subscriber.send(encode.pingreq())
      return (await subscriber.next()).type === "publish" || undefined
    })
    expect((await command("delete", level)).code).toBe(0)
    expect((await command("delete", "20-old")).stderr).toContain("(topic-rewrite-declared)")
    expect((await command("list")).stdout).toMatch(/10-devices.*20-old.*30-wrong/s)
  })
})

/** Makes a rule, and takes one off. */
async function make(broker: Broker, rule: object): Promise<void> {
  const init = { method: "POST", body: JSON.stringify(rule), headers: { "content-type": "application/json" } }
  const answer = await fetch(`${broker.url}/api/v1/topic-rewrite`, init)
  expect([answer.status, answer.status === 201 ? "" : await answer.text()]).toEqual([201, ""])
}
async function remove(broker: Broker, name: string): Promise<void> {
  expect((await fetch(`${broker.url}/api/v1/topic-rewrite/${name}`, { method: "DELETE" })).status).toBe(204)
}

/** How a client's messages come whose window is one message, acknowledged one by one. */
async function oneByOne(client: RawMqtt, count: number): Promise<ReadonlyArray<string>> {
  const found: Array<string> = []
  for (let each = 0; each < count; each++) {
    const { id = 0, payload } = await client.expect("publish")
    found.push(textOf(payload))
    client.ack("puback", id)
  }
  return found
}

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`what waits for a subscription stays when it loses one of its names, over a kill -9 too; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-names-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, set: { "node.data": data } })
    let broker = await start()
    await make(broker, { name: "r", source_topic: "old/#", regex: "^old/(.*)$", dest_topic: "new/$1" })
    const kept = {
      version: 5 as const,
      clientId: "kept",
      clean: false,
      properties: [
        ["sessionExpiry", 60],
        ["receiveMaximum", 1]
      ] as Properties
    }
    const client = await RawMqtt.connect(broker.mqtt, kept)
    await client.subscribe("old/a", 1)
    const publisher = await RawMqtt.connect(broker.mqtt)
    for (let each = 0; each < 6; each++) {
      await publisher.publishWhole({ topic: "new/a", payload: `m${each}`, qos: 1 })
    }
    expect(textOf((await client.expect("publish")).payload)).toBe("m0")
    await client.subscribe("new/a", 1, [["subscriptionIdentifier", 7]])
    client.send(encode.unsubscribe(5, 9, ["new/a"]))
    expect((await client.expect("unsuback")).codes).toEqual([0])
    broker.kill()
    broker = await start()
    const again = await RawMqtt.connect(broker.mqtt, kept)
    expect(await oneByOne(again, 6)).toEqual(["m0", "m1", "m2", "m3", "m4", "m5"])
    await again.quiet(50)
    RawMqtt.cutAll()
    await broker.stop()
  }, 30_000)
}
for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`rules that were made are there after a kill -9; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-rewrite-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, set: { "node.data": data } })
    let broker = await start()
    for (let each = 0; each < 100; each++) {
      await make(broker, {
        name: `r${each}`,
        source_topic: `a${each}/#`,
        regex: `^a${each}/([a-z0-9-]*)$`,
        dest_topic: `b${each}/$1`
      })
    }
    const more = { name: "one-more", source_topic: "c/#", regex: "c", dest_topic: "d" }
    const init = { method: "POST", body: JSON.stringify(more), headers: { "content-type": "application/json" } }
    expect((await fetch(`${broker.url}/api/v1/topic-rewrite`, init)).status).toBe(409)
    const kept = {
      version: 5 as const,
      clientId: "kept",
      clean: false,
      properties: [["sessionExpiry", 60]] as Properties
    }
    const first = await RawMqtt.connect(broker.mqtt, kept)
    await first.subscribe("a99/y", 1)
    broker.kill()
    const from = performance.now()
    broker = await start()
    expect(performance.now() - from).toBeLessThan(10_000)
    const again = await RawMqtt.connect(broker.mqtt, kept)
    await again.publishWhole({ topic: "a99/y", payload: "y", qos: 1 })
    expect((await again.messages(1))[0]?.topic).toBe("b99/y")
    for (const name of ["a99", "a98", "a97"]) await remove(broker, `r${name.slice(1)}`)
    again.send(encode.unsubscribe(5, 9, ["b99/y", "a99/y"]))
    expect((await again.expect("unsuback")).codes).toEqual([0x11, 0])
    const client = await RawMqtt.connect(broker.mqtt)
    await client.subscribe("a7/x", 1)
    await client.publishWhole({ topic: "b7/x", payload: "x", qos: 1 })
    expect((await client.messages(1))[0]?.topic).toBe("b7/x")
    await broker.stop()
  }, 30_000)
}
