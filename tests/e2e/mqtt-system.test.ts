/** `$SYS`: what the broker tells of itself and of its clients. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite, IS_EXTERNAL, SHARD_COUNTS, startBroker } from "../support/broker.ts"
import { encode, type Properties, textOf, type Version } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep, until } from "../support/until.ts"

const set = { "protocol-mqtt.sys_interval": "1", "node.id": "n1" }
const OWN = "$SYS/brokers/n1"

brokerSuite("$SYS", { set }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })

  /** The values that come at once, with RETAIN set, by topic name. */
  async function valuesOf(filter: string, version: Version = 5): Promise<ReadonlyMap<string, string>> {
    const client = await connect({ version })
    await client.subscribe(filter, 1)
    client.send(encode.pingreq())
    const found = new Map<string, string>()
    for (let next = await client.next(); next.type !== "pingresp"; next = await client.next()) {
      if (next.type === "publish" && next.retain) found.set(next.topic, textOf(next.payload))
    }
    client.cut()
    return found
  }

  test("who subscribes gets what is known at once, by every version; a wildcard that begins otherwise gets nothing", async () => {
    await until("the first values are there", async () => (await valuesOf("$SYS/#")).size > 0 || undefined)
    for (const version of [3, 4, 5] as ReadonlyArray<Version>) {
      const values = await valuesOf("$SYS/#", version)
      expect(values.get(`${OWN}/version`)).toMatch(/^\d+\.\d+\.\d+/)
      expect(values.get(`${OWN}/sysdescr`)).toBe("Manifold")
      expect(Number(values.get(`${OWN}/uptime`))).toBeLessThan(120)
      expect(Math.abs(Date.parse(values.get(`${OWN}/datetime`) ?? "") - Date.now())).toBeLessThan(10_000)
      for (const name of [
        "connections",
        "sessions",
        "subscriptions",
        "subscriptions/shared",
        "routes",
        "topics",
        "delayed"
      ]) {
        const [count, max] = ["count", "max"].map((each) => Number(values.get(`${OWN}/stats/${name}/${each}`)))
        expect([name, Number.isInteger(count), Number(max) >= Number(count)]).toEqual([name, true, true])
      }
      for (const name of ["bytes/received", "packets/connect/received", "packets/connack/sent", "messages/received"]) {
        expect([name, Number.isInteger(Number(values.get(`${OWN}/metrics/${name}`) ?? "none"))]).toEqual([name, true])
      }
      for (const name of ["", "/info", "/metrics/bytes", "/metrics/messages", "/metrics/packets"]) {
        const value = JSON.parse(values.get(`$SYS/brokers${name}`) ?? "{}")
        expect(value).toMatchObject({ node_id: "n1", ts: expect.any(Number), value: expect.anything() })
      }
      for (const name of ["connections", "routes", "subscriptions", "topics"]) {
        expect(JSON.parse(values.get(`$SYS/brokers/stats/${name}`) ?? "{}").value?.max).toBeGreaterThanOrEqual(0)
      }
    }
    expect((await valuesOf("#")).size + (await valuesOf("+/brokers/#")).size).toBe(0)
    expect([...(await valuesOf("$SYS/brokers/+/version")).keys()]).toEqual([`${OWN}/version`])
    // Nothing of it is a retained message of the broker's.
    expect(await broker().sumOf("manifold_retained_messages")).toBe(0)
  })

  test("the sums are those of all shards, and come again at each interval, without RETAIN", async () => {
    const level = uniqueLevel()
    const clients = await Promise.all(Array.from({ length: 12 }, (_, each) => connect({ clientId: `${level}${each}` })))
    for (const client of clients) await client.subscribe(`${level}/#`, 0)
    const watcher = await connect()
    await watcher.subscribe(`${OWN}/stats/+/count`, 0)
    const counts = new Map<string, number>()
    await until("they are counted", async () => {
      const { topic, payload, retain } = await watcher.expect("publish")
      if (!retain) counts.set(topic, Number(textOf(payload)))
      const [connections = 0, subscriptions = 0] = ["connections", "subscriptions"].map((name) =>
        counts.get(`${OWN}/stats/${name}/count`)
      )
      return (connections === 13 && subscriptions === 13) || undefined
    })
    for (const client of clients) client.cut()
    await until("they are gone", async () => {
      const { topic, payload } = await watcher.expect("publish")
      counts.set(topic, Number(textOf(payload)))
      return counts.get(`${OWN}/stats/connections/count`) === 1 || undefined
    })
    const { value } = JSON.parse(
      (await valuesOf("$SYS/brokers/stats/connections")).get("$SYS/brokers/stats/connections") ?? ""
    )
    expect(value.max).toBeGreaterThanOrEqual(13)
  }, 20_000)

  test("what a client does is told as it happens, and only to who is there", async () => {
    const level = uniqueLevel()
    const watcher = await connect()
    await watcher.subscribe(`${OWN}/clients/#`, 0)
    const event = async (): Promise<{ readonly name: string; readonly facts: Record<string, unknown> }> => {
      const { topic, payload, retain } = await watcher.expect("publish")
      expect(retain).toBe(false)
      return { name: topic.slice(`${OWN}/clients/`.length), facts: JSON.parse(textOf(payload)) }
    }
    for (const version of [3, 4, 5] as ReadonlyArray<Version>) {
      const clientId = `${level}-${version}`
      const client = await connect({ version, clientId, username: "anna" })
      expect(await event()).toMatchObject({
        name: `${clientId}/connected`,
        facts: {
          clientid: clientId,
          username: "anna",
          ipaddress: "127.0.0.1",
          proto_ver: version,
          connected_at: expect.any(Number)
        }
      })
      await client.subscribe(
        [
          { filter: `${level}/a`, qos: 1 },
          { filter: `$share/g/${level}/b`, qos: 2 }
        ],
        2
      )
      expect(await event()).toMatchObject({
        name: `${clientId}/subscribed`,
        facts: { topic: `${level}/a`, subopts: { qos: 1, nl: 0, rap: 0, rh: 0 } }
      })
      expect(await event()).toMatchObject({ name: `${clientId}/subscribed`, facts: { topic: `$share/g/${level}/b` } })
      client.send(encode.unsubscribe(version, 9, [`${level}/a`, `${level}/none`]))
      await client.expect("unsuback")
      expect(await event()).toMatchObject({ name: `${clientId}/unsubscribed`, facts: { topic: `${level}/a` } })
      if (version === 3) client.cut()
      else if (version === 4) await client.disconnect()
      else await connect({ clientId })
      if (version === 5) {
        const two = [await event(), await event()].toSorted((one, other) => (one.name < other.name ? 1 : -1))
        expect(two[0]).toMatchObject({ name: `${clientId}/disconnected`, facts: { reason: "session_taken_over" } })
        expect(two[1]).toMatchObject({ name: `${clientId}/connected` })
      } else {
        const reason = version === 3 ? "tcp_closed" : "normal"
        expect(await event()).toMatchObject({
          name: `${clientId}/disconnected`,
          facts: { reason, ipaddress: "127.0.0.1" }
        })
      }
    }
    // Whatever it is called, it is one level.
    await connect({ clientId: `${level}/+#%` })
    expect(await event()).toMatchObject({ name: `${level}%2F%2B%23%25/connected`, facts: { clientid: `${level}/+#%` } })
    const late = await connect()
    await event()
    await late.subscribe(`${OWN}/clients/#`, 0)
    await event()
    await late.quiet(50)
  })

  test("all events come on one topic name, too", async () => {
    const level = uniqueLevel()
    const watcher = await connect()
    await watcher.subscribe("$SYS/events", 0)
    const client = await connect({ clientId: level })
    await client.subscribe(`${level}/a`, 0)
    client.send(encode.unsubscribe(5, 9, [`${level}/a`]))
    await client.expect("unsuback")
    await client.disconnect()
    const events: Array<string> = []
    while (!events.includes("client_disconnected")) {
      const { topic, payload, retain } = await watcher.expect("publish")
      const { node_id, ts, value } = JSON.parse(textOf(payload))
      expect([topic, retain, node_id, Number.isInteger(ts)]).toEqual(["$SYS/events", false, "n1", true])
      if (value.clientid === level) events.push(value.event)
    }
    expect(events).toEqual(["client_connected", "client_subscribed", "client_unsubscribed", "client_disconnected"])
  })
})

for (const shards of IS_EXTERNAL ? [] : SHARD_COUNTS) {
  test(`with sys_interval = 0 nothing is told; shards = ${shards}`, async () => {
    const broker = await startBroker({ shards, set: { "protocol-mqtt.sys_interval": "0" } })
    const properties: Properties = []
    const client = await RawMqtt.connect(broker.mqtt, { version: 5, properties })
    await client.subscribe("$SYS/#", 0)
    const other = await RawMqtt.connect(broker.mqtt, { version: 5 })
    await other.disconnect()
    await sleep(800)
    await client.quiet(0)
    RawMqtt.cutAll()
    await broker.stop()
  })
}
