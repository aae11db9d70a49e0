/**
 * An engine's partition against the simplest thing that could work: an array of batches. Random operations, the same on both, and
 * after each one every observable fact is compared.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { type Partition, type PartitionKey, recordBatch } from "../../core/mod.ts"
import { makeBatch, splitBatches, withoutRewritten } from "./batches.ts"
import { append, assertInvariants, committed, readAt } from "./engine-operations.ts"

interface ModelBatch {
  readonly baseOffset: number
  readonly epoch: number
  readonly timestamps: ReadonlyArray<number>
  readonly bytes: Uint8Array
}

export class Model {
  batches: Array<ModelBatch> = []
  start: number
  end: number
  epoch: number

  constructor(partition: Partition) {
    this.start = partition.logStartOffset
    this.end = partition.logEndOffset
    this.epoch = partition.leaderEpoch
  }

  /** What can be seen without reading. */
  compare(partition: Partition): void {
    assertInvariants(partition)
    assert.equal(partition.logStartOffset, this.start, "log start offset")
    assert.equal(partition.logEndOffset, this.end, "log end offset")
    assert.equal(partition.highWatermark, this.end, "high watermark")
    assert.equal(partition.leaderEpoch, this.epoch, "leader epoch")
  }

  append(timestamps: ReadonlyArray<number>, bytes: Uint8Array): number {
    const baseOffset = this.end
    this.batches.push({ baseOffset, epoch: this.epoch, timestamps, bytes })
    this.end += timestamps.length
    return baseOffset
  }

  deleteBefore(offset: number): number {
    this.start = Math.max(this.start, Math.min(offset, this.end))
    this.batches = this.batches.filter((batch) => batch.baseOffset + batch.timestamps.length > this.start)
    return this.start
  }

  truncateTo(offset: number): number {
    const kept = this.batches.filter((batch) => batch.baseOffset + batch.timestamps.length <= offset)
    const cut = this.batches[kept.length]
    this.batches = kept
    if (cut !== undefined) this.end = cut.baseOffset
    if (kept.length === 0) this.end = Math.min(this.end, offset)
    this.start = Math.min(this.start, this.end)
    return this.end
  }

  /** The batches that a read may begin with. */
  from(offset: number): ReadonlyArray<ModelBatch> {
    return this.batches.filter((batch) => batch.baseOffset + batch.timestamps.length > offset)
  }

  offsetForTimestamp(timestamp: number): { offset: number; timestamp: number } | undefined {
    for (const batch of this.batches) {
      for (const [index, at] of batch.timestamps.entries()) {
        const offset = batch.baseOffset + index
        if (at >= timestamp && offset >= this.start) return { offset, timestamp: at }
      }
    }
    return undefined
  }
}

export type Operation =
  | { readonly kind: "append"; readonly timestamps: ReadonlyArray<number>; readonly valueBytes: number }
  | { readonly kind: "deleteBefore" | "truncateTo"; readonly at: number }
  | { readonly kind: "read"; readonly at: number; readonly maxBytes: number }
  | { readonly kind: "time"; readonly timestamp: number }
  | { readonly kind: "reopen" }

/** A place in the log: from a little before its start (0) to a little past its end (1). */
const place = fc.double({ min: 0, max: 1, noNaN: true })

export const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      timestamps: fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 6 }),
      valueBytes: fc.nat(900)
    })
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("deleteBefore" as const), at: place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("truncateTo" as const), at: place }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("read" as const), at: place, maxBytes: fc.nat(4_000) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("time" as const), timestamp: fc.integer({ min: -1, max: 510 }) })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) }
)

/** Adds the test that compares `runs` random stories with the model. */
export function engineModel(
  open: (key: PartitionKey) => Promise<Partition>,
  freshKey: () => PartitionKey,
  runs: number
): void {
  test("random operations agree with a plain model", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 80 }), async (operations) => {
        const key = freshKey()
        let partition = await open(key)
        const model = new Model(partition)
        for (const [index, step] of operations.entries()) {
          if (step.kind === "reopen") partition = await open(key)
          else await act(partition, model, step, index)
          model.compare(partition)
        }
      }),
      { numRuns: runs }
    )
  })
}

export async function act(partition: Partition, model: Model, step: Operation, mark: number): Promise<void> {
  const offsetAt = (at: number): number => Math.floor(model.start - 2 + at * (model.end - model.start + 4))
  switch (step.kind) {
    case "append": {
      const bytes = makeBatch(step.timestamps, step.valueBytes, mark)
      assert.equal(await append(partition, bytes), model.append(step.timestamps, bytes))
      return
    }
    case "deleteBefore": {
      const offset = Math.max(0, offsetAt(step.at))
      assert.equal(await partition.deleteBefore(offset), model.deleteBefore(offset))
      return
    }
    case "truncateTo": {
      const offset = Math.max(0, offsetAt(step.at))
      const before = partition.leaderEpoch
      assert.equal(await partition.truncateTo(offset), model.truncateTo(offset))
      assert.ok(partition.leaderEpoch > before, "a truncation raises the leader epoch")
      model.epoch = partition.leaderEpoch
      await committed(partition)
      return
    }
    case "time":
      assert.deepEqual(await partition.offsetForTimestamp(step.timestamp), model.offsetForTimestamp(step.timestamp))
      return
    case "read": {
      const offset = offsetAt(step.at)
      if (offset < model.start || offset > model.end) {
        assert.equal(partition.readUnsafe(offset, step.maxBytes), undefined)
        return
      }
      compareRead(await readAt(partition, offset, step.maxBytes), model.from(offset), step.maxBytes)
    }
  }
}

/** A read is a prefix of what the model holds from there on: at least one batch, and no more than the bound allows. */
function compareRead(bytes: Uint8Array, expected: ReadonlyArray<ModelBatch>, maxBytes: number): void {
  const batches = splitBatches(bytes)
  assert.ok(batches.length <= expected.length)
  assert.equal(batches.length > 0, expected.length > 0)
  assert.ok(batches.length <= 1 || bytes.length <= maxBytes)
  for (const [index, batch] of batches.entries()) {
    const { baseOffset, epoch, bytes: original } = expected[index] as ModelBatch
    assert.equal(recordBatch.baseOffset(batch, 0), baseOffset)
    assert.equal(recordBatch.partitionLeaderEpoch(batch, 0), epoch)
    assert.deepEqual(withoutRewritten(batch), withoutRewritten(original))
  }
}
