import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect } from "effect"
import { crc32c } from "../log/crc32c.ts"
import { storedIn } from "../log/fakes.ts"
import type { PartitionLog } from "../log/PartitionLog.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import {
  ATTRIBUTES_POSITION,
  attributes,
  CONTROL,
  CRC_POSITION,
  checkBatch,
  LOG_APPEND_TIME,
  maxTimestamp,
  RECORDS_POSITION,
  writeInt16,
  writeInt32
} from "../log/record-batch.ts"
import { SIMULATED_EPOCH_MS, Simulation } from "../platform/simulated.ts"
import { SLOT_TOPIC, slotOf } from "../shard/slots.ts"
import { type IngressShard, joinIngress, NotingSubscriber, subscribe } from "./fakes.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A client's batch of [key, value] records. */
function batchOf(
  records: ReadonlyArray<readonly [string | undefined, string | undefined]>,
  timestamp = 5_000
): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (const [key, value] of records) {
    const keyBytes = key === undefined ? undefined : encoder.encode(key)
    const valueBytes = value === undefined ? undefined : encoder.encode(value)
    builder.append(timestamp, keyBytes, 0, keyBytes?.length ?? 0, valueBytes, 0, valueBytes?.length ?? 0)
  }
  const bytes = builder.bytes.slice(0, builder.finish())
  return stamped(bytes, 0)
}

/** The batch with these attribute bits and the checksum to go with them. */
function stamped(bytes: Uint8Array, bits: number): Uint8Array {
  writeInt16(bytes, ATTRIBUTES_POSITION, bits)
  writeInt32(bytes, CRC_POSITION, crc32c(bytes, ATTRIBUTES_POSITION, bytes.length))
  return bytes
}

interface Bound {
  readonly simulation: Simulation
  readonly owner: IngressShard
  readonly elsewhere: IngressShard
  readonly log: PartitionLog
  readonly append: (bytes: Uint8Array, records: number) => number
}

/** A topic with or without a filter, on the shard that owns it. */
async function make(name: string, filter?: string, configs?: Record<string, string>): Promise<Bound> {
  const simulation = new Simulation(1)
  const { shards, meta } = joinIngress(simulation)
  const info = {
    tenant: 0,
    name,
    id: "id",
    partitions: 1,
    engine: "memory",
    mode: "memory",
    origin: "manifest",
    filter,
    configs
  }
  const value = encoder.encode(JSON.stringify(info))
  await Effect.runPromise(meta.transact({ compare: [], writes: [{ key: `topics/0/${name}`, value }] }))
  const index = slotOf(0, SLOT_TOPIC, name, 0) % 2
  const owner = shards[index]
  const elsewhere = shards[1 - index]
  assert.ok(owner !== undefined && elsewhere !== undefined)
  const topic = owner.topics.find(0, name)
  const log = topic === undefined ? undefined : owner.topics.logUnsafe(topic, 0)
  assert.ok(log !== undefined)
  const append = (bytes: Uint8Array, records: number): number =>
    owner.produced.appendUnsafe(log, bytes, 0, bytes.length, records)
  return { simulation, owner, elsewhere, log, append }
}

function listen(
  { simulation, owner, elsewhere }: Bound,
  filter = "#"
): { near: NotingSubscriber; far: NotingSubscriber } {
  const near = new NotingSubscriber()
  const far = new NotingSubscriber()
  subscribe(owner, near, filter)
  subscribe(elsewhere, far, filter)
  simulation.run()
  return { near, far }
}

test("default binding: every record goes out on the topic's own name, with its place; a foreign key travels along", async () => {
  const bound = await make("sensors.room1")
  const { near, far } = listen(bound)
  const batch = batchOf([
    [undefined, "none"],
    ["sensors/room1", "own"],
    ["sensors/room2", "foreign"],
    ["", "empty"],
    ["sensors/room1", undefined]
  ])
  assert.equal(bound.append(batch, 5), 0)
  bound.simulation.run()
  const expected = ["none", "own", "foreign", "empty", ""].map((value) => ` sensors/room1=${value}`)
  assert.deepEqual(near.seen, expected)
  assert.deepEqual(far.seen, expected)
  for (const { deliveries } of [near, far]) {
    const keys = deliveries.map(({ message }) =>
      message.keyStart < 0 ? undefined : decoder.decode(message.headers.subarray(message.keyStart, message.keyEnd))
    )
    assert.deepEqual(keys, [undefined, undefined, "sensors/room2", "", undefined])
    assert.deepEqual(
      deliveries.map(({ message }) => [
        message.partition,
        message.offset,
        message.qos,
        message.retain,
        message.gathered
      ]),
      [0, 1, 2, 3, 4].map((offset) => [0, offset, 1, false, false])
    )
  }
  assert.equal(bound.owner.produced.unnamedCount, 0)
})

