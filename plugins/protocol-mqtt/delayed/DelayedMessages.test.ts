import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { Decoded } from "../../../tests/support/mqtt-decode.ts"
import { encode, propertiesOf } from "../../../tests/support/mqtt-packets.ts"
import { Broker } from "../Broker.ts"
import { TestClient } from "../fakes.ts"
import { type Fault, replaced, testPlanted } from "../planted.ts"
import type { Settings } from "../Settings.ts"
import { rangeOf } from "../session-rows.ts"
import { TestNode } from "../testing.ts"
import { DelayedMessages, type DelayedPlace } from "./DelayedMessages.ts"

const DISK_FULL = -3

/** A node, a client that wants all of `t/#` and keeps its session, and publishers of either shard. */
async function make(settings: Partial<Settings> = {}) {
  const node = new TestNode(settings)
  await node.start()
  const watcher = new TestClient(node, "watcher")
  const publishers = ["a", "two", "b", "three", "c", "other"].map((id) => new TestClient(node, id, 5))
  const connect = async (): Promise<void> => {
    for (const each of [watcher, ...publishers]) {
      if (!each.isConnected)
        each.connect(each === watcher ? {} : { clean: false, properties: [["sessionExpiry", 600]] })
    }
    await node.settle()
    for (const each of [watcher, ...publishers]) each.answer()
  }
  const answer = async (): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      await node.settle()
      for (const each of [watcher, ...publishers]) each.answer()
    }
  }
  await connect()
  watcher.send(encode.subscribe(4, 1, [{ filter: "t/#", qos: 2 }]))
  await answer()
  const isEmpty = (): void => {
    for (const { broker, store } of node.shards) {
      assert.deepEqual([broker.delayed.count, broker.delayed.unsettledCount], [0, 0])
      for (const prefix of ["wm", "wt", "t"]) {
        const { start, end } = rangeOf(prefix)
        assert.deepEqual(store.range(start, end, 10), [])
      }
    }
  }
  return { node, watcher, publishers, connect, answer, isEmpty }
}

test("a message comes on its name when its time has come and not before, in the order of the times", async () => {
  const { node, watcher, publishers, answer, isEmpty } = await make()
  const [a, b] = publishers
  a?.publish("$delayed/3/t/three", "3", 1)
  b?.publish("$delayed/1/t/one", "1", 2)
  a?.publish("$delayed/2/t/two", "2", 2)
  a?.publish("$delayed/0/t/now", "0", 1)
  await answer()
  const payloads = (): ReadonlyArray<string> => watcher.got.map(({ topic, payload }) => `${topic}=${payload}`)
  assert.deepEqual(payloads(), ["t/now=0"])
  assert.deepEqual(a?.done.toSorted(), ["0", "2", "3"])
  await node.advance(900)
  await answer()
  assert.equal(watcher.got.length, 1)
  await node.advance(400)
  await answer()
  assert.deepEqual(payloads(), ["t/now=0", "t/one=1"])
  await node.advance(2_000)
  await answer()
  assert.deepEqual(payloads(), ["t/now=0", "t/one=1", "t/two=2", "t/three=3"])
  isEmpty()
})

test("QoS, RETAIN and every property stay; the message expiry counts from its publication", async () => {
  const { node, answer } = await make()
  const watcher = new TestClient(node, "late", 5)
  watcher.connect()
  const seen: Array<Decoded> = []
  watcher.onPacket = (packet) => void (packet.type === "publish" && seen.push(packet))
  await answer()
  watcher.answer()
  watcher.send(encode.subscribe(5, 1, [{ filter: "u/#", qos: 2, retainAsPublished: true }]))
  const publisher = new TestClient(node, "properties", 5)
  publisher.connect()
  await answer()
  const properties = [
    ["payloadFormat", 1],
    ["messageExpiry", 100],
    ["contentType", "text/plain"],
    ["responseTopic", "answers/here"],
    ["correlationData", Uint8Array.of(1, 2, 3)],
    ["userProperty", ["k", "one"]],
    ["userProperty", ["k", "two"]]
  ] as const
  publisher.send(encode.publish(5, { topic: "$delayed/50/u/a", payload: "x", qos: 1, id: 9, retain: true, properties }))
  await node.advance(60_000)
  await answer()
  watcher.answer()
  const [message] = seen
  assert.ok(message?.type === "publish")
  assert.deepEqual([message.topic, message.qos, message.retain], ["u/a", 1, true])
  const [expiry = 0] = propertiesOf(message.properties, "messageExpiry").map(Number)
  assert.ok(expiry >= 90 && expiry <= 100, `${expiry}`)
  const rest = (list: typeof message.properties) => list.filter(([name]) => name !== "messageExpiry")
  assert.deepEqual(rest(message.properties), rest([...properties]))
})

