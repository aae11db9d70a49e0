/** Shared subscriptions on two shards, one situation a test: what once went wrong, and what bounds them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { SLOT_CLIENT, SLOT_GROUP, slotOf } from "../../../core/shard/slots.ts"
import { encode, type Properties } from "../../../tests/support/mqtt-packets.ts"
import { TestClient } from "../fakes.ts"
import type { Settings } from "../Settings.ts"
import { TestNode } from "../testing.ts"

const DISK_FULL = -3
const FOREVER: Properties = [["sessionExpiry", 4_294_967_295]]

async function started(settings: Partial<Settings> = {}): Promise<TestNode> {
  const node = new TestNode(settings)
  await node.start()
  // Until then it is not known that all shards have told of their members.
  await node.advance(1_000)
  return node
}

/** A shared filter whose group is `owner`'s; there are as many as you like. */
function shared(owner: number, filter: string, which = 0): string {
  for (let number = 0, found = 0; ; number++) {
    if (slotOf(0, SLOT_GROUP, `g${number}/${filter}`) % 2 !== owner) continue
    if (found === which) return `$share/g${number}/${filter}`
    found += 1
  }
}

/** A client identifier whose session is on `shard`. */
function on(shard: number, name: string): string {
  for (let number = 0; ; number++) {
    if (slotOf(0, SLOT_CLIENT, `${name}${number}`) % 2 === shard) return `${name}${number}`
  }
}

async function connect(node: TestNode, id: string, clean = false, version: 4 | 5 = 4): Promise<TestClient> {
  const client = new TestClient(node, id, version, 10_000)
  client.connect(version === 5 ? { clean, properties: clean ? [] : FOREVER } : { clean })
  await node.settle()
  client.answer()
  return client
}

async function subscribe(node: TestNode, client: TestClient, filter: string, qos: 0 | 1 | 2 = 1): Promise<void> {
  client.send(encode.subscribe(4, 1, [{ filter, qos }]))
  await node.settle()
  client.answer()
}

/** Lets all of them answer until nothing comes any more. */
async function calm(node: TestNode, ...clients: ReadonlyArray<TestClient>): Promise<void> {
  for (let idle = 0; idle < 3; ) {
    await node.settle()
    const isBusy = clients.some(({ unread }) => unread > 0)
    for (const client of clients) client.answer()
    await node.advance(isBusy ? 1 : 300)
    idle = isBusy ? 0 : idle + 1
  }
}

const payloads = ({ got }: TestClient): ReadonlyArray<string> => got.map(({ payload }) => payload)
const types = ({ wire }: TestClient): ReadonlyArray<string> => wire?.received.map(({ type }) => type) ?? []
const groups = (node: TestNode): number => node.shards.reduce((sum, { broker }) => sum + broker.shared.groupCount, 0)

function rows(node: TestNode, prefix: string): number {
  const start = new TextEncoder().encode(prefix)
  const end = Uint8Array.of(start[0] ?? 0, (start[1] ?? 0) + 1)
  return node.shards.reduce((sum, { store }) => sum + store.range(start, end, 100_000).length, 0)
}

test("a session that is resumed only to end, before its CONNACK, is not counted as away for good", async () => {
  const node = await started()
  const client = await connect(node, on(0, "c"), false, 5)
  client.send(encode.subscribe(5, 1, [{ filter: shared(0, "t/#"), qos: 1 }]))
  await node.settle()
  client.cut()
  await node.settle()
  assert.equal(groups(node), 1)
  node.automatic = false
  client.connect({ clean: false, properties: [] })
  await node.settle()
  client.cut()
  await node.settle()
  node.automatic = true
  await node.advance(60_000)
  assert.deepEqual([groups(node), rows(node, "sg"), rows(node, "ss")], [0, 0, 0])
})

test("SUBSCRIBEs are answered where the group stops keeping messages before its row is committed", async () => {
  const node = await started()
  const [a, b, other] = [
    await connect(node, on(0, "a"), true),
    await connect(node, on(0, "b"), true),
    await connect(node, on(0, "c"), true)
  ]
  const filter = shared(0, "t/#")
  node.automatic = false
  a.send(encode.subscribe(4, 1, [{ filter, qos: 1 }]))
  b.send(encode.subscribe(4, 1, [{ filter, qos: 0 }]))
  a.send(encode.unsubscribe(4, 2, [filter]))
  await node.settle()
  node.automatic = true
  other.send(encode.subscribe(4, 1, [{ filter: "$share/other/x", qos: 0 }]))
  await node.advance(1_000)
  assert.deepEqual(types(a), ["connack", "suback", "unsuback"])
  assert.deepEqual(types(b), ["connack", "suback"])
  assert.deepEqual(types(other), ["connack", "suback"])
})

