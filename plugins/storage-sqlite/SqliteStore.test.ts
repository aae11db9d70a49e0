import assert from "node:assert/strict"
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { after, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import {
  BatchCompressor,
  CODEC_ZSTD,
  crc32c,
  type Damage,
  DISK_FULL,
  FileError,
  type FilesShape,
  type Mode,
  openSqlite,
  type Partition,
  type PartitionEvents,
  type PartitionLimits,
  type PartReport,
  RecordBatchBuilder,
  recordBatch
} from "../../core/mod.ts"
import { makeNodeFiles } from "../../core/platform/node-files.ts"
import { systemClock } from "../../core/platform/system.ts"
import { openTestStore, type TestStore, type TestStoreOptions } from "./fakes.ts"
import { inspect } from "./inspect.ts"
import { defaultSettings } from "./Settings.ts"
import { DATABASE_NAME, SqliteStore } from "./SqliteStore.ts"
import { StoreThread } from "./StoreThread.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-sqlite-store-"))
const stores: Array<TestStore> = []
const scope = Scope.makeUnsafe()
let folders = 0
const freshFolder = (): string => join(root, String(++folders))

after(async () => {
  await Promise.all(stores.map((store) => store.kill()))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(root, { recursive: true, force: true })
})

// Checkpoints come when a test says so.
const settings = { checkpoint_interval_ms: 3_600_000, checkpoint_bytes: 1_000_000_000 }
const open = async (folder = freshFolder(), changed: TestStoreOptions = {}): Promise<TestStore> => {
  const store = await openTestStore(folder, { settings, ...changed })
  stores.push(store)
  return store
}

const UNLIMITED: PartitionLimits = {
  sizeBytesMax: Number.POSITIVE_INFINITY,
  recordsMax: Number.POSITIVE_INFINITY,
  ageMsMax: 0
}
const QUIET: PartitionEvents = { committed: () => {}, failed: () => {} }
const KEY = { tenant: 0, topicId: "topic", partition: 0 }

const partitionOf = (
  { engine }: TestStore,
  key = KEY,
  limits = UNLIMITED,
  mode: Mode = "persistent",
  events = QUIET
): Promise<Partition> => Effect.runPromise(Scope.provide(engine.open(key, { limits, mode, events }), scope))

function batchOf(valueBytes: number, records = 1): Uint8Array {
  const builder = new RecordBatchBuilder()
  for (let count = 0; count < records; count++) {
    builder.append(1, undefined, 0, 0, new Uint8Array(valueBytes).fill(0xab), 0, valueBytes)
  }
  return builder.bytes.slice(0, builder.finish())
}

const tryAppend = (partition: Partition, bytes: Uint8Array, records = 1): number =>
  partition.tryAppendUnsafe(bytes, 0, bytes.length, records)

