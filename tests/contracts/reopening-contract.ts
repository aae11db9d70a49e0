/**
 * What an engine keeps whose partitions are opened by use ({@link Engine.reopens}); part of `engine-contract.ts`.
 *
 * Partitions are opened and closed here as core does it: very often, and while what was appended is still on its way.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import type { Engine, Partition, PartitionKey, PartitionLimits, PartitionOptions } from "../../core/mod.ts"
import { makeBatch } from "./batches.ts"
import { append, assertInvariants, committed, readAll } from "./engine-operations.ts"

/** How long an engine that applies bounds later may take for it. */
const TRIM_MS_MAX = 15_000

export interface ReopeningContractParts {
  readonly engine: () => Engine
  readonly options: () => PartitionOptions
  readonly freshKey: () => PartitionKey
  /** Of an engine that applies bounds: has time pass, and whatever it needs to do so. */
  readonly trimmed: (() => Promise<void>) | undefined
}

interface Held {
  readonly partition: Partition
  readonly close: () => Promise<void>
}

export function reopeningContract({ engine, options, freshKey, trimmed }: ReopeningContractParts): void {
  /** As core opens one: plainly where that can be, else with a scope. */
  const open = async (key: PartitionKey, limits?: PartitionLimits): Promise<Held> => {
    const { reopens } = engine()
    const given = limits === undefined ? options() : { ...options(), limits }
    const partition = reopens?.tryOpen(key, given)
    if (reopens !== undefined && partition !== undefined) return { partition, close: () => reopens.close(partition) }
    const scope = Scope.makeUnsafe()
    const opened = await Effect.runPromise(Scope.provide(engine().open(key, given), scope))
    return { partition: opened, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }

  test("an engine that opens plainly does so, after the first", async () => {
    const { reopens } = engine()
    if (reopens === undefined) return
    await (await open(freshKey())).close()
    const partition = reopens.tryOpen(freshKey(), options())
    assert.ok(partition !== undefined)
    assertInvariants(partition)
    await reopens.close(partition)
  })

  test("a partition that was closed is found as it was, however often", async () => {
    const key = freshKey()
    let end = 0
    for (let round = 0; round < 20; round++) {
      const { partition, close } = await open(key)
      assertInvariants(partition)
      assert.equal(partition.logEndOffset, end)
      assert.equal(partition.highWatermark, end)
      const batch = makeBatch([round, round + 1, round + 2])
      assert.equal(partition.tryAppendUnsafe(batch, 0, batch.length, 3), end)
      end += 3
      if (round % 4 === 3) assert.equal(await partition.deleteBefore(end - 4), end - 4)
      // Closing waits for what is on its way.
      await close()
    }
    const { partition, close } = await open(key)
    assert.equal(partition.logStartOffset, end - 4)
    assert.ok((await readAll(partition, partition.logStartOffset)).length > 0)
    await close()
  })

  test("one that is opened while it is being closed is open", async () => {
    const key = freshKey()
    const first = await open(key)
    const batch = makeBatch([1])
    first.partition.tryAppendUnsafe(batch, 0, batch.length, 1)
    const closing = first.close()
    const second = await open(key)
    assert.equal(second.partition.logEndOffset, 1)
    await closing
    await append(second.partition, batch)
    await committed(second.partition)
    assert.equal(second.partition.highWatermark, 2)
    await second.close()
  })

  test("many are open and closed beside each other", async () => {
    const keys = Array.from({ length: 200 }, freshKey)
    for (let round = 0; round < 3; round++) {
      const held = await Promise.all(keys.map((key) => open(key)))
      for (const { partition } of held) {
        const batch = makeBatch([round])
        assert.equal(partition.tryAppendUnsafe(batch, 0, batch.length, 1), round)
      }
      await Promise.all(held.map(({ close }) => close()))
    }
  })

  if (trimmed === undefined) return
  test("bounds are applied to one that is closed, once it is named", async () => {
    const key = freshKey()
    const { partition, close } = await open(key)
    // Engines forget by batches, or by larger pieces: there are many of both here.
    for (let count = 0; count < 40; count++) await append(partition, makeBatch([1, 2], 400))
    await close()
    const limits = { ...options().limits, sizeBytesMax: 4_000 }
    const startMs = performance.now()
    const other = await open(freshKey())
    for (;;) {
      // Something else happens meanwhile, as it does.
      await append(other.partition, makeBatch([1]))
      engine().trim?.(key, limits)
      engine().trim?.(freshKey(), limits)
      await trimmed()
      const again = await open(key)
      const { logStartOffset, logEndOffset } = again.partition
      await again.close()
      assert.equal(logEndOffset, 80)
      if (logStartOffset > 20) break
      assert.ok(performance.now() - startMs < TRIM_MS_MAX, `it still starts at ${logStartOffset}`)
    }
    await other.close()
  })
}
