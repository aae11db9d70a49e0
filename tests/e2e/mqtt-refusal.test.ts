/** Topics that are refused to everybody: by whatever way a message comes, whatever a subscription looks like. */
import { afterEach, expect, test } from "bun:test"
import { type Broker, brokerSuite, runCommand } from "../support/broker.ts"
import { encode, textOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { until } from "../support/until.ts"

const CONFIG = `
[[plugin]]
use = "protocol-mqtt"
[[plugin.options.topic_refusal]]
name = "secret"
topic = "secret/#"
desc = "nobody's"
[[plugin.options.topic_refusal]]
name = "everything-at-once"
action = "subscribe"
topic = "#"
match = "exact"
[[plugin.options.topic_refusal]]
name = "read-only"
action = "publish"
topic = "facts/+"
[[plugin.options.topic_rewrite]]
name = "alias"
source_topic = "hidden/#"
regex = "^hidden/(.*)$"
dest_topic = "secret/$1"
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`
const NOT_AUTHORIZED = 0x87
const rules = (broker: Broker, path = "", init: RequestInit = {}): Promise<Response> =>
  fetch(`${broker.url}/api/v1/topic-refusal${path}`, init)

brokerSuite("topic refusals", { config: CONFIG }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })
  const answerTo = async (client: RawMqtt, topic: string, qos: 1 | 2, retain = false): Promise<number | undefined> => {
    client.publish({ topic, payload: "x", qos, id: 1, retain })
    const answer = await client.next()
    return answer.type === "puback" || answer.type === "pubrec" ? answer.code : -1
  }

  test("publishing is refused by every way: each QoS, retained, an alias, a delay, another name, a will", async () => {
    const client = await connect()
    for (const topic of ["secret", "secret/a", "facts/a", "$delayed/0/secret/a", "$delayed/60/secret/a", "hidden/a"]) {
      for (const qos of [1, 2] as const) {
        expect([topic, qos, await answerTo(client, topic, qos)]).toEqual([topic, qos, NOT_AUTHORIZED])
      }
      expect([topic, await answerTo(client, topic, 1, true)]).toEqual([topic, NOT_AUTHORIZED])
      expect([topic, await answerTo(client, `$delayed/0/${topic.replace(/^\$delayed\/\d+\//, "")}`, 1)]).toEqual([
        topic,
        NOT_AUTHORIZED
      ])
    }
    client.send(encode.publish(5, { topic: "secret/b", payload: "x", qos: 0, properties: [["topicAlias", 1]] }))
    client.send(encode.publish(5, { topic: "", payload: "x", qos: 1, id: 2, properties: [["topicAlias", 1]] }))
    expect((await client.expect("puback")).code).toBe(NOT_AUTHORIZED)
    for (const topic of ["secret/w", "hidden/w", "$delayed/5/secret/w"]) {
      const dying = await RawMqtt.open(broker().mqtt, 5)
      const will = { topic, payload: "x", qos: 1 as const }
      const [connack] = await dying.answersUntilClosed(encode.connect({ version: 5, clientId: uniqueLevel(), will }))
      expect(connack).toMatchObject({ type: "connack", code: NOT_AUTHORIZED })
    }
    for (const topic of ["secrets/a", "facts", "facts/a/b"]) expect(await answerTo(client, topic, 1)).toBeLessThan(0x80)
  })

  test("subscriptions by which a refused message would come are refused, each by its own code; others hold", async () => {
    const wanted = ["a/#", "secret/a", "+/a", "#", "$share/g/secret/#", "$exclusive/secret/#", "hidden/x", "facts/#"]
    for (const version of [3, 4, 5] as ReadonlyArray<Version>) {
      const client = await connect({ version })
      client.send(
        encode.subscribe(
          version,
          7,
          wanted.map((filter) => ({ filter, qos: 1 }))
        )
      )
      const no = version === 5 ? NOT_AUTHORIZED : 0x80
      expect((await client.expect("suback")).codes).toEqual([1, no, no, no, no, no, no, 1])
      client.cut()
    }
  })

  test("rules are made and deleted while it runs; who has subscribed before stays", async () => {
    const level = uniqueLevel()
    const command = (...words: ReadonlyArray<string>) => runCommand(["topic-refusal", ...words, "--url", broker().url])
    const [early, publisher] = [await connect(), await connect()]
    await early.subscribe(`${level}/#`, 1)
    const made = await command("create", "--name", level, "--topic", `${level}/#`, "--action", "subscribe")
    expect([made.code, made.stderr]).toEqual([0, ""])
    const codeOf = async (): Promise<number | undefined> => {
      const client = await connect()
      client.send(encode.subscribe(5, 1, [{ filter: `${level}/a`, qos: 1 }]))
      const { codes } = await client.expect("suback")
      client.cut()
      return codes[0]
    }
    const each = async (): Promise<ReadonlyArray<number | undefined>> => {
      const codes: Array<number | undefined> = []
      for (let count = 0; count < 6; count++) codes.push(await codeOf())
      return codes
    }
    await until("it holds", async () => (await each()).every((code) => code === NOT_AUTHORIZED) || undefined)
    await publisher.publishWhole({ topic: `${level}/a`, payload: "still", qos: 1 })
    expect((await early.messages(1)).map(({ payload }) => textOf(payload))).toEqual(["still"])
    expect((await command("delete", level)).code).toBe(0)
    await until("it is gone", async () => (await each()).every((code) => code === 1) || undefined)
    expect((await command("delete", "secret")).stderr).toContain("(topic-refusal-declared)")
    expect((await command("list")).stdout).toMatch(/everything-at-once.*read-only.*secret/s)
    const wrong = {
      method: "POST",
      body: '{"name":"w","topic":"a/#/b"}',
      headers: { "content-type": "application/json" }
    }
    const refused = await rules(broker(), "", wrong)
    expect([refused.status, await refused.text()]).toEqual([422, expect.stringContaining("topic filter")])
  })
})
