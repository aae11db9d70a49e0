/** `retained` over HTTP and on the command line: listed, read, removed one by one and by filter; no subscriber hears of that. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import type { Properties } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

interface Item {
  readonly topic: string
  readonly qos: number
  readonly retained_at: string
  readonly expires: string | null
  readonly payload_bytes: number
}

interface WholeItem extends Item {
  readonly expires: string
  readonly payload?: string
  readonly payload_base64?: string
  readonly properties: ReadonlyArray<{ readonly name: string; readonly value: string }>
}

interface Page {
  readonly items: ReadonlyArray<Item>
  readonly cursor?: string
}

async function list(broker: Broker, query: string): Promise<Page> {
  const answer = await fetch(`${broker.url}/api/v1/retained?${query}`)
  expect(answer.status).toBe(200)
  return (await answer.json()) as Page
}

async function listAll(broker: Broker, limit: number, filter: string): Promise<ReadonlyArray<Item>> {
  const items: Array<Item> = []
  for (let cursor: string | undefined = ""; cursor !== undefined; ) {
    const page: Page = await list(broker, String(new URLSearchParams({ limit: String(limit), cursor, filter })))
    expect(page.items.length).toBeLessThanOrEqual(limit)
    items.push(...page.items)
    cursor = page.cursor
  }
  return items
}

async function get(broker: Broker, topic: string): Promise<WholeItem> {
  return (await (await fetch(pathOf(broker, topic))).json()) as WholeItem
}

const pathOf = (broker: Broker, topic: string): string => `${broker.url}/api/v1/retained/${encodeURIComponent(topic)}`

async function deleteMatching(broker: Broker, filter: string): Promise<unknown> {
  const answer = await fetch(`${broker.url}/api/v1/retained/delete-matching`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ filter })
  })
  return await answer.json()
}

/** Topic names of what a new subscriber is given. */
async function retainedOf(broker: Broker, filter: string): Promise<ReadonlyArray<string>> {
  const client = await RawMqtt.connect(broker.mqtt, { version: 5 })
  await client.subscribe(filter, 1)
  await sleep(60)
  const topics = client.drain().flatMap((packet) => (packet.type === "publish" ? [packet.topic] : []))
  await client.disconnect()
  return topics.toSorted()
}

