/**
 * What every storage engine keeps, ours or a third party's: the clauses of `core/log/Engines.ts`, one test each, and a run of random
 * operations against a plain model (`engine-model.ts`).
 *
 * Usage, in a test file of your own:
 *
 *     engineContract("storage-mine", (nowMs) => makeMyEngine(nowMs))
 *
 * The suite opens partitions under fresh topic ids and never looks behind the public contract. An engine whose commits come later
 * than its appends is waited for; one that reads from a disk may answer `undefined` to `readUnsafe` and is asked by `read` then.
 */
import assert from "node:assert/strict"
import { after, before, describe, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { epochEndOf } from "../../core/log/epoch-ends.ts"
import type { ReadableLog } from "../../core/log/local-answers.ts"
import {
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  checkRecords,
  defaultRecordLimits,
  type Engine,
  type Mode,
  type Partition,
  type PartitionEvents,
  type PartitionKey,
  type PartitionLimits,
  type PartitionOptions,
  recordBatch
} from "../../core/mod.ts"
import { compressed, makeBatch, recordsOf, splitBatches, withoutRewritten } from "./batches.ts"
import { compactionContract } from "./compaction-contract.ts"
import { copyContract } from "./copy-contract.ts"
import { durableContract, type Restarted } from "./durable-contract.ts"
import { engineModel } from "./engine-model.ts"
import { append, assertInvariants, committed, readAll, readAt } from "./engine-operations.ts"
import { reopeningContract } from "./reopening-contract.ts"

export interface EngineContractOptions {
  /** The modes to try, each with the whole suite; the engine's first one where none are named. */
  readonly modes?: ReadonlyArray<Mode>
  /** Of an engine whose partitions outlive its process: then the clauses of `durable-contract.ts` are tried too. */
  readonly restarted?: Restarted
  /** Whether limits hold after each append ("exact"), or later and by larger pieces ("late"): then they are not tested here. */
  readonly limits?: "exact" | "late"
  /** Whether a log in mode memory begins where it is told to: see `start` of `PartitionOptions`. */
  readonly heedsStart?: boolean
  /** Of an engine that applies bounds to partitions that are closed: awaited until they may have been. */
  readonly trimmed?: () => Promise<void>
  /** Of an engine that is a target of copies ({@link Engine.isCopyTarget}): then the clauses of `copy-contract.ts` are tried too. */
  readonly takesCopies?: boolean
  /** Of an engine that offers compaction: has all that is committed lie where that finds it. Then `compaction-contract.ts` is tried too. */
  readonly putAway?: (engine: Engine) => Promise<void>
  /** Runs of the model; each is some dozens of operations. */
  readonly modelRuns?: number
}

/** Makes an engine; `nowMs` is the wall clock that ages are measured by. */
export type MakeEngine = (nowMs: () => number) => Engine | Promise<Engine>

export const UNLIMITED: PartitionLimits = {
  sizeBytesMax: Number.POSITIVE_INFINITY,
  recordsMax: Number.POSITIVE_INFINITY,
  ageMsMax: 0
}

const NO_EVENTS: PartitionEvents = { committed: () => {}, failed: () => {} }
const NOW_MS = 1_700_000_000_000
/** How long bounds may take that are applied later. */
const RELIMIT_MS_MAX = 20_000

/** Runs the whole suite under `name`. */
export function engineContract(name: string, makeEngine: MakeEngine, options: EngineContractOptions = {}): void {
  for (const mode of options.modes ?? [undefined]) {
    const title = mode === undefined ? name : `${name}, mode ${mode}`
    describe(`engine contract: ${title}`, () => suite(makeEngine, mode, options))
  }
}

function suite(makeEngine: MakeEngine, givenMode: Mode | undefined, options: EngineContractOptions): void {
  let engine: Engine
  let scope: Scope.Closeable
  let nowMs = NOW_MS
  let topics = 0

  before(async () => {
    engine = await makeEngine(() => nowMs)
    scope = Scope.makeUnsafe()
  })
  after(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  const freshKey = (): PartitionKey => ({ tenant: 0, topicId: `contract-${++topics}`, partition: 0 })
  const mode = (): Mode => givenMode ?? engine.modes[0] ?? "memory"
  const openWith = (key: PartitionKey, given: Omit<PartitionOptions, "mode">): Promise<Partition> =>
    Effect.runPromise(Scope.provide(engine.open(key, { mode: mode(), ...given }), scope))
  const open = (
    key: PartitionKey = freshKey(),
    limits: PartitionLimits = UNLIMITED,
    events: PartitionEvents = NO_EVENTS
  ): Promise<Partition> => openWith(key, { limits, events })
  const remove = (key: PartitionKey): Promise<void> => Effect.runPromise(engine.remove(key))

  test("it names the modes that it can promise", () => {
    assert.ok(engine.modes.length > 0)
    for (const mode of engine.modes) assert.ok(["memory", "hybrid", "persistent"].includes(mode), mode)
  })

  test("a new partition is empty, and its end can be read", async () => {
    const partition = await open()
    assertInvariants(partition)
    assert.equal(partition.logStartOffset, partition.logEndOffset)
    assert.equal(partition.sizeBytes, 0)
    assert.equal((await readAt(partition, partition.highWatermark, 1_000)).length, 0)
    assert.equal(await partition.offsetForTimestamp(0), undefined)
  })

  test("offsets rise by exactly the record count of each batch", async () => {
    const partition = await open()
    let expected = partition.logEndOffset
    for (const count of [1, 2, 7, 1, 100]) {
      const batch = makeBatch(new Array<number>(count).fill(NOW_MS))
      assert.equal(await append(partition, batch), expected)
      expected += count
      assert.equal(partition.logEndOffset, expected)
      assert.equal(partition.highWatermark, expected)
      assertInvariants(partition)
    }
  })

  test("base offset and leader epoch are rewritten and nothing else; the caller's bytes are left alone", async () => {
    const partition = await open()
    const sent = [makeBatch([1, 2, 3], 50, 1), makeBatch([4], 0, 2), makeBatch([5, 6], 300, 3)]
    const before = sent.map((batch) => batch.slice())
    const offsets: Array<number> = []
    for (const batch of sent) offsets.push(await append(partition, batch))
    assert.deepEqual(sent, before)
    const stored = splitBatches(await readAll(partition, partition.logStartOffset))
    assert.equal(stored.length, 3)
    for (const [index, batch] of stored.entries()) {
      const original = before[index]
      assert.ok(original !== undefined)
      assert.deepEqual(withoutRewritten(batch), withoutRewritten(original))
      assert.equal(recordBatch.baseOffset(batch, 0), offsets[index])
      assert.equal(recordBatch.partitionLeaderEpoch(batch, 0), partition.leaderEpoch)
      assert.equal(recordBatch.checkBatch(batch, 0, batch.length), 0)
      assert.equal(checkRecords(batch, 0, batch.length, defaultRecordLimits), 0)
    }
  })

  test("bytes are copied before the append returns, from the middle of a buffer too", async () => {
    const partition = await open()
    const batch = makeBatch([1, 2], 100, 9)
    const buffer = new Uint8Array(batch.length + 50).fill(0xee)
    buffer.set(batch, 23)
    const offset = partition.tryAppendUnsafe(buffer, 23, 23 + batch.length, 2)
    buffer.fill(0x55)
    await committed(partition)
    const stored = await readAt(partition, offset, 10_000)
    assert.deepEqual(withoutRewritten(stored), withoutRewritten(batch))
  })

  test("a read in the middle of a batch gives the whole batch", async () => {
    const partition = await open()
    await append(partition, makeBatch([1, 2]))
    const base = await append(partition, makeBatch([3, 4, 5, 6]))
    await append(partition, makeBatch([7]))
    for (let offset = base; offset < base + 4; offset++) {
      const [first] = splitBatches(await readAt(partition, offset, 1))
      assert.ok(first !== undefined)
      assert.equal(recordBatch.baseOffset(first, 0), base)
      assert.equal(recordsOf(first).length, 4)
    }
  })

  test("a read gives whole batches within its bound, and at least one", async () => {
    const partition = await open()
    const start = partition.logEndOffset
    for (let count = 0; count < 12; count++) await append(partition, makeBatch([count], count * 40, count))
    const size = (await readAll(partition, start, 1)).length
    for (let maxBytes = 0; maxBytes <= size + 10; maxBytes += 13) {
      for (const offset of [start, start + 5, start + 11]) {
        const batches = splitBatches(await readAt(partition, offset, maxBytes))
        assert.ok(batches.length >= 1)
        const length = batches.reduce((sum, batch) => sum + batch.length, 0)
        assert.ok(batches.length === 1 || length <= maxBytes, `${length} bytes where ${maxBytes} were allowed`)
      }
    }
  })

  test("reading on from each piece gives every record once, in order", async () => {
    const partition = await open()
    const start = partition.logEndOffset
    for (let count = 1; count <= 60; count++)
      await append(partition, makeBatch(new Array<number>(count % 7 || 1).fill(count)))
    for (const maxBytes of [1, 500, 4_000, 1_000_000]) {
      const records = recordsOf(await readAll(partition, start, maxBytes))
      assert.deepEqual(
        records.map(({ offset }) => offset),
        Array.from({ length: partition.logEndOffset - start }, (_, index) => start + index)
      )
    }
  })

  test("at the high watermark a read is empty; outside the log it is refused", async () => {
    const partition = await open()
    await append(partition, makeBatch([1, 2, 3]))
    await append(partition, makeBatch([4]))
    const { highWatermark } = partition
    assert.equal((await readAt(partition, highWatermark, 100)).length, 0)
    for (const offset of [highWatermark + 1, highWatermark + 1_000_000]) {
      assert.equal(partition.readUnsafe(offset, 100), undefined)
    }
    await partition.deleteBefore(highWatermark - 1)
    for (const offset of [-1, highWatermark - 2]) assert.equal(partition.readUnsafe(offset, 100), undefined)
  })

  test("a batch of a mebibyte is taken whole", async () => {
    const partition = await open()
    const batch = makeBatch([1, 2], 524_288, 5)
    await append(partition, makeBatch([0]))
    const offset = await append(partition, batch)
    await append(partition, makeBatch([3]))
    const [stored] = splitBatches(await readAt(partition, offset, 10))
    assert.deepEqual(withoutRewritten(stored ?? new Uint8Array(0)), withoutRewritten(batch))
    assert.ok(partition.sizeBytes >= batch.length)
  })

  test("what was handed out never changes: not by appends, deletion, truncation or removal", async () => {
    const key = freshKey()
    const partition = await open(key, { ...UNLIMITED, recordsMax: 400 })
    const held: Array<{ view: Uint8Array; copy: Uint8Array }> = []
    const hold = async (): Promise<void> => {
      const { logStartOffset, highWatermark } = partition
      for (const offset of [logStartOffset, Math.floor((logStartOffset + highWatermark) / 2), highWatermark - 1]) {
        if (offset < logStartOffset || offset >= highWatermark) continue
        const view = await readAt(partition, offset, 2_000)
        held.push({ view, copy: view.slice() })
      }
    }
    for (let round = 0; round < 200; round++) {
      await append(partition, makeBatch(new Array<number>(1 + (round % 9)).fill(NOW_MS), (round * 37) % 700, round))
      if (round % 11 === 0) await hold()
      if (round % 31 === 30) {
        await partition.truncateTo(partition.logEndOffset - 1)
        await append(partition, makeBatch([NOW_MS], 400, round))
      }
      if (round % 47 === 46) await partition.deleteBefore(partition.logStartOffset + 3)
    }
    await hold()
    await remove(key)
    assert.ok(held.length > 30)
    for (const { view, copy } of held) assert.deepEqual(view, copy)
  })

  test("the first offset at or after a time, inside a batch and where times fall", async () => {
    const partition = await open()
    const base = await append(partition, makeBatch([100, 300, 200]))
    await append(partition, makeBatch([150]))
    await append(partition, makeBatch([400, 50, 500]))
    const rows: ReadonlyArray<readonly [number, number | undefined, number]> = [
      [0, 0, 100],
      [100, 0, 100],
      [101, 1, 300],
      [300, 1, 300],
      [301, 4, 400],
      [400, 4, 400],
      [401, 6, 500],
      [500, 6, 500],
      [501, undefined, 0]
    ]
    for (const [wanted, index, timestamp] of rows) {
      const expected = index === undefined ? undefined : { offset: base + index, timestamp }
      assert.deepEqual(await partition.offsetForTimestamp(wanted), expected, `at ${wanted}`)
    }
    await partition.deleteBefore(base + 1)
    assert.deepEqual(await partition.offsetForTimestamp(0), { offset: base + 1, timestamp: 300 })
    await partition.deleteBefore(base + 2)
    assert.deepEqual(await partition.offsetForTimestamp(0), { offset: base + 2, timestamp: 200 })
  })

  test("a compressed batch is stored as it came, and times are found inside it", async () => {
    const partition = await open()
    for (const codec of [CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD]) {
      const batch = compressed(makeBatch([10, 30, 20], 400, codec), codec)
      const base = await append(partition, batch)
      const stored = await readAt(partition, base + 1, 100_000)
      assert.deepEqual(withoutRewritten(stored), withoutRewritten(batch))
      await partition.deleteBefore(base)
      assert.deepEqual(await partition.offsetForTimestamp(11), { offset: base + 1, timestamp: 30 })
    }
  })

  test("deletion moves the log start into a batch, past its end, never back, never past the high watermark", async () => {
    const partition = await open()
    const base = await append(partition, makeBatch([1, 2, 3, 4], 500))
    await append(partition, makeBatch([5, 6], 500))
    const size = partition.sizeBytes
    assert.equal(await partition.deleteBefore(base + 2), base + 2)
    assert.equal(partition.logStartOffset, base + 2)
    assert.equal(partition.readUnsafe(base + 1, 100), undefined)
    assert.ok(recordsOf(await readAt(partition, base + 2, 1)).some(({ offset }) => offset === base + 2))
    assert.equal(await partition.deleteBefore(base), base + 2)
    assert.equal(await partition.deleteBefore(base + 4), base + 4)
    assert.ok(partition.sizeBytes < size)
    assert.equal(await partition.deleteBefore(base + 1_000), base + 6)
    assertInvariants(partition)
    assert.equal(partition.logEndOffset, base + 6)
    assert.equal((await readAt(partition, base + 6, 100)).length, 0)
    assert.equal(await append(partition, makeBatch([7])), base + 6)
  })

  test("truncation cuts whole batches, raises the epoch, and the next append takes its place", async () => {
    const partition = await open()
    const base = await append(partition, makeBatch([1, 2, 3]))
    await append(partition, makeBatch([4, 5, 6]))
    await append(partition, makeBatch([7, 8, 9]))
    const epoch = partition.leaderEpoch
    const view = await readAt(partition, base, 100_000)
    const copy = view.slice()
    assert.equal(await partition.truncateTo(base + 6), base + 6)
    assert.equal(partition.logEndOffset, base + 6)
    assert.ok(partition.leaderEpoch > epoch)
    // A batch cannot be cut: what holds the offset goes with what follows it.
    assert.equal(await partition.truncateTo(base + 4), base + 3)
    assertInvariants(partition)
    assert.equal(await append(partition, makeBatch([10, 11], 77, 8)), base + 3)
    const stored = splitBatches(await readAll(partition, base))
    assert.equal(recordBatch.partitionLeaderEpoch(stored[0] ?? view, 0), epoch)
    assert.equal(recordBatch.partitionLeaderEpoch(stored[1] ?? view, 0), partition.leaderEpoch)
    assert.deepEqual(withoutRewritten(stored[1] ?? view), withoutRewritten(makeBatch([10, 11], 77, 8)))
    assert.deepEqual(view, copy)
  })

  test("epochs never fall along a log, and where each of them ends is found in it", async () => {
    const partition = await open()
    const ends: Array<readonly [epoch: number, end: number]> = []
    for (let round = 0; round < 4; round++) {
      await append(partition, makeBatch([1, 2, 3]))
      await append(partition, makeBatch([4, 5]))
      ends.push([partition.leaderEpoch, partition.logEndOffset])
      await partition.truncateTo(partition.logEndOffset)
    }
    const log = readableLog(partition)
    for (const [epoch, end] of ends) {
      const { refusal, epoch: found, epochEndOffset } = await epochEndOf(log, epoch)
      assert.deepEqual([refusal, found, epochEndOffset], [0, epoch, end])
    }
    const current = await epochEndOf(log, partition.leaderEpoch)
    assert.deepEqual([current.epoch, current.epochEndOffset], [partition.leaderEpoch, partition.logEndOffset])
    // What is forgotten takes its epochs with it.
    await partition.deleteBefore(ends[1]?.[1] ?? 0)
    const [first] = ends
    const early = await epochEndOf(log, first?.[0] ?? 0)
    assert.deepEqual([early.epoch, early.epochEndOffset], [first?.[0], ends[1]?.[1]])
  })

  test("truncation at or past the end cuts nothing; at or before the start it empties the log", async () => {
    const partition = await open()
    const base = await append(partition, makeBatch([1, 2, 3]))
    await append(partition, makeBatch([4, 5]))
    assert.equal(await partition.truncateTo(base + 5), base + 5)
    assert.equal(await partition.truncateTo(base + 500), base + 5)
    await partition.deleteBefore(base + 4)
    assert.equal(await partition.truncateTo(base + 1), base + 1)
    assertInvariants(partition)
    assert.equal(partition.sizeBytes, 0)
    assert.equal(await append(partition, makeBatch([6])), base + 1)
    await partition.deleteBefore(base + 2)
    assert.equal(await partition.truncateTo(base), base)
    assert.equal(await append(partition, makeBatch([7])), base)
  })

  test("the same key is the same log; another tenant, topic or partition is another", async () => {
    const key = freshKey()
    const first = await open(key)
    const offset = await append(first, makeBatch([1, 2, 3], 10, 4))
    const again = await open({ ...key })
    assert.equal(again.logEndOffset, offset + 3)
    assert.deepEqual(await readAll(again, offset), await readAll(first, offset))
    for (const other of [
      { ...key, tenant: 1 },
      { ...key, partition: 1 },
      { ...key, topicId: `${key.topicId}0` }
    ]) {
      assert.equal((await open(other)).sizeBytes, 0, JSON.stringify(other))
    }
  })

  test("removal forgets; a key that is not there is no error; who still holds the partition is refused", async () => {
    const key = freshKey()
    const partition = await open(key)
    await append(partition, makeBatch([1, 2, 3]))
    await remove(key)
    await remove(key)
    await remove(freshKey())
    const batch = makeBatch([4])
    assert.ok(partition.tryAppendUnsafe(batch, 0, batch.length, 1) < 0)
    const anew = await open(key)
    assert.equal(anew.sizeBytes, 0)
    assert.equal(anew.logStartOffset, anew.logEndOffset)
    await append(anew, batch)
  })

  test("commits that come later are told of, once the high watermark has risen, never from within an append", async () => {
    let isAppending = false
    const told: Array<number> = []
    const partition: Partition = await open(freshKey(), UNLIMITED, {
      committed: () => {
        assert.ok(!isAppending, "told from within an append")
        told.push(partition.highWatermark)
      },
      failed: (reason) => assert.fail(reason)
    })
    let late = 0
    for (let round = 0; round < 30; round++) {
      const before = partition.highWatermark
      for (let count = 0; count <= round % 3; count++) {
        const batch = makeBatch([round, count], 50, round)
        isAppending = true
        assert.ok(partition.tryAppendUnsafe(batch, 0, batch.length, 2) >= 0)
        isAppending = false
      }
      assertInvariants(partition)
      if (partition.highWatermark === partition.logEndOffset) continue
      late += 1
      const end = partition.logEndOffset
      assert.equal((await readAt(partition, before, 1_000_000)).length, 0, "nothing is read that is not committed")
      await committed(partition)
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(told.at(-1), end)
    }
    assert.ok(told.length >= late)
    assert.deepEqual(
      told,
      [...new Set(told)].toSorted((left, right) => left - right),
      "each time it has risen"
    )
  })

  if ((options.limits ?? "exact") === "exact") {
    test("limit by bytes: the oldest go, the newest batch stays whatever its size", async () => {
      const partition = await open(freshKey(), { ...UNLIMITED, sizeBytesMax: 5_000 })
      for (let round = 0; round < 50; round++) {
        const offset = await append(partition, makeBatch([round], 300, round))
        assert.ok(partition.sizeBytes <= 5_000)
        assert.ok(partition.logStartOffset <= offset)
      }
      assert.ok(partition.logStartOffset > 30 && partition.sizeBytes > 4_000)
      const large = await append(partition, makeBatch([1, 2], 5_000))
      assert.equal(partition.logStartOffset, large)
      assert.equal(recordsOf(await readAt(partition, large, 1)).length, 2)
      assertInvariants(partition)
    })

    test("limit by records", async () => {
      const partition = await open(freshKey(), { ...UNLIMITED, recordsMax: 9 })
      const first = partition.logEndOffset
      for (let round = 0; round < 30; round++) await append(partition, makeBatch([1, 2, 3]))
      assert.equal(partition.logEndOffset, first + 90)
      assert.equal(partition.logStartOffset, first + 81)
    })

    test("limit by age since a batch was appended, whatever times its records bear; 0 = for ever", async () => {
      const partition = await open(freshKey(), { ...UNLIMITED, ageMsMax: 60_000 })
      const forEver = await open()
      const base = await append(partition, makeBatch([0, 1]))
      await append(forEver, makeBatch([0]))
      nowMs += 59_000
      await append(partition, makeBatch([0]))
      assert.equal(partition.logStartOffset, base, "records of long ago that came just now are young")
      nowMs += 2_000
      await append(partition, makeBatch([nowMs + 1_000_000]))
      await append(forEver, makeBatch([nowMs]))
      assert.equal(partition.logStartOffset, base + 2)
      assert.equal(forEver.logStartOffset, forEver.logEndOffset - 2)
      nowMs += 100_000
      await append(partition, makeBatch([nowMs]))
      assert.equal(partition.logStartOffset, partition.logEndOffset - 1, "records of the future age like others")
    })
  }

  test("other bounds than it was opened with hold from the next append on, or soon; wider ones keep what is there", async () => {
    const partition = await open()
    if (partition.relimit === undefined) return
    const first = partition.logEndOffset
    for (let count = 0; count < 40; count++) await append(partition, makeBatch([1, 2], 400))
    assert.equal(partition.logStartOffset, first)
    partition.relimit({ ...UNLIMITED, sizeBytesMax: 4_000 })
    const startMs = performance.now()
    // Late engines forget by larger pieces, when they have put away what was appended.
    while (partition.logStartOffset <= first + 20) {
      assert.ok(performance.now() - startMs < RELIMIT_MS_MAX, `it still starts at ${partition.logStartOffset}`)
      await append(partition, makeBatch([1, 2], 400))
      await options.trimmed?.()
    }
    partition.relimit(UNLIMITED)
    const { logStartOffset } = partition
    for (let count = 0; count < 20; count++) await append(partition, makeBatch([1, 2], 400))
    await options.trimmed?.()
    assert.equal(partition.logStartOffset, logStartOffset)
    // What was appended while nothing grew too old has the age that it has.
    nowMs += 60_000
    partition.relimit({ ...UNLIMITED, ageMsMax: 30_000 })
    await append(partition, makeBatch([1]))
    while (partition.logEndOffset - partition.logStartOffset > 40) {
      assert.ok(
        performance.now() - startMs < RELIMIT_MS_MAX,
        `${partition.logEndOffset - partition.logStartOffset} are left`
      )
      await append(partition, makeBatch([1]))
      await options.trimmed?.()
    }
    assertInvariants(partition)
  })

  const modelRuns = options.modelRuns ?? 60
  engineModel((key) => open(key), freshKey, modelRuns)

  if (options.heedsStart === true) {
    const start = { offset: 7_000_000_000, leaderEpoch: 12 }
    const openAt = (key: PartitionKey): Promise<Partition> =>
      openWith(key, { limits: UNLIMITED, events: NO_EVENTS, start })

    test("a log that is told where to begin is empty there, under that leader epoch; one that is there stays as it is", async () => {
      const key = freshKey()
      const partition = await openAt(key)
      assertInvariants(partition)
      const { logStartOffset, highWatermark, logEndOffset, leaderEpoch, sizeBytes } = partition
      assert.deepEqual([logStartOffset, highWatermark, logEndOffset], [start.offset, start.offset, start.offset])
      assert.deepEqual([leaderEpoch, sizeBytes], [start.leaderEpoch, 0])
      assert.equal((await readAt(partition, start.offset, 100)).length, 0)
      for (const offset of [0, start.offset - 1, start.offset + 1]) {
        assert.equal(partition.readUnsafe(offset, 100), undefined)
      }
      assert.equal(await append(partition, makeBatch([1, 2])), start.offset)
      const [stored] = splitBatches(await readAt(partition, start.offset, 1))
      assert.equal(stored === undefined ? -1 : recordBatch.partitionLeaderEpoch(stored, 0), start.leaderEpoch)
      const again = await openWith(key, { limits: UNLIMITED, events: NO_EVENTS, start: { offset: 5, leaderEpoch: 0 } })
      assert.deepEqual([again.logEndOffset, again.leaderEpoch], [start.offset + 2, start.leaderEpoch])
      await remove(key)
      assert.equal((await open(key)).logEndOffset, 0)
    })

    describe("from where it is told to begin", () => engineModel(openAt, freshKey, Math.ceil(modelRuns / 3)))
  }

  describe("opened by use", () =>
    reopeningContract({
      engine: () => engine,
      options: () => ({ limits: UNLIMITED, mode: mode(), events: NO_EVENTS }),
      freshKey,
      trimmed: options.trimmed
    }))

  const { restarted } = options
  if (options.takesCopies === true) {
    test("it says that it takes copies", () => assert.equal(engine.isCopyTarget, true))
    const copyOptions = (): PartitionOptions => ({ limits: UNLIMITED, mode: mode(), events: NO_EVENTS })
    copyContract({ engine: () => engine, restarted, nowMs: () => nowMs, freshKey, options: copyOptions })
  }
  if (restarted === undefined) return
  const { putAway } = options
  if (putAway !== undefined) {
    test("it says that it offers compaction", () => assert.ok(engine.compaction !== undefined))
    const compactionOptions = (): PartitionOptions => ({ limits: UNLIMITED, mode: mode(), events: NO_EVENTS })
    const now = (): number => nowMs
    compactionContract({ engine: () => engine, putAway, restarted, nowMs: now, freshKey, options: compactionOptions })
  }
  durableContract({
    engine: () => engine,
    restarted,
    nowMs: () => nowMs,
    freshKey,
    options: () => ({ limits: UNLIMITED, mode: mode(), events: NO_EVENTS }),
    modelRuns: Math.ceil(modelRuns / 3)
  })
}

/** A partition as the core reads it, without what core gathers before it. */
function readableLog(partition: Partition): ReadableLog {
  return {
    get logStartOffset() {
      return partition.logStartOffset
    },
    get leaderEpoch() {
      return partition.leaderEpoch
    },
    get nextOffset() {
      return partition.logEndOffset
    },
    incarnation: 0,
    highWatermark: () => partition.highWatermark,
    readUnsafe: (offset, maxBytes) => partition.readUnsafe(offset, maxBytes),
    read: (offset, maxBytes) => partition.read(offset, maxBytes)
  }
}
