/** Rules by which clients are subscribed when they connect: of the manifest and made by an administrator; over restarts. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, type Properties, textOf } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { until } from "../support/until.ts"

const ID = "\u0024{clientid}"
const USER = "\u0024{username}"
const HOST = "\u0024{host}"
const CONFIG = `
[[plugin]]
use = "protocol-mqtt"
[[plugin.options.auto_subscribe]]
name = "inbox"
topic = "in/${ID}/#"
qos = 2
[[plugin.options.auto_subscribe]]
name = "user"
topic = "users/${USER}/${HOST}"
qos = 1
retain_handling = 1
[[plugin.options.auto_subscribe]]
name = "own"
topic = "own"
no_local = true
retain_as_published = true
retain_handling = 2
[[plugin]]
use = "protocol-kafka"
[[plugin]]
use = "admin-http"
`
const rules = (broker: Broker, path = "", init: RequestInit = {}): Promise<Response> =>
  fetch(`${broker.url}/api/v1/auto-subscribe${path}`, init)
const create = (broker: Broker, rule: object): Promise<Response> =>
  rules(broker, "", { method: "POST", body: JSON.stringify(rule), headers: { "content-type": "application/json" } })

brokerSuite("automatic subscriptions", { config: CONFIG }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })

  test("every version is subscribed when it connects, with the options of the rule; nobody sees a SUBACK", async () => {
    const publisher = await connect()
    for (const version of [3, 4, 5] as const) {
      const [clientId, username] = [uniqueId(), uniqueLevel("u")]
      const client = await connect({ version, clientId, username })
      for (const qos of [0, 1, 2] as const) {
        await publisher.publishWhole({ topic: `in/${clientId}/a/b`, payload: `in ${qos}`, qos })
        await publisher.publishWhole({ topic: `users/${username}/127.0.0.1`, payload: `user ${qos}`, qos })
      }
      const found = (await client.wholeMessages(6)).map(({ payload, qos }) => `${textOf(payload)} ${qos}`)
      expect(found.toSorted()).toEqual(["in 0 0", "in 1 1", "in 2 2", "user 0 0", "user 1 1", "user 2 1"])
      await publisher.publishWhole({ topic: `in/${clientId}x`, payload: "not its own", qos: 1 })
      await client.quiet(0)
    }
  })

  test("no local, retain as published and retain handling are as the rule says", async () => {
    const [one, other] = [await connect(), await connect()]
    one.publish({ topic: "own", payload: "mine", qos: 0, retain: true })
    expect((await other.messages(1))[0]).toMatchObject({ retain: true })
    await one.quiet(50)
    // Retained messages: none, at every connection, where the subscription is new.
    const kept = {
      clientId: uniqueId(),
      username: uniqueLevel("u"),
      clean: false,
      properties: [["sessionExpiry", 60]] as Properties
    }
    await other.publishWhole({ topic: `in/${kept.clientId}/r`, payload: "in", qos: 1, retain: true })
    await other.publishWhole({ topic: `users/${kept.username}/127.0.0.1`, payload: "user", qos: 1, retain: true })
    const first = await connect(kept)
    expect((await first.messages(2)).map(({ payload }) => textOf(payload)).toSorted()).toEqual(["in", "user"])
    await first.quiet(50)
    await first.disconnect()
    const second = await connect(kept)
    expect((await second.messages(1)).map(({ payload }) => textOf(payload))).toEqual(["in"])
    await second.quiet(50)
    for (const topic of ["own", `in/${kept.clientId}/r`, `users/${kept.username}/127.0.0.1`]) {
      await other.publishWhole({ topic, payload: "", qos: 1, retain: true })
    }
  })

  test("what a kept session has already stays as it is: its QoS, what waits for it, and what it has to itself", async () => {
    const level = uniqueLevel()
    const [one, two] = [`rule-${level}`, `rule2-${level}`]
    const kept = { clientId: uniqueId(), clean: false, properties: [["sessionExpiry", 60]] as Properties }
    const [first, publisher] = [await connect(kept), await connect()]
    await first.subscribe([{ filter: `${level}/a`, qos: 2 }], 2, [["subscriptionIdentifier", 77]])
    await first.subscribe(`$exclusive/${level}/b`, 1)
    await first.disconnect()
    for (const [name, topic] of [
      [one, `${level}/a`],
      [two, `${level}/b`]
    ] as const) {
      expect((await create(broker(), { name, topic })).status).toBe(201)
    }
    for (let each = 0; each < 20; each++)
      await publisher.publishWhole({ topic: `${level}/a`, payload: `${each}`, qos: 2 })
    for (let round = 0; round < 2; round++) {
      const again = await connect(kept)
      const found = await again.wholeMessages(20)
      expect(found.map(({ payload, qos }) => `${textOf(payload)} ${qos}`)).toEqual(
        Array.from({ length: 20 }, (_, each) => `${each} 2`)
      )
      expect(found[0]?.properties).toContainEqual(["subscriptionIdentifier", 77])
      await again.disconnect()
      for (let each = 0; each < 20; each++)
        await publisher.publishWhole({ topic: `${level}/a`, payload: `${each}`, qos: 2 })
    }
    const other = await connect()
    other.send(encode.subscribe(5, 5, [{ filter: `$exclusive/${level}/b`, qos: 1 }]))
    expect((await other.find("suback")).codes).toEqual([0x97])
    for (const name of [one, two]) expect((await rules(broker(), `/${name}`, { method: "DELETE" })).status).toBe(204)
  }, 30_000)

  test("what a client is called widens no filter; its other rules hold", async () => {
    const refused = (): Promise<number> => broker().sumOf("manifold_mqtt_auto_subscribes_refused_total")
    const before = await refused()
    const [watched, publisher] = [uniqueLevel(), await connect({ username: "named" })]
    for (const clientId of ["#", "+", `a/${watched}`]) {
      const client = await connect({ clientId, username: watched })
      await publisher.publishWhole({ topic: `in/${watched}/x`, payload: "no", qos: 1 })
      await publisher.publishWhole({ topic: `users/${watched}/127.0.0.1`, payload: "yes", qos: 1 })
      expect((await client.messages(1)).map(({ payload }) => textOf(payload))).toEqual(["yes"])
      await client.quiet(20)
      client.cut()
    }
    // One without a user name has no topic of that name.
    await connect()
    expect(await refused()).toBe(before + 4)
  })

  test("a rule that is made holds for who connects from then on, over all shards, until it is deleted; the command does the same", async () => {
    const level = uniqueLevel()
    const earlier = await connect({ username: "u" })
    const made = await create(broker(), { name: `rule-${level}`, topic: `${level}/${ID}`, qos: 1 })
    expect(made.status).toBe(201)
    expect(await made.json()).toEqual({
      name: `rule-${level}`,
      topic: `${level}/${ID}`,
      qos: 1,
      no_local: false,
      retain_as_published: false,
      retain_handling: 0
    })
    const publisher = await connect({ username: "u" })
    const each = async (): Promise<number> => {
      let got = 0
      for (let count = 0; count < 6; count++) {
        const clientId = uniqueId()
        const client = await connect({ clientId, username: "u" })
        await publisher.publishWhole({ topic: `${level}/${clientId}`, payload: "x", qos: 1 })
        client.send(encode.pingreq())
        if ((await client.next()).type === "publish") got += 1
        client.cut()
      }
      return got
    }
    await until("all shards know it", async () => (await each()) === 6 || undefined)
    await earlier.quiet(0)
    const command = (...words: ReadonlyArray<string>) => runCommand(["auto-subscribe", ...words, "--url", broker().url])
    expect((await command("list")).stdout).toMatch(new RegExp(`inbox.*own.*rule-${level}.*user`, "s"))
    expect((await command("delete", `rule-${level}`)).code).toBe(0)
    await until("no shard has it", async () => (await each()) === 0 || undefined)
    expect((await command("delete", "inbox")).stderr).toContain("(auto-subscribe-declared)")
  }, 40_000)

  test("wrong rules are refused with the reason", async () => {
    const wrong: ReadonlyArray<readonly [rule: object, says: RegExp]> = [
      [{ name: "a b", topic: "t" }, /name/],
      [{ name: "w", topic: "a/\u0024{clientID}" }, /known placeholders: \$\{clientid\}/],
      [{ name: "w", topic: "a/#/b" }, /expected a topic filter/],
      [{ name: "w", topic: "" }, /expected a topic filter/],
      [{ name: "w", topic: "$exclusive/a" }, /expected a topic filter/],
      [{ name: "w", topic: "$share/a" }, /expected a topic filter/],
      [{ name: "w", topic: "$share/g/a", no_local: true }, /MQTT-3\.8\.3-4/],
      [{ name: "w", topic: "t", qos: 3 }, /qos/],
      [{ name: "w", topic: "t", more: 1 }, /more/]
    ]
    for (const [rule, says] of wrong) {
      const refused = await create(broker(), rule)
      expect([JSON.stringify(rule), refused.status]).toEqual([JSON.stringify(rule), 422])
      expect(await refused.text()).toMatch(says)
    }
    expect((await create(broker(), { name: "inbox", topic: "t" })).status).toBe(409)
  })
})

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`rules that were made are there after a kill -9; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-auto-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, set: { "node.data": data } })
    let broker = await start()
    expect((await create(broker, { name: "kept", topic: `kept/${ID}`, qos: 1 })).status).toBe(201)
    broker.kill()
    broker = await start()
    const clientId = uniqueId()
    const client = await RawMqtt.connect(broker.mqtt, { clientId })
    await client.publishWhole({ topic: `kept/${clientId}`, payload: "x", qos: 1 })
    expect((await client.messages(1))[0]?.topic).toBe(`kept/${clientId}`)
    await broker.stop()
  }, 30_000)
}
