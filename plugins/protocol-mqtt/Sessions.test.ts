import assert from "node:assert/strict"
import { test } from "node:test"
import { messageOf } from "../../core/ingress/fakes.ts"
import { TOKEN_PREFIX } from "../../core/kv/key-prefixes.ts"
import { encode } from "../../tests/support/mqtt-packets.ts"
import { TestClient } from "./fakes.ts"
import { Numbers } from "./Numbers.ts"
import { OrderedTickets } from "./OrderedTickets.ts"
import type { Settings } from "./Settings.ts"
import { encodePositions, encodeSubscription, positionsKey, subscriptionKey } from "./session-rows.ts"
import { TestNode } from "./testing.ts"

const DISK_FULL = -3
const decoder = new TextDecoder("latin1")

/** Rows of sessions in all stores, by the two letters that they begin with. */
function rowsOf(node: TestNode): string {
  const keys = node.stores.flatMap((store) => store.rows.map(({ key }) => decoder.decode(key.subarray(0, 2))))
  return keys.filter((key) => key.startsWith("s") && key !== "sn").join(" ")
}

async function make(settings: Partial<Settings> = {}) {
  const node = new TestNode(settings)
  await node.start()
  const open = async (client: TestClient, facts = {}): Promise<void> => {
    client.connect(facts)
    await node.settle()
    client.answer()
  }
  const kept = (seconds: number) => ({ properties: [["sessionExpiry", seconds] as const] })
  const restart = async (downMs = 0): Promise<void> => {
    node.crash(downMs)
    await node.start()
  }
  return { node, open, kept, restart }
}

test("a session ends some time after its connection, and leaves no row and no filter behind", async () => {
  const { node, open, kept } = await make()
  const client = new TestClient(node, "a", 5)
  await open(client, kept(2))
  client.send(encode.subscribe(5, 1, [{ filter: "t", qos: 1 }]))
  await node.settle()
  client.cut()
  await node.advance(1_000)
  assert.equal(rowsOf(node), "sd sp ss sx")
  await node.advance(2_500)
  assert.equal(rowsOf(node), "")
  assert.deepEqual([node.of("a").router.wantCount, node.of("a").broker.sessions.count], [0, 0])
  await open(client, kept(2))
  assert.equal(client.sessionPresent, false)
})

test("one that is away and not written yet keeps up with nothing: what is published meanwhile waits for it", async () => {
  const COUNT = 12_000
  const { node, open, kept } = await make({ queue_messages_max: 2 * COUNT })
  const client = new TestClient(node, "a", 5)
  await open(client, kept(60))
  client.send(encode.subscribe(5, 1, [{ filter: "t", qos: 1 }]))
  await node.settle()
  client.answer()
  node.automatic = false
  client.cut()
  const { queueLog, broker } = node.of("a")
  for (let number = 0; number < COUNT; number++) {
    if (number % 1_000 === 0) await node.settle()
    assert.ok(queueLog.appendUnsafe(messageOf("t", `${number}`, { qos: 1 })) >= 0)
  }
  // The queue logs are told what is needed of them.
  await node.advance(3_000)
  assert.ok(broker.sessions.isResident(0, "a"))
  node.automatic = true
  await open(client, kept(60))
  assert.equal(client.got[0]?.payload, "0")
})

test("one whose time is over does not go on, however long nobody was there to see it", async () => {
  const { node, open, kept, restart } = await make()
  const client = new TestClient(node, "a", 5)
  await open(client, kept(5))
  client.cut()
  await node.settle()
  await restart(6_000)
  client.wire = undefined
  await open(client, kept(5))
  assert.equal(client.sessionPresent, false)
  await node.advance(3_000)
  assert.equal(rowsOf(node), "sd sp")
  await restart()
  client.wire = undefined
  await open(client, kept(5))
  assert.equal(client.sessionPresent, true, "the end of the old one has not taken the new one's row")
})

