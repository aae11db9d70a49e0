import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { messageOf } from "../ingress/fakes.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import type { TopicInfo } from "../topics/TopicInfo.ts"
import { CODEC_NONE, CODEC_ZSTD } from "./compression.ts"
import { DISK_FULL, READ_ONLY } from "./Engines.ts"
import { ArrayPartition, storedIn } from "./fakes.ts"
import { GATHERED_BYTES_MAX, GATHERED_RECORDS_MAX, LINGER_MS, PartitionLog } from "./PartitionLog.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { attributes, codec, GATHERED } from "./record-batch.ts"

const TOPIC: TopicInfo = {
  tenant: 0,
  name: "t",
  id: "00000000-0000-4000-8000-000000000000",
  partitions: 1,
  engine: "memory",
  mode: "memory",
  origin: "publish"
}

function make(topic: TopicInfo = TOPIC): { simulation: Simulation; engine: ArrayPartition; log: PartitionLog } {
  const simulation = new Simulation(1)
  const engine = new ArrayPartition()
  const parts = { clock: simulation.clock, turn: new TurnLoop(simulation.clock) }
  return { simulation, engine, log: new PartitionLog(topic, 0, engine, parts) }
}

function clientBatch(records: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(10)
  for (let index = 0; index < records; index++) builder.append(index, undefined, 0, 0, value, 0, 10)
  return builder.bytes.slice(0, builder.finish())
}

test("messages get offsets when they are taken, and the batch that is sealed later has them", () => {
  const { engine, log } = make()
  for (let index = 0; index < 5; index++) assert.equal(log.takeUnsafe(messageOf("a/b", `m${index}`)), index)
  assert.equal(engine.batches.length, 0)
  assert.equal(log.nextOffset, 5)
  assert.ok(log.sizeBytes > 0)
  assert.equal(log.highWatermark(), 5)
  assert.equal(engine.batches.length, 1)
  assert.deepEqual(storedIn(engine), ["0 a/b=m0", "1 a/b=m1", "2 a/b=m2", "3 a/b=m3", "4 a/b=m4"])
  assert.equal(attributes(engine.batches[0] ?? new Uint8Array(61), 0) & GATHERED, GATHERED)
  assert.equal(log.highWatermark(), 5)
  assert.equal(engine.batches.length, 1)
})

test("a topic that is compressed stores the same records; what a producer sends stays as it is", () => {
  const payload = "degrees ".repeat(200)
  const [plain, packed] = [make(), make({ ...TOPIC, compression: "zstd" })]
  for (const { log } of [plain, packed]) {
    for (let index = 0; index < 20; index++) assert.equal(log.takeUnsafe(messageOf("a/b", `${payload}${index}`)), index)
    assert.equal(log.appendUnsafe(clientBatch(100), 0, clientBatch(100).length, 100), 20)
    assert.equal(log.takeUnsafe(messageOf("a/b", "short")), 120)
    assert.equal(log.takeUnsafe(messageOf("a/b", payload)), 121)
    assert.equal(log.highWatermark(), 122)
  }
  assert.deepEqual(storedIn(packed.engine), storedIn(plain.engine))
  const codecs = packed.engine.batches.map((batch) => codec(batch, 0))
  assert.deepEqual(codecs, [CODEC_ZSTD, CODEC_NONE, CODEC_ZSTD])
  assert.ok(plain.engine.batches.every((batch) => codec(batch, 0) === CODEC_NONE))
  assert.deepEqual(packed.engine.batches[1], plain.engine.batches[1])
  assert.ok(packed.engine.sizeBytes * 5 < plain.engine.sizeBytes)
  assert.deepEqual([packed.log.gatheredBatches, packed.log.gatheredRecords], [2, 22])
})

test("an empty payload is an empty value; with retain it is a deletion", () => {
  const { engine, log } = make()
  log.takeUnsafe(messageOf("a", ""))
  log.takeUnsafe(messageOf("a", "", { qos: 1, retain: true }))
  log.takeUnsafe(messageOf("a", "x", { qos: 1, retain: true }))
  log.seal()
  assert.deepEqual(storedIn(engine), ["0 a=", "1 a=null", "2 a=x"])
})

