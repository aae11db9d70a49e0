/** The ring against the simplest thing that could work, alone and with others of one budget; and readers beside what is forgotten. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { RecordBatchBuilder, recordBatch } from "../../core/mod.ts"
import { Simulation } from "../../core/platform/simulated.ts"
import { Ages, TICK_MS } from "./Ages.ts"
import { lineOf, MemoryBudget } from "./MemoryBudget.ts"
import { BATCH_BYTES, MemoryPartition } from "./MemoryPartition.ts"

/** A batch whose bytes say which it is. */
function batchOf(records: number, valueBytes: number, mark: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(valueBytes).fill(mark)
  for (let index = 0; index < records; index++) builder.append(mark, undefined, 0, 0, value, 0, valueBytes)
  return builder.bytes.slice(0, builder.finish())
}

/** What does not depend on where the batch is stored. */
const contentOf = (batch: Uint8Array): string => Buffer.from(batch.subarray(16)).toString("latin1")

interface Kept {
  readonly base: number
  readonly records: number
  readonly content: string
  readonly size: number
  readonly atMs: number
}

interface Limits {
  readonly sizeBytesMax: number
  readonly recordsMax: number
  readonly ageMsMax: number
}

/** An array of batches that is trimmed from its front. */
class RingModel {
  kept: Array<Kept> = []
  start = 0
  end = 0
  readonly trimmed = { age: 0, size: 0, records: 0, budget: 0 }
  readonly #limits: Limits

  constructor(limits: Limits) {
    this.#limits = limits
  }

  append(batch: Uint8Array, records: number, nowMs: number): void {
    this.kept.push({ base: this.end, records, content: contentOf(batch), size: batch.length, atMs: nowMs })
    this.end += records
    const { sizeBytesMax, recordsMax, ageMsMax } = this.#limits
    while (this.kept.length > 1) {
      if (this.#sum("size") > sizeBytesMax) this.#forget("size")
      else if (this.#sum("records") > recordsMax) this.#forget("records")
      else if (ageMsMax > 0 && (this.kept[0]?.atMs ?? 0) + ageMsMax <= nowMs) this.#forget("age")
      else break
    }
  }

  /** Nobody has written until now. */
  aged(nowMs: number): void {
    const { ageMsMax } = this.#limits
    while (ageMsMax > 0 && this.kept.length > 0 && (this.kept[0]?.atMs ?? 0) + ageMsMax <= nowMs) this.#forget("age")
  }

  deleteBefore(offset: number): void {
    this.start = Math.max(this.start, Math.min(offset, this.end))
    this.kept = this.kept.filter(({ base, records }) => base + records > this.start)
  }

  truncateTo(offset: number): void {
    const kept = this.kept.filter(({ base, records }) => base + records <= offset)
    const cut = this.kept[kept.length]
    this.kept = kept
    if (cut !== undefined) this.end = cut.base
    if (kept.length === 0) this.end = Math.min(this.end, offset)
    this.start = Math.min(this.start, this.end)
  }

  get sizeBytes(): number {
    return this.#sum("size")
  }

  #sum(field: "size" | "records"): number {
    return this.kept.reduce((sum, batch) => sum + batch[field], 0)
  }

  #forget(reason: "age" | "size" | "records"): void {
    const oldest = this.kept.shift()
    assert.ok(oldest !== undefined)
    this.trimmed[reason] += oldest.size
    this.start = Math.max(this.start, oldest.base + oldest.records)
  }
}

/** Every batch that a view holds, as it is found there. */
function batchesIn(view: Uint8Array): Array<{ base: number; content: string }> {
  const found: Array<{ base: number; content: string }> = []
  for (let at = 0; at < view.length; ) {
    const size = recordBatch.batchSize(view, at, view.length)
    assert.ok(size > 0, "a view holds whole batches")
    const batch = view.subarray(at, at + size)
    assert.equal(recordBatch.checkBatch(batch, 0, size), 0)
    found.push({ base: recordBatch.baseOffset(batch, 0), content: contentOf(batch) })
    at += size
  }
  return found
}

