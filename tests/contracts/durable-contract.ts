/**
 * What an engine keeps that outlives its process: the same log after its partitions were closed, and every committed record after a
 * crash. One test a clause, and random stories with restarts against the plain model.
 *
 * A crash is played by copying what the engine keeps while its partitions are open, and opening the copy: what `kill -9` leaves behind.
 * What power loss leaves behind is less, and is the engine's own tests' to try.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import fc from "fast-check"
import {
  CODEC_GZIP,
  CODEC_ZSTD,
  type Engine,
  type Partition,
  type PartitionKey,
  type PartitionOptions,
  recordBatch
} from "../../core/mod.ts"
import { compressed, makeBatch, recordsOf, splitBatches, withoutRewritten } from "./batches.ts"
import { act, Model, operation } from "./engine-model.ts"
import { append, assertInvariants, committed, readAll, readAt } from "./engine-operations.ts"

/**
 * Another engine over a copy of all that `engine` keeps at this moment, as the next process would find it: after `kill -9`, or after a
 * graceful stop, before which every partition of the process was closed. What keeps more than partitions is to be closed, too, then.
 */
export type Restarted = (engine: Engine, nowMs: () => number, how: "stop" | "crash") => Engine | Promise<Engine>

export interface DurableParts {
  readonly engine: () => Engine
  readonly restarted: Restarted
  readonly nowMs: () => number
  readonly freshKey: () => PartitionKey
  readonly options: () => PartitionOptions
  readonly modelRuns: number
}

/** A process: its engine, and the partitions that it holds. */
class Process {
  readonly engine: Engine
  readonly #parts: DurableParts
  #scope = Scope.makeUnsafe()

  constructor(parts: DurableParts, engine: Engine = parts.engine()) {
    this.#parts = parts
    this.engine = engine
  }

