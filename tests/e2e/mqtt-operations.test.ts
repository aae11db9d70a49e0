/** What an operator sees of clients, sessions and subscriptions, and does to them. */
import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Broker, brokerSuite, IS_EXTERNAL, runCommand, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, type Properties, textOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { until } from "../support/until.ts"

type Item = Readonly<Record<string, unknown>>
const path = (id: string): string => encodeURIComponent(id)
const call = (broker: Broker, route: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${broker.url}/api/v1/${route}`, init)
const post = (broker: Broker, route: string, body: object = {}): Promise<Response> =>
  call(broker, route, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } })
const get = async (broker: Broker, route: string): Promise<Item> => (await (await call(broker, route)).json()) as Item

/** All items of a list, page by page. */
async function all(broker: Broker, route: string, limit: number, filter = ""): Promise<ReadonlyArray<Item>> {
  const items: Array<Item> = []
  let cursor = ""
  do {
    const query = new URLSearchParams({ limit: String(limit), filter, ...(cursor !== "" && { cursor }) })
    const page = await get(broker, `${route}?${query}`)
    const found = page["items"] as ReadonlyArray<Item>
    expect(found.length).toBeLessThanOrEqual(limit)
    items.push(...found)
    cursor = (page["cursor"] as string | undefined) ?? ""
  } while (cursor !== "")
  return items
}

const KEPT: Properties = [["sessionExpiry", 300]]

brokerSuite("operations", {}, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })

  test("clients are listed page by page, each once, with what is known of them", async () => {
    const level = uniqueLevel()
    const ids = Array.from({ length: 23 }, (_, each) => `${level}-${each}`)
    for (const [index, clientId] of ids.entries()) {
      await connect({
        clientId,
        username: "anna",
        keepAlive: 30,
        version: [3, 4, 5][index % 3] as Version,
        clean: index % 2 === 0
      })
    }
    for (const limit of [1, 7, 100]) {
      const found = await all(broker(), "clients", limit, level)
      expect(found.map((item) => item["client_id"] as string).toSorted()).toEqual(ids.toSorted())
    }
    expect(await get(broker(), `clients/${level}-2`)).toEqual({
      client_id: `${level}-2`,
      username: "anna",
      address: "127.0.0.1",
      protocol_version: 5,
      keep_alive: 30,
      connected_at: expect.stringMatching(/^20\d\d-/),
      has_will: false,
      subscriptions: 0,
      inflight: 0,
      queued_messages: 0,
      queued_bytes: 0,
      queued_more: false,
      queued_since: null,
      output_bytes: 0
    })
    expect((await call(broker(), "clients/none")).status).toBe(404)
    // Whatever it is called.
    for (const clientId of [`${level}/a b`, `${level}%2F`, `${level}äß🙂`]) {
      await connect({ clientId })
      expect((await get(broker(), `clients/${path(clientId)}`))["client_id"]).toBe(clientId)
    }
  })

  test("a client that is kicked gets the code; its will is published, its session stays; the command does the same", async () => {
    const level = uniqueLevel()
    const watcher = await connect()
    await watcher.subscribe(`will/${level}`, 1)
    const will = { topic: `will/${level}`, payload: "gone", qos: 1 }
    const one = await connect({ clientId: `${level}-1`, will, clean: false, properties: KEPT })
    const two = await connect({ clientId: `${level}-2` })
    const old = await connect({ clientId: `${level}-3`, version: 4 })
    expect((await post(broker(), `clients/${level}-1/kick`)).status).toBeLessThan(300)
    expect((await one.expect("disconnect")).code).toBe(0x98)
    expect((await watcher.messages(1)).map(({ payload }) => textOf(payload))).toEqual(["gone"])
    expect((await get(broker(), `sessions/${level}-1`))["connected"]).toBe(false)
    const kicked = await runCommand(["client", "kick", `${level}-2`, "--reason-code", "137", "--url", broker().url])
    expect([kicked.code, kicked.stderr]).toEqual([0, ""])
    expect((await two.expect("disconnect")).code).toBe(137)
    await post(broker(), `clients/${level}-3/kick`)
    await old.closed()
    expect((await post(broker(), `clients/${level}-3/kick`)).status).toBe(404)
    expect((await post(broker(), `clients/${level}-1/kick`, { reason_code: 0x8a })).status).toBe(422)
  })

  test("subscriptions on behalf: made as its own would be, listed, taken off; what it may not have is refused", async () => {
    const level = uniqueLevel()
    const [client, publisher] = [await connect({ clientId: level }), await connect()]
    await publisher.publishWhole({ topic: `${level}/r`, payload: "retained", qos: 1, retain: true })
    const made = await post(broker(), `clients/${level}/subscribe`, { topic: `${level}/#`, qos: 1 })
    expect([made.status, await made.json()]).toEqual([200, { topic: `${level}/#`, qos: 1 }])
    expect((await client.messages(1)).map(({ payload, retain }) => [textOf(payload), retain])).toEqual([
      ["retained", true]
    ])
    await publisher.publishWhole({ topic: `${level}/a`, payload: "live", qos: 1 })
    expect((await client.messages(1)).map(({ payload }) => textOf(payload))).toEqual(["live"])
    await post(broker(), `clients/${level}/subscribe`, { topic: `$share/g/${level}/s`, qos: 2 })
    const found = await all(broker(), "subscriptions", 100, level)
    expect(found.map((item) => [item["client_id"], item["topic"], item["qos"], item["connected"]])).toEqual([
      [level, `$share/g/${level}/s`, 2, true],
      [level, `${level}/#`, 1, true]
    ])
    for (const topic of [`${level}/#`, `$share/g/${level}/s`]) {
      expect((await post(broker(), `clients/${level}/unsubscribe`, { topic })).status).toBeLessThan(300)
      expect((await post(broker(), `clients/${level}/unsubscribe`, { topic })).status).toBe(409)
    }
    await publisher.publishWhole({ topic: `${level}/a`, payload: "gone", qos: 1 })
    await client.quiet(50)
    for (const topic of ["a/#/b", "", "$exclusive/a", "$share/a"]) {
      const refused = await post(broker(), `clients/${level}/subscribe`, { topic })
      expect([topic, refused.status >= 409 && refused.status <= 422]).toEqual([topic, true])
    }
    expect(await all(broker(), "subscriptions", 100, level)).toEqual([])
    await publisher.publishWhole({ topic: `${level}/r`, payload: "", qos: 1, retain: true })
  })

  test("subscriptions of all sessions, page by page, with exclusive and shared ones, connected or not", async () => {
    const level = uniqueLevel()
    const expected: Array<string> = []
    for (let each = 0; each < 9; each++) {
      const kept = each % 2 === 0
      const client = await connect({ clientId: `${level}-${each}`, ...(kept && { clean: false, properties: KEPT }) })
      const filters = [`${level}/a/${each}`, `${level}/b/+`, `$share/g/${level}/c`, `$exclusive/${level}/x${each}`]
      for (const filter of filters) {
        await client.subscribe(filter, 1)
        expected.push(`${level}-${each} ${filter.replace("$exclusive/", "")} ${filter.startsWith("$e")} ${!kept}`)
      }
      if (kept) await client.disconnect()
    }
    await until(
      "they are left",
      async () =>
        (await all(broker(), "sessions", 100, level)).filter((item) => item["connected"] === false).length === 5 ||
        undefined
    )
    for (const limit of [1, 5, 100]) {
      const found = await all(broker(), "subscriptions", limit, level)
      const shown = found.map(
        (item) => `${item["client_id"]} ${item["topic"]} ${item["exclusive"]} ${item["connected"]}`
      )
      expect(shown.toSorted()).toEqual(expected.toSorted())
    }
    for (let each = 0; each < 9; each += 2) {
      expect((await call(broker(), `sessions/${level}-${each}`, { method: "DELETE" })).status).toBe(204)
    }
  })

  test("what waits for a session is counted, connected or not, and dropped when that is asked; what is in flight stays", async () => {
    for (const isAway of [true, false]) {
      const level = uniqueLevel()
      const options = { clientId: level, clean: false, properties: [...KEPT, ["receiveMaximum", 2]] as Properties }
      let client = await connect(options)
      const publisher = await connect()
      await client.subscribe(`${level}/#`, 1)
      if (isAway) await client.disconnect()
      const before = Date.now()
      for (let each = 0; each < 12; each++) {
        await publisher.publishWhole({ topic: `${level}/${each % 3}`, payload: `${each}`, qos: 1 })
      }
      const [inflight, queued] = isAway ? [0, 12] : [2, 10]
      const item = await until("they wait", async () => {
        const found = await get(broker(), `sessions/${level}`)
        return found["queued_messages"] === queued ? found : undefined
      })
      expect(item).toMatchObject({
        client_id: level,
        connected: !isAway,
        subscriptions: 1,
        inflight,
        queued_more: false
      })
      expect(Number(item["queued_bytes"])).toBeGreaterThan(queued * 10)
      expect(Math.abs(Date.parse(String(item["queued_since"])) - before)).toBeLessThan(5_000)
      const [listed] = await all(broker(), "sessions", 100, level)
      expect(listed).toEqual(item)
      if (isAway) expect(Date.parse(String(item["expires"])) - Date.parse(String(item["left"]))).toBe(300_000)
      else expect([item["left"], item["expires"]]).toEqual([null, null])
      const dropped = await post(broker(), `sessions/${level}/drop-queue`)
      expect([dropped.status, await dropped.json()]).toEqual([200, { dropped: queued }])
      expect(await get(broker(), `sessions/${level}`)).toMatchObject({
        queued_messages: 0,
        queued_since: null,
        inflight
      })
      await publisher.publishWhole({ topic: `${level}/later`, payload: "later", qos: 1 })
      if (isAway) client = await connect(options)
      const found: Array<string> = []
      for (let each = 0; each < inflight + 1; each++) {
        const { id = 0, payload } = await client.expect("publish")
        found.push(textOf(payload))
        client.ack("puback", id)
      }
      expect(found).toEqual(isAway ? ["later"] : ["0", "1", "later"])
      await client.quiet(50)
    }
  })

  test("a session that is deleted is gone with all it had, whatever state it is in; the client may come again anew", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    for (const state of ["connected", "away", "transient"] as const) {
      const clientId = `${level}-${state}`
      const kept = state === "transient" ? {} : { clean: false, properties: KEPT }
      const client = await connect({ clientId, ...kept })
      await client.subscribe(
        [
          { filter: `${level}/#`, qos: 1 },
          { filter: `$exclusive/${level}/${state}`, qos: 1 }
        ],
        1
      )
      if (state === "away") await client.disconnect()
      await publisher.publishWhole({ topic: `${level}/a`, payload: "x", qos: 1 })
      const done =
        state === "away"
          ? (await runCommand(["session", "delete", clientId, "--url", broker().url])).code === 0
          : (await call(broker(), `sessions/${clientId}`, { method: "DELETE" })).status === 204
      expect([state, done]).toEqual([state, true])
      if (state !== "away") await client.closed()
      expect((await call(broker(), `sessions/${clientId}`)).status).toBe(404)
      expect((await call(broker(), `sessions/${clientId}`, { method: "DELETE" })).status).toBe(404)
      const again = await RawMqtt.connect(broker().mqtt, { version: 5, clientId, clean: false, properties: KEPT })
      expect(again.connack.sessionPresent).toBe(false)
      await again.quiet(30)
      const other = await connect()
      await until("its exclusive filter is free", async () => {
        other.send(encode.subscribe(5, 7, [{ filter: `$exclusive/${level}/${state}`, qos: 1 }]))
        return (await other.expect("suback")).codes[0] === 1 || undefined
      })
      other.cut()
      await call(broker(), `sessions/${clientId}`, { method: "DELETE" })
    }
  })
})