test("beyond the bound, and while the disk is full, they are refused; 0 = none are taken", async () => {
  const { node, publishers, answer, isEmpty } = await make({ delayed_messages_max: 3 })
  const [a] = publishers
  for (let each = 0; each < 5; each++) a?.publish("$delayed/1/t/a", String(each), 1)
  await answer()
  assert.deepEqual(
    [a?.done, a?.refused],
    [
      ["0", "1", "2"],
      ["3", "4"]
    ]
  )
  await node.advance(2_000)
  await answer()
  isEmpty()
  node.refusal = DISK_FULL
  a?.publish("$delayed/1/t/a", "full", 1)
  await answer()
  assert.deepEqual(a?.refused.slice(2), ["full"])
  node.refusal = 0
  for (const { room } of node.shards) room.pressure = "full"
  a?.publish("$delayed/1/t/a", "no room", 1)
  await answer()
  assert.deepEqual(a?.refused.slice(3), ["no room"])
  for (const { room } of node.shards) room.pressure = "ok"
  const off = await make({ delayed_messages_max: 0 })
  off.publishers[0]?.publish("$delayed/1/t/a", "off", 1)
  await off.answer()
  assert.deepEqual(off.publishers[0]?.refused, ["off"])
})

test("one that is taken back does not come, nor is it listed; the others are, by their times", async () => {
  const { node, watcher, publishers, answer, isEmpty } = await make()
  const [a] = publishers
  const { broker } = node.of("a")
  for (const seconds of [5, 1, 3, 2, 4]) a?.publish(`$delayed/${seconds}/t/${seconds}`, `${seconds}`, 1)
  await answer()
  const listed = (max: number) => broker.delayed.list(undefined, max).rows.map(({ message }) => message.name)
  assert.deepEqual(listed(9), ["t/1", "t/2", "t/3", "t/4", "t/5"])
  const [first, second] = broker.delayed.list(undefined, 2).rows
  assert.deepEqual(
    broker.delayed.list(second, 2).rows.map(({ message }) => message.name),
    ["t/3", "t/4"]
  )
  assert.ok(first !== undefined && broker.delayed.cancel(first.number) && !broker.delayed.cancel(first.number))
  assert.deepEqual(listed(2), ["t/2", "t/3"])
  assert.equal(broker.delayed.get(first.number), undefined)
  assert.equal(broker.delayed.cancel(12_345), false)
  await node.advance(6_000)
  await answer()
  assert.deepEqual(
    watcher.got.map(({ topic }) => topic),
    ["t/2", "t/3", "t/4", "t/5"]
  )
  isEmpty()
})

test("thousands that are due at once come all, each once", async () => {
  const { node, watcher, publishers, answer, isEmpty } = await make()
  for (let each = 0; each < 1_500; ) {
    if (publishers[each % 6]?.publish("$delayed/9/t/a", String(each), 1) === true) each += 1
    else await answer()
  }
  await answer()
  assert.equal(watcher.got.length, 0)
  await node.advance(9_000)
  for (let round = 0; round < 40; round++) {
    await node.advance(100)
    await answer()
  }
  assert.equal(new Set(watcher.got.map(({ payload }) => payload)).size, 1_500)
  assert.equal(watcher.got.length, 1_500)
  isEmpty()
})

test("stored, here or on another shard, and then a crash before its row was gone: it comes once", async () => {
  for (const committed of [0, 1]) {
    const { node, watcher, publishers, connect, answer, isEmpty } = await make()
    for (let each = 0; each < 30; each++) publishers[each % 6]?.publish(`$delayed/1/t/${each}`, `${each}`, 2)
    await answer()
    node.automatic = false
    await node.advance(1_500)
    node.shards[committed]?.journal.commit()
    node.crash()
    for (const each of [watcher, ...publishers]) each.wire = undefined
    await node.start()
    await connect()
    await node.advance(3_000)
    await answer()
    const got = watcher.got.map(({ payload }) => Number(payload)).toSorted((one, other) => one - other)
    assert.deepEqual(
      got,
      Array.from({ length: 30 }, (_, each) => each)
    )
    isEmpty()
  }
})