const until = async (holds: () => boolean): Promise<void> => {
  const startMs = performance.now()
  while (!holds()) {
    assert.ok(performance.now() - startMs < 10_000, "in the end")
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
const isCommitted = (partition: Partition) => (): boolean => partition.highWatermark === partition.logEndOffset

async function append(partition: Partition, bytes: Uint8Array, records = 1): Promise<void> {
  assert.ok(tryAppend(partition, bytes, records) >= 0)
  await until(isCommitted(partition))
}

async function inspected(
  folder: string,
  depth: "stats" | "verify",
  pace: (bytes: number) => Promise<void> = () => Promise.resolve()
): Promise<PartReport> {
  const files = makeNodeFiles()
  const [report, ...more] = await Effect.runPromise(inspect({}, { depth, store: 0, directory: folder, files, pace }))
  assert.ok(report !== undefined && more.length === 0)
  return report
}
const messagesOf = ({ damage }: PartReport): string => damage.map(({ message }: Damage) => message).join("\n")

test("limits by bytes, records and age are kept at checkpoints, and told back", async () => {
  let nowMs = 1_700_000_000_000
  const store = await open(freshFolder(), { clock: { ...systemClock, nowMs: () => nowMs } })
  const { checkpoints } = store.store
  const bounds = { bytes: { sizeBytesMax: 3_000 }, records: { recordsMax: 7 }, age: { ageMsMax: 60_000 } }
  const partitions = new Map<string, Partition>()
  for (const [topicId, limits] of Object.entries(bounds)) {
    partitions.set(topicId, await partitionOf(store, { ...KEY, topicId }, { ...UNLIMITED, ...limits }))
  }
  const { bytes, records, age } = Object.fromEntries(partitions)
  assert.ok(bytes !== undefined && records !== undefined && age !== undefined)
  for (let round = 0; round < 30; round++) {
    for (const partition of partitions.values()) await append(partition, batchOf(200, 3), 3)
    nowMs += 10_000
    if (round % 4 === 3) await checkpoints.flush()
  }
  await checkpoints.flush()
  assert.ok(bytes.sizeBytes <= 3_000 && bytes.sizeBytes > 2_000, `${bytes.sizeBytes} bytes`)
  assert.equal(records.logStartOffset, 84)
  assert.ok(age.logStartOffset >= 90 - 3 * 7 && age.logStartOffset < 90, `starts at ${age.logStartOffset}`)
  assert.equal(records.readUnsafe(83, 100), undefined)
  // The newest batch stays, whatever the bounds say.
  await append(bytes, batchOf(9_000))
  await checkpoints.flush()
  assert.equal(bytes.logStartOffset, 90)
  const expected = [...partitions.values()].map(({ logStartOffset, sizeBytes }) => [logStartOffset, sizeBytes])
  await until(() => store.store.writer.rows > 0)
  const folder = freshFolder()
  store.copy(folder)
  const again = await open(folder)
  const found: Array<ReadonlyArray<number>> = []
  for (const topicId of partitions.keys()) {
    const { logStartOffset, sizeBytes } = await partitionOf(again, { ...KEY, topicId })
    found.push([logStartOffset, sizeBytes])
  }
  assert.deepEqual(found, expected)
})

test("what was removed or deleted leaves the database, some rows at a time", async () => {
  const store = await open()
  const { checkpoints } = store.store
  const kept = await partitionOf(store)
  const removed = await partitionOf(store, { ...KEY, topicId: "removed" })
  for (let count = 0; count < 5_000; count++) {
    assert.ok(tryAppend(kept, batchOf(1)) >= 0)
    assert.ok(tryAppend(removed, batchOf(1)) >= 0)
  }
  await until(isCommitted(kept))
  await until(isCommitted(removed))
  await checkpoints.flush()
  assert.equal((await store.store.stats()).batches, 10_000)
  await kept.deleteBefore(4_990)
  await Effect.runPromise(store.engine.remove({ ...KEY, topicId: "removed" }))
  await checkpoints.flush()
  const startMs = performance.now()
  while ((await store.store.stats()).batches > 10) {
    assert.ok(performance.now() - startMs < 10_000)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  assert.deepEqual([kept.logStartOffset, kept.logEndOffset], [4_990, 5_000])
  assert.equal((await store.store.stats()).partitions, 1)
})

test("beyond its bound what waits for the database is refused, until a checkpoint has made room", async () => {
  const store = await open(freshFolder(), { settings: { ...settings, resident_bytes_max: 1_048_576 } })
  const partition = await partitionOf(store)
  let refused = 0
  for (let count = 0; count < 100; count++) {
    if (tryAppend(partition, batchOf(50_000)) < 0) refused += 1
    await new Promise((resolve) => setImmediate(resolve))
  }
  // Who does not ask first has a quarter more.
  assert.ok(store.store.partitions.pendingBytes <= 1.25 * 1_048_576 + 60_000)
  assert.ok(refused > 0)
  await until(() => tryAppend(partition, batchOf(50_000)) >= 0)
})

test("a full disk: the checkpoint is tried again, with a line when it begins and one when it ends; reads go on", async () => {
  const store = await open()
  const { checkpoints, keyValue } = store.store
  const partition = await partitionOf(store)
  await append(partition, batchOf(100))
  await checkpoints.flush()
  // As many pages as it has, and no more.
  store.limitPages(0)
  for (let count = 0; count < 10; count++) await append(partition, batchOf(10_000))
  store.journal.submit({ writes: [{ key: Uint8Array.of(1), value: new Uint8Array(50_000) }] })
  await until(() => keyValue.size === 1)
  const applied = checkpoints.appliedIndex
  await checkpoints.flush()
  await until(() => checkpoints.failures >= 2)
  assert.equal(checkpoints.appliedIndex, applied)
  assert.equal(store.lines.filter((line) => line.startsWith("error")).length, 1)
  assert.match(store.lines.join("\n"), /a checkpoint failed.*the disk is full/)
  assert.equal((await partition.read(0, 100)).length > 0, true)
  assert.equal((await partition.read(5, 100)).length > 0, true)
  assert.equal(keyValue.get(Uint8Array.of(1))?.length, 50_000)
  assert.equal((await keyValue.rangeLater(new Uint8Array(0), Uint8Array.of(9), 10, 1_000_000)).length, 1)
  await append(partition, batchOf(10))
  store.limitPages(1_000_000)
  await until(() => checkpoints.appliedIndex > applied)
  await until(() => store.lines.some((line) => /takes checkpoints again/.test(line)))
  await checkpoints.flush()
  assert.equal((await store.store.stats()).batches, 12)
  assert.equal(checkpoints.pendingBytes, 0)
})

for (const mode of ["hybrid", "persistent"] as const) {
  test(`a journal that fails takes back what was not committed, raises the epoch, and goes on (${mode})`, async () => {
    const files = new FailingFiles()
    const store = await open(freshFolder(), { files })
    const failures: Array<string> = []
    const events: PartitionEvents = { committed: () => {}, failed: (reason) => failures.push(reason) }
    const partition = await partitionOf(store, KEY, UNLIMITED, mode, events)
    const quiet = await partitionOf(store, { ...KEY, topicId: "quiet" }, UNLIMITED, mode)
    await append(quiet, batchOf(1))
    for (let count = 0; count < 5; count++) await append(partition, batchOf(100))
    const { leaderEpoch } = partition
    const before = quiet.leaderEpoch
    files.isFull = true
    for (let count = 0; count < 3; count++) tryAppend(partition, batchOf(100))
    await until(() => failures.length > 0)
    assert.deepEqual([partition.highWatermark, partition.logEndOffset], [5, 5])
    assert.ok(partition.leaderEpoch > leaderEpoch)
    assert.equal(quiet.leaderEpoch, before)
    assert.equal(failures.length, 1)
    assert.equal(tryAppend(partition, batchOf(1)), DISK_FULL)
    assert.equal((await partition.read(0, 1)).length > 0, true)
    await assert.rejects(partition.truncateTo(2))
    assert.equal(partition.logEndOffset, 5)
    files.isFull = false
    await until(() => store.journal.refusal === 0)
    await append(partition, batchOf(7))
    assert.equal(partition.logEndOffset, 6)
    await store.store.checkpoints.flush()
    const folder = freshFolder()
    store.copy(folder)
    const again = await partitionOf(await open(folder))
    assert.deepEqual([again.logStartOffset, again.logEndOffset], [0, 6])
    assert.ok(again.leaderEpoch > partition.leaderEpoch)
  })
}

test("a partition whose first batch was lost is made again", async () => {
  const files = new FailingFiles()
  const folder = freshFolder()
  const store = await open(folder, { files })
  const partition = await partitionOf(store)
  files.isFull = true
  tryAppend(partition, batchOf(100))
  await until(() => partition.logEndOffset === 0)
  files.isFull = false
  await until(() => store.journal.refusal === 0)
  await append(partition, batchOf(100))
  await store.store.checkpoints.flush()
  await append(partition, batchOf(100))
  await store.kill()
  const again = await partitionOf(await open(folder))
  assert.deepEqual([again.logStartOffset, again.logEndOffset], [0, 2])
})

test("a journal that cannot be opened leaves a database of a graceful stop as it is", async () => {
  const folder = freshFolder()
  const store = await open(folder)
  await append(await partitionOf(store), batchOf(100))
  await store.close()
  const before = readFileSync(join(folder, DATABASE_NAME))
  assert.equal(existsSync(join(folder, `${DATABASE_NAME}-wal`)), false)
  const opened = await SqliteStore.open({
    directory: folder,
    journal: store.journal,
    thread: StoreThread.inline(systemClock),
    files: makeNodeFiles(),
    clock: systemClock,
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, isEnabled: () => false },
    settings: defaultSettings
  })
  await opened.close()
  assert.ok(before.equals(readFileSync(join(folder, DATABASE_NAME))))
})

/** A store with something in it, closed. */
async function filled(): Promise<string> {
  const folder = freshFolder()
  const store = await open(folder)
  const partition = await partitionOf(store)
  for (let count = 0; count < 40; count++) await append(partition, batchOf(1_000))
  const writes = Array.from({ length: 200 }, (_, index) => ({ key: Uint8Array.of(index), value: new Uint8Array(300) }))
  store.journal.submit({ writes })
  await until(() => store.store.keyValue.size === 200)
  await store.close()
  return folder
}

async function refusal(folder: string): Promise<string> {
  const pathname = join(folder, DATABASE_NAME)
  const before = readFileSync(pathname)
  const error: unknown = await openTestStore(folder).then(
    async (store) => {
      await store.kill()
      return undefined
    },
    (failed: unknown) => failed
  )
  assert.ok(error instanceof Error, "it is refused")
  assert.ok(before.equals(readFileSync(pathname)), "nothing was changed")
  assert.ok(!error.message.includes("\n") && error.message.startsWith(pathname), error.message)
  return error.message
}

test("a newer format, another program's database, no database at all: one line each, and nothing is changed", async () => {
  const newer = await filled()
  const database = openSqlite(join(newer, DATABASE_NAME), { readOnly: false })
  database.exec("UPDATE format SET version = 7")
  database.close()
  assert.match(await refusal(newer), /format 7, this build knows 1 and 2: start the version that wrote it/)
  assert.match(messagesOf(await inspected(newer, "verify")), /format 7/)
  const other = freshFolder()
  const store = await open(other)
  await store.kill()
  for (const end of ["", "-wal", "-shm"]) rmSync(join(other, `${DATABASE_NAME}${end}`), { force: true })
  const theirs = openSqlite(join(other, DATABASE_NAME), { readOnly: false })
  theirs.exec("CREATE TABLE theirs (id INTEGER)")
  theirs.close()
  assert.match(await refusal(other), /another program/)
  const text = await filled()
  writeFileSync(
    join(text, DATABASE_NAME),
    "this is no database, but it is long enough to be taken for one\n".repeat(100)
  )
  assert.match(await refusal(text), /damaged.*restore a backup/)
})

test("a damaged page is told at the opening, a damaged batch by verify", async () => {
  const folder = await filled()
  let read = 0
  const whole = await inspected(folder, "verify", async (bytes) => void (read += bytes))
  assert.deepEqual(whole.damage, [])
  assert.ok(read >= statSync(join(folder, DATABASE_NAME)).size, `${read} bytes were waited for`)
  assert.equal(whole.counts["batches"], 40)
  assert.equal(whole.counts["keys"], 200)
  const { partitions = [], counts } = await inspected(folder, "stats")
  assert.deepEqual(
    partitions.reduce((sum, { records }) => sum + records, 0),
    counts["records"]
  )
  for (const { engine, firstTimestamp = 0, lastTimestamp = 0, logStart, logEnd, records } of partitions) {
    assert.deepEqual([engine, logEnd - logStart], ["sqlite", records])
    assert.ok(firstTimestamp > 0 && lastTimestamp >= firstTimestamp)
  }
  const pathname = join(folder, DATABASE_NAME)
  const pages = statSync(pathname).size / 4_096
  copyFileSync(pathname, `${pathname}.whole`)
  let told = 0
  for (let page = 0; page < pages; page++) {
    const bytes = readFileSync(`${pathname}.whole`)
    // The header of a page, or of the file.
    for (let at = 0; at < 8; at++) bytes[page * 4_096 + at] = (bytes[page * 4_096 + at] ?? 0) ^ 0xff
    writeFileSync(pathname, bytes)
    const report = await inspected(folder, "verify")
    if (report.damage.length === 0) continue
    told += 1
    assert.ok(report.damage.every(({ pathname: path, remedy }) => path === pathname && remedy.length > 0))
    if (page % 7 === 0) assert.match(await refusal(folder), /damaged|another program/)
  }
  assert.ok(told > pages * 0.6, `${told} of ${pages}`)
  // In the middle of a value: the structure is whole, the batch is not. Pages hold copies, too, that are nobody's any more.
  const whole500 = Buffer.alloc(500, 0xab)
  const original = readFileSync(`${pathname}.whole`)
  let found = ""
  for (let at = original.indexOf(whole500); at >= 0 && found === ""; at = original.indexOf(whole500, at + 1_000)) {
    const bytes = Buffer.from(original)
    bytes[at + 200] = 1
    writeFileSync(pathname, bytes)
    found = messagesOf(await inspected(folder, "verify"))
  }
  assert.match(found, /^the batch at offset \d+ of partition \d+ is not as it was written$/)
  const store = await open(folder)
  const partition = await partitionOf(store)
  const results = await Promise.allSettled(Array.from({ length: 40 }, (_, offset) => partition.read(offset, 1)))
  assert.equal(results.filter(({ status }) => status === "rejected").length, 1)
})

test("a batch that the broker compressed: whole it is read and verified, one that cannot be inflated verify tells", async () => {
  const value = new TextEncoder().encode("degrees; ".repeat(100))
  const builder = new RecordBatchBuilder()
  builder.append(1, undefined, 0, 0, value, 0, value.length)
  const bytes = builder.bytes.slice(0, new BatchCompressor().finish(builder))
  assert.equal(recordBatch.codec(bytes, 0), CODEC_ZSTD)
  const bad = bytes.slice().fill(0xff, recordBatch.RECORDS_POSITION)
  recordBatch.writeInt32(bad, recordBatch.CRC_POSITION, crc32c(bad, recordBatch.ATTRIBUTES_POSITION, bad.length))
  for (const [second, damage] of [
    [bytes, ""],
    [bad, "the batch at offset 1 of partition 1 is not as it was written"]
  ] as const) {
    const folder = freshFolder()
    const store = await open(folder)
    const partition = await partitionOf(store)
    await append(partition, bytes)
    await append(partition, second)
    await store.close()
    assert.equal(messagesOf(await inspected(folder, "verify")), damage)
    const again = await partitionOf(await open(folder))
    const read = await again.read(0, 1)
    assert.deepEqual(read.subarray(recordBatch.MAGIC_POSITION), bytes.subarray(recordBatch.MAGIC_POSITION))
  }
})

test("partitions, too, start from every checkpoint: the database as it was then, and the journal as it is now", async () => {
  const folder = freshFolder()
  const store = await open(folder, { journal: { segmentBytes: 1_048_576 } })
  const keys = ["one", "two", "gone", "late"].map((topicId) => ({ ...KEY, topicId }))
  const copies: Array<string> = []
  const [one, two, gone] = await Promise.all(keys.slice(0, 3).map((key) => partitionOf(store, key)))
  assert.ok(one !== undefined && two !== undefined && gone !== undefined)
  for (let round = 0; round < 7; round++) {
    const copy = freshFolder()
    store.copy(copy)
    copies.push(copy)
    for (let count = 0; count < 5; count++) {
      await append(one, batchOf(50 + round, 2), 2)
      if (count % 2 === 0) await append(two, batchOf(round))
      if (round < 4) await append(gone, batchOf(1))
    }
    if (round % 2 === 1) await one.truncateTo(one.logEndOffset - 3)
    if (round % 3 === 2) await two.deleteBefore(two.logEndOffset - 2)
    if (round === 4) await Effect.runPromise(store.engine.remove({ ...KEY, topicId: "gone" }))
    if (round === 5) await append(await partitionOf(store, { ...KEY, topicId: "gone" }), batchOf(9))
    if (round === 6) await append(await partitionOf(store, { ...KEY, topicId: "late" }), batchOf(8))
    await store.store.checkpoints.flush()
  }
  const factsOf = async (of: TestStore): Promise<ReadonlyArray<unknown>> => {
    const facts: Array<unknown> = []
    for (const key of keys) {
      const partition = await partitionOf(of, key)
      const { logStartOffset, logEndOffset, sizeBytes } = partition
      const content: Array<string> = []
      for (let offset = logStartOffset; offset < logEndOffset; offset++) {
        const bytes = partition.readUnsafe(offset, 1) ?? (await partition.read(offset, 1))
        content.push(Buffer.from(bytes).toString("base64"))
      }
      facts.push({ key, logStartOffset, logEndOffset, sizeBytes, content })
    }
    return facts
  }
  const expected = await factsOf(store)
  for (const copy of copies) {
    for (const name of readdirSync(folder).filter((each) => each.endsWith(".journal"))) {
      copyFileSync(join(folder, name), join(copy, name))
    }
    const again = await open(copy)
    assert.deepEqual(await factsOf(again), expected)
    // Once more from the database alone.
    await again.store.checkpoints.flush()
    await again.kill()
    const third = await open(copy)
    assert.deepEqual(await factsOf(third), expected)
    assert.equal(third.journal.recoveredEntries >= 0, true)
  }
})

test("a copy of a store in use is whole, and with the journal behind it nothing is missing", async () => {
  const folder = freshFolder()
  const store = await open(folder, { isThreaded: true, settings: { ...settings, checkpoint_interval_ms: 10 } })
  const partition = await partitionOf(store)
  for (let count = 0; count < 200; count++) {
    await append(partition, batchOf(300))
    if (count % 50 !== 49) continue
    const target = freshFolder()
    mkdirSync(target)
    const applied = await store.store.backupTo(join(target, DATABASE_NAME))
    const report = await inspected(target, "verify")
    assert.deepEqual(report.damage, [])
    assert.equal(report.counts["journal_index"], applied)
    const position = await store.journal.position()
    for (const { pathname } of position.segments) copyFileSync(pathname, join(target, basename(pathname)))
    position.release()
    const again = await partitionOf(await open(target))
    assert.equal(again.logEndOffset, count + 1)
    assert.ok(again.leaderEpoch > partition.leaderEpoch)
  }
})

/** Files that take nothing while they are told so. */
class FailingFiles implements FilesShape {
  isFull = false
  readonly #real = makeNodeFiles()
  readonly ensureWritableDirectory = this.#real.ensureWritableDirectory
  readonly makeDirectory = this.#real.makeDirectory
  readonly removeDirectory = this.#real.removeDirectory
  readonly readText = this.#real.readText
  readonly list = this.#real.list
  readonly remove = this.#real.remove
  readonly renameUnsafe = this.#real.renameUnsafe
  readonly freeBytes = this.#real.freeBytes
  readonly syncDirectory = this.#real.syncDirectory
  readonly lock = this.#real.lock

  readonly openUnsafe: FilesShape["openUnsafe"] = (pathname, mode) => {
    const file = this.#real.openUnsafe(pathname, mode)
    const check = (): void => {
      if (this.isFull) throw new FileError({ pathname, code: "disk-full", reason: "a test has it full" })
    }
    return {
      pathname,
      sizeUnsafe: () => file.sizeUnsafe(),
      readUnsafe: (target, start, end, position) => file.readUnsafe(target, start, end, position),
      read: (target, start, end, position) => file.read(target, start, end, position),
      writeUnsafe: (bytes, start, end, position) => {
        check()
        file.writeUnsafe(bytes, start, end, position)
      },
      write: async (bytes, start, end, position) => {
        check()
        await file.write(bytes, start, end, position)
      },
      truncateUnsafe: (size) => file.truncateUnsafe(size),
      sync: async () => {
        check()
        await file.sync()
      },
      close: () => file.close()
    }
  }
}