test("a client's batch goes behind what was gathered before it", () => {
  const { engine, log } = make()
  log.takeUnsafe(messageOf("a", "1"))
  const batch = clientBatch(3)
  assert.equal(log.appendUnsafe(batch, 0, batch.length, 3), 1)
  assert.equal(log.takeUnsafe(messageOf("a", "2")), 4)
  assert.equal(log.highWatermark(), 5)
  assert.equal(engine.batches.length, 3)
  assert.equal(log.gatheredBatches, 2)
  assert.equal(log.gatheredRecords, 2)
})

test("a gathered batch is sealed at its bound of records and of bytes", () => {
  const { engine, log } = make()
  for (let index = 0; index < GATHERED_RECORDS_MAX; index++) log.takeUnsafe(messageOf("a", ""))
  assert.equal(engine.batches.length, 1)
  log.takeUnsafe(messageOf("a", new Uint8Array(GATHERED_BYTES_MAX - 200)))
  assert.equal(engine.batches.length, 1)
  log.takeUnsafe(messageOf("a", new Uint8Array(200)))
  assert.equal(engine.batches.length, 2)
})

test("a batch is sealed when nothing was taken between two looks, and logs say which of them was written last", () => {
  const { engine, log } = make()
  const other = make().log
  assert.equal(log.lastWrite, 0)
  for (let round = 0; round < 3; round++) {
    log.takeUnsafe(messageOf("a", String(round)))
    log.sealIdle()
    assert.equal(engine.batches.length, 0)
    other.takeUnsafe(messageOf("b", ""))
    assert.ok(other.lastWrite > log.lastWrite)
  }
  log.sealIdle()
  assert.deepEqual(storedIn(engine), ["0 a=0", "1 a=1", "2 a=2"])
  log.sealIdle()
  assert.equal(engine.batches.length, 1)
  log.appendUnsafe(clientBatch(1), 0, clientBatch(1).length, 1)
  assert.ok(log.lastWrite > other.lastWrite)
})

test("a message as large as any packet is taken whole, and the next ones too", () => {
  const { engine, log } = make()
  assert.equal(log.takeUnsafe(messageOf("a", "before")), 0)
  assert.equal(log.takeUnsafe(messageOf("a", new Uint8Array(5_000_000).fill(120))), 1)
  assert.equal(engine.logEndOffset, 2)
  assert.equal(log.takeUnsafe(messageOf("a", "after")), 2)
  log.seal()
  assert.equal(storedIn(engine)[1]?.length, 5_000_000 + 4)
  assert.equal(storedIn(engine)[2], "2 a=after")
})

test("every way of reading sees what was taken", async () => {
  const reads: ReadonlyArray<(log: PartitionLog) => unknown> = [
    (log) => log.readUnsafe(0, 1_000),
    (log) => log.read(0, 1_000),
    (log) => log.offsetForTimestamp(0),
    (log) => log.highWatermark()
  ]
  for (const read of reads) {
    const { engine, log } = make()
    log.takeUnsafe(messageOf("a", "1"))
    await read(log)
    assert.equal(engine.batches.length, 1)
  }
})

test("with nobody waiting no timer runs; with a waiter the batch lingers a moment and is announced once", () => {
  const { simulation, engine, log } = make()
  log.takeUnsafe(messageOf("a", "1"))
  simulation.run()
  assert.equal(simulation.clock.monotonicMs(), 0)
  assert.equal(engine.batches.length, 0)
  log.seal()
  const told: Array<number> = []
  const waiter = { partitionAdvanced: (): void => void told.push(simulation.clock.monotonicMs()) }
  log.watch(waiter)
  simulation.run(100)
  log.takeUnsafe(messageOf("a", "2"))
  simulation.run(100 + LINGER_MS / 2)
  log.takeUnsafe(messageOf("a", "3"))
  assert.deepEqual(told, [])
  simulation.run(200)
  assert.deepEqual(told, [100 + LINGER_MS])
  assert.equal(engine.batches.length, 2)
  log.unwatch(waiter)
  log.takeUnsafe(messageOf("a", "4"))
  log.seal()
  simulation.run(300)
  assert.equal(told.length, 1)
})

