/**
 * What an engine keeps that offers compaction ({@link Engine.compaction}): of what core gives back nothing is missing and nothing is torn, for
 * whoever reads, over restarts, and whatever else happens to the log.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import {
  CompactionRound,
  type CompactionStore,
  crc32c,
  type Engine,
  endOffsetOf,
  OffsetMap,
  type Partition,
  type PartitionKey,
  type PartitionOptions,
  ProducerEnds,
  RecordBatchBuilder,
  RecordCursor,
  type RoundResult,
  recordBatch
} from "../../core/mod.ts"
import { splitBatches } from "./batches.ts"
import type { Restarted } from "./durable-contract.ts"
import { append, assertInvariants, readAt } from "./engine-operations.ts"

export interface CompactionParts {
  readonly engine: () => Engine
  /** Has all that is committed lie where compaction finds it, in pieces that are small. */
  readonly putAway: (engine: Engine) => Promise<void>
  readonly restarted: Restarted
  readonly nowMs: () => number
  readonly freshKey: () => PartitionKey
  readonly options: () => PartitionOptions
}

interface KeyedRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string
  readonly value: string | undefined
}

const text = new TextEncoder()
const decoder = new TextDecoder()
/** So short that each survey finds the last segment old enough to be ended, where there are segments. */
const SEGMENTS = { ageMsMax: 0, sizeBytesMax: undefined }
const TOMBSTONE_MS = 60_000

function batchOf(records: ReadonlyArray<Omit<KeyedRecord, "offset">>): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (const { key, value, timestamp } of records) {
    const [keyBytes, valueBytes] = [text.encode(key), value === undefined ? undefined : text.encode(value)]
    builder.append(timestamp, keyBytes, 0, keyBytes.length, valueBytes, 0, valueBytes?.length ?? 0)
  }
  const batch = builder.bytes.slice(0, builder.finish())
  recordBatch.writeInt16(batch, recordBatch.ATTRIBUTES_POSITION, 0)
  recordBatch.writeInt32(batch, recordBatch.CRC_POSITION, crc32c(batch, recordBatch.ATTRIBUTES_POSITION, batch.length))
  return batch
}

function recordsOf(bytes: Uint8Array): ReadonlyArray<KeyedRecord> {
  const records: Array<KeyedRecord> = []
  const cursor = new RecordCursor()
  let end = 0
  for (const batch of splitBatches(bytes)) {
    assert.equal(recordBatch.checkBatch(batch, 0, batch.length), 0, "a batch is whole")
    assert.ok(recordBatch.baseOffset(batch, 0) >= end, "batches lie behind one another")
    end = endOffsetOf(batch, 0)
    assert.equal(cursor.reset(batch, 0, batch.length), 0)
    while (cursor.next()) {
      const { keyStart, keyEnd, valueStart, valueEnd, offset, timestamp } = cursor
      const value = valueStart < 0 ? undefined : decoder.decode(cursor.bytes.subarray(valueStart, valueEnd))
      records.push({ offset, timestamp, key: decoder.decode(cursor.bytes.subarray(keyStart, keyEnd)), value })
    }
    assert.equal(cursor.refusal, 0)
  }
  return records
}

/** All records from `offset` on, in reads of a few bytes, as a reader that follows the log gets them. */
async function recordsFrom(partition: Partition, offset: number): Promise<ReadonlyArray<KeyedRecord>> {
  const found: Array<KeyedRecord> = []
  for (let next = offset; next < partition.highWatermark; ) {
    const bytes = await readAt(partition, next, 700)
    assert.ok(bytes.length > 0, `nothing from offset ${next} of ${partition.highWatermark} on`)
    const batches = splitBatches(bytes)
    const after = endOffsetOf(batches.at(-1) as Uint8Array, 0)
    assert.ok(after > next, "a read leads on")
    found.push(...recordsOf(bytes).filter((record) => record.offset >= next))
    next = after
  }
  return found
}

const valuesOf = (records: ReadonlyArray<KeyedRecord>): string =>
  records.map(({ offset, key, value = "-" }) => `${offset}:${key}=${value}`).join(" ")

