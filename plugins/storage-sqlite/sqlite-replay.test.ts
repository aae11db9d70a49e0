/** What a kill left in the journal: taken up as it was, and put away when the start is over. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { REPLAYED_REST_MS } from "../../core/journaled/Checkpoints.ts"
import { type Engine, type Partition, RecordBatchBuilder, recordBatch, type Timer } from "../../core/mod.ts"
import { systemClock } from "../../core/platform/system.ts"
import { openTestStore, type TestStore } from "./fakes.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-replay-"))
const stores: Array<TestStore> = []
const scope = Scope.makeUnsafe()
after(async () => {
  await Promise.all(stores.map((store) => store.kill()))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(root, { recursive: true, force: true })
})

const LIMITS = { sizeBytesMax: Number.POSITIVE_INFINITY, recordsMax: Number.POSITIVE_INFINITY, ageMsMax: 0 }
const BATCH_BYTES = 60_000

const partitionOf = (engine: Engine, topicId: string): Promise<Partition> => {
  const events = { committed: (): void => {}, failed: (): void => {} }
  const opening = engine.open({ tenant: 0, topicId, partition: 0 }, { limits: LIMITS, mode: "persistent", events })
  return Effect.runPromise(Scope.provide(opening, scope))
}

const until = async (holds: () => boolean): Promise<void> => {
  const startMs = performance.now()
  while (!holds()) {
    assert.ok(performance.now() - startMs < 10_000, "in the end")
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

async function append(partition: Partition): Promise<void> {
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, new Uint8Array(BATCH_BYTES), 0, BATCH_BYTES)
  const bytes = builder.bytes.slice(0, builder.finish())
  assert.ok(partition.tryAppendUnsafe(bytes, 0, bytes.length, 1) >= 0)
  await until(() => partition.highWatermark === partition.logEndOffset)
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** The system's clock, but for timers of the rest: they end when the test says so. */
function restingClock() {
  const rests: Array<() => void> = []
  const after = (delayMs: number, task: () => void): Timer => {
    if (delayMs !== REPLAYED_REST_MS) return systemClock.after(delayMs, task)
    rests.push(task)
    return { cancel: () => void rests.splice(rests.indexOf(task), 1) }
  }
  return { clock: { ...systemClock, after }, rests }
}

async function opened(folder: string, settings = {}, clock = systemClock): Promise<TestStore> {
  const store = await openTestStore(folder, { settings, clock })
  stores.push(store)
  return store
}

/** A folder in whose journal are three batches of each of two partitions, of which only the first of one is in the database. */
async function killed(name: string): Promise<string> {
  const folder = join(root, name)
  const store = await opened(folder, { checkpoint_interval_ms: 3_600_000, checkpoint_bytes: 1_000_000_000 })
  const stored = await partitionOf(store.engine, "stored")
  await append(stored)
  await store.store.checkpoints.flush()
  await append(stored)
  await append(stored)
  const made = await partitionOf(store.engine, "made")
  for (let count = 0; count < 3; count++) await append(made)
  await store.kill()
  return folder
}

// Far more waits than a checkpoint begins at.
const SETTINGS = { checkpoint_interval_ms: 10, checkpoint_bytes: 65_536 }

test("what was replayed rests while the node starts, is read meanwhile, and then is put away", async () => {
  const { clock, rests } = restingClock()
  const { store, engine } = await opened(await killed("rest"), SETTINGS, clock)
  const { checkpoints } = store
  await until(() => checkpoints.isPrepared && rests.length === 1)
  for (const topicId of ["stored", "made"]) {
    const partition = await partitionOf(engine, topicId)
    assert.equal(partition.highWatermark, 3)
    for (let offset = 0; offset < 3; offset++) {
      const read = partition.readUnsafe(offset, 1) ?? (await partition.read(offset, 1))
      assert.equal(recordBatch.baseOffset(read, 0), offset)
    }
  }
  await turns()
  assert.equal(checkpoints.checkpoints, 0)
  assert.ok(checkpoints.pendingBytes > 5 * BATCH_BYTES)
  rests[0]?.()
  await until(() => checkpoints.checkpoints === 1 && checkpoints.pendingBytes === 0)
  // From then on as ever.
  await append(await partitionOf(engine, "made"))
  await append(await partitionOf(engine, "stored"))
  await until(() => checkpoints.pendingBytes === 0)
  assert.ok(checkpoints.checkpoints > 1)
})

test("the rest ends when the journal asks for its room", async () => {
  const { clock, rests } = restingClock()
  const { store } = await opened(await killed("asked"), SETTINGS, clock)
  const { checkpoints } = store
  await until(() => checkpoints.isPrepared && rests.length === 1)
  checkpoints.checkpoint()
  await until(() => checkpoints.checkpoints === 1 && checkpoints.pendingBytes === 0)
})

test("partitions are as they were, those with a row in the database and those without, also after another kill", async () => {
  const folder = await killed("rows")
  const { clock } = restingClock()
  const store = await opened(folder, SETTINGS, clock)
  await turns()
  for (const topicId of ["stored", "made"]) {
    assert.equal((await partitionOf(store.engine, topicId)).logEndOffset, 3, topicId)
  }
  await store.kill()
  const again = await opened(folder, SETTINGS)
  await until(() => again.store.checkpoints.pendingBytes === 0 || again.store.checkpoints.isPrepared)
  for (const topicId of ["stored", "made"]) {
    assert.equal((await partitionOf(again.engine, topicId)).logEndOffset, 3, topicId)
  }
})