test("a shard whose journal takes nothing holds back its own groups' SUBSCRIBEs alone", async () => {
  const node = await started()
  const [a, other] = [await connect(node, on(0, "a"), true), await connect(node, on(0, "b"), true)]
  const { journal } = node.shards[1] ?? assert.fail("there are two")
  journal.refusal = DISK_FULL
  a.send(encode.subscribe(4, 1, [{ filter: shared(1, "t/#"), qos: 1 }]))
  other.send(encode.subscribe(4, 1, [{ filter: shared(0, "t/#"), qos: 0 }]))
  await node.advance(1_000)
  assert.deepEqual([a.isConnected, types(other)], [false, ["connack", "suback"]])
})

test("the end of a row that was lost is tried again, and an old row brings no second copy", async () => {
  const node = await started()
  const [member, keeper, publisher] = [
    await connect(node, on(1, "a")),
    await connect(node, on(1, "k")),
    await connect(node, on(0, "p"))
  ]
  await subscribe(node, keeper, "t/#")
  const filter = shared(0, "t/#")
  await subscribe(node, member, filter)
  assert.equal(rows(node, "sg"), 1)
  const { journal } = node.shards[0] ?? assert.fail("there are two")
  journal.isAutomatic = false
  await subscribe(node, member, filter, 0)
  journal.fail(DISK_FULL)
  journal.isAutomatic = true
  await node.advance(30_000)
  assert.equal(rows(node, "sg"), 0)
  publisher.publish("t/0", "once", 1)
  await calm(node, member, keeper, publisher)
  assert.deepEqual(payloads(member), ["once"])
})

test("tokens go, also where the group ends before it could say that it knows", async () => {
  const node = await started()
  const [member, publisher] = [await connect(node, on(0, "x")), await connect(node, on(1, "p"))]
  const filter = shared(1, "t/#")
  const { journal } = node.shards[1] ?? assert.fail("there are two")
  for (let round = 0; round < 5; round++) {
    await subscribe(node, member, filter, 2)
    publisher.publish("t/0", `${round}`, 2)
    journal.isAutomatic = false
    const before = types(member).length
    for (let step = 0; step < 20 && types(member).length === before; step++) {
      await node.settle()
      publisher.answer()
      journal.commit(1)
      await node.settle()
    }
    member.send(encode.unsubscribe(4, 2, [filter]))
    await node.settle()
    journal.isAutomatic = true
    journal.commit()
    await calm(node, member, publisher)
  }
  await node.advance(30_000)
  assert.deepEqual([payloads(member).length, rows(node, "st"), groups(node)], [5, 0, 0])
})

test("QoS 2 that a member of another shard has is nobody else's after a crash, also where it has left the group", async () => {
  const node = await started()
  const [x, y, publisher] = [
    await connect(node, on(0, "x")),
    await connect(node, on(1, "y")),
    await connect(node, on(1, "p"))
  ]
  const filter = shared(1, "t/#")
  await subscribe(node, x, filter, 2)
  const { journal } = node.shards[1] ?? assert.fail("there are two")
  publisher.publish("t/0", "M", 2)
  await node.settle()
  publisher.answer()
  journal.isAutomatic = false
  for (let step = 0; step < 20 && !types(x).includes("publish"); step++) {
    await node.settle()
    publisher.answer()
    journal.commit(1)
    await node.settle()
  }
  assert.ok(types(x).includes("publish"))
  x.answer()
  await subscribe(node, y, filter, 2)
  x.send(encode.unsubscribe(4, 2, [filter]))
  await node.settle()
  node.crash()
  for (const client of [x, y, publisher]) client.wire = undefined
  await node.start()
  for (const client of [x, y, publisher]) client.connect({ clean: false })
  await calm(node, x, y, publisher)
  assert.deepEqual([...payloads(x), ...payloads(y)], ["M"])
})

test("a backlog comes to a member of QoS 0 without end and without depth", async () => {
  const node = await started()
  const [away, publisher] = [await connect(node, on(0, "a")), await connect(node, on(1, "p"))]
  const filter = shared(0, "t/#")
  await subscribe(node, away, filter)
  away.cut()
  for (let number = 0; number < 6_000; number++) {
    publisher.publish("t/0", `${number}`, 1)
    if (number % 500 === 499) await calm(node, publisher)
  }
  await calm(node, publisher)
  const reader = await connect(node, on(0, "r"), true)
  await subscribe(node, reader, filter, 0)
  await calm(node, reader)
  assert.deepEqual(
    payloads(reader),
    Array.from({ length: 6_000 }, (_, number) => `${number}`)
  )
})