  open(key: PartitionKey): Promise<Partition> {
    return Effect.runPromise(Scope.provide(this.engine.open(key, this.#parts.options()), this.#scope))
  }

  async close(): Promise<void> {
    await Effect.runPromise(Scope.close(this.#scope, Exit.void))
    this.#scope = Scope.makeUnsafe()
  }

  /** The process that comes after `kill -9`; this one is put away afterwards. */
  async crash(): Promise<Process> {
    const next = new Process(this.#parts, await this.#parts.restarted(this.engine, this.#parts.nowMs, "crash"))
    await this.close()
    return next
  }

  /** The process that comes after a graceful stop. */
  async stop(): Promise<Process> {
    await this.close()
    return new Process(this.#parts, await this.#parts.restarted(this.engine, this.#parts.nowMs, "stop"))
  }
}

interface Facts {
  readonly logStartOffset: number
  readonly highWatermark: number
  readonly logEndOffset: number
  readonly leaderEpoch: number
}

function factsOf({ logStartOffset, highWatermark, logEndOffset, leaderEpoch }: Partition): Facts {
  return { logStartOffset, highWatermark, logEndOffset, leaderEpoch }
}

const contentOf = (partition: Partition): Promise<Uint8Array> => readAll(partition, partition.logStartOffset, 50_000)

export function durableContract(parts: DurableParts): void {
  /** A partition with batches of several kinds, all committed. */
  const filled = async (process: Process, key: PartitionKey): Promise<Partition> => {
    const partition = await process.open(key)
    await append(partition, makeBatch([10, 20, 30], 100, 1))
    await append(partition, compressed(makeBatch([40, 50], 400, 2), CODEC_GZIP))
    await append(partition, makeBatch([60], 0, 3))
    await append(partition, compressed(makeBatch([70, 80, 90], 900, 4), CODEC_ZSTD))
    return partition
  }

  test("closed and opened anew it is the same log, and goes on where it ended", async () => {
    const process = new Process(parts)
    const key = parts.freshKey()
    const before = await filled(process, key)
    const facts = factsOf(before)
    const content = await contentOf(before)
    await process.close()
    const partition = await process.open(key)
    assert.deepEqual(factsOf(partition), facts)
    assert.deepEqual(await contentOf(partition), content)
    assert.ok(partition.sizeBytes > 0)
    assert.equal(await append(partition, makeBatch([100], 10, 5)), facts.logEndOffset)
    await process.close()
  })

  test("after a graceful stop the next process finds the same log, the leader epoch too", async () => {
    const key = parts.freshKey()
    const process = new Process(parts)
    const partition = await filled(process, key)
    const facts = factsOf(partition)
    const content = await contentOf(partition)
    const next = await process.stop()
    const found = await next.open(key)
    assert.deepEqual(factsOf(found), facts)
    assert.deepEqual(await contentOf(found), content)
    assert.deepEqual(await found.offsetForTimestamp(45), { offset: facts.logStartOffset + 4, timestamp: 50 })
    await next.close()
  })

  test("after a crash every committed record is there, byte for byte, and a higher leader epoch", async () => {
    const key = parts.freshKey()
    const process = new Process(parts)
    const partition = await filled(process, key)
    const facts = factsOf(partition)
    const content = await contentOf(partition)
    const next = await process.crash()
    const found = await next.open(key)
    assertInvariants(found)
    assert.deepEqual({ ...factsOf(found), leaderEpoch: facts.leaderEpoch }, facts)
    assert.ok(found.leaderEpoch > facts.leaderEpoch, `epoch ${found.leaderEpoch} after ${facts.leaderEpoch}`)
    assert.deepEqual(await contentOf(found), content)
    const base = await append(found, makeBatch([100], 10, 5))
    assert.equal(base, facts.logEndOffset)
    assert.equal(recordBatch.partitionLeaderEpoch(await readAt(found, base, 1), 0), found.leaderEpoch)
    await next.close()
  })

  test("a crash right after appends leaves a beginning of them, with all that was committed", async () => {
    const key = parts.freshKey()
    for (let round = 0; round < 5; round++) {
      const process = new Process(parts)
      const partition = await process.open(key)
      const start = partition.logEndOffset
      const sent = Array.from({ length: 40 }, (_, index) => makeBatch([index, index], 300 * round, index))
      for (const batch of sent) assert.ok(partition.tryAppendUnsafe(batch, 0, batch.length, 2) >= 0)
      for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve))
      const promised = partition.highWatermark
      const next = await process.crash()
      const found = await next.open(key)
      assertInvariants(found)
      assert.ok(found.highWatermark >= promised, `${found.highWatermark} where ${promised} was promised`)
      const kept = found.logEndOffset > start ? splitBatches(await readAll(found, start, 50_000)) : []
      assert.equal(kept.length * 2, found.logEndOffset - start)
      for (const [index, batch] of kept.entries()) {
        assert.deepEqual(withoutRewritten(batch), withoutRewritten(sent[index] ?? batch))
      }
      await next.close()
    }
  })

  test("leader epochs rise with every crash and never repeat", async () => {
    const key = parts.freshKey()
    let process = new Process(parts)
    const epochs: Array<number> = []
    for (let round = 0; round < 6; round++) {
      const partition = await process.open(key)
      epochs.push(partition.leaderEpoch)
      // With nothing appended too: an epoch that was seen is not given out again.
      if (round % 2 === 0) await append(partition, makeBatch([round]))
      if (round === 3) {
        await partition.truncateTo(partition.logEndOffset - 1)
        epochs.push(partition.leaderEpoch)
      }
      process = await process.crash()
    }
    assert.deepEqual(
      epochs,
      [...new Set(epochs)].toSorted((left, right) => left - right)
    )
  })

  for (const how of ["stop", "crash"] as const) {
    test(`log start, truncation and removal outlive a ${how}`, async () => {
      const keys = { cut: parts.freshKey(), emptied: parts.freshKey(), removed: parts.freshKey() }
      const process = new Process(parts)
      const cut = await filled(process, keys.cut)
      const base = cut.logStartOffset
      await cut.truncateTo(base + 6)
      await append(cut, makeBatch([1, 2], 10, 7))
      await cut.deleteBefore(base + 4)
      const emptied = await filled(process, keys.emptied)
      await emptied.deleteBefore(base + 100)
      const end = emptied.logEndOffset
      await filled(process, keys.removed)
      await Effect.runPromise(process.engine.remove(keys.removed))
      const facts = factsOf(cut)
      const content = await contentOf(cut)
      const next = await process[how]()
      const found = await next.open(keys.cut)
      assert.deepEqual({ ...factsOf(found), leaderEpoch: facts.leaderEpoch }, facts)
      assert.ok(found.leaderEpoch >= facts.leaderEpoch)
      assert.equal(found.logStartOffset, base + 4)
      assert.deepEqual(await contentOf(found), content)
      const empty = await next.open(keys.emptied)
      assert.deepEqual([empty.logStartOffset, empty.highWatermark, empty.logEndOffset], [end, end, end])
      assert.equal(empty.sizeBytes, 0)
      assert.equal(await append(empty, makeBatch([5])), end)
      assert.equal((await next.open(keys.removed)).sizeBytes, 0)
      await next.close()
    })
  }

  test("a long log is read anywhere after a restart, many readers at a time, while it grows", async () => {
    const key = parts.freshKey()
    const process = new Process(parts)
    const partition = await process.open(key)
    const start = partition.logEndOffset
    for (let index = 0; index < 400; index++) {
      const batch = makeBatch([index * 10, index * 10 + 5], 1_000, index)
      assert.ok(partition.tryAppendUnsafe(batch, 0, batch.length, 2) >= 0)
      if (index % 50 === 0) await committed(partition)
    }
    await committed(partition)
    const next = await process.crash()
    const found = await next.open(key)
    const reader = async (seed: number): Promise<void> => {
      for (let count = 0; count < 12; count++) {
        const index = (seed * 131 + count * 37) % 800
        const bytes = await readAt(found, start + index, 1 + ((seed * 977) % 9_000))
        const records = recordsOf(bytes)
        const wanted = records.find(({ offset }) => offset === start + index)
        assert.equal(wanted?.timestamp, Math.floor(index / 2) * 10 + (index % 2) * 5)
        const at = await found.offsetForTimestamp(index * 5)
        assert.deepEqual(at, { offset: start + index, timestamp: index * 5 })
      }
    }
    const growing = (async () => {
      for (let index = 0; index < 60; index++) await append(found, makeBatch([1_000_000 + index], 500, index))
    })()
    await Promise.all([growing, ...Array.from({ length: 20 }, (_, seed) => reader(seed))])
    assert.equal(recordsOf(await contentOf(found)).length, 860)
    await next.close()
  })

  test("partitions that were open together are each themselves after a restart", async () => {
    const process = new Process(parts)
    const topicId = parts.freshKey().topicId
    const keys = [0, 1, 11].flatMap((partition) => [0, 1].map((tenant) => ({ tenant, topicId, partition })))
    for (const [mark, key] of keys.entries()) {
      const partition = await process.open(key)
      for (let count = 0; count <= mark; count++) await append(partition, makeBatch([count], 50, mark))
    }
    const next = await process.crash()
    for (const [mark, key] of keys.entries()) {
      const batches = splitBatches(await contentOf(await next.open(key)))
      assert.equal(batches.length, mark + 1)
      for (const [count, batch] of batches.entries()) {
        assert.deepEqual(withoutRewritten(batch), withoutRewritten(makeBatch([count], 50, mark)))
      }
    }
    await next.close()
  })

  test("random operations with stops and crashes agree with a plain model", async () => {
    const restart = fc.constantFrom({ kind: "stop" as const }, { kind: "crash" as const }, { kind: "close" as const })
    const story = fc.array(fc.oneof({ weight: 12, arbitrary: operation }, { weight: 1, arbitrary: restart }), {
      minLength: 5,
      maxLength: 60
    })
    await fc.assert(
      fc.asyncProperty(story, async (steps) => {
        let process = new Process(parts)
        const key = parts.freshKey()
        let partition = await process.open(key)
        const model = new Model(partition)
        // A crash takes back that a partition was opened, too, where nothing came of it: its epoch may be given out once more.
        let isUsed = false
        for (const [mark, step] of steps.entries()) {
          if (step.kind === "stop" || step.kind === "crash") process = await process[step.kind]()
          else if (step.kind === "close") await process.close()
          else if (step.kind !== "reopen") {
            const { start } = model
            await act(partition, model, step, mark)
            isUsed ||= step.kind === "append" || step.kind === "truncateTo" || model.start > start
            continue
          }
          partition = await process.open(key)
          const isRaised = partition.leaderEpoch > model.epoch
          const mustRise = step.kind === "crash" && isUsed
          const mayRise = step.kind === "crash"
          assert.ok(mustRise ? isRaised : partition.leaderEpoch === model.epoch || (mayRise && isRaised))
          isUsed = false
          model.epoch = partition.leaderEpoch
          model.compare(partition)
        }
        await process.close()
      }),
      { numRuns: parts.modelRuns }
    )
  })
}