test("one that was left again lives its whole time from then", async () => {
  const { node, open, kept } = await make()
  const client = new TestClient(node, "a", 5)
  for (let round = 0; round < 4; round++) {
    await open(client, kept(3))
    assert.equal(client.sessionPresent, round > 0)
    client.cut()
    await node.advance(2_000)
  }
  await node.advance(2_000)
  assert.equal(rowsOf(node), "")
})

test("a clean start takes everything of the session before away, in the very turn of the take-over too", async () => {
  const { node, open } = await make()
  const client = new TestClient(node, "a")
  await open(client)
  client.send(encode.subscribe(4, 1, [{ filter: "t", qos: 2 }]))
  await node.settle()
  await open(client, { clean: true })
  assert.equal(rowsOf(node), "")
  client.cut()
  await node.advance(2_000)
  assert.deepEqual([rowsOf(node), node.of("a").router.wantCount], ["", 0])
})

test("an end that the journal has lost is tried again, and a newer session of the client stays", async () => {
  const { node, open, restart } = await make()
  const client = new TestClient(node, "a")
  await open(client)
  client.send(encode.subscribe(4, 1, [{ filter: "t", qos: 1 }]))
  await node.settle()
  client.cut()
  await node.settle()
  node.refusal = DISK_FULL
  await open(client, { clean: true })
  assert.ok(!client.isConnected, "what is not committed is not told")
  node.refusal = 0
  await open(client)
  assert.equal(client.sessionPresent, false, "the one before has ended")
  await node.advance(3_000)
  assert.equal(rowsOf(node), "sd sp")
  await restart()
  client.wire = undefined
  await open(client)
  assert.equal(client.sessionPresent, true)
})

test("a session that ends leaves none of its tokens with other shards: in memory, as rows, and after a restart", async () => {
  const { node, open, kept, restart } = await make()
  const tokens = (): number =>
    node.stores.flatMap((store) => store.rows.filter(({ key }) => key[0] === TOKEN_PREFIX[0])).length
  const client = new TestClient(node, "a", 5)
  const begin = async (isAwaited = true): Promise<void> => {
    client.wire = undefined
    await open(client, kept(2))
    // Retained, so that their owner keeps something; some of the names are the other shard's.
    for (let id = 1; id <= 10; id++) {
      client.send(encode.publish(5, { topic: `x/${id}`, payload: "1", qos: 2, retain: true, id }))
    }
    if (!isAwaited) return
    await node.settle()
    assert.ok(tokens() > 0, "PUBREL has not come")
  }
  await begin()
  client.cut()
  await node.advance(4_000)
  assert.deepEqual([tokens(), rowsOf(node)], [0, ""])
  await begin()
  client.cut()
  await node.settle()
  await restart(3_000)
  await node.advance(2_000)
  assert.deepEqual([tokens(), rowsOf(node)], [0, ""])
  // Once while all is known here, once while the messages are on their way.
  for (const isAwaited of [true, false]) {
    await begin(isAwaited)
    client.send(encode.disconnect(5, 0, [["sessionExpiry", 0]]))
    await node.settle()
    assert.deepEqual([tokens(), rowsOf(node)], [0, ""])
    await begin(isAwaited)
    const other = new TestClient(node, "a", 5)
    await open(other, { ...kept(0), clean: true })
    await node.settle()
    assert.equal(tokens(), 0)
    other.cut()
    await node.settle()
  }
})

test("subscriptions that the journal has lost are asked for again, and what is wanted is counted right", async () => {
  const { node, open, restart } = await make()
  const client = new TestClient(node, "a")
  await open(client)
  node.refusal = DISK_FULL
  client.send(encode.subscribe(4, 1, [{ filter: "t", qos: 1 }]))
  await node.settle()
  node.refusal = 0
  await open(client)
  client.send(encode.subscribe(4, 2, [{ filter: "t", qos: 1 }]))
  await node.advance(2_000)
  client.send(encode.unsubscribe(4, 3, ["t"]))
  await node.advance(2_000)
  assert.equal(node.of("a").router.wantCount, 0)
  await restart()
  assert.deepEqual([node.of("a").router.wantCount, rowsOf(node)], [0, "sd sp"])
})

