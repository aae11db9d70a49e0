/** What a subscription is owed of retained messages, on two shards: when it may come, how much of it at a time, and until when. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { encode } from "../../tests/support/mqtt-packets.ts"
import { TestClient } from "./fakes.ts"
import { TestNode } from "./testing.ts"

const KEPT = { properties: [["sessionExpiry", 600]] } as const
const names = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `r/${String(index).padStart(5, "0")}`)

interface Setting {
  readonly node: TestNode
  readonly publisher: TestClient
  readonly client: TestClient
  readonly retain: (names: ReadonlyArray<string>, payload: string, expirySeconds?: number) => Promise<void>
}

async function begin(facts: Parameters<TestClient["connect"]>[0], settings = {}): Promise<Setting> {
  const node = new TestNode(settings)
  await node.start()
  const publisher = new TestClient(node, "publisher", 5, 60_000)
  publisher.connect()
  const client = new TestClient(node, "subscriber", 5)
  client.connect(facts)
  await node.settle()
  let id = 0
  const retain = async (all: ReadonlyArray<string>, payload: string, expirySeconds = -1): Promise<void> => {
    for (const topic of all) {
      id = (id % 60_000) + 1
      const properties = expirySeconds < 0 ? [] : [["messageExpiry", expirySeconds] as const]
      publisher.send(encode.publish(5, { topic, payload, qos: 1, id, retain: true, properties }))
    }
    await node.settle()
    publisher.answer()
  }
  return { node, publisher, client, retain }
}

const publishesOf = ({ wire }: TestClient) => wire?.received.filter(({ type }) => type === "publish") ?? []
const payloadsByName = (client: TestClient): Map<string, string> =>
  new Map(client.got.map(({ topic, payload }) => [topic, payload]))

test("nothing comes before the CONNACK of the connection that goes on with it [MQTT-3.2.0-1]", async () => {
  for (const qos of [0, 1] as const) {
    const { node, client, retain } = await begin(KEPT)
    await retain(names(1_500), "state")
    client.send(encode.subscribe(5, 1, [{ filter: "#", qos }]))
    const { simulation } = node.run
    for (let steps = 0; steps < 8; steps++) await simulation.stepAsync(simulation.clock.monotonicMs())
    node.automatic = false
    client.takeOver(KEPT)
    await node.settle()
    assert.deepEqual(publishesOf(client), [])
    node.automatic = true
    await node.settle()
    assert.equal(client.wire?.received[0]?.type, "connack")
    if (qos === 1) assert.ok(publishesOf(client).length > 0)
  }
})

test("a name whose message is replaced while its client is away has a state: the newest", async () => {
  const { node, client, retain } = await begin({ ...KEPT, properties: [...KEPT.properties, ["receiveMaximum", 10]] })
  const all = names(600)
  await retain(all, "old")
  client.send(encode.subscribe(5, 1, [{ filter: "r/+", qos: 1 }]))
  await node.settle()
  client.answer(5)
  client.cut()
  await node.settle()
  await retain(all, "new")
  client.connect({ ...KEPT, properties: [...KEPT.properties, ["receiveMaximum", 10]] })
  for (let round = 0; round < 400; round++) {
    await node.settle()
    client.answer()
  }
  const last = payloadsByName(client)
  assert.equal(last.size, all.length)
  assert.deepEqual(
    [...last.values()].filter((payload) => payload !== "new"),
    []
  )
})

test("however often it subscribes, what it is owed costs no message until it comes, and it is owed it as often", async () => {
  const { node, client, retain } = await begin({ clean: true, properties: [["receiveMaximum", 1]] })
  await retain(names(300), "x".repeat(5_000))
  for (let count = 0; count < 3; count++) client.send(encode.subscribe(5, 2, [{ filter: "#", qos: 1 }]))
  await node.settle()
  const { broker } = node.of("subscriber")
  assert.deepEqual([publishesOf(client).length, broker.counts.queuedMessages, broker.held.used], [1, 0, 0])
  for (let round = 0; round < 1_000; round++) {
    client.answer()
    await node.settle()
  }
  assert.equal(payloadsByName(client).size, 300)
  assert.equal(client.got.length, 900)
})

test("what was taken off or replaced is owed nothing, though it was in the midst of it [MQTT-3.10.4-2]", async () => {
  const { node, client, retain } = await begin({ clean: true, properties: [["receiveMaximum", 2]] })
  await retain(names(200), "state")
  client.send(encode.subscribe(5, 1, [{ filter: "#", qos: 1 }]))
  await node.settle()
  client.send(encode.unsubscribe(5, 2, ["#"]))
  client.send(encode.subscribe(5, 3, [{ filter: "#", qos: 0, retainHandling: 2 }]))
  await node.settle()
  const before = publishesOf(client).length
  for (let round = 0; round < 20; round++) {
    client.answer()
    await node.settle()
  }
  assert.equal(publishesOf(client).length, before)
})

test("a slow client gets no message that has expired meanwhile, and of others what is left of their time [MQTT-3.3.2-6]", async () => {
  const { node, client, retain } = await begin({ clean: true, properties: [["receiveMaximum", 1]] })
  await retain(names(40), "state", 100)
  client.send(encode.subscribe(5, 1, [{ filter: "#", qos: 1 }]))
  await node.settle()
  for (let left = 5; left > 0; left--) {
    await node.advance(15_000)
    client.answer()
  }
  await node.advance(60_000)
  for (let round = 0; round < 60; round++) {
    client.answer()
    await node.settle()
  }
  const expiries = publishesOf(client).map((packet) =>
    packet.type === "publish" ? Number(packet.properties.find(([name]) => name === "messageExpiry")?.[1]) : 0
  )
  assert.deepEqual(expiries.slice(0, 6), [100, 85, 70, 55, 40, 25])
  assert.equal(expiries.length, 6)
})

test("a session that is kept and away holds no walk at QoS 0, and none at all when it has ended", async () => {
  for (const qos of [0, 1] as const) {
    const { node, client, retain } = await begin({
      properties: [
        ["sessionExpiry", 60],
        ["receiveMaximum", 1]
      ]
    })
    await retain(names(2_000), "x".repeat(200))
    client.send(encode.subscribe(5, 1, [{ filter: "#", qos }]))
    const { simulation } = node.run
    for (let steps = 0; steps < 6; steps++) await simulation.stepAsync(simulation.clock.monotonicMs())
    client.cut()
    await node.advance(5_000)
    const { sessions } = node.of("subscriber").broker
    assert.equal(sessions.isResident(0, "subscriber"), qos === 1)
    await node.advance(70_000)
    assert.equal(sessions.isResident(0, "subscriber"), false)
  }
})
