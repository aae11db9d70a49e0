import assert from "node:assert"
import { test } from "node:test"
import { Simulation } from "../platform/simulated.ts"
import { joinShards } from "./fakes.ts"
import { Mailboxes } from "./Mailboxes.ts"

function shards() {
  const simulation = new Simulation(1)
  const { all } = joinShards(simulation)
  const boxes = all.map(({ port }) => new Mailboxes(port, simulation.clock))
  return { simulation, boxes }
}

test("frames reach the part of the same service on the other shard, in order", async () => {
  const { simulation, boxes } = shards()
  const got: Array<string> = []
  const first = boxes[0]?.open("one", () => assert.fail("nobody writes to it"))
  boxes[0]?.open("two", () => assert.fail("nobody writes to it"))
  boxes[1]?.open("one", (from, reader) => got.push(`${from}: ${reader.text()}`))
  boxes[1]?.open("two", () => assert.fail("it is another's"))
  for (const text of ["a", "b", "c"]) {
    const writer = first?.begin(1) ?? assert.fail("it is open")
    writer.text(text)
    first?.end(writer)
  }
  await simulation.runAsync(10)
  assert.deepStrictEqual(got, ["0: a", "0: b", "0: c"])
})

test("what comes before a shard has opened its mailbox is kept until then", async () => {
  const { simulation, boxes } = shards()
  const mailbox = boxes[0]?.open("late", () => {}) ?? assert.fail("it is open")
  for (const number of [1, 2]) {
    const writer = mailbox.begin(1)
    writer.uint32(number)
    mailbox.end(writer)
  }
  await simulation.runAsync(10)
  const got: Array<number> = []
  let isOpen = false
  boxes[1]?.open("late", (_from, reader) => {
    assert.ok(isOpen, "it may have to answer")
    got.push(reader.uint32())
  })
  isOpen = true
  await simulation.runAsync(20)
  assert.deepStrictEqual(got, [1, 2])
})

test("a service has one mailbox on a shard", () => {
  const { boxes } = shards()
  boxes[0]?.open("one", () => {})
  assert.throws(() => boxes[0]?.open("one", () => {}), /different numbers/)
})