test("while another shard takes nothing its messages wait, and come when it does; one after the other as late as they are", async () => {
  const { node, watcher, publishers, answer, isEmpty } = await make()
  for (let each = 0; each < 40; each++) publishers[each % 6]?.publish(`$delayed/1/t/${each}`, `${each}`, 2)
  await answer()
  for (const shard of node.shards) {
    shard.journal.refusal = DISK_FULL
    await node.advance(2_500)
    shard.journal.refusal = 0
  }
  const waiting = node.shards.flatMap(({ broker }) => broker.delayed.list(undefined, 100).rows)
  assert.ok(waiting.length > 0 && waiting.every(({ keyAtMs, dueAtMs }) => keyAtMs >= dueAtMs))
  for (let round = 0; round < 12; round++) {
    await node.advance(2_000)
    await answer()
  }
  const got = watcher.got.map(({ payload }) => Number(payload)).toSorted((one, other) => one - other)
  assert.deepEqual(
    got,
    Array.from({ length: 40 }, (_, each) => each)
  )
  isEmpty()
})

test("one that was postponed can be taken back, also after a restart", async () => {
  const { node, watcher, publishers, connect, answer, isEmpty } = await make()
  for (let each = 0; each < 20; each++) publishers[each % 6]?.publish(`$delayed/1/t/${each}`, `${each}`, 2)
  await answer()
  for (const shard of node.shards) shard.journal.refusal = 0
  const [, other] = node.shards
  assert.ok(other !== undefined)
  other.journal.refusal = DISK_FULL
  await node.advance(2_500)
  for (const isRestarted of [false, true]) {
    if (isRestarted) {
      node.crash()
      for (const each of [watcher, ...publishers]) each.wire = undefined
      await node.start()
      await connect()
    }
    for (const { broker } of node.shards) {
      const [first] = broker.delayed.list(undefined, 1).rows
      if (first !== undefined) assert.ok(broker.delayed.cancel(first.number))
    }
    await answer()
  }
  for (let round = 0; round < 8; round++) {
    await node.advance(3_000)
    await answer()
  }
  const cancelled = 20 - watcher.got.length
  assert.ok(cancelled > 0 && cancelled <= 4, `${cancelled} were taken back`)
  isEmpty()
})

test("hundreds whose shard hangs hold up nobody else's", async () => {
  const { node, watcher, publishers, answer, isEmpty } = await make()
  const [here, there] = node.shards
  assert.ok(here !== undefined && there !== undefined)
  // Whose names they are: what is acknowledged while the other shard commits nothing is this one's.
  const probe = new TestClient(node, "probe", 5, 60)
  probe.connect()
  await answer()
  probe.answer()
  there.journal.isAutomatic = false
  for (let each = 0; each < 40; each++) probe.publish(`t/${each}`, `${each}`, 1)
  for (let round = 0; round < 6; round++) {
    await node.settle()
    probe.answer()
  }
  const own = new Set(probe.done)
  const hanging = Array.from({ length: 40 }, (_, each) => String(each)).filter((each) => !own.has(each))
  assert.ok(own.size > 0 && hanging.length > 0)
  node.automatic = true
  await answer()
  const before = watcher.got.length
  const publish = async (name: string, payload: string, seconds: number): Promise<void> => {
    while (publishers[0]?.publish(`$delayed/${seconds}/t/${name}`, payload, 1) !== true) await answer()
  }
  for (let each = 0; each < 300; each++) await publish(hanging[each % hanging.length] ?? "", `h${each}`, 2)
  for (const name of own) await publish(name, `own ${name}`, 3)
  await answer()
  there.journal.isAutomatic = false
  await node.advance(5_000)
  await answer()
  const got = (): number => watcher.got.slice(before).filter(({ payload }) => payload.startsWith("own")).length
  assert.equal(got(), own.size)
  node.automatic = true
  for (let round = 0; round < 5; round++) {
    await node.advance(1_000)
    await answer()
  }
  assert.equal(watcher.got.length - before, 300 + own.size)
  isEmpty()
})

test("the wall clock jumps forward: what is due then comes within a minute, what comes new in its time", async () => {
  const { node, watcher, publishers, answer } = await make()
  publishers[0]?.publish("$delayed/1800/t/a", "far", 1)
  await answer()
  node.run.simulation.jumpWallClock(3_600_000)
  publishers[0]?.publish("$delayed/5/t/b", "near", 1)
  await answer()
  await node.advance(6_000)
  await answer()
  assert.ok(watcher.got.some(({ payload }) => payload === "near"))
  await node.advance(61_000)
  await answer()
  assert.ok(watcher.got.some(({ payload }) => payload === "far"))
})

