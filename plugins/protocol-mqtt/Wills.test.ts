import assert from "node:assert/strict"
import { test } from "node:test"
import { type Connect, encode } from "../../tests/support/mqtt-packets.ts"
import { TestClient } from "./fakes.ts"
import { TestNode } from "./testing.ts"

const DISK_FULL = -3

/** A watcher of all wills, which is there, and a client whose will waits `delay` seconds. */
async function make(delay: number) {
  const node = new TestNode()
  await node.start()
  const watcher = new TestClient(node, "watcher")
  watcher.connect()
  await node.settle()
  watcher.answer()
  watcher.send(encode.subscribe(4, 1, [{ filter: "will/#", qos: 2 }]))
  const client = new TestClient(node, "client", 5)
  const facts: Connect = {
    properties: [["sessionExpiry", 600]],
    will: { topic: "will/a", payload: "gone", qos: 2, properties: [["willDelay", delay]] }
  }
  const connect = async (): Promise<void> => {
    client.connect(facts)
    await node.settle()
    client.answer()
  }
  await connect()
  await node.settle()
  watcher.answer()
  /** What the watcher has been told by now. */
  const wills = async (): Promise<number> => {
    for (let round = 0; round < 5; round++) {
      if (!watcher.isConnected) watcher.connect()
      await node.settle()
      watcher.answer()
    }
    return watcher.got.length
  }
  return { node, watcher, client, connect, wills }
}

test("it comes when its delay is over, once, and not when its client is back before", async () => {
  const { node, client, connect, wills } = await make(3)
  client.cut()
  await node.advance(2_000)
  await connect()
  await node.advance(5_000)
  assert.equal(await wills(), 0)
  client.cut()
  await node.advance(4_000)
  assert.equal(await wills(), 1)
  await node.advance(9_000)
  assert.equal(await wills(), 1)
})

for (const waits of [false, true]) {
  test(`a crash ${waits ? "while it waits" : "with its client connected"}: it comes once, or is taken back`, async () => {
    for (const isBack of [false, true]) {
      const { node, client, watcher, connect, wills } = await make(3)
      if (waits) {
        client.cut()
        await node.settle()
      }
      node.crash()
      for (const each of [client, watcher]) each.wire = undefined
      await node.start()
      await wills()
      if (isBack) await connect()
      await node.advance(5_000)
      assert.equal(await wills(), isBack ? 0 : 1)
      node.crash()
      for (const each of [client, watcher]) each.wire = undefined
      await node.start()
      if (isBack) client.connect()
      await node.advance(9_000)
      assert.equal(await wills(), isBack ? 0 : 1, "a client that is back at once takes it back")
    }
  })
}

test("one whose time comes before its row is committed is not forgotten", async () => {
  const { node, client, wills } = await make(1)
  const { journal } = node.of("client")
  journal.isAutomatic = false
  client.cut()
  await node.advance(3_000)
  journal.isAutomatic = true
  journal.commit()
  await node.advance(3_000)
  assert.equal(await wills(), 1)
})

test("one that is taken back between two commits stays so", async () => {
  const { node, client, wills } = await make(2)
  const { journal } = node.of("client")
  journal.isAutomatic = false
  client.cut()
  await node.advance(1_000)
  client.connect({ properties: [["sessionExpiry", 600]] })
  await node.settle()
  journal.commit(1)
  await node.advance(3_000)
  journal.isAutomatic = true
  journal.commit()
  await node.advance(3_000)
  assert.equal(await wills(), 0)
})

for (const delay of [0, 1]) {
  test(`with a full disk it waits for room, delay ${delay} s; then it comes once`, async () => {
    const { node, client, wills } = await make(delay)
    node.refusal = DISK_FULL
    client.cut()
    await node.advance(5_000)
    node.refusal = 0
    await node.advance(5_000)
    assert.equal(await wills(), 1)
    await node.advance(5_000)
    assert.equal(await wills(), 1)
  })

  test(`rows that the journal loses are written again, delay ${delay} s`, async () => {
    const { node, client, wills } = await make(delay)
    node.automatic = false
    client.cut()
    await node.settle()
    for (const { journal } of node.shards) journal.fail(DISK_FULL)
    node.automatic = true
    await node.advance(6_000)
    assert.equal(await wills(), 1)
    assert.equal(node.of("client").broker.wills.pendingCount, 0)
  })
}

test("after a DISCONNECT it does not come, also where the journal lost that and took it later", async () => {
  const { node, client, watcher, wills } = await make(0)
  node.automatic = false
  client.send(encode.disconnect(5, 0))
  await node.settle()
  for (const { journal } of node.shards) journal.fail(DISK_FULL)
  node.automatic = true
  await node.advance(3_000)
  node.crash()
  watcher.wire = undefined
  await node.start()
  await node.advance(3_000)
  assert.equal(await wills(), 0)
})

test("a session that ends for good brings its will with it", async () => {
  const { node, client, wills } = await make(300)
  client.cut()
  await node.settle()
  client.connect({ clean: true })
  await node.settle()
  assert.equal(await wills(), 1)
})

