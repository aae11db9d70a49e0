import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "../platform/simulated.ts"
import { InThreadLinks } from "./Link.ts"

function make(shards = 3): { simulation: Simulation; links: InThreadLinks; seen: Array<string> } {
  const simulation = new Simulation(1)
  const links = new InThreadLinks(shards, simulation.clock)
  const seen: Array<string> = []
  for (let shard = 0; shard < shards; shard++) {
    links.setReceiver(shard, (from, bytes) => seen.push(`${from}>${shard} ${bytes}`))
  }
  return { simulation, links, seen }
}

test("a frame is copied, and arrives in a later turn, not inside the call", () => {
  const { simulation, links, seen } = make()
  const link = links.linkOf(0)
  assert.equal(link.shards, 3)
  const scratch = Uint8Array.of(9, 1, 2, 9)
  link.send(2, scratch, 1, 3)
  scratch.fill(0)
  simulation.clock.microtask(() => seen.push("microtask"))
  assert.deepEqual(seen, [])
  simulation.run()
  assert.deepEqual(seen, ["microtask", "0>2 1,2"])
})

test("frames keep their order, each comes once", () => {
  const { simulation, links, seen } = make()
  for (let round = 0; round < 5; round++) {
    links.linkOf(0).send(1, Uint8Array.of(round), 0, 1)
    links.linkOf(2).send(1, Uint8Array.of(round), 0, 1)
    if (round % 2 === 1) simulation.run()
  }
  simulation.run()
  const of = (from: number): ReadonlyArray<string> => seen.filter((line) => line.startsWith(`${from}>`))
  assert.deepEqual(of(0), ["0>1 0", "0>1 1", "0>1 2", "0>1 3", "0>1 4"])
  assert.equal(of(2).length, 5)
})

test("what a receiver sends arrives in a turn after its own", () => {
  const { simulation, links, seen } = make(2)
  links.setReceiver(1, (_from, bytes) => {
    links.linkOf(1).send(0, bytes, 0, bytes.length)
    simulation.clock.immediate(() => seen.push("between"))
    seen.push("received")
  })
  links.linkOf(0).send(1, Uint8Array.of(1), 0, 1)
  simulation.run()
  assert.deepEqual(seen, ["received", "1>0 1", "between"])
})

test("a shard that has left gets nothing", () => {
  const { simulation, links, seen } = make(2)
  links.linkOf(0).send(1, Uint8Array.of(1), 0, 1)
  links.setReceiver(1, undefined)
  simulation.run()
  assert.deepEqual(seen, [])
})
