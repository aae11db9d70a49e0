/** Partitions that nobody holds: opened at once, kept to their bounds, and never open to two owners' words. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { type Partition, type PartitionEvents, type PartitionLimits, RecordBatchBuilder } from "../../core/mod.ts"
import { systemClock } from "../../core/platform/system.ts"
import { openTestStore, type TestStore } from "./fakes.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-closed-"))
const stores: Array<TestStore> = []
after(async () => {
  await Promise.all(stores.map((store) => store.kill()))
  rmSync(root, { recursive: true, force: true })
})

const KEY = { tenant: 0, topicId: "topic", partition: 0 }
const UNLIMITED: PartitionLimits = {
  sizeBytesMax: Number.POSITIVE_INFINITY,
  recordsMax: Number.POSITIVE_INFINITY,
  ageMsMax: 0
}
const QUIET: PartitionEvents = { committed: () => {}, failed: () => {} }

interface Held {
  readonly partition: Partition
  readonly release: () => Promise<void>
}

async function hold({ engine }: TestStore, limits = UNLIMITED, events = QUIET, key = KEY): Promise<Held> {
  const scope = Scope.makeUnsafe()
  const opening = engine.open(key, { limits, mode: "persistent", events })
  const partition = await Effect.runPromise(Scope.provide(opening, scope))
  return { partition, release: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

async function append(partition: Partition): Promise<void> {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(100), 0, 100)
  const bytes = builder.bytes.slice(0, builder.finish())
  assert.ok(partition.tryAppendUnsafe(bytes, 0, bytes.length, 1) >= 0)
  while (partition.highWatermark < partition.logEndOffset) await new Promise((resolve) => setTimeout(resolve, 1))
}

async function openStore(nowMs: () => number = Date.now): Promise<TestStore> {
  // Checkpoints come when a test says so.
  const settings = { checkpoint_interval_ms: 3_600_000, checkpoint_bytes: 1_000_000_000 }
  const store = await openTestStore(join(root, String(stores.length)), { settings, clock: { ...systemClock, nowMs } })
  stores.push(store)
  return store
}

test("bounds are applied to what nobody holds, with the next checkpoint, and found by who opens it then", async () => {
  let nowMs = 1_700_000_000_000
  const store = await openStore(() => nowMs)
  const { engine } = store
  const { checkpoints } = store.store
  const aged = { ...UNLIMITED, ageMsMax: 60_000 }
  const other = await hold(store, UNLIMITED, QUIET, { ...KEY, topicId: "other" })
  // Something is to be put away, else there is no checkpoint.
  const checkpoint = async (): Promise<void> => {
    await append(other.partition)
    await checkpoints.flush()
  }
  const held = await hold(store, aged)
  for (let count = 0; count < 10; count++) {
    await append(held.partition)
    nowMs += 10_000
  }
  await held.release()
  // Not put away yet: its row is still to come.
  engine.trim?.(KEY, aged)
  await checkpoint()
  nowMs += 20_000
  // Those that hold nothing, or are not there.
  engine.trim?.({ ...KEY, topicId: "none" }, aged)
  engine.trim?.(KEY, aged)
  engine.trim?.(KEY, UNLIMITED)
  await checkpoint()
  const again = await hold(store, aged)
  assert.equal(again.partition.logStartOffset, 6)
  assert.equal(again.partition.logEndOffset, 10)
  // What is held is looked after with those: here nothing is noted.
  engine.trim?.(KEY, { ...aged, recordsMax: 1 })
  await checkpoint()
  assert.equal(again.partition.logStartOffset, 6)
  // A checkpoint that trims it while it is opened again is told to it.
  await again.release()
  nowMs += 20_000
  engine.trim?.(KEY, aged)
  const trimmed = checkpoint()
  const meanwhile = await hold(store, UNLIMITED)
  await trimmed
  assert.equal(meanwhile.partition.logStartOffset, 8)
  await meanwhile.release()
  await other.release()
})

test("one that is opened while it is being let go tells who opened it last", async () => {
  const store = await openStore()
  const told: Array<string> = []
  const events = (name: string): PartitionEvents => ({ ...QUIET, committed: () => void told.push(name) })
  const first = await hold(store, UNLIMITED, events("first"))
  const second = await hold(store, UNLIMITED, events("second"))
  await first.release()
  await append(second.partition)
  assert.deepEqual(told, ["second"])
  await second.release()
})

test("after the first a partition is open when the call returns", async () => {
  const store = await openStore()
  const { reopens } = store.engine
  const next = { ...KEY, topicId: "next" }
  const options = { limits: UNLIMITED, mode: "persistent", events: QUIET } as const
  await (await hold(store)).release()
  const partition = reopens?.tryOpen(next, options)
  assert.ok(partition !== undefined)
  await append(partition)
  await reopens?.close(partition)
  assert.equal(reopens?.tryOpen(next, options)?.logEndOffset, 1)
})

test("ages are looked at once a minute, not in every checkpoint; of what was just made later, of what is found at once", async () => {
  let nowMs = 1_700_000_000_000
  const store = await openStore(() => nowMs)
  const week = 7 * 86_400_000
  const looks = (): ReadonlyArray<number> =>
    store.store.partitions.trimTasks([]).map(({ appendedBeforeMs }) => nowMs - appendedBeforeMs)
  const held = await hold(store, { ...UNLIMITED, ageMsMax: week })
  await append(held.partition)
  assert.deepEqual(looks(), [])
  nowMs += 59_000
  assert.deepEqual(looks(), [])
  nowMs += 1_000
  assert.deepEqual(looks(), [week])
  assert.deepEqual(looks(), [])
  await store.store.checkpoints.flush()
  await held.release()
  const again = await hold(store, { ...UNLIMITED, ageMsMax: week })
  assert.deepEqual(looks(), [week])
  await again.release()
  // What is kept for a short time only is looked at as often as that needs.
  const short = await hold(store, { ...UNLIMITED, ageMsMax: 5_000 }, QUIET, { ...KEY, topicId: "short" })
  await append(short.partition)
  nowMs += 500
  assert.deepEqual(looks(), [5_000])
  await short.release()
})