test("a batch that is sealed by its size or a reader takes its timer along", () => {
  const { simulation, log } = make()
  let told = 0
  log.watch({ partitionAdvanced: () => (told += 1) })
  for (let index = 0; index < GATHERED_RECORDS_MAX; index++) log.takeUnsafe(messageOf("a", ""))
  assert.equal(told, 1)
  log.takeUnsafe(messageOf("a", ""))
  log.highWatermark()
  assert.equal(told, 2)
  simulation.run()
  assert.equal(simulation.clock.monotonicMs(), 0)
})

test("a waiter may leave, and read, while it is told", () => {
  const { log } = make()
  const seen: Array<number> = []
  const leaving = {
    partitionAdvanced: (told: PartitionLog): void => {
      seen.push(told.highWatermark())
      told.unwatch(leaving)
    }
  }
  const staying = { partitionAdvanced: (told: PartitionLog): void => void seen.push(told.highWatermark()) }
  log.watch(leaving)
  log.watch(staying)
  log.takeUnsafe(messageOf("a", "1"))
  log.seal()
  log.takeUnsafe(messageOf("a", "2"))
  log.seal()
  assert.deepEqual(seen, [1, 1, 2])
})

test("what the engine refuses is refused, and offsets go on where the engine is", () => {
  const { engine, log } = make()
  assert.equal(log.takeUnsafe(messageOf("a", "0")), 0)
  engine.refusal = DISK_FULL
  const batch = clientBatch(1)
  assert.equal(log.appendUnsafe(batch, 0, batch.length, 1), DISK_FULL)
  assert.equal(log.takeUnsafe(messageOf("a", new Uint8Array(GATHERED_BYTES_MAX))), DISK_FULL)
  engine.refusal = 0
  assert.equal(log.takeUnsafe(messageOf("a", "1")), 0)
  assert.equal(log.highWatermark(), 1)
  assert.equal(log.gatheredRecords, 1)
})

test("closing seals what is gathered and stops the timer", () => {
  const { simulation, engine, log } = make()
  let told = 0
  log.watch({ partitionAdvanced: () => (told += 1) })
  log.takeUnsafe(messageOf("a", "1"))
  log.close()
  assert.equal(engine.batches.length, 1)
  assert.equal(told, 1)
  engine.refusal = READ_ONLY
  simulation.run()
  assert.equal(simulation.clock.monotonicMs(), 0)
})

test("any mix of messages, batches, reads and time: each offset holds what was taken for it", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("take" as const), size: fc.nat(12_000) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("append" as const), size: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("read" as const), size: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("pass" as const), size: fc.nat(30) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("watch" as const), size: fc.constant(0) }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const { simulation, engine, log } = make()
      const expected: Array<string> = []
      for (const { kind, size } of steps) {
        if (kind === "take") {
          const offset = log.takeUnsafe(messageOf("k", "v".repeat(size)))
          assert.equal(offset, expected.length)
          expected.push(`${offset} k=${"v".repeat(size)}`)
        } else if (kind === "append") {
          const batch = clientBatch(size)
          assert.equal(log.appendUnsafe(batch, 0, batch.length, size), expected.length)
          for (let index = 0; index < size; index++) expected.push(`${expected.length} =${"\0".repeat(10)}`)
        } else if (kind === "read") assert.equal(log.highWatermark(), expected.length)
        else if (kind === "pass") simulation.run(simulation.clock.monotonicMs() + size)
        else log.watch({ partitionAdvanced: () => {} })
        assert.equal(log.nextOffset, expected.length)
      }
      log.seal()
      assert.deepEqual(storedIn(engine), expected)
    }),
    { numRuns: 150 }
  )
})
