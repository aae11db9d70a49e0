/** Topic rewriting: what clients publish and subscribe to, and what it is called here; rules of the manifest and made ones. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, textOf, type Version } from "../support/mqtt-packets.ts"
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
    await client.publishWhole({ topic: `old/${level}/r`, payload: "retained", qos: 1, retain: true })
    await client.publishWhole({ topic: `$delayed/1/old/${level}/d`, payload: "delayed", qos: 1 })
    const dying = await connect({ will: { topic: `old/${level}/w`, payload: "will", qos: 1 } })
    dying.send(encode.publish(5, { topic: `old/${level}/a`, payload: "1", qos: 0, properties: [["topicAlias", 1]] }))
    const subscriber = await connect()
    await subscriber.subscribe(`new/${level}/#`, 1)
    dying.send(encode.publish(5, { topic: "", payload: "2", qos: 0, properties: [["topicAlias", 1]] }))
    dying.send(encode.pingreq())
    await dying.expect("pingresp")
    dying.cut()
    const names = new Set<string>()
    await until("all of them", async () => {
      for (const { topic } of await subscriber.messages(1)) names.add(topic.slice(level.length + 5))
      return ["r", "d", "w", "a"].every((name) => names.has(name)) || undefined
    })
    await client.publishWhole({ topic: `old/${level}/r`, payload: "", qos: 1, retain: true })
  })

  test("a name that a rule makes and that is none, or the broker's own, is refused", async () => {
    const client = await connect()
    for (const [topic, code] of [
      ["wrong/$SYS/x", 0x87],
      ["wrong/", 0x90],
      ["wrong/$share/g/x", 0x87]
    ] as const) {
      client.publish({ topic, payload: "x", qos: 1, id: 1 })
      const answers = [(await client.next()) as { readonly type: string; readonly code?: number }]
      expect([topic, answers[0]?.code]).toEqual([topic, code])
    }
  })

  test("rules are made and deleted while it runs; a dry run says what becomes of a name, and by which rule", async () => {
    const level = uniqueLevel()
    const command = (...words: ReadonlyArray<string>) => runCommand(["topic-rewrite", ...words, "--url", broker().url])
    const made = await command(
      ...["create", "--name", level, "--source_topic", `${level}/#`, "--regex", `^${level}/(.*)$`],
      ...["--dest_topic", `made${level}/$1`, "--action", "publish"]
    )
    expect([made.code, made.stderr]).toEqual([0, ""])
    const tested = await command("test", "--topic", `${level}/a`, "--output", "json")
    expect(JSON.parse(tested.stdout)).toEqual({ topic: `made${level}/a`, rule: level })
    const dry = async (input: object): Promise<unknown> => {
      const init = { method: "POST", body: JSON.stringify(input), headers: { "content-type": "application/json" } }
      return (await fetch(`${broker().url}/api/v1/topic-rewrite/test`, init)).json()
    }
    expect(await dry({ topic: "up/7/x", clientid: "c" })).toEqual({ topic: "devices/7/c/x", rule: "10-devices" })
    expect(await dry({ topic: "up/7/x" })).toEqual({ topic: "up/7/x", rule: null })
    expect(await dry({ topic: "old/+/b", action: "subscribe" })).toEqual({ topic: "new/+/b", rule: "20-old" })
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

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`rules that were made are there after a kill -9; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-rewrite-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, set: { "node.data": data } })
    let broker = await start()
    const rule = { name: "r", source_topic: "a/#", regex: "^a/(.*)$", dest_topic: "b/$1" }
    const init = { method: "POST", body: JSON.stringify(rule), headers: { "content-type": "application/json" } }
    expect((await fetch(`${broker.url}/api/v1/topic-rewrite`, init)).status).toBe(201)
    broker.kill()
    broker = await start()
    const client = await RawMqtt.connect(broker.mqtt)
    await client.subscribe("a/x", 1)
    await client.publishWhole({ topic: "b/x", payload: "x", qos: 1 })
    expect((await client.messages(1))[0]?.topic).toBe("b/x")
    await broker.stop()
  }, 30_000)
}