export function compactionContract(parts: CompactionParts): void {
  const { putAway, nowMs, freshKey } = parts
  const storeOf = (engine: Engine): CompactionStore => {
    assert.ok(engine.compaction !== undefined)
    return engine.compaction
  }
  const opened = async (engine: Engine, key: PartitionKey, run: (partition: Partition) => Promise<void>) => {
    const scope = Scope.makeUnsafe()
    try {
      await run(await Effect.runPromise(Scope.provide(engine.open(key, parts.options()), scope)))
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
  const compact = async (engine: Engine, key: PartitionKey, laterMs = 0): Promise<RoundResult> => {
    await putAway(engine)
    const store = storeOf(engine)
    const survey = await store.survey(key, SEGMENTS)
    assert.ok(survey !== undefined, "there is something")
    assert.ok(survey.logStart <= survey.cleanedTo && survey.cleanedTo <= survey.activeFrom, JSON.stringify(survey))
    const now = nowMs() + laterMs
    const map = new OffsetMap({ bytesMax: 100_000, secret: Int32Array.of(1, 2, 3, 4) })
    const clock = { monotonicMs: () => performance.now(), immediate: (task: () => void) => void setImmediate(task) }
    const pace = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    const round = new CompactionRound(
      { store, key, survey, map, producers: new ProducerEnds(now), pace, clock },
      { nowMs: now, tombstoneMs: TOMBSTONE_MS, lagMsMin: 0, isWorth: () => true, isOver: () => false }
    )
    return round.run()
  }
  /** `count` batches of two records each, with keys that come back. */
  const fill = async (partition: Partition, count: number, first = 0): Promise<void> => {
    for (let at = first; at < first + count; at++) {
      const record = (key: number, timestamp: number) => ({
        key: `k${key}`,
        value: `v${at}${"x".repeat(60)}`,
        timestamp
      })
      await append(partition, batchOf([record(at % 7, 1_000 + at), record(7 + (at % 3), 1_000 + at)]))
    }
  }
  /** The last record of each key below `cleanedTo`, and all behind. */
  const modelOf = (records: ReadonlyArray<KeyedRecord>, cleanedTo: number): ReadonlyArray<KeyedRecord> => {
    const last = new Map<string, number>()
    for (const { key, offset } of records) if (offset < cleanedTo) last.set(key, offset)
    return records.filter(({ key, offset }) => offset >= cleanedTo || last.get(key) === offset)
  }
  const check = async (partition: Partition, model: ReadonlyArray<KeyedRecord>): Promise<void> => {
    assertInvariants(partition)
    const { logStartOffset, highWatermark } = partition
    assert.deepEqual(await recordsFrom(partition, logStartOffset), model)
    for (let offset = logStartOffset; offset < highWatermark; offset += 1 + Math.floor(highWatermark / 40)) {
      const [first] = recordsOf(await readAt(partition, offset, 1)).filter((record) => record.offset >= offset)
      if (first !== undefined)
        assert.deepEqual(
          first,
          model.find((record) => record.offset >= offset)
        )
    }
    for (const { timestamp } of model.filter((_, at) => at % 5 === 0)) {
      const found = model.find((record) => record.timestamp >= timestamp)
      const expected = found && { offset: found.offset, timestamp: found.timestamp }
      assert.deepEqual(await partition.offsetForTimestamp(timestamp), expected)
    }
  }

  test("of each key the last record stays, at its offset; the log's bounds stay, and it goes on", async () => {
    const key = freshKey()
    await opened(parts.engine(), key, async (partition) => {
      await fill(partition, 60)
      const before = await recordsFrom(partition, 0)
      const size = partition.sizeBytes
      const result = await compact(parts.engine(), key)
      assert.equal(result.outcome, "done")
      assert.ok(result.cleanedTo >= 100 && result.recordsRemoved > 80, JSON.stringify(result))
      assert.ok(result.bytesRead > 0 && result.bytesWritten > 0)
      await check(partition, modelOf(before, result.cleanedTo))
      assert.deepEqual([partition.logStartOffset, partition.logEndOffset], [0, 120])
      assert.ok(partition.sizeBytes < size / 2, `${partition.sizeBytes} of ${size} bytes`)
      const survey = await storeOf(parts.engine()).survey(key, SEGMENTS)
      assert.deepEqual([survey?.logStart, survey?.cleanedTo, survey?.dirtyBytes], [0, result.cleanedTo, 0])
      await fill(partition, 20, 60)
      const again = await recordsFrom(partition, 0)
      await check(partition, modelOf(again, (await compact(parts.engine(), key)).cleanedTo))
      assert.equal(partition.logEndOffset, 160)
    })
  })

  test("tombstones go when their time is over, and nothing comes back", async () => {
    const key = freshKey()
    await opened(parts.engine(), key, async (partition) => {
      await append(partition, batchOf([{ key: "a", value: "1", timestamp: 1 }]))
      await append(partition, batchOf([{ key: "a", value: undefined, timestamp: 2 }]))
      await fill(partition, 3)
      await compact(parts.engine(), key)
      assert.match(valuesOf(await recordsFrom(partition, 0)), /^1:a=- 2:/)
      await fill(partition, 3)
      await compact(parts.engine(), key, TOMBSTONE_MS - 60_000)
      assert.match(valuesOf(await recordsFrom(partition, 0)), /^1:a=- /)
      await fill(partition, 3)
      await compact(parts.engine(), key, TOMBSTONE_MS)
      assert.doesNotMatch(valuesOf(await recordsFrom(partition, 0)), /a=/)
    })
  })

  for (const how of ["crash", "stop"] as const) {
    test(`after a ${how} a compacted log is as it was, and known to be compacted`, async () => {
      const key = freshKey()
      let model: ReadonlyArray<KeyedRecord> = []
      let cleanedTo = 0
      let next: Engine | undefined
      await opened(parts.engine(), key, async (partition) => {
        await fill(partition, 60)
        ;({ cleanedTo } = await compact(parts.engine(), key))
        // What came since is in the journal alone.
        await fill(partition, 5, 60)
        model = await recordsFrom(partition, 0)
        if (how === "crash") next = await parts.restarted(parts.engine(), nowMs, how)
      })
      next ??= await parts.restarted(parts.engine(), nowMs, how)
      const engine = next
      await opened(engine, key, async (partition) => {
        await check(partition, model)
        await putAway(engine)
        assert.equal((await storeOf(engine).survey(key, SEGMENTS))?.cleanedTo, cleanedTo)
        await fill(partition, 30, 70)
        const before = await recordsFrom(partition, 0)
        await check(partition, modelOf(before, (await compact(engine, key)).cleanedTo))
      })
    })
  }

  test("who reads while it is compacted gets whole batches in order, none of them twice, and every last record", async () => {
    const key = freshKey()
    await opened(parts.engine(), key, async (partition) => {
      await fill(partition, 80)
      await putAway(parts.engine())
      let isOver = false
      let reads = 0
      const reader = async (offset: number): Promise<void> => {
        while (!isOver) {
          await new Promise((resolve) => setImmediate(resolve))
          const records = await recordsFrom(partition, offset)
          reads += 1
          const last = new Map(records.map(({ key: name, offset: at }) => [name, at]))
          for (let key = 0; key < 7; key++) assert.ok((last.get(`k${key}`) ?? -1) >= 140, `key ${key}`)
          assert.ok(records.every((record, at) => at === 0 || record.offset > (records[at - 1]?.offset ?? -1)))
        }
      }
      const readers = [reader(0), reader(33), reader(100)]
      for (let round = 0; round < 4; round++) {
        await compact(parts.engine(), key)
        await fill(partition, 8, 80 + round * 8)
      }
      isOver = true
      await Promise.all(readers)
      assert.ok(reads > 3, `${reads} reads`)
    })
  })

  test("a log that changed meanwhile is not replaced, and nothing of it is lost", async () => {
    const changes: ReadonlyArray<(partition: Partition) => Promise<unknown>> = [
      (partition) => partition.truncateTo(10),
      (partition) => partition.deleteBefore(partition.logEndOffset - 1)
    ]
    for (const change of changes) {
      const key = freshKey()
      await opened(parts.engine(), key, async (partition) => {
        await fill(partition, 60)
        await putAway(parts.engine())
        const store = storeOf(parts.engine())
        const survey = await store.survey(key, SEGMENTS)
        const replacement = await store.replace(key, survey?.logStart ?? 0)
        assert.ok(replacement !== undefined)
        const [first] = splitBatches(await store.read(key, 0, replacement.end, 1))
        await replacement.add(first?.slice() as Uint8Array, false)
        await change(partition)
        await fill(partition, 4, 60)
        await putAway(parts.engine())
        const model = await recordsFrom(partition, partition.logStartOffset)
        assert.equal(await replacement.commit(replacement.end), undefined)
        await check(partition, model)
      })
    }
  })

  test("what is aborted leaves everything as it is", async () => {
    const key = freshKey()
    await opened(parts.engine(), key, async (partition) => {
      await fill(partition, 30)
      const model = await recordsFrom(partition, 0)
      await putAway(parts.engine())
      const store = storeOf(parts.engine())
      await store.survey(key, SEGMENTS)
      const replacement = await store.replace(key, 0)
      const [first] = splitBatches(await store.read(key, 0, 60, 1))
      await replacement?.add(first?.slice() as Uint8Array, true)
      await replacement?.abort()
      await check(partition, model)
      assert.equal((await compact(parts.engine(), key)).outcome, "done")
    })
  })

  test("a log is deleted from, cut and begun anew after a compaction as before one", async () => {
    const key = freshKey()
    await opened(parts.engine(), key, async (partition) => {
      await fill(partition, 60)
      await compact(parts.engine(), key)
      // Somewhere in what is left out now.
      assert.equal(await partition.deleteBefore(41), 41)
      let model = await recordsFrom(partition, 41)
      assert.ok(model.every(({ offset }) => offset >= 41))
      await putAway(parts.engine())
      await check(partition, model)
      await fill(partition, 30, 60)
      await compact(parts.engine(), key)
      model = await recordsFrom(partition, 41)
      // Cut below what is compacted: what comes then is not compacted.
      const end = await partition.truncateTo((model.at(-8)?.offset ?? 0) - 1)
      assert.ok(end <= partition.logEndOffset)
      await fill(partition, 2, 3)
      await putAway(parts.engine())
      await fill(partition, 20, 3)
      await fill(partition, 20, 3)
      const before = await recordsFrom(partition, partition.logStartOffset)
      await check(partition, modelOf(before, (await compact(parts.engine(), key)).cleanedTo))
      await partition.truncateFullyAndStartAt?.(5_000, partition.leaderEpoch)
      await fill(partition, 20)
      await fill(partition, 20)
      const anew = await recordsFrom(partition, 5_000)
      await check(partition, modelOf(anew, (await compact(parts.engine(), key)).cleanedTo))
      assert.equal(partition.logStartOffset, 5_000)
    })
  })

  test("a partition that is closed is compacted, one that is not there is not", async () => {
    const key = freshKey()
    await opened(parts.engine(), key, (partition) => fill(partition, 60))
    assert.equal((await compact(parts.engine(), key)).outcome, "done")
    await opened(parts.engine(), key, async (partition) => {
      assert.ok((await recordsFrom(partition, 0)).length < 40)
    })
    const store = storeOf(parts.engine())
    assert.equal(await store.survey(freshKey(), SEGMENTS), undefined)
    assert.equal(await store.replace(freshKey(), 0), undefined)
    assert.equal((await store.read(freshKey(), 0, 10, 10)).length, 0)
    await Effect.runPromise(parts.engine().remove(key))
    await putAway(parts.engine())
    assert.equal(await store.survey(key, SEGMENTS), undefined)
  })
}