test("sessions whose clients are away are rows: none is kept in memory", async () => {
  const { node, open } = await make()
  const clients = Array.from({ length: 200 }, (_, index) => new TestClient(node, `c${index}`))
  for (const client of clients) {
    await open(client)
    client.send(encode.subscribe(4, 1, [{ filter: "t/#", qos: 1 }]))
  }
  const resident = (): number => node.shards.reduce((sum, { broker }) => sum + [...broker.sessions.durable()].length, 0)
  await node.settle()
  assert.equal(resident(), 200)
  for (const client of clients) client.cut()
  await node.settle()
  assert.equal(resident(), 0)
  assert.equal(
    node.shards.reduce((sum, { broker }) => sum + broker.sessions.count, 0),
    200
  )
  assert.deepEqual(
    node.shards.map(({ router }) => router.wantCount),
    [1, 1]
  )
})

test("a session stays in memory until its last rows are committed, and goes then", async () => {
  const { node, open } = await make()
  const client = new TestClient(node, "a")
  await open(client)
  const { journal, broker } = node.of("a")
  const resident = (): number => [...broker.sessions.durable()].length
  journal.isAutomatic = false
  client.send(encode.subscribe(4, 1, [{ filter: "t", qos: 1 }]))
  await node.settle()
  client.cut()
  await node.settle()
  journal.commit(1)
  await node.settle()
  assert.equal(resident(), 1, "its end is not committed yet")
  journal.commit()
  await node.settle()
  assert.equal(resident(), 0)
})

test("rows of a session that no client has any more want nothing, and go at the next start", async () => {
  const { node, open, kept, restart } = await make()
  const client = new TestClient(node, "a", 5)
  await open(client, kept(100))
  client.send(encode.subscribe(5, 1, [{ filter: "t", qos: 1 }]))
  await node.settle()
  const { store } = node.of("a")
  const value = encodeSubscription({
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    identifier: 0,
    exclusive: false,
    asked: [],
    replay: false,
    since: [0, 0]
  })
  store.apply([
    { key: subscriptionKey(4_000, "of nobody"), value },
    { key: subscriptionKey(4_000, "$share/g/of nobody"), value },
    { key: positionsKey(4_000), value: encodePositions([{ next: 0, low: 0 }]) }
  ])
  await restart()
  await node.advance(1_000)
  const { router, broker } = node.of("a")
  assert.deepEqual([router.wantCount, broker.shared.groupCount, rowsOf(node)], [1, 0, "sd sp ss sx"])
})

test("numbers are never given twice, across restarts and where the journal lost a reservation", async () => {
  const node = new TestNode()
  const seen = new Set<number>()
  for (let run = 0; run < 4; run++) {
    await node.start()
    const { journal, store } = node.shards[0] ?? assert.fail()
    const numbers = new Numbers(journal, store)
    for (let round = 0; round < 6; round++) {
      const taken = Array.from({ length: 400 }, () => numbers.take())
      await node.settle()
      const isLost = round % 3 === 1
      if (isLost) journal.refusal = DISK_FULL
      const doubtful = Array.from({ length: 700 }, () => numbers.take())
      await node.settle()
      journal.refusal = 0
      // What was used in an entry that is lost was never used.
      for (const number of isLost ? taken : [...taken, ...doubtful]) {
        assert.ok(!seen.has(number), `${number} was given before`)
        seen.add(number)
      }
    }
    node.crash()
  }
})

test("tickets that are done in any order end in that in which they were made, a failure for all who wait", () => {
  const ordered = new OrderedTickets()
  const { stream } = ordered
  const tickets = [stream.issue(), stream.issue(), stream.issue()]
  ordered.done(tickets[2] ?? 0)
  ordered.done(tickets[1] ?? 0, DISK_FULL)
  assert.equal(stream.committed, 0)
  ordered.done(tickets[0] ?? 0)
  assert.equal(stream.committed, 3)
  assert.deepEqual(
    [1, 2, 2, 3].map((ticket) => stream.takeOutcome(ticket)),
    [0, DISK_FULL, DISK_FULL, 0]
  )
})
