/** Clients that read too slowly or not at all: what they cost is given back, and the others go on (DESIGN 9). */
import { afterEach, expect, test } from "bun:test"
import { type Broker, brokerSuite } from "../support/broker.ts"
import { encode } from "../support/mqtt-packets.ts"
import { type ConnectedMqtt, RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"
import { sleep } from "../support/until.ts"

const OUTPUT_BYTES_TOTAL_MAX = 1_048_576
const set = {
  "protocol-mqtt.output_bytes_total_max": String(OUTPUT_BYTES_TOTAL_MAX),
  "protocol-mqtt.stalled_timeout": "2"
}

brokerSuite("slow clients", { set }, (broker, shards) => {
  afterEach(() => RawMqtt.cutAll())
  const connect = (options: { clientId?: string; keepAlive?: number } = {}): Promise<ConnectedMqtt> =>
    RawMqtt.connect(broker().mqtt, { version: 5, ...options })

  /** A subscriber that reads nothing, and so much sent to it that output waits in the broker. */
  async function stalledSubscriber(options: { keepAlive?: number } = {}): Promise<ConnectedMqtt> {
    const publisher = await connect()
    const subscriber = await connect(options)
    const topic = `${uniqueLevel()}/big`
    await subscriber.subscribe(topic, 1)
    subscriber.socket.pause()
    const payload = "x".repeat(500_000)
    for (let id = 1; id <= 40; id++) {
      publisher.publish({ topic, payload, qos: 1, id })
      await publisher.find("puback")
    }
    await publisher.disconnect()
    expect(await waitingBytes(broker())).toBeGreaterThan(0)
    return subscriber
  }

  test("output of a connection that was cut is given back", async () => {
    const subscriber = await stalledSubscriber()
    subscriber.cut()
    await settles(0)
  })

  test("output of a client that disconnects without reading is given back", async () => {
    const subscriber = await stalledSubscriber()
    subscriber.send(encode.disconnect(5))
    await settles(0)
  })

  test("one that reads nothing is closed in time, whatever its keep alive", async () => {
    for (const keepAlive of [0, 3_600]) {
      const subscriber = await stalledSubscriber({ keepAlive })
      await settles(0, 6_000)
      subscriber.cut()
    }
  }, 20_000)

  test("one that is answered and does not read is read no further", async () => {
    const client = await connect()
    client.socket.pause()
    // Each is answered with a byte more than it has: PUBREL, 0x92.
    const unknown = Buffer.from([0x50, 0x02, 0x12, 0x34])
    const chunk = Buffer.concat(Array.from({ length: 16_384 }, () => unknown))
    let sent = 0
    let most = 0
    // Less than it takes until the client is closed for reading nothing.
    for (const endMs = performance.now() + 1_500; performance.now() < endMs; ) {
      for (let each = 0; each < 20 && client.socket.writableLength < 8_000_000; each++) {
        client.socket.write(chunk)
        sent += chunk.length
      }
      most = Math.max(most, await waitingBytes(broker()))
      await sleep(10)
    }
    expect(sent).toBeGreaterThan(3 * OUTPUT_BYTES_TOTAL_MAX)
    // What one reading brings is answered.
    expect(most).toBeLessThan(OUTPUT_BYTES_TOTAL_MAX + 2_000_000)
    client.takeBytes(() => {})
    client.socket.resume()
    const other = await connect()
    await other.subscribe("a", 0)
    client.cut()
    await settles(0)
  })

  test("one that reads again is read again, and gets all its answers", async () => {
    const client = await connect()
    const COUNT = 200_000
    const ping = Buffer.alloc(2 * COUNT)
    for (let at = 0; at < ping.length; at += 2) ping[at] = 0xc0
    let got = 0
    client.takeBytes((bytes) => {
      got += bytes.length
    })
    client.socket.pause()
    for (let round = 0; round < 20; round++) client.socket.write(ping)
    await sleep(300)
    client.socket.resume()
    const endMs = performance.now() + 40_000
    while (got < 20 * 2 * COUNT && performance.now() < endMs) await sleep(20)
    expect(got).toBe(20 * 2 * COUNT)
  }, 60_000)

  // On one shard only: with two, the stalled one's output lies on the other shard and leaves room here.
  if (shards === 1) {
    test("the others go on as soon as there is room", async () => {
      const publisher = await connect()
      const other = await connect()
      const topic = `${uniqueLevel()}/small`
      await other.subscribe(topic, 1)
      const subscriber = await stalledSubscriber()
      expect(await waitingBytes(broker())).toBeGreaterThan(OUTPUT_BYTES_TOTAL_MAX)
      for (let id = 1; id <= 5; id++) publisher.publish({ topic, payload: String(id), qos: 1, id })
      await sleep(100)
      expect(other.drain()).toEqual([])
      subscriber.cut()
      expect((await other.messages(5)).map((message) => Buffer.from(message.payload).toString())).toEqual([..."12345"])
    })
  }

  test("what is sent again keeps to the Maximum Packet Size of the new connection", async () => {
    const clientId = uniqueId()
    const publisher = await connect()
    const topic = uniqueLevel()
    const session = ["sessionExpiry", 60] as const
    const first = await RawMqtt.connect(broker().mqtt, { version: 5, clientId, properties: [session] })
    await first.subscribe(topic, 1)
    const payloads = ["a", "b".repeat(500), "c"]
    for (const payload of payloads) await publisher.publishWhole({ topic, payload, qos: 1 })
    await first.messages(3, { acknowledge: false })
    first.cut()
    const properties = [session, ["maximumPacketSize", 200] as const]
    const second = await RawMqtt.connect(broker().mqtt, {
      version: 5,
      clientId,
      clean: false,
      properties
    })
    const found = await second.messages(2)
    expect(found.map((message) => [Buffer.from(message.payload).toString(), message.dup])).toEqual([
      ["a", true],
      ["c", true]
    ])
    await second.quiet()
  })

  async function settles(bytes: number, timeoutMs = 1_000): Promise<void> {
    const end = performance.now() + timeoutMs
    let found = await waitingBytes(broker())
    while (found !== bytes && performance.now() < end) {
      await sleep(50)
      found = await waitingBytes(broker())
    }
    expect(found).toBe(bytes)
  }
})

/** Bytes that wait for sockets, on all shards. */
async function waitingBytes(broker: Broker): Promise<number> {
  return Number(/^manifold_mqtt_output_bytes (\d+)$/m.exec(await broker.metrics())?.[1])
}
