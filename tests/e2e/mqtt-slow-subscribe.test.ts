/** Which clients are slow, and on what: from a message's receipt to its acknowledgement, or to its write. */
import { afterEach, expect, test } from "bun:test"
import { type Broker, brokerSuite, runCommand } from "../support/broker.ts"
import { encode, type Properties } from "../support/mqtt-packets.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep, until } from "../support/until.ts"

interface Slow {
  readonly client_id: string
  readonly topic: string
  readonly latency_ms: number
  readonly internal_ms: number
  readonly count: number
}

const set = {
  "protocol-mqtt.slow_subscribe": "true",
  "protocol-mqtt.slow_subscribe_threshold": "150",
  "protocol-mqtt.slow_subscribe_top": "5"
}

async function list(broker: Broker, level: string): Promise<ReadonlyArray<Slow>> {
  const answer = await fetch(`${broker.url}/api/v1/slow-subscribe?limit=1000`)
  const { items } = (await answer.json()) as { readonly items: ReadonlyArray<Slow> }
  return items.filter(({ topic }) => topic.startsWith(level))
}

brokerSuite("slow subscribers", { set }, (broker) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: object = {}): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { version: 5, ...options })

  test("QoS 1 and 2 until the last acknowledgement, the slowest first over all shards; others do not count", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    const quick = await connect()
    await quick.subscribe(`${level}/#`, 1)
    const late = await Promise.all(
      [0, 1, 2].map(async (index) => {
        const client = await connect({ clientId: `${level}-${index}` })
        await client.subscribe(`${level}/${index}`, 2)
        return client
      })
    )
    for (const index of [0, 1, 2])
      await publisher.publishWhole({ topic: `${level}/${index}`, payload: "x", qos: index === 0 ? 1 : 2 })
    for (let count = 0; count < 3; count++) quick.ack("puback", (await quick.expect("publish")).id ?? 0)
    // Each behind the one before it: 200, 300 and 400 ms.
    for (const [index, client] of late.entries()) {
      const { id = 0 } = await client.expect("publish")
      await sleep(index === 0 ? 200 : 100)
      if (index === 0) {
        client.ack("puback", id)
        continue
      }
      client.ack("pubrec", id)
      await client.expect("pubrel")
      client.ack("pubcomp", id)
    }
    const found = await until("all are known", async () => {
      const items = await list(broker(), level)
      return items.length === 3 ? items : undefined
    })
    expect(found.map(({ client_id }) => client_id)).toEqual([`${level}-2`, `${level}-1`, `${level}-0`])
    for (const { latency_ms, internal_ms, count } of found) {
      expect(latency_ms).toBeGreaterThanOrEqual(200)
      expect(latency_ms).toBeLessThan(2_000)
      expect(internal_ms).toBeLessThan(150)
      expect(count).toBe(1)
    }
    expect(await broker().sumOf("manifold_mqtt_slow_deliveries_total")).toBeGreaterThanOrEqual(3)
    const shown = await runCommand(["slow-subscribe", "list", "--url", broker().url])
    expect(shown.stdout).toMatch(new RegExp(`${level}-2.*${level}-1.*${level}-0`, "s"))
    expect((await runCommand(["slow-subscribe", "clear", "--url", broker().url])).code).toBe(0)
    expect(await list(broker(), level)).toEqual([])
  })

  test("the time that a client was away does not count, nor how old a retained message is", async () => {
    const level = uniqueLevel()
    const publisher = await connect()
    const kept = { clientId: uniqueId(), clean: false, properties: [["sessionExpiry", 60]] as Properties }
    const first = await connect(kept)
    await first.subscribe(`${level}/#`, 1)
    await first.disconnect()
    await publisher.publishWhole({ topic: `${level}/away`, payload: "x", qos: 1 })
    await publisher.publishWhole({ topic: `${level}/old`, payload: "x", qos: 1, retain: true })
    await sleep(300)
    const again = await connect(kept)
    for (let count = 0; count < 2; count++) again.ack("puback", (await again.expect("publish")).id ?? 0)
    const other = await connect()
    await other.subscribe(`${level}/old`, 1)
    other.ack("puback", (await other.expect("publish")).id ?? 0)
    for (const client of [again, other]) {
      client.send(encode.pingreq())
      await client.expect("pingresp")
    }
    expect(await list(broker(), level)).toEqual([])
    await publisher.publishWhole({ topic: `${level}/old`, payload: "", qos: 1, retain: true })
  })

  test("QoS 0 until it is written: a client that does not read", async () => {
    const level = uniqueLevel()
    const [publisher, client] = [await connect(), await connect({ clientId: level })]
    await client.subscribe(`${level}/#`, 0)
    client.socket.pause()
    for (let each = 0; each < 10; each++) {
      for (let count = 0; count < 10; count++)
        publisher.publish({ topic: `${level}/big`, payload: "x".repeat(100_000), qos: 0 })
      publisher.send(encode.pingreq())
      await publisher.expect("pingresp")
    }
    await sleep(300)
    client.socket.resume()
    const [found] = await until("it is known", async () => {
      const items = await list(broker(), level)
      return items.length > 0 ? items : undefined
    })
    expect(found).toMatchObject({ client_id: level, topic: `${level}/big` })
    expect(found?.latency_ms).toBeGreaterThanOrEqual(150)
  })
})