const directories: Array<string> = []
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true })
})
for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`sessions that are rows alone are listed, and what was done to them holds after a kill -9; shards = ${shards}`, async () => {
    const data = mkdtempSync(join(tmpdir(), "manifold-operations-"))
    directories.push(data)
    const start = (): Promise<Broker> => startBroker({ shards, set: { "node.data": data } })
    let broker = await start()
    const ids = Array.from({ length: 30 }, (_, each) => `c${String(each).padStart(2, "0")}`)
    for (const clientId of ids) {
      const client = await RawMqtt.connect(broker.mqtt, { version: 5, clientId, clean: false, properties: KEPT })
      await client.subscribe(`in/${clientId}`, 1)
      await client.disconnect()
    }
    const publisher = await RawMqtt.connect(broker.mqtt, { version: 5, clientId: uniqueId() })
    for (const clientId of ids) {
      for (let each = 0; each < 3; each++) {
        await publisher.publishWhole({ topic: `in/${clientId}`, payload: `${each}`, qos: 1 })
      }
    }
    broker.kill()
    broker = await start()
    const listed = await all(broker, "sessions", 7)
    expect(listed.map((item) => item["client_id"] as string).toSorted()).toEqual(ids)
    for (const item of listed) expect([item["client_id"], item["queued_messages"]]).toEqual([item["client_id"], 3])
    expect((await all(broker, "subscriptions", 7)).length).toBe(30)
    expect((await call(broker, "sessions/c00", { method: "DELETE" })).status).toBe(204)
    expect((await post(broker, "sessions/c01/drop-queue")).status).toBe(200)
    broker.kill()
    broker = await start()
    expect((await all(broker, "sessions", 100)).length).toBe(29)
    expect((await get(broker, "sessions/c01"))["queued_messages"]).toBe(0)
    expect((await get(broker, "sessions/c02"))["queued_messages"]).toBe(3)
    RawMqtt.cutAll()
    await broker.stop()
  }, 40_000)
}
