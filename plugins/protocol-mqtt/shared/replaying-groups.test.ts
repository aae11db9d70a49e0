/** Groups that replay, on two shards, one situation a test: what once went wrong. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Principal } from "../../../core/access/Access.ts"
import { messageOf } from "../../../core/ingress/fakes.ts"
import { SLOT_CLIENT, SLOT_GROUP, slotOf } from "../../../core/shard/slots.ts"
import type { TopicInfo } from "../../../core/topics/TopicInfo.ts"
import { type Connect, encode } from "../../../tests/support/mqtt-packets.ts"
import { TestClient } from "../fakes.ts"
import { storedTopics, topicOf } from "../replay/fakes.ts"
import type { Settings } from "../Settings.ts"
import { TestNode } from "../testing.ts"

const NOBODY: Principal = { tenant: 0, user: "", clientIdentifier: "", peerAddress: "" }
const KEPT = { properties: [["sessionExpiry", 600]] } as const

async function begin(topics: ReadonlyArray<TopicInfo>, settings: Partial<Settings> = {}) {
  const stored = storedTopics(topics)
  const node = new TestNode(settings, stored)
  await node.start()
  // Until then it is not known that all shards have told of their members.
  await node.advance(1_000)
  return { node, stored }
}

async function connect(node: TestNode, id: string, facts: Connect = { clean: true }): Promise<TestClient> {
  const client = new TestClient(node, id, 5)
  client.connect(facts)
  await node.settle()
  client.answer()
  return client
}

function subscribe(client: TestClient, filter: string, from: string | undefined, qos: 0 | 1 | 2 = 1, id = 1): void {
  const properties = from === undefined ? [] : [["userProperty", ["manifold-from", from]] as const]
  client.send(encode.subscribe(5, id, [{ filter, qos }], properties))
}

async function publish(node: TestNode, name: string, payloads: ReadonlyArray<string>, shard = 0): Promise<void> {
  const { ingress } = node.shards[shard]?.broker.services ?? assert.fail("there is one")
  for (const payload of payloads) ingress.publishUnsafe(messageOf(name, payload, { qos: 1 }), NOBODY)
  await node.settle()
}

async function take(node: TestNode, ...clients: ReadonlyArray<TestClient>): Promise<void> {
  for (let round = 0; round < 40; round++) {
    for (const client of clients) client.answer()
    await node.advance(50)
  }
  for (const client of clients) client.answer()
}

/** A client identifier whose session is on `shard`. */
function on(shard: number, name: string): string {
  for (let number = 0; ; number++) {
    if (slotOf(0, SLOT_CLIENT, `${name}${number}`) % 2 === shard) return `${name}${number}`
  }
}

/** A shared filter whose group is `owner`'s. */
function shared(owner: number, filter: string): string {
  for (let number = 0; ; number++) {
    if (slotOf(0, SLOT_GROUP, `g${number}/${filter}`) % 2 === owner) return `$share/g${number}/${filter}`
  }
}

const isTold = ({ wire }: TestClient): boolean => wire?.received.some(({ type }) => type === "suback") === true
const payloads = ({ got }: TestClient): ReadonlyArray<string> => got.map(({ payload }) => payload)
const numbers = (count: number, from = 0): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, each) => `${from + each}`)

for (const facts of [{ clean: true }, KEPT]) {
  test(`a member of QoS 0 whose socket was full gets the rest when it is not: ${JSON.stringify(facts)}`, async () => {
    const { node } = await begin([topicOf("stored", "t/+", 1)], { output_bytes_max: 65_536 })
    const client = await connect(node, "m", facts)
    const sent = numbers(300).map((number) => number.padEnd(2_000))
    await publish(node, "t/0", sent)
    const wire = client.wire ?? assert.fail("it is connected")
    wire.isFull = true
    subscribe(client, "$share/g/t/+", "earliest", 0)
    await node.advance(100)
    wire.isFull = false
    wire.connection.drain()
    await take(node, client)
    assert.deepEqual(payloads(client), sent)
  })
}

/** Messages that no topic stores, kept in the queue logs for a session of a shard that is away. */
async function fillQueue(node: TestNode, name: string, count: number, shard = 0): Promise<TestClient> {
  const keeper = await connect(node, on(shard, "keeper"), KEPT)
  keeper.send(encode.subscribe(5, 1, [{ filter: name, qos: 1 }]))
  await node.settle()
  keeper.cut()
  await node.settle()
  await publish(node, name, numbers(count))
  return keeper
}

for (const owner of [0, 1]) {
  test(`when its SUBACK is out a crash forgets nothing of where a group of shard ${owner} begins`, async () => {
    const { node } = await begin([])
    await fillQueue(node, "u/x", 20)
    const member = await connect(node, on(1 - owner, "m"), KEPT)
    node.automatic = false
    subscribe(member, shared(owner, "u/x"), "earliest")
    await node.settle()
    for (let step = 0; step < 20 && !isTold(member); step++) {
      // The group's shard commits one entry at a time, its member's all there are.
      node.shards[owner]?.journal.commit(1)
      await node.settle()
      node.shards[1 - owner]?.journal.commit()
      await node.settle()
    }
    assert.ok(isTold(member))
    node.crash()
    member.wire = undefined
    await node.start()
    member.connect(KEPT)
    await take(node, member)
    assert.deepEqual(payloads(member), numbers(20))
  })
}

for (const owner of [0, 1]) {
  test(`what a group of shard ${owner} begins with stays in the queue logs also before its row is there`, async () => {
    const { node } = await begin([])
    const keeper = await fillQueue(node, "u/x", 20, 1 - owner)
    const member = await connect(node, on(1 - owner, "m"), { clean: true, properties: [["receiveMaximum", 2]] })
    const { journal } = node.shards[owner] ?? assert.fail("there are two")
    journal.isAutomatic = false
    subscribe(member, shared(owner, "u/x"), "earliest")
    await node.settle()
    // Nobody else needs it any more.
    keeper.connect({ clean: true })
    await node.advance(5_000)
    journal.isAutomatic = true
    journal.commit()
    await take(node, member)
    assert.deepEqual(payloads(member), numbers(20))
  })
}
