import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Simulation } from "../platform/simulated.ts"
import { joinShards } from "./fakes.ts"
import { type CallBody, CHANNEL_DELIVER, CHANNEL_PUBLISH, type LinkPort } from "./LinkPort.ts"

function sendNumber(port: LinkPort, target: number, channel: number, value: number): void {
  const outbox = port.begin(target, channel)
  outbox.uint53(value)
  port.end(outbox)
}

test("frames of a turn travel together at its end and reach the handler of their channel in order", () => {
  const simulation = new Simulation(1)
  const { here, there } = joinShards(simulation)
  const seen: Array<string> = []
  there.port.handle(CHANNEL_PUBLISH, (from, reader) => seen.push(`publish ${from} ${reader.uint53()}`))
  there.port.handle(CHANNEL_DELIVER, (from, reader) => seen.push(`deliver ${from} ${reader.uint53()}`))
  sendNumber(here.port, 1, CHANNEL_PUBLISH, 1)
  sendNumber(here.port, 1, CHANNEL_DELIVER, 2)
  sendNumber(here.port, 1, CHANNEL_PUBLISH, 3)
  assert.ok(here.port.pendingBytes(1) === 3 * 13)
  assert.equal(here.port.pendingBytes(0), 0)
  simulation.run()
  assert.equal(here.port.pendingBytes(1), 0)
  assert.deepEqual(seen, ["publish 0 1", "deliver 0 2", "publish 0 3"])
})

test("a frame is for another shard, a channel has one handler, an unknown channel is our own fault", () => {
  const simulation = new Simulation(1)
  const { here, there } = joinShards(simulation)
  assert.throws(() => here.port.begin(0, CHANNEL_PUBLISH), /another shard/)
  assert.throws(() => here.port.begin(2, CHANNEL_PUBLISH), /another shard/)
  here.port.handle(CHANNEL_PUBLISH, () => {})
  assert.throws(() => here.port.handle(CHANNEL_PUBLISH, () => {}), /one handler/)
  assert.throws(() => there.port.receive(0, Uint8Array.of(CHANNEL_PUBLISH, 0, 0, 0, 0)), /channel is known/)
})

test("a frame that says more than came is our own fault, not a short read", () => {
  const { here } = joinShards(new Simulation(1))
  here.port.handle(CHANNEL_PUBLISH, () => assert.fail("half a frame"))
  assert.throws(() => here.port.receive(1, Uint8Array.of(CHANNEL_PUBLISH, 0, 0, 0, 3, 1, 2)), /complete/)
  assert.throws(() => here.port.receive(1, Uint8Array.of(CHANNEL_PUBLISH, 0, 0)), /complete/)
})

test("a handler that reads less or nothing of its frame does not shift the next", () => {
  const simulation = new Simulation(1)
  const { here, there } = joinShards(simulation)
  const seen: Array<number> = []
  there.port.handle(CHANNEL_PUBLISH, () => {})
  there.port.handle(CHANNEL_DELIVER, (_from, reader) => seen.push(reader.uint53()))
  sendNumber(here.port, 1, CHANNEL_PUBLISH, 7)
  sendNumber(here.port, 1, CHANNEL_DELIVER, 8)
  simulation.run()
  assert.deepEqual(seen, [8])
})

test("a call carries facts and bytes there and back", async () => {
  const simulation = new Simulation(1)
  const { here, there } = joinShards(simulation)
  there.port.answer("double", (from, { facts, bytes = new Uint8Array(0) }) => ({
    facts: { from, twice: (facts as { value: number }).value * 2 },
    bytes: bytes.map((byte) => byte + 1)
  }))
  const scratch = Uint8Array.of(1, 2)
  const asked = here.port.call(1, "double", { facts: { value: 21 }, bytes: scratch })
  scratch.fill(0)
  await simulation.runAsync()
  const { facts, bytes } = await asked
  assert.deepEqual(facts, { from: 0, twice: 42 })
  assert.deepEqual(bytes, Uint8Array.of(2, 3))
})

test("a call to the shard itself is answered in place, and fails as one to another does", async () => {
  const { here } = joinShards(new Simulation(1))
  here.port.answer("good", (from) => ({ facts: from }))
  here.port.answer("bad", () => {
    throw new Error("no")
  })
  assert.deepEqual(await here.port.call(0, "good", { facts: null }), { facts: 0 })
  await assert.rejects(here.port.call(0, "bad", { facts: null }), /^Error: no$/)
})

test("what a handler throws or rejects with comes back as an error, also one without words", async () => {
  const simulation = new Simulation(1)
  const { here, there } = joinShards(simulation)
  const failures: ReadonlyArray<readonly [string, () => CallBody | Promise<CallBody>, RegExp]> = [
    [
      "throws",
      () => {
        throw new Error("the disk is full")
      },
      /the disk is full/
    ],
    ["rejects", () => Promise.reject(new Error("later")), /later/],
    ["text", () => Promise.reject("plain"), /plain/],
    [
      "empty",
      () => {
        throw new Error("")
      },
      /failed/
    ]
  ]
  for (const [method, handler, expected] of failures) {
    there.port.answer(method, handler)
    const asked = assert.rejects(here.port.call(1, method, { facts: null }), expected, method)
    await simulation.runAsync()
    await asked
  }
})

test("calls under way at once each get their own answer, whatever order those come in", async () => {
  const simulation = new Simulation(1)
  const { here, there } = joinShards(simulation)
  there.port.answer(
    "wait",
    (_from, { facts }) =>
      new Promise((resolve) => {
        const { delayMs } = facts as { delayMs: number }
        simulation.clock.after(delayMs, () => resolve({ facts: delayMs }))
      })
  )
  const delays = [50, 10, 40, 10, 0]
  const answers = Promise.all(delays.map((delayMs) => here.port.call(1, "wait", { facts: { delayMs } })))
  await simulation.runAsync()
  assert.deepEqual(
    (await answers).map(({ facts }) => facts),
    delays
  )
})

test("random traffic among four shards: each pair's frames arrive once, in order", () => {
  const message = fc.record({ from: fc.nat(3), hop: fc.integer({ min: 1, max: 3 }), ends: fc.boolean() })
  fc.assert(
    fc.property(fc.array(message, { maxLength: 200 }), (messages) => {
      const simulation = new Simulation(1)
      const { all } = joinShards(simulation, 4)
      const sent = new Map<string, Array<number>>()
      const seen = new Map<string, Array<number>>()
      const note = (lists: Map<string, Array<number>>, key: string, value: number): void => {
        const list = lists.get(key)
        if (list === undefined) lists.set(key, [value])
        else list.push(value)
      }
      for (const { port } of all) {
        port.handle(CHANNEL_PUBLISH, (from, reader) => note(seen, `${from}>${port.shard}`, reader.uint53()))
      }
      for (const [index, { from, hop, ends }] of messages.entries()) {
        const target = (from + hop) % 4
        sendNumber(all[from]?.port as LinkPort, target, CHANNEL_PUBLISH, index)
        note(sent, `${from}>${target}`, index)
        if (ends) simulation.step()
      }
      simulation.run()
      assert.deepEqual(seen, new Map([...sent].filter(([key]) => seen.has(key))))
      assert.equal(seen.size, sent.size)
    })
  )
})