test("a binding with wildcards: a record goes out on its key where that is a name whose home this is, else it is counted", async () => {
  const bound = await make("telemetry", "devices/+/telemetry")
  const { near, far } = listen(bound)
  const batch = batchOf([
    ["devices/7/telemetry", "right"],
    [undefined, "no key"],
    ["devices/7/other", "not its home"],
    ["devices/+/telemetry", "no name"],
    ["devices/8/telemetry", "right too"]
  ])
  assert.equal(bound.append(batch, 5), 0)
  bound.simulation.run()
  const expected = [" devices/7/telemetry=right", " devices/8/telemetry=right too"]
  assert.deepEqual(near.seen, expected)
  assert.deepEqual(far.seen, expected)
  assert.deepEqual(
    near.deliveries.map(({ message }) => message.offset),
    [0, 4]
  )
  assert.equal(bound.owner.produced.unnamedCount, 3)
  const [partition] = bound.owner.engine.partitions.values()
  assert.equal(partition === undefined ? 0 : storedIn(partition).length, 5)
})

test("a name with a better home is not this topic's, though its filter matches", async () => {
  const bound = await make("wide", "devices/#")
  const { near } = listen(bound)
  const info = {
    tenant: 0,
    name: "exact",
    id: "e",
    partitions: 1,
    engine: "memory",
    mode: "memory",
    filter: "devices/7"
  }
  for (const { topics } of [bound.owner, bound.elsewhere]) {
    topics.metaChanged({ key: "topics/0/exact", value: encoder.encode(JSON.stringify(info)), revision: 9 })
  }
  bound.append(
    batchOf([
      ["devices/7", "not here"],
      ["devices/8", "here"]
    ]),
    2
  )
  bound.simulation.run()
  assert.deepEqual(near.seen, [" devices/8=here"])
  assert.equal(bound.owner.produced.unnamedCount, 1)
})

test("a topic without a name for MQTT stores and counts", async () => {
  const bound = await make("no..name")
  const { near } = listen(bound)
  bound.append(batchOf([["k", "v"]]), 1)
  assert.deepEqual(near.seen, [])
  assert.equal(bound.owner.produced.unnamedCount, 1)
})

test("a control batch is stored and goes nowhere", async () => {
  const bound = await make("t")
  const { near } = listen(bound)
  assert.equal(bound.append(stamped(batchOf([["k", "v"]]), CONTROL), 1), 0)
  assert.deepEqual(near.seen, [])
  assert.equal(bound.owner.produced.unnamedCount, 0)
})

test("a time before 1970 is told as now", async () => {
  const bound = await make("t")
  const { near } = listen(bound)
  bound.append(batchOf([[undefined, "v"]], -7), 1)
  assert.equal(
    near.deliveries[0]?.message.timestamp,
    SIMULATED_EPOCH_MS + Math.floor(bound.simulation.clock.monotonicMs())
  )
  bound.append(batchOf([[undefined, "v"]], 7), 1)
  assert.equal(near.deliveries[1]?.message.timestamp, 7)
})

test("what the engine refuses is not routed", async () => {
  const bound = await make("t")
  const { near } = listen(bound)
  for (const partition of bound.owner.engine.partitions.values()) partition.refusal = -3
  assert.equal(bound.append(batchOf([[undefined, "v"]]), 1), -3)
  assert.deepEqual(near.seen, [])
})

test("where the append's time is the topic's, that is what is stored, delivered and told; nothing else of the batch changes", async () => {
  const bound = await make("stamped", undefined, { "message.timestamp.type": "LogAppendTime" })
  const { near } = listen(bound)
  const sent = batchOf([
    [undefined, "a"],
    [undefined, "b"]
  ])
  const before = sent.slice()
  bound.simulation.run(7)
  const nowMs = bound.simulation.clock.nowMs()
  assert.equal(bound.append(sent, 2), 0)
  bound.simulation.run(8)
  assert.deepEqual(sent, before)
  assert.equal(bound.log.producedTimeMs, nowMs)
  const stored = bound.log.readUnsafe(0, 10_000)?.slice() ?? new Uint8Array(0)
  assert.equal(checkBatch(stored, 0, stored.length), 0)
  assert.deepEqual([attributes(stored, 0), maxTimestamp(stored, 0)], [LOG_APPEND_TIME, nowMs])
  assert.deepEqual(stored.subarray(RECORDS_POSITION), before.subarray(RECORDS_POSITION))
  assert.deepEqual(
    near.deliveries.map(({ message }) => message.timestamp),
    [nowMs, nowMs]
  )
  const plain = await make("plain")
  assert.equal(plain.append(sent, 2), 0)
  assert.equal(plain.log.producedTimeMs, -1)
})

test("while the journal is held up producers wait where sessions want what they send, and only there", async () => {
  const { simulation, owner, elsewhere } = await make("t")
  Object.assign(owner.journal, { isHeldUp: true })
  assert.equal(owner.produced.queued.isHeldUp, false)
  // Of a session of any shard.
  elsewhere.router.wantUnsafe("t")
  simulation.run()
  assert.equal(owner.produced.queued.isHeldUp, true)
  elsewhere.router.unwantUnsafe("t")
  simulation.run()
  assert.equal(owner.produced.queued.isHeldUp, false)
})
