import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "../platform/simulated.ts"
import { DISK_FULL, DiskFull, FAILED, type Partition, StorageError } from "./Engines.ts"
import { ArrayPartition } from "./fakes.ts"
import { ANSWER_TIMEOUT_MS, GuardedPartition } from "./GuardedPartition.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"

function guard(faulty: Partial<Record<keyof Partition, unknown>>, engine = new ArrayPartition()) {
  const simulation = new Simulation(1)
  const lines: Array<string> = []
  for (const [name, value] of Object.entries(faulty)) Object.defineProperty(engine, name, { value })
  const parts = {
    engineName: "plugin bad, engine worse",
    clock: simulation.clock,
    fault: (line: string) => void lines.push(line)
  }
  return { simulation, engine, lines, partition: new GuardedPartition(engine, parts) }
}

function batch(): Uint8Array {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(3), 0, 3)
  return builder.bytes.slice(0, builder.finish())
}

const append = (partition: Partition): number => partition.tryAppendUnsafe(batch(), 0, batch().length, 1)
const thrower = (): never => {
  throw new TypeError("no such thing\nand more")
}

test("what an engine does right passes through", async () => {
  const { partition, engine, lines } = guard({})
  assert.equal(append(partition), 0)
  assert.equal(append(partition), 1)
  assert.deepEqual([partition.logStartOffset, partition.highWatermark, partition.logEndOffset], [0, 2, 2])
  assert.equal(partition.leaderEpoch, engine.leaderEpoch)
  assert.equal(partition.sizeBytes, engine.sizeBytes)
  assert.deepEqual(await partition.read(0, 1_000), partition.readUnsafe(0, 1_000))
  assert.deepEqual(await partition.offsetForTimestamp(1), { offset: 0, timestamp: 1 })
  engine.refusal = DISK_FULL
  assert.equal(append(partition), DISK_FULL)
  assert.deepEqual(lines, [])
})

test("an append that throws is refused, in one line; the next one is tried", () => {
  const { partition, engine, lines } = guard({})
  const real = engine.tryAppendUnsafe.bind(engine)
  engine.tryAppendUnsafe = thrower
  assert.equal(append(partition), FAILED)
  assert.deepEqual(lines, ["plugin bad, engine worse: append threw TypeError: no such thing"])
  engine.tryAppendUnsafe = real
  assert.equal(append(partition), 0)
})

test("an append that throws halfway breaks the partition", () => {
  const { partition, engine, lines } = guard({})
  const real = engine.tryAppendUnsafe.bind(engine)
  engine.tryAppendUnsafe = (...args) => {
    real(...args)
    return thrower()
  }
  assert.equal(append(partition), FAILED)
  engine.tryAppendUnsafe = real
  assert.equal(append(partition), FAILED)
  assert.match(lines.join("\n"), /no more batches/)
})

for (const answer of [7, 1.5, Number.NaN, undefined, "0", null]) {
  test(`an append that gives ${String(answer)} breaks the partition; what it holds can be read`, () => {
    const { partition, engine, lines } = guard({})
    assert.equal(append(partition), 0)
    engine.tryAppendUnsafe = () => answer as number
    assert.equal(append(partition), FAILED)
    assert.equal(append(partition), FAILED)
    assert.equal(lines.length, 1)
    assert.ok((partition.readUnsafe(0, 1_000)?.length ?? 0) > 0)
  })
}

test("reads that throw, reject, or give no bytes", async () => {
  const expected = (text: RegExp) => (error: unknown) =>
    error instanceof StorageError && error.reason._tag === "Unusable" && text.test(error.reason.message)
  for (const [read, text] of [
    [thrower, /read failed: TypeError: no such thing/],
    [() => Promise.reject("odd"), /read failed: odd/],
    [() => Promise.resolve("bytes"), /something else than bytes/],
    [() => undefined, /something else than bytes/]
  ] as const) {
    const { partition, lines } = guard({ read, readUnsafe: thrower })
    assert.equal(partition.readUnsafe(0, 10), undefined)
    await assert.rejects(partition.read(0, 10), expected(text))
    assert.equal(lines.length, 2)
  }
  assert.equal(guard({ readUnsafe: () => "bytes" }).partition.readUnsafe(0, 10), undefined)
})

test("an engine's own error is passed on, and is not told twice", async () => {
  const own = new StorageError({ engine: "worse", reason: new DiskFull({ pathname: "x" }) })
  const { partition, lines } = guard({ read: () => Promise.reject(own) })
  await assert.rejects(partition.read(0, 10), (error) => error === own)
  assert.deepEqual(lines, [])
})

for (const name of ["read", "offsetForTimestamp", "deleteBefore", "truncateTo"] as const) {
  test(`${name} that never settles ends after its time, and is not told of where it does`, async () => {
    const { partition, simulation, lines } = guard({ [name]: () => new Promise(() => {}) })
    const asked = partition[name](0, 10)
    simulation.run(ANSWER_TIMEOUT_MS + 1)
    await assert.rejects(asked, StorageError)
    assert.match(lines.join("\n"), new RegExp(`${name} has not answered after 30 s`))
    const other = guard({})
    await other.partition[name](0, 10)
    other.simulation.run(ANSWER_TIMEOUT_MS + 1)
    assert.deepEqual(other.lines, [])
  })
}

test("a position that throws breaks the partition", () => {
  const { partition, engine, lines } = guard({})
  Object.defineProperty(engine, "logEndOffset", { get: thrower })
  assert.equal(partition.logEndOffset, 0)
  assert.equal(append(partition), FAILED)
  assert.ok(lines.length > 0)
})

for (const wrong of [undefined, Number.NaN, Number.POSITIVE_INFINITY, 5n, "12", 7]) {
  test(`a high watermark of ${String(wrong)} is none, and breaks the partition once`, () => {
    const { partition, engine, lines } = guard({})
    append(partition)
    assert.equal(partition.highWatermark, 1)
    Object.defineProperty(engine, "highWatermark", { value: wrong })
    assert.deepEqual([partition.highWatermark, partition.highWatermark], [1, 1])
    assert.equal(append(partition), FAILED)
    assert.equal(lines.length, 1)
  })
}