/** From a little before the log's start (0) to a little behind its end (1). */
const place = fc.double({ min: 0, max: 1, noNaN: true })
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      records: fc.integer({ min: 1, max: 9 }),
      valueBytes: fc.oneof(fc.nat(60), fc.nat(3_000))
    })
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(4_000) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("read" as const), at: place, maxBytes: fc.nat(9_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), at: place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncate" as const), at: place }) }
)
const limits = fc.record({
  sizeBytesMax: fc.constantFrom(200, 5_000, 40_000, Number.POSITIVE_INFINITY),
  recordsMax: fc.constantFrom(1, 20, 300, Number.POSITIVE_INFINITY),
  ageMsMax: fc.constantFrom(0, 1, 3_000, 10_000)
})

test("random stories with any limits agree with a plain model, and what was read never changes", () => {
  fc.assert(
    fc.property(limits, fc.array(step, { minLength: 5, maxLength: 120 }), (given, steps) => {
      const simulation = new Simulation(1)
      const { clock } = simulation
      const budget = new MemoryBudget(1_000_000_000)
      const ages = new Ages(clock)
      const parts = { budget, ages, monotonicMs: clock.monotonicMs }
      const partition = new MemoryPartition(given, parts, { offset: 0, leaderEpoch: 0 })
      const model = new RingModel(given)
      const views: Array<{ view: Uint8Array; copy: Uint8Array }> = []
      const offsetAt = (at: number): number => Math.floor(model.start - 2 + at * (model.end - model.start + 4))
      for (const [mark, each] of steps.entries()) {
        if (each.kind === "append") {
          const batch = batchOf(each.records, each.valueBytes, mark)
          assert.equal(partition.tryAppendUnsafe(batch, 0, batch.length, each.records), model.end)
          model.append(batch, each.records, clock.monotonicMs())
        } else if (each.kind === "wait") {
          // As long as it takes until the look that sees all that is due now.
          const untilMs = clock.monotonicMs() + each.ms
          simulation.run(untilMs)
          model.aged(untilMs - TICK_MS)
          while (model.start < partition.logStartOffset) {
            const dueMs = (model.kept[0]?.atMs ?? 0) + given.ageMsMax
            assert.ok(dueMs <= untilMs, "nothing goes early")
            model.aged(dueMs)
          }
        } else if (each.kind === "delete") {
          const offset = Math.max(0, offsetAt(each.at))
          void partition.deleteBefore(offset)
          model.deleteBefore(offset)
        } else if (each.kind === "truncate") {
          const offset = Math.max(0, offsetAt(each.at))
          void partition.truncateTo(offset)
          model.truncateTo(offset)
        } else {
          const offset = offsetAt(each.at)
          const view = partition.readUnsafe(offset, each.maxBytes)
          if (offset < model.start || offset > model.end) assert.equal(view, undefined)
          else {
            assert.ok(view !== undefined)
            const expected = model.kept.filter(({ base, records }) => base + records > offset)
            const found = batchesIn(view)
            assert.equal(found.length > 0, expected.length > 0)
            for (const [index, { base, content }] of found.entries()) {
              assert.deepEqual([base, content], [expected[index]?.base, expected[index]?.content])
            }
            views.push({ view, copy: view.slice() })
          }
        }
        assert.deepEqual([partition.logStartOffset, partition.logEndOffset], [model.start, model.end])
        assert.equal(partition.sizeBytes, model.sizeBytes)
        assert.deepEqual(budget.trimmed, model.trimmed)
        assert.equal(budget.used, partition.heldBytes)
        assert.ok(partition.heldBytes >= partition.sizeBytes + model.kept.length * BATCH_BYTES)
        assert.equal(partition.heldBytes === 0, model.kept.length === 0)
      }
      for (const { view, copy } of views) assert.deepEqual(view, copy)
    }),
    { numRuns: 300 }
  )
})