brokerSuite("retained messages for an operator", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (): Promise<ConnectedMqtt> => RawMqtt.connect(broker().mqtt, { version: 5 })
  const command = (...words: ReadonlyArray<string>) => runCommand(["retained", ...words, "--url", broker().url])

  test("listed page by page, by name, with QoS, time and expiry; read with payload and properties", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    const properties: Properties = [
      ["messageExpiry", 600],
      ["contentType", "text/plain"],
      ["userProperty", ["k", "v"]],
      ["userProperty", ["k", "w"]]
    ]
    const names = Array.from({ length: 25 }, (_, index) => `${level}/${String(index).padStart(2, "0")}`)
    const sentAtMs = Date.now()
    for (const [index, topic] of names.entries()) {
      const qos = (index % 3) as 0 | 1 | 2
      await publisher.publishWhole({
        topic,
        payload: `p${index}`,
        qos,
        retain: true,
        properties: index === 7 ? properties : []
      })
    }
    await publisher.publishWhole({
      topic: `${level}/binary/\u00e9 ?%`,
      payload: Uint8Array.of(0xff, 1),
      qos: 1,
      retain: true
    })
    await publisher.publishWhole({ topic: `${level}/not`, payload: "x", qos: 1 })
    await publisher.quiet(0)
    for (const limit of [1, 7, 1_000]) {
      const items = await listAll(broker(), limit, `${level}/`)
      expect(items.map(({ topic }) => topic).toSorted()).toEqual([...names, `${level}/binary/\u00e9 ?%`])
      expect(items.filter(({ expires }) => expires !== null).map(({ topic }) => topic)).toEqual([`${level}/07`])
      for (const { topic, qos, retained_at, payload_bytes } of items.filter((each) => names.includes(each.topic))) {
        const index = names.indexOf(topic)
        expect([qos, payload_bytes]).toEqual([index % 3, `p${index}`.length])
        expect(Math.abs(Date.parse(retained_at) - sentAtMs)).toBeLessThan(10_000)
      }
    }
    const whole = await get(broker(), `${level}/07`)
    expect(whole).toMatchObject({ topic: `${level}/07`, qos: 1, payload: "p7", payload_bytes: 2 })
    expect(Date.parse(whole.expires) - Date.parse(whole.retained_at)).toBe(600_000)
    expect(whole.properties).toContainEqual({ name: "mqtt.content-type", value: "text/plain" })
    expect(whole.properties.filter(({ name }) => name === "k")).toEqual([
      { name: "k", value: "v" },
      { name: "k", value: "w" }
    ])
    const binary = await get(broker(), `${level}/binary/\u00e9 ?%`)
    expect([binary.payload_base64, binary.payload]).toEqual(["/wE=", undefined])
    const listed = await command("list", "--filter", `${level}/0`)
    expect(listed.stdout).toMatch(/^TOPIC +QOS +RETAINED_AT +EXPIRES +PAYLOAD_BYTES\n/)
    expect(listed.stdout.trim().split("\n")).toHaveLength(11)
    expect((await command("get", `${level}/07`)).stdout).toMatch(/^payload +p7$/m)
    for (const path of ["nothing", "%23", "a%2F%2B"]) {
      const answer = await fetch(`${broker().url}/api/v1/retained/${path}`)
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([404, "retained-not-found"])
    }
    expect((await command("get", `${level}/nothing`)).stderr).toContain("(retained-not-found)")
    const cursor = await fetch(`${broker().url}/api/v1/retained?cursor=0:%23`)
    expect([cursor.status, ((await cursor.json()) as { code: string }).code]).toEqual([422, "invalid-cursor"])
    expect(await deleteMatching(broker(), `${level}/#`)).toEqual({ deleted: 26 })
  })

  test("an expired one is not listed, read nor removed", async () => {
    const topic = `${uniqueLevel()}/short`
    const publisher = await connect()
    await publisher.publishWhole({ topic, payload: "x", qos: 1, retain: true, properties: [["messageExpiry", 1]] })
    expect((await listAll(broker(), 10, topic)).length).toBe(1)
    await sleep(1_100)
    expect(await listAll(broker(), 10, topic)).toEqual([])
    expect(await deleteMatching(broker(), topic)).toEqual({ deleted: 0 })
    for (const method of ["GET", "DELETE"]) expect((await fetch(pathOf(broker(), topic), { method })).status).toBe(404)
  })

  test("removed: nobody who subscribes hears of it, before or after; a client's message is retained again", async () => {
    const level = uniqueLevel()
    const [publisher, live] = [await connect(), await connect()]
    const names = ["a", "b/c", "d"].map((name) => `${level}/${name}`)
    const [first = "", second = ""] = names
    for (const topic of names) await publisher.publishWhole({ topic, payload: "1", qos: 1, retain: true })
    await live.subscribe(`${level}/#`, 1)
    await live.messages(3)
    expect((await fetch(pathOf(broker(), first), { method: "DELETE" })).status).toBe(204)
    expect(await command("delete", second)).toMatchObject({ code: 0, stderr: "" })
    expect((await fetch(pathOf(broker(), first), { method: "DELETE" })).status).toBe(404)
    expect((await command("delete", second)).stderr).toContain("(retained-not-found)")
    expect(await retainedOf(broker(), `${level}/#`)).toEqual([`${level}/d`])
    await live.quiet(50)
    await publisher.publishWhole({ topic: first, payload: "2", qos: 1, retain: true })
    await live.messages(1)
    expect(await retainedOf(broker(), `${level}/#`)).toEqual([first, `${level}/d`])
  })

  test("removed by filter, on all shards, and counted; a wildcard in front does not match $", async () => {
    const level = uniqueLevel()
    const [publisher, live] = [await connect(), await connect()]
    const names = Array.from({ length: 300 }, (_, index) => `${level}/${index % 3}/${index}`)
    for (const topic of [...names, `$${level}/x`])
      await publisher.publishWhole({ topic, payload: "1", qos: 1, retain: true })
    await live.subscribe(`${level}/#`, 1)
    await live.messages(300)
    expect(await deleteMatching(broker(), `${level}/1/+`)).toEqual({ deleted: 100 })
    expect(await deleteMatching(broker(), `${level}/1/+`)).toEqual({ deleted: 0 })
    expect((await listAll(broker(), 100, `${level}/`)).length).toBe(201)
    const swept = await command("delete-matching", "--filter", "+/2/#")
    expect([swept.code, swept.stdout.trim()]).toEqual([0, "deleted  100"])
    expect(await retainedOf(broker(), `${level}/#`)).toEqual(names.filter((name) => name.includes("/0/")).toSorted())
    expect(await deleteMatching(broker(), "#")).toMatchObject({ deleted: expect.any(Number) })
    expect((await listAll(broker(), 100, "")).map(({ topic }) => topic)).toEqual([`$${level}/x`])
    expect(await deleteMatching(broker(), `$${level}/x`)).toEqual({ deleted: 1 })
    expect(await broker().sumOf("manifold_retained_messages")).toBe(0)
    await live.quiet(50)
    for (const filter of ["", "a/#/b", "$share/g/a"]) {
      expect(await deleteMatching(broker(), filter)).toMatchObject({ status: 422, code: "invalid-topic-filter" })
    }
    expect((await command("delete-matching")).stderr).toContain("--filter")
  })
})

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`what was removed stays so after a kill -9, and the rest is there; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-retained-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, set: { "node.data": data } })
    let broker = await start()
    const publisher = await RawMqtt.connect(broker.mqtt, { version: 5 })
    for (let index = 0; index < 60; index++) {
      await publisher.publishWhole({ topic: `k/${index % 3}/${index}`, payload: "1", qos: 1, retain: true })
    }
    const deleted = await Promise.all(
      Array.from({ length: 10 }, (_, index) => fetch(pathOf(broker, `k/0/${index * 3}`), { method: "DELETE" }))
    )
    expect(deleted.map(({ status }) => status)).toEqual(deleted.map(() => 204))
    expect(await deleteMatching(broker, "k/1/#")).toEqual({ deleted: 20 })
    broker.kill()
    publisher.cut()
    broker = await start()
    const expected = Array.from({ length: 60 }, (_, index) => index)
      .filter((index) => index % 3 === 2 || (index % 3 === 0 && index >= 30))
      .map((index) => `k/${index % 3}/${index}`)
      .toSorted()
    expect(await retainedOf(broker, "k/#")).toEqual(expected)
    expect((await listAll(broker, 7, "")).map(({ topic }) => topic).toSorted()).toEqual(expected)
    RawMqtt.cutAll()
    await broker.stop()
  }, 30_000)
}