test("a list reads no more than a megabyte at a time, and goes on where it ended", async () => {
  const { node, publishers, answer } = await make()
  for (let each = 0; each < 30; each++) {
    while (publishers[0]?.publish("$delayed/900/t/a", `${each} `.padEnd(100_000, "x"), 1) !== true) await answer()
  }
  await answer()
  const { delayed } = node.of("a").broker
  const found: Array<number> = []
  let pages = 0
  for (let next: DelayedPlace | undefined, isFirst = true; isFirst || next !== undefined; isFirst = false) {
    const page = delayed.list(next, 100, () => true)
    assert.ok(page.rows.length <= 12)
    found.push(...page.rows.map(({ number }) => number))
    next = page.next
    pages += 1
  }
  assert.deepEqual([new Set(found).size, found.length], [30, 30])
  assert.ok(pages >= 3)
})

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("publish" as const),
      who: fc.nat(5),
      seconds: fc.nat(4),
      qos: fc.constantFrom(1 as const, 2 as const)
    })
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(2_500) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("automatic" as const), isOn: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("commit" as const),
      shard: fc.nat(1),
      count: fc.integer({ min: 1, max: 3 })
    })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const), shard: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("full" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("refuse" as const), shard: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) }
)

/**
 * Whatever happens: what was acknowledged comes, no message comes too soon, what was refused does not come, and none comes twice, but of
 * QoS 1 where a crash or the disk came between its delivery and the commit of that: then it is published again, as by any publisher.
 */
const whatever = fc.asyncProperty(fc.array(step, { maxLength: 40, size: "max" }), async (steps) => {
  const { node, watcher, publishers, connect, answer, isEmpty } = await make()
  let nowMs = 0
  const dueAtMs = new Map<string, number>()
  const early: Array<string> = []
  const note = (): void => {
    for (const { payload } of watcher.got) if ((dueAtMs.get(payload) ?? 0) > nowMs) early.push(payload)
  }
  const pass = async (ms: number): Promise<void> => {
    nowMs += ms
    await node.advance(ms)
    await answer()
    note()
  }
  for (const [index, each] of steps.entries()) {
    if (each.kind === "publish") {
      const payload = String(index)
      // What is at once is another's matter.
      const seconds = each.seconds + 1
      dueAtMs.set(payload, nowMs + seconds * 1_000)
      publishers[each.who]?.publish(`$delayed/${seconds}/t/${each.who}`, payload, each.qos)
      await answer()
    } else if (each.kind === "pass") await pass(each.ms)
    else if (each.kind === "automatic") node.automatic = each.isOn
    else if (each.kind === "commit") node.shards[each.shard]?.journal.commit(each.count)
    else if (each.kind === "lose") node.shards[each.shard]?.journal.fail(DISK_FULL)
    else if (each.kind === "full") {
      node.refusal = DISK_FULL
      await pass(700)
      node.refusal = 0
    } else if (each.kind === "refuse") {
      const journal = node.shards[each.shard]?.journal
      if (journal !== undefined) journal.refusal = DISK_FULL
      await pass(1_200)
      if (journal !== undefined) journal.refusal = 0
    } else {
      node.crash(300)
      nowMs += 300
      for (const client of [watcher, ...publishers]) client.wire = undefined
      await node.start()
      await connect()
    }
    await answer()
  }
  node.automatic = true
  await connect()
  for (let round = 0; round < 20; round++) {
    await pass(2_000)
    await connect()
  }
  const got = watcher.got.map(({ payload }) => payload)
  assert.deepEqual(early, [])
  const isCut = steps.some(({ kind }) => kind === "crash" || kind === "lose" || kind === "full" || kind === "refuse")
  const unique = watcher.got.filter(({ qos }) => qos === 2 || !isCut).map(({ payload }) => payload)
  assert.equal(new Set(unique).size, unique.length, "none comes twice")
  for (const publisher of publishers) {
    for (const payload of publisher.done) assert.ok(got.includes(payload), `${payload} was acknowledged`)
    for (const payload of publisher.refused) assert.ok(!got.includes(payload), `${payload} was refused`)
  }
  isEmpty()
})

// RUNS=n and SEED=n try other histories; the same ones hold a change back or let it through.
const RUNS = Number(process.env["RUNS"] ?? 120)
const seed = Number(process.env["SEED"] ?? 4)

test("whatever happens, a message comes once and not too soon", async () => {
  await fc.assert(whatever, { numRuns: RUNS, seed })
})

/** Faults that these histories must find: each is planted, and what it was planted in is put back. */
const FAULTS: ReadonlyArray<Fault> = [
  ["what the last run left is not taken up", () => replaced(DelayedMessages.prototype, "start", async () => {})],
  ["nobody looks when the time has come", () => replaced(DelayedMessages.prototype, "timeout", () => 0)],
  ["its rows are gone before it is stored elsewhere", () => replaced(Broker.prototype, "whenCommitted", () => {})]
]
testPlanted(FAULTS, whatever, { numRuns: 400, seed })
