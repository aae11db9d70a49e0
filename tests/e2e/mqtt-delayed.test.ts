/** `$delayed/<seconds>/<topic>`: when it comes, with what, what is refused; listed and taken back; over restarts and kills, once. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, type Properties, textOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep, until } from "../support/until.ts"

interface Item {
  readonly id: string
  readonly topic: string
  readonly due: string
  readonly publisher: string
  readonly qos: number
}

async function list(
  broker: Broker,
  query = ""
): Promise<{ readonly items: ReadonlyArray<Item>; readonly cursor?: string }> {
  const answer = await fetch(`${broker.url}/api/v1/delayed${query}`)
  expect(answer.status).toBe(200)
  return (await answer.json()) as { items: ReadonlyArray<Item>; cursor?: string }
}

brokerSuite("delayed messages", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (version: Version = 5): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version })

  test("each version and QoS: it comes on its name, not before its time; 0 and times that have passed mean at once", async () => {
    const level = uniqueLevel()
    const subscriber = await connect()
    await subscriber.subscribe(`${level}/#`, 2)
    const sentAtMs = Date.now()
    for (const version of [3, 4, 5] as const) {
      const publisher = await connect(version)
      for (const qos of [0, 1, 2] as const) {
        await publisher.publishWhole({ topic: `$delayed/1/${level}/${version}/${qos}`, payload: `${qos}`, qos })
        for (const now of ["0", String(Math.floor(Date.now() / 1_000) - 5)]) {
          await publisher.publishWhole({ topic: `$delayed/${now}/${level}/now`, payload: now, qos })
        }
      }
    }
    const atOnce = await subscriber.wholeMessages(18)
    expect(new Set(atOnce.map(({ topic }) => topic))).toEqual(new Set([`${level}/now`]))
    expect(Date.now() - sentAtMs).toBeLessThan(1_000)
    const late = await subscriber.wholeMessages(9)
    expect(Date.now() - sentAtMs).toBeGreaterThanOrEqual(1_000)
    expect(late.map(({ topic, qos, payload }) => `${topic} ${qos} ${textOf(payload)}`).toSorted()).toEqual(
      [3, 4, 5].flatMap((version) => [0, 1, 2].map((qos) => `${level}/${version}/${qos} ${qos} ${qos}`))
    )
    await subscriber.quiet(300)
  })

  test("a time in seconds since 1970; RETAIN holds when it is published", async () => {
    const level = uniqueLevel()
    const [publisher, subscriber] = [await connect(), await connect()]
    await subscriber.subscribe(`${level}/#`, 1)
    const atSeconds = Math.floor(Date.now() / 1_000) + 2
    await publisher.publishWhole({ topic: `$delayed/${atSeconds}/${level}/at`, payload: "x", qos: 1, retain: true })
    const before = await connect()
    await before.subscribe(`${level}/at`, 1)
    await before.quiet(0)
    const [message] = await subscriber.messages(1, { timeoutMs: 5_000 })
    expect(Date.now()).toBeGreaterThanOrEqual(atSeconds * 1_000)
    expect(message).toMatchObject({ topic: `${level}/at`, retain: false })
    const after = await connect()
    await after.subscribe(`${level}/at`, 1)
    expect((await after.messages(1))[0]).toMatchObject({ topic: `${level}/at`, retain: true })
    await publisher.publishWhole({ topic: `${level}/at`, payload: "", qos: 1, retain: true })
  })

  test("wrong forms: 0x90; before version 5, and of QoS 0, the end of the connection", async () => {
    const level = uniqueLevel()
    const subscriber = await connect()
    await subscriber.subscribe(`${level}/#`, 1)
    const far = Math.floor(Date.now() / 1_000) + 42_949_669 + 60
    const wrong = [
      `x/${level}`,
      `/${level}`,
      `-1/${level}`,
      `1.5/${level}`,
      `${far}/${level}`,
      "5",
      "5/",
      "",
      "0/$SYS/x",
      `0/$share/g/${level}`,
      `0/$delayed/0/${level}`
    ]
    const five = await connect()
    for (const [index, rest] of wrong.entries()) {
      const topic = `$delayed/${rest}`
      five.publish({ topic, payload: "x", qos: 1, id: index + 1 })
      expect([rest, (await five.expect("puback")).code]).toEqual([rest, 0x90])
      five.publish({ topic, payload: "x", qos: 2, id: index + 100 })
      expect([rest, (await five.expect("pubrec")).code]).toEqual([rest, 0x90])
      const four = await connect(4)
      four.publish({ topic, payload: "x", qos: 1, id: 1 })
      await four.closed()
      const zero = await connect()
      zero.publish({ topic, payload: "x", qos: 0 })
      expect(await zero.expect("disconnect")).toMatchObject({ code: 0x90 })
    }
    await subscriber.quiet(100)
  })

  test("a will may be delayed, too; one of a wrong form is refused at once", async () => {
    const level = uniqueLevel()
    const subscriber = await connect()
    await subscriber.subscribe(`${level}/#`, 1)
    const will = (topic: string) => ({ version: 5 as const, will: { topic, payload: "gone", qos: 1 as const } })
    const refused = await RawMqtt.open(broker().mqtt, 5)
    refused.send(encode.connect({ clientId: uniqueId(), ...will(`$delayed/x/${level}`) }))
    expect((await refused.expect("connack")).code).toBe(0x90)
    const client = await RawMqtt.connect(broker().mqtt, will(`$delayed/1/${level}/will`))
    const cutAtMs = Date.now()
    client.cut()
    const [message] = await subscriber.messages(1)
    expect(Date.now() - cutAtMs).toBeGreaterThanOrEqual(1_000)
    expect(message).toMatchObject({ topic: `${level}/will`, qos: 1 })
  })

  test("they are listed by their times, page by page, read and taken back; the command does the same", async () => {
    const level = uniqueLevel()
    const [subscriber, publishers] = [await connect(), await Promise.all([1, 2, 3, 4].map(() => connect()))]
    await subscriber.subscribe(`${level}/#`, 1)
    for (const [index, publisher] of publishers.entries()) {
      for (const seconds of [900, 300, 600]) {
        await publisher.publishWhole({ topic: `$delayed/${seconds}/${level}/${index}`, payload: "later", qos: 1 })
      }
    }
    const all = (await list(broker(), `?filter=${level}`)).items
    expect(all.length).toBe(12)
    const paged: Array<Item> = []
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const page = await list(broker(), `?limit=1&cursor=${encodeURIComponent(cursor)}`)
      paged.push(...page.items)
      cursor = page.cursor
    }
    expect(paged.filter(({ topic }) => topic.startsWith(level))).toEqual([...all])
    for (const shard of new Set(all.map(({ id }) => id.split("-")[0]))) {
      const own = all.filter(({ id }) => id.startsWith(`${shard}-`)).map(({ due }) => due)
      expect(own).toEqual(own.toSorted())
    }
    const [first, second, ...rest] = all
    const path = `${broker().url}/api/v1/delayed/${first?.id}`
    expect(await (await fetch(path)).json()).toMatchObject({ ...first, payloadBytes: 5, messageExpirySeconds: null })
    expect((await fetch(path, { method: "DELETE" })).status).toBe(204)
    for (const method of ["GET", "DELETE"]) expect((await fetch(path, { method })).status).toBe(404)
    for (const id of ["0", "0-x", "9-1", "0-999999999"]) {
      expect((await fetch(`${broker().url}/api/v1/delayed/${id}`)).status).toBe(404)
    }
    const command = (...words: ReadonlyArray<string>) => runCommand(["delayed", ...words, "--url", broker().url])
    expect((await command("list")).stdout).toContain(second?.id ?? "")
    expect((await command("delete", second?.id ?? "")).code).toBe(0)
    expect((await command("get", second?.id ?? "")).stderr).toContain("(delayed-not-found)")
    expect(await broker().sumOf("manifold_mqtt_delayed_messages")).toBe(rest.length)
    for (const { id } of rest) await fetch(`${broker().url}/api/v1/delayed/${id}`, { method: "DELETE" })
    await until("none left", async () => (await broker().sumOf("manifold_mqtt_delayed_unsettled")) === 0 || undefined)
    await subscriber.quiet(50)
  })
})

brokerSuite("no delayed messages", { set: { "protocol-mqtt.delayed_messages_max": "0" } }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  test("where none are taken they are refused with 0x87", async () => {
    const client = await RawMqtt.connect(broker().mqtt, { version: 5 })
    client.publish({ topic: "$delayed/1/a", payload: "x", qos: 1, id: 7 })
    expect(await client.expect("puback")).toMatchObject({ id: 7, code: 0x87 })
  })
})

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`what was acknowledged comes once after a stop and after a kill -9, in time or at the start; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-delayed-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, set: { "node.data": data } })
    const [level, clientId] = [uniqueLevel(), uniqueId()]
    const kept = { version: 5, clean: false, clientId, properties: [["sessionExpiry", 600]] as Properties } as const
    const sent: Array<string> = []
    let broker = await start()
    const first = await RawMqtt.connect(broker.mqtt, kept)
    await first.subscribe(`${level}/#`, 2)
    await first.disconnect()
    for (const end of ["stop", "kill", "kill"] as const) {
      const publishers = await Promise.all([1, 2, 3, 4].map(() => RawMqtt.connect(broker.mqtt, { version: 5 })))
      // Some are due while the node is up, some while it is down, some when it is up again.
      for (let each = 0; each < 120; each++) {
        const payload = `${end} ${sent.length}`
        const topic = `$delayed/${1 + (each % 5)}/${level}/${each % 7}`
        await publishers[each % 4]?.publishWhole({ topic, payload, qos: 2 })
        sent.push(payload)
      }
      await sleep(1_200)
      for (const publisher of publishers) publisher.cut()
      if (end === "stop") await broker.stop()
      else broker.kill()
      await sleep(1_500)
      broker = await start()
    }
    const second = await RawMqtt.connect(broker.mqtt, kept)
    expect(second.connack.sessionPresent).toBe(true)
    const got = (await second.wholeMessages(sent.length)).map(({ payload }) => textOf(payload))
    expect(got.toSorted()).toEqual(sent.toSorted())
    await second.quiet(300)
    expect(await broker.sumOf("manifold_mqtt_delayed_messages")).toBe(0)
    await broker.stop()
  }, 60_000)
}
