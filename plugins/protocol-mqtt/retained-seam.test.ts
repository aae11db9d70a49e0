/**
 * Where retained messages meet live ones on two shards: whenever a SUBSCRIBE falls among them, each state of a name comes once, in
 * order, and the last one comes; those of a session that is kept come although its connection ends first.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { RetainedSeams } from "../../core/mod.ts"
import { encode } from "../../tests/support/mqtt-packets.ts"
import { TestClient } from "./fakes.ts"
import { replaced } from "./planted.ts"
import { TestNode } from "./testing.ts"

const NAMES = ["r/0", "r/1", "r/2", "r/3"]
const RUNS = 150

const history = fc.record({
  isDurable: fc.boolean(),
  filter: fc.constantFrom("r/+", "#", "r/1"),
  qos: fc.constantFrom(0 as const, 1 as const),
  publishQos: fc.constantFrom(0 as const, 1 as const),
  /** Names that have a retained message before anything else happens. */
  before: fc.subarray(NAMES),
  /** What is retained (or cleared), and how far the node comes after it. */
  states: fc.array(fc.record({ name: fc.constantFrom(...NAMES), clears: fc.boolean(), steps: fc.nat(4) }), {
    minLength: 4,
    maxLength: 24
  }),
  /** Before which of them the SUBSCRIBE is sent. */
  at: fc.nat(12)
})
type History = typeof history extends fc.Arbitrary<infer T> ? T : never

/** A node whose names have the retained messages `before`, and one more client that has just connected. */
async function begin({ isDurable, publishQos, before }: Pick<History, "isDurable" | "publishQos" | "before">) {
  const node = new TestNode()
  await node.start()
  const publisher = new TestClient(node, "publisher", 5, 1_000)
  publisher.connect()
  await node.settle()
  for (const name of before) retain(publisher, name, "before", publishQos)
  const client = new TestClient(node, "subscriber", 5)
  client.connect(isDurable ? { properties: [["sessionExpiry", 600]] } : { clean: true })
  await node.settle()
  for (const each of [publisher, client]) each.answer()
  return { node, publisher, client }
}

let lastId = 0
function retain(publisher: TestClient, topic: string, payload: string, qos: 0 | 1): void {
  lastId = (lastId % 60_000) + 1
  publisher.send(encode.publish(5, { topic, payload, qos, id: lastId, retain: true }))
}

async function play({ filter, qos, states, at, ...start }: History): Promise<void> {
  const { node, publisher, client } = await begin(start)
  const published = new Map(start.before.map((name) => [name, ["before"]]))
  for (const [index, { name, clears, steps }] of states.entries()) {
    if (index === Math.min(at, states.length - 1)) client.send(encode.subscribe(5, 1, [{ filter, qos }]))
    const payload = clears ? "" : String(index)
    retain(publisher, name, payload, start.publishQos)
    published.set(name, [...(published.get(name) ?? []), payload])
    for (let left = steps; left > 0; left--)
      await node.run.simulation.stepAsync(node.run.simulation.clock.monotonicMs())
  }
  for (let round = 0; round < 20; round++) {
    await node.settle()
    client.answer()
  }
  for (const name of NAMES.filter((each) => filter !== "r/1" || each === filter)) {
    const all = published.get(name) ?? []
    const got = client.got.filter(({ topic }) => topic === name).map(({ payload }) => payload)
    const told = JSON.stringify({ name, all, got })
    // What was published is a list of states, of which it gets the end, from some place on; a name that is cleared then need not come.
    const isEnd = got.join() === all.slice(all.length - got.length).join()
    assert.ok(isEnd, `not the last states, each once: ${told}`)
    if (got.length === 0) assert.equal(all.at(-1) ?? "", "", `the last state is missing: ${told}`)
  }
}

test("whenever a SUBSCRIBE comes, it gives the last states of each name, each once and in order", async () => {
  await fc.assert(fc.asyncProperty(history, play), { numRuns: RUNS })
})

test("the test above finds a seam that is not there", async () => {
  const restore = replaced(RetainedSeams.prototype, "has", () => false)
  try {
    await assert.rejects(fc.assert(fc.asyncProperty(history, play), { numRuns: 3 * RUNS, endOnFailure: true }))
  } finally {
    restore()
  }
})

test("the retained messages of a kept session come, however soon after its SUBACK the connection ends", async () => {
  for (let steps = 0; steps < 30; steps++) {
    const { node, client } = await begin({ isDurable: true, publishQos: 1, before: NAMES })
    const { simulation } = node.run
    client.send(encode.subscribe(5, 1, [{ filter: "#", qos: 1 }]))
    for (let left = steps; left > 0; left--) await simulation.stepAsync(simulation.clock.monotonicMs())
    const isTold = client.wire?.received.some(({ type }) => type === "suback") === true
    client.cut()
    await node.settle()
    client.connect({ properties: [["sessionExpiry", 600]] })
    await node.settle()
    client.answer()
    await node.settle()
    if (!isTold) continue
    assert.deepEqual(client.got.map(({ topic }) => topic).toSorted(), NAMES)
  }
})

test("after UNSUBACK no retained message comes, although another shard told of it too late", async () => {
  const { node, client } = await begin({ isDurable: false, publishQos: 1, before: NAMES })
  client.send(encode.subscribe(5, 1, [{ filter: "#", qos: 1 }]))
  client.send(encode.unsubscribe(5, 2, ["#"]))
  await node.settle()
  const types = client.wire?.received.map(({ type }) => type) ?? []
  assert.ok(types.includes("unsuback"))
  assert.deepEqual(types.slice(types.indexOf("unsuback") + 1), [])
})

test("a seam knows what came since it was opened, forgets nothing within its bound, and everything with the last of them", () => {
  const seams = new RetainedSeams()
  const came = (name: string, retain = true): void => seams.came({ retain, name } as never)
  const first = seams.open()
  came("n/0")
  const second = seams.open()
  came("n/1")
  came("n/2", false)
  const known = (seam: typeof first): ReadonlyArray<boolean> => [0, 1, 2].map((n) => seams.has(seam, `n/${n}`))
  assert.deepEqual(
    [known(first), known(second)],
    [
      [true, true, false],
      [false, true, false]
    ]
  )
  came("n/0")
  assert.equal(seams.has(second, "n/0"), true)
  for (let index = 2; index < 5_000; index++) came(`n/${index}`)
  assert.deepEqual([seams.has(first, "n/4095"), seams.has(first, "n/4096")], [true, false])
  seams.close(first)
  assert.equal(seams.has(second, "n/1"), true)
  seams.close(second)
  assert.equal(seams.has(seams.open(), "n/1"), false)
})
