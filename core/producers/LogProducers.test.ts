/** What a log knows of its producers at the edges: rows that cannot be read or written, bounds, expiry, a log that takes another's place. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { MemoryJournal } from "../journal/MemoryJournal.ts"
import { FAILED } from "../log/Engines.ts"
import { ArrayPartition } from "../log/fakes.ts"
import { PartitionLog } from "../log/PartitionLog.ts"
import { PRODUCER_OUT_OF_ORDER } from "../log/refusals.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { OrderedStore } from "../queue/fakes.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { producerBatch } from "./fakes.ts"
import { decodeProducers, producersKey } from "./producer-rows.ts"
import { EXPIRATION_MS, ShardProducers, type ShardProducersParts } from "./ShardProducers.ts"

const TOPIC: TopicInfo = {
  tenant: 0,
  name: "t",
  id: "t",
  partitions: 9,
  engine: "e",
  mode: "persistent",
  origin: "kafka"
}

function make(changes: Partial<ShardProducersParts> = {}) {
  const simulation = new Simulation(1)
  const turn = new TurnLoop(simulation.clock)
  const store = new OrderedStore()
  const journal = new MemoryJournal(turn)
  journal.bind(store)
  const lines: Array<string> = []
  const { clock } = simulation
  const log = (line: string): void => void lines.push(line)
  const all = new ShardProducers({ clock, rows: { journal, store }, log, ...changes })
  const open = (partition: number, engine = new ArrayPartition(), topic = TOPIC) =>
    new PartitionLog(topic, partition, engine, { clock, turn, producers: all })
  const settle = (): Promise<void> => simulation.runAsync(clock.monotonicMs() + 1)
  const produce = async (to: PartitionLog, id: number, sequence: number): Promise<number> => {
    const bytes = producerBatch({ id, sequence })
    const known = to.whenAppendable(bytes, 0)
    if (known !== undefined) {
      await settle()
      const refusal = await known
      if (refusal < 0) return refusal
    }
    return to.appendUnsafe(bytes, 0, bytes.length, 1)
  }
  const rowOf = (partition: number) => store.get(producersKey({ tenant: 0, topicId: "t", partition }))
  return { simulation, all, store, lines, open, settle, produce, rowOf }
}

test("an idle log of MQTT messages has no row; the first batch of a producer waits for one; a closed log needs none to be read", async () => {
  const { all, open, produce, rowOf, settle, simulation } = make()
  const engine = new ArrayPartition()
  const log = open(0, engine)
  assert.equal(log.producers, undefined)
  assert.equal(await produce(log, -1, -1), 0)
  assert.equal(rowOf(0), undefined)
  assert.equal(await produce(log, 7, 0), 1)
  assert.deepEqual(decodeProducers(rowOf(0) ?? new Uint8Array(0)).offset, 1)
  assert.equal(await produce(log, 7, 1), 2)
  log.close()
  await settle()
  assert.equal(all.size, 0)
  const again = open(0, engine)
  await settle()
  assert.equal(all.replayedBytes, 0)
  assert.equal(await produce(again, 7, 1), 2)
  assert.equal(again.isRepeat, true)
  assert.ok(simulation.clock.monotonicMs() > 0)
})

test("a row that cannot be read: its producers are refused, everybody else is served, and one line says so", async () => {
  const { open, produce, store, lines, settle } = make()
  store.apply([{ key: producersKey({ tenant: 0, topicId: "t", partition: 0 }), value: Uint8Array.of(9) }])
  const log = open(0)
  await settle()
  assert.equal(await produce(log, 7, 0), FAILED)
  assert.equal(await produce(log, -1, -1), 0)
  assert.match(lines[0] ?? "", /partition 0 of t: .*the row of its producers has form 9/)
})

test("a day after their last batch producers are forgotten, and their row goes when none is left", async () => {
  const { all, open, produce, rowOf, settle, simulation } = make()
  const log = open(0)
  await produce(log, 1, 0)
  await simulation.runAsync(EXPIRATION_MS / 2)
  await produce(log, 2, 0)
  all.housekeep()
  assert.equal(all.size, 2)
  await simulation.runAsync(EXPIRATION_MS + 2)
  all.housekeep()
  all.housekeep()
  assert.deepEqual([all.size, all.expired], [1, 1])
  await simulation.runAsync(2 * EXPIRATION_MS)
  all.housekeep()
  all.housekeep()
  await settle()
  assert.deepEqual([all.size, all.expired, rowOf(0)], [0, 2, undefined])
  // Any sequence may come from who was forgotten; and there is a row again before it is stored.
  assert.equal(await produce(log, 1, 500), 2)
  assert.notEqual(rowOf(0), undefined)
})

test("bounds of a partition and of a shard: those that have not written lately go, and are counted", async () => {
  const { all, open, produce } = make({ producersMax: 3, shardProducersMax: 5 })
  const one = open(0)
  for (const id of [1, 2, 3, 4]) await produce(one, id, 0)
  assert.deepEqual([all.size, all.evicted], [3, 1])
  const other = open(1)
  for (const id of [5, 6, 7]) await produce(other, id, 0)
  assert.equal(all.size, 5)
  assert.equal(all.evicted, 2)
  assert.equal(await produce(other, 7, 5), PRODUCER_OUT_OF_ORDER)
  one.close()
  other.close()
  assert.equal(all.size, 0)
})

test("the row of a partition that is gone goes, one that is on its way too", async () => {
  const { all, open, produce, rowOf, settle } = make()
  const log = open(0)
  await produce(log, 1, 0)
  log.close()
  const forgotten = Effect.runPromise(all.forget({ tenant: 0, topicId: "t", partition: 0 }))
  await settle()
  await settle()
  await forgotten
  assert.equal(rowOf(0), undefined)
})

test("a log that takes another's place knows what that one did; without a row it does not believe that there is one", async () => {
  const { all, open, produce, settle, rowOf } = make()
  const from = open(0)
  for (const sequence of [0, 1, 2]) await produce(from, 1, sequence)
  const engine = new ArrayPartition()
  engine.logEndOffset = 3
  const copied = from.producers?.copyTo({ tenant: 0, topicId: "u", partition: 0 })
  await settle()
  assert.equal(await copied, true)
  const to = open(0, engine, { ...TOPIC, logId: "u" })
  assert.ok(from.producers !== undefined)
  to.takeProducers(from.producers)
  from.close()
  await settle()
  assert.equal(await produce(to, 1, 1), 1)
  assert.equal(to.isRepeat, true)
  assert.equal(await produce(to, 1, 3), 3)
  assert.equal(all.size, 1)
  // To memory, and from there to a log that has no row.
  const memory = open(0, new ArrayPartition(), { ...TOPIC, logId: "m", mode: "memory" })
  assert.ok(to.producers !== undefined)
  memory.takeProducers(to.producers)
  assert.equal(await produce(memory, 1, 2), 2)
  assert.ok(memory.isRepeat)
  const last = open(3)
  assert.ok(memory.producers !== undefined)
  last.takeProducers(memory.producers)
  assert.equal(rowOf(3), undefined)
  assert.equal(last.producers?.isReady, false)
})
