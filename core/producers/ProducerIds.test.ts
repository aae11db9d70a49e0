/** Producer ids are given once: by several shards at a time, over restarts, while the meta store is slow or away. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { MetaStoreError } from "../meta/MetaStore.ts"
import { Simulation } from "../platform/simulated.ts"
import { FakeMeta } from "../topics/fakes.ts"
import { BLOCK_IDS, PRODUCER_IDS_KEY, ShardProducerIds } from "./ProducerIds.ts"

async function take(
  simulation: Simulation,
  all: ReadonlyArray<ShardProducerIds>,
  count: number
): Promise<Array<number>> {
  const found: Array<number> = []
  const asked = Array.from({ length: count }, (_, index) => {
    const ids = all[index % all.length] as ShardProducerIds
    return Effect.runPromise(ids.next).then((id) => void found.push(id))
  })
  const done = Promise.all(asked)
  for (let round = 0; round < 200; round++) await simulation.runAsync(simulation.clock.monotonicMs() + 10)
  await done
  return found
}

test("shards and restarts share no id; a block has a thousand", async () => {
  const simulation = new Simulation(1)
  const meta = new FakeMeta(simulation)
  meta.delayMs = 3
  const seen = new Set<number>()
  let count = 0
  for (let life = 0; life < 3; life++) {
    const shards = [0, 1, 2].map(() => new ShardProducerIds({ meta, random: simulation.random, isKept: true }))
    for (const id of await take(simulation, shards, 4_000)) seen.add(id)
    count += 4_000
    assert.equal(seen.size, count)
  }
  const next = Number(new TextDecoder().decode(meta.entries.get(PRODUCER_IDS_KEY)?.value))
  assert.ok(next % BLOCK_IDS === 0 && Math.max(...seen) < next && next <= count + 9 * 2 * BLOCK_IDS, String(next))
})

test("a meta store that is away fails those that ask, and serves them when it is back", async () => {
  const simulation = new Simulation(1)
  const meta = new FakeMeta(simulation)
  let isAway = true
  const failing = {
    get: (key: string) => (isAway ? Effect.fail(new MetaStoreError({ message: "away" })) : meta.get(key)),
    transact: meta.transact.bind(meta)
  }
  const ids = new ShardProducerIds({ meta: failing, random: simulation.random, isKept: true })
  await assert.rejects(Effect.runPromise(ids.next), /away/)
  isAway = false
  assert.equal(await Effect.runPromise(ids.next), 0)
  // What is asked for ahead may fail: there are ids left.
  isAway = true
  for (let id = 1; id < BLOCK_IDS; id++) assert.equal(await Effect.runPromise(ids.next), id)
  await assert.rejects(Effect.runPromise(ids.next), /away/)
})

test("where nothing is kept, ids of one process are not those of the one before", async () => {
  const first = async (seed: number): Promise<number> => {
    const simulation = new Simulation(seed)
    const ids = new ShardProducerIds({ meta: new FakeMeta(simulation), random: simulation.random, isKept: false })
    return Effect.runPromise(ids.next)
  }
  assert.notEqual(await first(1), await first(2))
})