test("partitions of one budget: it is kept, and whoever pays was in the line of the largest", () => {
  const append = fc.record({ at: fc.nat(7), valueBytes: fc.oneof(fc.nat(100), fc.nat(9_000)), leaves: fc.nat(40) })
  fc.assert(
    fc.property(
      fc.integer({ min: 5_000, max: 90_000 }),
      fc.array(append, { minLength: 20, maxLength: 300 }),
      (max, steps) => {
        const budget = new MemoryBudget(max)
        const ages = new Ages({ monotonicMs: () => 0, after: () => ({ cancel: () => {} }) })
        const unlimited = Number.POSITIVE_INFINITY
        const open = (): MemoryPartition =>
          new MemoryPartition(
            { sizeBytesMax: unlimited, recordsMax: unlimited, ageMsMax: 0 },
            { budget, ages, monotonicMs: () => 0 },
            { offset: 0, leaderEpoch: 0 }
          )
        const partitions = Array.from({ length: 8 }, open)
        let appended = 0
        let left = 0
        for (const [mark, { at, valueBytes, leaves }] of steps.entries()) {
          const grown = partitions[at]
          assert.ok(grown !== undefined)
          const held = partitions.map(({ heldBytes }) => heldBytes)
          const starts = partitions.map(({ logStartOffset }) => logStartOffset)
          const batch = batchOf(1, valueBytes, mark)
          grown.tryAppendUnsafe(batch, 0, batch.length, 1)
          appended += batch.length
          assert.equal(
            budget.used,
            partitions.reduce((sum, { heldBytes }) => sum + heldBytes, 0)
          )
          const isAlone = partitions.every((each) => each === grown || each.heldBytes === 0)
          assert.ok(budget.used <= max || (isAlone && grown.logEndOffset - grown.logStartOffset === 1))
          for (const [index, each] of partitions.entries()) {
            if (each === grown || each.logStartOffset === starts[index]) continue
            // No other that could have paid was, or is now, twice as large as the one that did.
            const others: ReadonlyArray<MemoryPartition> = partitions.filter(
              (other) => other !== grown && other !== each
            )
            assert.ok(others.every(({ heldBytes }) => lineOf(heldBytes) <= lineOf(held[index] ?? 0)))
          }
          assert.ok(grown.readUnsafe(grown.logEndOffset - 1, 1) !== undefined, "what was taken just now can be read")
          if (leaves !== 0) continue
          left += grown.sizeBytes
          grown.close()
          partitions[at] = open()
        }
        const kept = partitions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
        assert.equal(budget.trimmed.budget, appended - left - kept)
      }
    ),
    { numRuns: 200 }
  )
})

test("readers that fall behind while batches go are told so, and never get a torn one", async () => {
  const budget = new MemoryBudget(120_000)
  const ages = new Ages({ monotonicMs: () => 0, after: () => ({ cancel: () => {} }) })
  const parts = { budget, ages, monotonicMs: () => 0 }
  const unlimited = Number.POSITIVE_INFINITY
  const limits = { sizeBytesMax: 60_000, recordsMax: unlimited, ageMsMax: 0 }
  const [read, flooded] = [0, 1].map(() => new MemoryPartition(limits, parts, { offset: 0, leaderEpoch: 0 }))
  assert.ok(read !== undefined && flooded !== undefined)
  const marks: Array<number> = []
  let isOver = false
  let lost = 0
  let seen = 0
  const reader = async (pace: number): Promise<void> => {
    for (let next = 0; !isOver || next < read.logEndOffset; ) {
      for (let turn = 0; turn < pace; turn++) await new Promise((resolve) => setImmediate(resolve))
      const view: Uint8Array = read.readUnsafe(next, 5_000) ?? (await read.read(next, 5_000))
      if (view.length === 0) {
        if (next < read.logStartOffset) {
          lost += 1
          assert.equal(read.readUnsafe(next, 5_000), undefined)
          next = read.logStartOffset
        }
        continue
      }
      // Others append and forget while it is held.
      await new Promise((resolve) => setImmediate(resolve))
      for (const { base, content } of batchesIn(view)) {
        assert.equal(content, contentOf(batchOf(2, 300, marks[base / 2] ?? -1)))
        next = base + 2
        seen += 1
      }
    }
  }
  const writer = async (): Promise<void> => {
    for (let mark = 0; mark < 3_000; mark++) {
      const batch = batchOf(2, 300, mark % 256)
      marks.push(mark % 256)
      read.tryAppendUnsafe(batch, 0, batch.length, 2)
      if (mark % 3 === 0) flooded.tryAppendUnsafe(batch, 0, batch.length, 2)
      if (mark % 20 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    isOver = true
  }
  await Promise.all([writer(), reader(0), reader(1), reader(9), reader(40)])
  assert.ok(lost > 100 && seen > 500, `${lost} lost places, ${seen} batches seen`)
  assert.ok(budget.trimmed.budget > 0 && budget.trimmed.size > 0)
})
