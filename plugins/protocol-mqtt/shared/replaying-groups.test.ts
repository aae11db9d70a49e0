/** Groups that replay, on two shards, one situation a test: what once went wrong. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Principal } from "../../../core/access/Access.ts"
import { messageOf } from "../../../core/ingress/fakes.ts"
import { DISK_FULL } from "../../../core/log/Engines.ts"
import { SLOT_CLIENT, SLOT_GROUP, slotOf } from "../../../core/shard/slots.ts"
import type { TopicInfo } from "../../../core/topics/TopicInfo.ts"
import { type Connect, encode } from "../../../tests/support/mqtt-packets.ts"
import { TestClient } from "../fakes.ts"
import { amidLook, storedTopics, topicOf } from "../replay/fakes.ts"
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
  for (const isAmid of [false, true]) {
    const when = isAmid ? "when its row comes while a shard looks what is needed" : "before its row is there"
    test(`what a group of shard ${owner} begins with stays in the queue logs also ${when}`, async () => {
      const { node } = await begin([])
      const keeper = await fillQueue(node, "u/x", 20, 1 - owner)
      const member = await connect(node, on(1 - owner, "m"), { clean: true, properties: [["receiveMaximum", 2]] })
      const shard = node.shards[owner] ?? assert.fail("there are two")
      const { journal } = shard
      journal.isAutomatic = false
      subscribe(member, shared(owner, "u/x"), "earliest")
      await node.settle()
      const commit = (): void => {
        journal.isAutomatic = true
        journal.commit()
      }
      // Nobody else needs it any more.
      keeper.connect({ clean: true })
      if (isAmid) amidLook(shard, commit)
      await node.advance(5_000)
      commit()
      await take(node, member)
      assert.deepEqual(payloads(member), numbers(20))
    })
  }
}

/** Codes of all that it has subscribed to. */
const codes = ({ wire }: TestClient): ReadonlyArray<number> =>
  wire?.received.flatMap((packet) => (packet.type === "suback" ? [...packet.codes] : [])) ?? []

const groups = (node: TestNode): number => node.shards.reduce((sum, { broker }) => sum + broker.shared.groupCount, 0)

/** Does something when a shard has been told of the group, and before its session goes on. */
function afterClaim(node: TestNode, client: TestClient, act: () => void): void {
  const { shared: groupsOf } = node.of(client.id).broker
  const claim = groupsOf.claim.bind(groupsOf)
  groupsOf.claim = (tenant, name, qos, start, told) => {
    groupsOf.claim = claim
    claim(tenant, name, qos, start, (kind) => {
      act()
      told(kind)
    })
  }
}

for (const owner of [0, 1]) {
  test(`a group of shard ${owner} that a SUBSCRIBE was told of stays until its session is in it`, async () => {
    const { node } = await begin([topicOf("stored", "t/+", 1)])
    await publish(node, "t/0", numbers(10))
    const filter = shared(owner, "t/+")
    const [first, second] = [await connect(node, on(1, "a")), await connect(node, on(0, "b"))]
    subscribe(first, filter, "latest")
    await take(node, first)
    afterClaim(node, second, () => first.send(encode.unsubscribe(5, 2, [filter])))
    subscribe(second, filter, "latest")
    await publish(node, "t/0", ["new"])
    await take(node, first, second)
    assert.deepEqual([codes(second), [...payloads(first), ...payloads(second)]], [[1], ["new"]])
    second.send(encode.unsubscribe(5, 2, [filter]))
    await node.advance(1_000)
    assert.equal(groups(node), 0)
  })

  test(`a SUBSCRIBE with a beginning is refused where shard ${owner} has made its group an ordinary one meanwhile`, async () => {
    const { node } = await begin([topicOf("stored", "t/+", 1)])
    await publish(node, "t/0", numbers(10))
    const filter = shared(owner, "t/+")
    const [first, second] = [await connect(node, on(1, "a")), await connect(node, on(0, "b"))]
    afterClaim(node, second, () => subscribe(first, filter, undefined))
    subscribe(second, filter, "earliest")
    await take(node, first, second)
    assert.deepEqual([codes(first), codes(second)], [[1], [0x83]])
  })

  test(`a place in a group of shard ${owner} is nobody's any more when its client is gone before its SUBACK`, async () => {
    for (const facts of [{ clean: true }, KEPT]) {
      const { node } = await begin([topicOf("stored", "t/+", 1)])
      const member = await connect(node, on(1, "a"), facts)
      const cut = (): void => member.cut()
      afterClaim(node, member, () => afterClaim(node, member, cut))
      subscribe(member, shared(owner, "t/+"), "earliest")
      await node.advance(2_000)
      assert.equal(groups(node), 0)
    }
  })
}

for (const owner of [0, 1]) {
  for (const isLocal of [true, false]) {
    const where = isLocal ? "its own" : "the other"
    test(`a group of shard ${owner} whose row is lost ends with its member of ${where} shard`, async () => {
      const { node } = await begin([])
      const member = await connect(node, on(isLocal ? owner : 1 - owner, "m"), KEPT)
      const { journal } = node.shards[owner] ?? assert.fail("there are two")
      journal.isAutomatic = false
      subscribe(member, shared(owner, "u/x"), "earliest")
      await node.advance(100)
      journal.fail(DISK_FULL)
      journal.isAutomatic = true
      await node.advance(1_000)
      assert.deepEqual(codes(member), [])
      member.cut()
      await node.advance(1_000)
      member.connect({ clean: true })
      await node.advance(5_000)
      assert.equal(groups(node), 0)
    })
  }
}

test("rows of a member that are written again say nothing of a group that has none yet", async () => {
  const { node } = await begin([])
  await fillQueue(node, "u/x", 20)
  const member = await connect(node, on(0, "m"), KEPT)
  const [own, groups] = node.shards
  assert.ok(own !== undefined && groups !== undefined)
  for (const { journal } of [own, groups]) journal.isAutomatic = false
  subscribe(member, shared(1, "u/x"), "earliest")
  member.send(encode.subscribe(5, 2, [{ filter: "other", qos: 1 }]))
  await node.advance(100)
  own.journal.fail(DISK_FULL)
  own.journal.isAutomatic = true
  await node.advance(20_000)
  node.crash()
  member.wire = undefined
  await node.start()
  await node.advance(1_000)
  member.connect(KEPT)
  await node.advance(100)
  subscribe(member, shared(1, "u/x"), "earliest")
  await take(node, member)
  assert.deepEqual([codes(member), payloads(member)], [[1], numbers(20)])
})
