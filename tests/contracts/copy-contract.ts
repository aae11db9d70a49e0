/**
 * What an engine keeps that takes copies of other logs (`isCopyTarget`), as a topic is moved to it: offsets, leader epochs and bytes as they
 * are, gaps, a log that begins anywhere, also over restarts where it outlives the process.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { type Engine, type Partition, type PartitionKey, type PartitionOptions, recordBatch } from "../../core/mod.ts"
import { makeBatch } from "./batches.ts"
import type { Restarted } from "./durable-contract.ts"
import { append, assertInvariants, committed, readAll, readAt } from "./engine-operations.ts"

export interface CopyParts {
  readonly engine: () => Engine
  /** Undefined where nothing outlives the process. */
  readonly restarted: Restarted | undefined
  readonly nowMs: () => number
  readonly freshKey: () => PartitionKey
  readonly options: () => PartitionOptions
}

/** A batch as another log has stored it. */
function stored(offset: number, leaderEpoch: number, records: number, mark: number): Uint8Array {
  const bytes = makeBatch(new Array<number>(records).fill(1_000 + mark), 50, mark)
  recordBatch.writeBaseOffset(bytes, 0, offset)
  recordBatch.writeLeaderEpoch(bytes, 0, leaderEpoch)
  return bytes
}

function copy(partition: Partition, batch: Uint8Array): void {
  const offset = partition.tryAppendAsFollowerUnsafe?.(batch, 0, batch.length)
  assert.equal(offset, recordBatch.baseOffset(batch, 0))
}

const BATCHES = [stored(5_000, 2, 3, 1), stored(5_003, 2, 1, 2), stored(5_100, 7, 20, 3), stored(5_120, 7, 2, 4)]
const joined = (batches: ReadonlyArray<Uint8Array>): Uint8Array => new Uint8Array(Buffer.concat(batches))

export function copyContract(parts: CopyParts): void {
  const opened = async (engine: Engine, key: PartitionKey, run: (partition: Partition) => Promise<void>) => {
    const scope = Scope.makeUnsafe()
    try {
      await run(await Effect.runPromise(Scope.provide(engine.open(key, parts.options()), scope)))
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
  const filled = async (partition: Partition): Promise<void> => {
    await partition.truncateFullyAndStartAt?.(5_000, 9)
    for (const batch of BATCHES) copy(partition, batch)
    await committed(partition)
  }
  const check = async (partition: Partition): Promise<void> => {
    assertInvariants(partition)
    assert.deepEqual(await readAll(partition, 5_000), joined(BATCHES))
    assert.equal(partition.logStartOffset, 5_000)
    assert.equal(partition.logEndOffset, 5_122)
    assert.ok(partition.leaderEpoch >= 9, `leader epoch ${partition.leaderEpoch}`)
  }

  test("copied batches keep offsets, epochs and bytes, and the log goes on behind them under its own epoch", async () => {
    await opened(parts.engine(), parts.freshKey(), async (partition) => {
      await filled(partition)
      await check(partition)
      // Within the gap: what comes next.
      assert.equal(recordBatch.baseOffset(await readAt(partition, 5_050, 1), 0), 5_100)
      assert.deepEqual(await partition.offsetForTimestamp(1_003), { offset: 5_100, timestamp: 1_003 })
      assert.equal(await append(partition, makeBatch([9], 10, 9)), 5_122)
      const own = await readAt(partition, 5_122, 1_000)
      assert.equal(recordBatch.partitionLeaderEpoch(own, 0), partition.leaderEpoch)
    })
  })

  test("a log that holds something is begun anew, above and below", async () => {
    await opened(parts.engine(), parts.freshKey(), async (partition) => {
      await filled(partition)
      for (const offset of [70_000, 40]) {
        await partition.truncateFullyAndStartAt?.(offset, 9)
        assert.deepEqual([partition.logStartOffset, partition.logEndOffset, partition.sizeBytes], [offset, offset, 0])
        assert.equal((await readAt(partition, offset, 100)).length, 0)
        assert.equal(await append(partition, makeBatch([1, 2], 10, 9)), offset)
        assertInvariants(partition)
      }
    })
  })

  const { restarted } = parts
  if (restarted === undefined) return
  for (const how of ["crash", "stop"] as const) {
    test(`after a ${how} copies are there as they were, and an empty log goes on where it was begun`, async () => {
      const [key, empty, again] = [parts.freshKey(), parts.freshKey(), parts.freshKey()]
      let next: Engine | undefined
      const engine = parts.engine()
      await opened(engine, key, async (partition) => {
        await filled(partition)
        await opened(engine, empty, async (other) => {
          await other.truncateFullyAndStartAt?.(123, 9)
          await opened(engine, again, async (third) => {
            await filled(third)
            await third.truncateFullyAndStartAt?.(600, 10)
            if (how === "crash") next = await restarted(engine, parts.nowMs, how)
          })
        })
      })
      next ??= await restarted(engine, parts.nowMs, how)
      await opened(next, key, check)
      await opened(next, empty, async (partition) => {
        assert.deepEqual([partition.logStartOffset, partition.logEndOffset], [123, 123])
        assert.ok(partition.leaderEpoch >= 9, `leader epoch ${partition.leaderEpoch}`)
        assert.equal(await append(partition, makeBatch([1], 10, 9)), 123)
      })
      await opened(next, again, async (partition) => {
        assert.deepEqual([partition.logStartOffset, partition.logEndOffset, partition.sizeBytes], [600, 600, 0])
        assert.ok(partition.leaderEpoch >= 10, `leader epoch ${partition.leaderEpoch}`)
        assert.equal(await append(partition, makeBatch([1], 10, 9)), 600)
      })
    })
  }
}