test("a will that this shard's journal loses comes after a crash, though one before it still waited for another shard", async () => {
  const node = new TestNode()
  await node.start()
  const [here, there] = node.shards
  assert.ok(here !== undefined && there !== undefined)
  const watcher = new TestClient(node, "watcher", 4)
  const clients = Array.from({ length: 24 }, (_, each) => new TestClient(node, `client-${each}`, 5)).filter(
    (client) => node.of(client.id) === here
  )
  watcher.connect()
  for (const [each, client] of clients.entries())
    client.connect({ will: { topic: `will/${each}`, payload: `${each}`, qos: 2 } })
  const answer = async (): Promise<void> => {
    for (let round = 0; round < 4; round++) {
      await node.settle()
      for (const each of [watcher, ...clients]) each.answer()
    }
  }
  await answer()
  watcher.send(encode.subscribe(4, 1, [{ filter: "will/#", qos: 2 }]))
  await answer()
  node.automatic = false
  for (const client of clients) client.cut()
  await answer()
  here.journal.fail(DISK_FULL)
  await node.advance(2_500)
  here.journal.commit()
  node.crash()
  for (const each of [watcher, ...clients]) each.wire = undefined
  await node.start()
  watcher.connect()
  for (let round = 0; round < 4; round++) {
    await node.advance(2_500)
    await answer()
  }
  assert.deepEqual(
    watcher.got.map(({ payload }) => Number(payload)).toSorted((one, other) => one - other),
    clients.map((_, each) => each)
  )
})

test("wills that are due at one look come in the order of their times, whatever of their rows is committed", async () => {
  const { node, client, watcher, wills } = await make(1)
  const other = Array.from({ length: 50 }, (_, each) => new TestClient(node, `other-${each}`, 5)).find(
    ({ id }) => node.of(id) === node.of(client.id)
  )
  assert.ok(other !== undefined)
  const willOf: Connect["will"] = { topic: "will/a", payload: "second", qos: 2, properties: [["willDelay", 1]] }
  other.connect({ properties: [["sessionExpiry", 600]], will: willOf })
  await node.settle()
  other.answer()
  client.cut()
  await node.advance(10)
  node.automatic = false
  other.cut()
  await node.advance(10)
  // The row of the second is lost. Nothing can be stored when the first one is due, so that both wait for the next look.
  node.refusal = DISK_FULL
  await node.advance(1_500)
  node.refusal = 0
  await node.advance(1_000)
  node.automatic = true
  assert.equal(await wills(), 2)
  assert.deepEqual(
    watcher.got.map(({ payload }) => String(payload)),
    ["gone", "second"]
  )
})

test("a will that finds no room twice still comes before the next one of its client", async () => {
  const { node, watcher, wills } = await make(0)
  const willOf = (payload: string): Connect => ({ will: { topic: "will/a", payload, qos: 2 } })
  // One of them on the shard that sequences the wills' name.
  const clients = node.shards.map(({ owns }) => {
    const id = Array.from({ length: 50 }, (_, each) => `other-${each}`).find(owns)
    assert.ok(id !== undefined)
    return new TestClient(node, id, 5)
  })
  for (const client of clients) {
    const { bytesMax } = node.queueLogOptions
    watcher.got.length = 0
    client.connect(willOf("first"))
    await node.settle()
    node.queueLogOptions.bytesMax = 0
    client.cut()
    await node.advance(1_500)
    client.connect(willOf("second"))
    await node.settle()
    node.queueLogOptions.bytesMax = bytesMax
    client.cut()
    await node.advance(3_000)
    assert.equal(await wills(), 2)
    assert.deepEqual(
      watcher.got.map(({ payload }) => String(payload)),
      ["first", "second"]
    )
  }
})

test("of many that find no room each is tried once before the next look", async () => {
  const { node, watcher, wills } = await make(0)
  const clients = Array.from({ length: 60 }, (_, each) => new TestClient(node, `other-${each}`, 5))
  for (const [each, client] of clients.entries())
    client.connect({ will: { topic: "will/a", payload: `${each}`, qos: 2 } })
  await node.settle()
  const { bytesMax } = node.queueLogOptions
  const refused = (): number => node.shards.reduce((sum, { queueLog }) => sum + queueLog.counts.refused, 0)
  node.queueLogOptions.bytesMax = 0
  for (const client of clients) {
    client.cut()
    await node.settle()
  }
  assert.ok(refused() <= clients.length, `${refused()} refusals of ${clients.length} wills`)
  node.queueLogOptions.bytesMax = bytesMax
  await node.advance(3_000)
  assert.equal(await wills(), clients.length)
  for (const shard of node.shards) {
    const own = clients.flatMap(({ id }, each) => (shard.owns(id) ? [each] : []))
    const got = watcher.got.map(({ payload }) => Number(payload)).filter((each) => own.includes(each))
    assert.deepEqual(got, own)
  }
})

test("rows of wills that find no room are written once, however long they wait", async () => {
  const { node, watcher, wills } = await make(0)
  // Some of them on the shard that sequences the wills' name, some on the other one.
  const clients = Array.from({ length: 20 }, (_, each) => new TestClient(node, `other-${each}`, 5))
  for (const [each, client] of clients.entries())
    client.connect({ will: { topic: "will/a", payload: `${each}`, qos: 2 } })
  await node.settle()
  const { bytesMax } = node.queueLogOptions
  node.queueLogOptions.bytesMax = 0
  for (const client of clients) client.cut()
  await node.advance(5_000)
  const written = (): number => node.shards.reduce((sum, { journal }) => sum + journal.tickets.issued, 0)
  const before = written()
  await node.advance(10_000)
  assert.ok(written() - before < clients.length, `${written() - before} entries`)
  node.queueLogOptions.bytesMax = bytesMax
  await node.advance(3_000)
  assert.equal(await wills(), clients.length)
  assert.equal(new Set(watcher.got.map(({ payload }) => String(payload))).size, clients.length)
  for (const { broker } of node.shards)
    assert.deepEqual([broker.wills.pendingCount, broker.wills.unsettledCount], [0, 0])
})