test("what was given back is read again, though a message that was waited for is lost", async () => {
  const node = await started()
  const member = await connect(node, on(0, "a"))
  const publisher = await connect(node, on(0, "p"))
  await subscribe(node, member, shared(0, "t/#"), 2)
  publisher.publish("t/0", "M1", 1)
  await node.settle()
  publisher.answer()
  const shard = node.shards.find(({ queueLog }) => queueLog.counts.appended > 0) ?? assert.fail("one has it")
  shard.journal.isAutomatic = false
  publisher.publish("t/0", "M2", 2)
  await node.settle()
  member.cut()
  await node.settle()
  shard.journal.fail(DISK_FULL)
  shard.journal.isAutomatic = true
  await node.advance(2_000)
  member.connect()
  await calm(node, member)
  assert.deepEqual(payloads(member), ["M1"])
})

test("each shard's queue log has its turn, though one always has something", async () => {
  const node = await started({ inflight_max: 4 })
  const filter = shared(0, "t/#")
  const away = await connect(node, on(0, "a"))
  await subscribe(node, away, filter)
  away.cut()
  const names: Array<string> = ["", ""]
  for (let number = 0; names.includes(""); number++) {
    const owner = slotOf(0, 3, `t/${number}`) % 2
    if (names[owner] === "") names[owner] = `t/${number}`
  }
  const publisher = await connect(node, on(0, "p"))
  for (let number = 0; number < 1_000; number++)
    publisher.publish(names[number % 20 === 0 ? 1 : 0] ?? "", `${number}`, 1)
  await calm(node, publisher)
  away.connect()
  for (let step = 0; step < 200; step++) {
    await node.settle()
    away.answer()
  }
  const share = away.got.filter(({ topic }) => topic === names[1]).length
  assert.ok(away.got.length < 1_000 && share >= 40, `${share} of 50 among the first ${away.got.length}`)
})

test("by topic: who waits for a member that takes no more does not hold up the others", async () => {
  const node = await started({ inflight_max: 10, shared_subscription_strategy: "hash_topic" })
  const filter = shared(0, "t/#")
  const [stuck, well] = [await connect(node, on(0, "a")), await connect(node, on(1, "b"))]
  for (const member of [stuck, well]) await subscribe(node, member, filter)
  const publisher = await connect(node, on(0, "p"))
  for (let number = 0; number < 600; number++) publisher.publish(`t/${number}`, `${number}`, 1)
  await calm(node, publisher, well)
  assert.ok(payloads(well).length > 200, `${payloads(well).length} of about 300`)
})

test("what has expired in a session's line is dropped and not sent", async () => {
  const node = await started({ inflight_max: 1 })
  const [member, publisher] = [await connect(node, on(0, "a"), true, 5), await connect(node, on(0, "p"), true, 5)]
  const filters = [shared(0, "t/1"), shared(0, "t/2")].map((filter) => ({ filter, qos: 1 as const }))
  member.send(encode.subscribe(5, 1, filters))
  await node.settle()
  member.answer()
  publisher.publish("t/1", "keeps", 1)
  await node.settle()
  publisher.send(
    encode.publish(5, { topic: "t/2", payload: "old", qos: 1, id: 77, properties: [["messageExpiry", 2]] })
  )
  await node.settle()
  await node.advance(60_000)
  await calm(node, member)
  assert.deepEqual(payloads(member), ["keeps"])
})

test("one client in very many groups keeps no more than its own share", async () => {
  const node = await started({ inflight_max: 100, session_bytes_total_max: 2_097_152 })
  const [greedy, victim, publisher] = [
    await connect(node, on(0, "h"), true),
    await connect(node, on(0, "v"), true),
    await connect(node, on(1, "p"))
  ]
  const filters = Array.from({ length: 400 }, (_, number) => ({ filter: shared(0, "t/#", number), qos: 1 as const }))
  greedy.send(encode.subscribe(4, 1, filters))
  await node.settle()
  await subscribe(node, victim, shared(0, "v/#"))
  for (let number = 0; number < 150; number++) {
    publisher.publish("t/0", `${number}`.padEnd(500), 1)
    await node.settle()
    publisher.answer()
  }
  for (let number = 0; number < 10; number++) publisher.publish("v/0", `${number}`, 1)
  await calm(node, publisher, victim)
  assert.equal(payloads(victim).length, 10)
})

test("a SUBACK for a shared filter does not wait for what others subscribe to meanwhile", async () => {
  const node = await started()
  const member = await connect(node, on(0, "member"))
  const other = await connect(node, on(1, "other"))
  const { simulation } = node.run
  const isTold = (): boolean => member.wire?.received.some(({ type }) => type === "suback") === true
  member.send(encode.subscribe(4, 1, [{ filter: shared(1, "t/#"), qos: 1 }]))
  // Before the shards know one filter of the other client they are told of the next.
  for (let count = 1; count <= 100 && !isTold(); count++) {
    other.send(encode.subscribe(4, count, [{ filter: `o/${count}`, qos: 0 }]))
    for (let steps = 0; steps < 2; steps++) await simulation.stepAsync(simulation.clock.monotonicMs())
  }
  assert.ok(isTold())
})
