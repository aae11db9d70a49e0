/** Disks that fail, lines that are damaged, keys that are none: what is told, what is kept, what is refused. */
import assert from "node:assert/strict"
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import { BACKLOG, DISK_FULL, type Mode, type Partition, type PartitionLimits, READ_ONLY, StorageError } from "manifold"
import { batches, testServices } from "manifold/contracts"
import type { EngineParts } from "./engine.ts"
import { type Operation, TestFiles, testEngine } from "./testing.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-jsonl-faults-"))
after(() => rmSync(root, { recursive: true, force: true }))

const KEY = { tenant: 0, topicId: "faults", partition: 0 }
const FILE = join("0", "faults-0.jsonl")
const UNLIMITED = { sizeBytesMax: Number.POSITIVE_INFINITY, recordsMax: Number.POSITIVE_INFINITY, ageMsMax: 0 }
let folders = 0

interface Setting {
  readonly folder?: string
  readonly mode?: Mode
  readonly limits?: PartitionLimits
  readonly parts?: Partial<EngineParts>
}

/** One partition in a folder of its own, with what was told of it. */
async function set({
  folder = join(root, String(++folders)),
  mode = "persistent",
  limits = UNLIMITED,
  parts = {}
}: Setting = {}) {
  const files = new TestFiles(testServices(Date.now).files)
  let nowMs = 1_700_000_000_000
  const { engine, lines } = testEngine(folder, () => nowMs, { files, ...parts })
  const scope = Scope.makeUnsafe()
  const failures: Array<string> = []
  let commits = 0
  const events = { committed: () => void (commits += 1), failed: (reason: string) => void failures.push(reason) }
  const partition = await Effect.runPromise(Scope.provide(engine.open(KEY, { limits, mode, events }), scope))
  return {
    folder,
    file: join(folder, FILE),
    files,
    engine,
    lines,
    partition,
    failures,
    commits: () => commits,
    pass: (ms: number) => void (nowMs += ms),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

function take(partition: Partition, mark: number, valueBytes = 100): number {
  const batch = batches.makeBatch([mark], valueBytes, mark)
  return partition.tryAppendUnsafe(batch, 0, batch.length, 1)
}

async function until(condition: () => boolean): Promise<void> {
  const startMs = performance.now()
  while (!condition()) {
    assert.ok(performance.now() - startMs < 10_000, "it comes true in the end")
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

const committed = (partition: Partition): Promise<void> =>
  until(() => partition.highWatermark === partition.logEndOffset)

/** The timestamps of all records, which are the marks they were made with. */
async function marksOf(partition: Partition): Promise<ReadonlyArray<number>> {
  const marks: Array<number> = []
  for (let next = partition.logStartOffset; next < partition.highWatermark; ) {
    const records = batches.recordsOf(partition.readUnsafe(next, 1_000) ?? (await partition.read(next, 1_000)))
    for (const { offset, timestamp } of records) if (offset >= next) marks.push(timestamp)
    next = (records.at(-1)?.offset ?? Number.NaN) + 1
  }
  return marks
}

async function refusedToOpen(folder: string): Promise<StorageError> {
  try {
    await set({ folder })
  } catch (error) {
    assert.ok(error instanceof StorageError, String(error))
    return error
  }
  assert.fail("it was opened")
}

const failing =
  (operation: Operation, code: "disk-full" | "failed", times = 1) =>
  (found: Operation): "disk-full" | "failed" | undefined =>
    found === operation && times-- > 0 ? code : undefined

/** Ten records in a file that was closed in good order. */
async function tenRecords(): Promise<{ folder: string; file: string; lines: ReadonlyArray<string> }> {
  const { partition, folder, file, close } = await set()
  for (let mark = 0; mark < 10; mark++) take(partition, mark)
  await close()
  return { folder, file, lines: readFileSync(file, "utf8").split(/(?<=\n)/) }
}

test("the file is lines of JSON, whose batches are in order", async () => {
  const { lines } = await tenRecords()
  const parsed = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(
    parsed.map((line) => line["state"] ?? line["offset"]),
    ["open", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, "closed"]
  )
})

test("a line that a crash tore, at any of its bytes, is cut off and told of; all before it is there", async () => {
  const { folder, file, lines } = await tenRecords()
  const whole = readFileSync(file)
  const last = Buffer.byteLength(lines.slice(0, 10).join(""))
  const next = last + Buffer.byteLength(lines[10] ?? "")
  for (let size = last + 1; size < next; size += 7) {
    writeFileSync(file, whole.subarray(0, size))
    const opened = await set({ folder })
    assert.deepEqual(await marksOf(opened.partition), [0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert.equal(opened.partition.leaderEpoch, 1)
    const [told = ""] = opened.lines
    assert.ok(told.includes(`"bytes":${size - last},"offset":9`), told)
    assert.equal(take(opened.partition, 42), 9)
    await opened.close()
    const again = await set({ folder })
    assert.deepEqual(await marksOf(again.partition), [0, 1, 2, 3, 4, 5, 6, 7, 8, 42])
    assert.deepEqual(again.lines, [])
    await again.close()
  }
})

test("a first line that a crash tore is none; a file of something else is left alone", async () => {
  const { folder, file } = await tenRecords()
  truncateSync(file, 40)
  const opened = await set({ folder })
  assert.equal(opened.partition.logEndOffset, 0)
  await opened.close()
  const other = "a letter to the editor\n".repeat(100)
  writeFileSync(file, other)
  assert.equal((await refusedToOpen(folder)).reason._tag, "ChecksumMismatch")
  assert.equal(readFileSync(file, "utf8"), other)
})

test("damage to what was synced is not opened, told by its offset, and left as it is", async () => {
  const { folder, file, lines } = await tenRecords()
  for (const damaged of [1, 5, 10]) {
    const line = lines[damaged] ?? ""
    for (const at of [10, 30, line.length - 20]) {
      const changed = `${line.slice(0, at)}${line[at] === "0" ? "1" : "0"}${line.slice(at + 1)}`
      const text = lines.with(damaged, changed).join("")
      writeFileSync(file, text)
      const { reason, message } = await refusedToOpen(folder)
      assert.deepEqual(reason._tag === "ChecksumMismatch" ? reason.baseOffset : reason, damaged - 1)
      assert.match(message, /offset \d+ is damaged/)
      assert.equal(readFileSync(file, "utf8"), text)
    }
  }
  // A line that is gone, and two that changed places.
  for (const text of [
    lines.toSpliced(4, 1),
    [...lines.slice(0, 3), ...lines.slice(4, 5), ...lines.slice(3, 4), ...lines.slice(5)]
  ]) {
    writeFileSync(file, text.join(""))
    assert.equal((await refusedToOpen(folder)).reason._tag, "ChecksumMismatch")
  }
})

test("damage while the file is open is an error of the read that meets it, and of no other", async () => {
  const { partition, file, close } = await set({ parts: { tailBytesMax: 8_192 } })
  for (let mark = 0; mark < 200; mark++) take(partition, mark, 900)
  await committed(partition)
  const text = readFileSync(file, "utf8")
  const at = text.indexOf('"batch"', text.indexOf('"offset":90,')) + 40
  writeFileSync(file, `${text.slice(0, at)}!${text.slice(at + 1)}`)
  const whole = { "0": 0, "199": 199 }
  for (const offset of Object.values(whole)) {
    const bytes = partition.readUnsafe(offset, 1) ?? (await partition.read(offset, 1))
    assert.equal(batches.recordsOf(bytes)[0]?.offset, offset)
  }
  const error = await partition.read(90, 1).then(
    () => undefined,
    (thrown: unknown) => thrown
  )
  assert.ok(error instanceof StorageError && error.reason._tag === "ChecksumMismatch")
  assert.equal(error.reason.baseOffset, 90)
  await close()
})

test("a full disk refuses batches, loses nothing, and takes them again when it has room", async () => {
  for (const mode of ["hybrid", "persistent"] as const) {
    const { partition, files, folder, file, failures, close } = await set({ mode })
    take(partition, 0)
    await committed(partition)
    const size = statSync(file).size
    files.before = failing("write", "disk-full", 3)
    for (let count = 0; count < 3; count++) assert.equal(take(partition, 99), DISK_FULL)
    assert.equal(statSync(file).size, size, "what was written of it is cut off")
    assert.equal(take(partition, 1), 1)
    await committed(partition)
    assert.deepEqual(await marksOf(partition), [0, 1])
    assert.deepEqual(failures, [])
    await close()
    const again = await set({ folder, mode })
    assert.deepEqual([await marksOf(again.partition), again.partition.leaderEpoch], [[0, 1], 0])
    await again.close()
  }
})

test("persistent: a failed sync gives up what was not committed, tells so, and goes on in a new epoch", async () => {
  const { partition, files, folder, failures, commits, close } = await set()
  take(partition, 0)
  await committed(partition)
  const before = commits()
  files.before = failing("sync", "failed")
  for (const mark of [1, 2, 3]) take(partition, mark)
  assert.equal(partition.highWatermark, 1)
  await until(() => failures.length > 0)
  assert.match(failures[0] ?? "", /a test has this sync fail/)
  assert.deepEqual([partition.logEndOffset, partition.highWatermark, partition.leaderEpoch], [1, 1, 1])
  assert.equal(commits(), before)
  await until(() => take(partition, 4) === 1)
  await committed(partition)
  assert.deepEqual(await marksOf(partition), [0, 4])
  await close()
  const again = await set({ folder })
  assert.deepEqual([await marksOf(again.partition), again.partition.leaderEpoch], [[0, 4], 1])
  assert.equal(failures.length, 1)
  await again.close()
})

test("persistent: a disk that stays broken ends the taking of batches; what was promised can be read, and opened anew", async () => {
  const { partition, files, folder, failures, lines, close } = await set()
  take(partition, 0)
  await committed(partition)
  files.before = failing("sync", "failed", 1_000)
  take(partition, 1)
  await until(() => take(partition, 2) === READ_ONLY)
  await until(() => lines.some((line) => line.includes("takes no more batches")))
  assert.deepEqual(await marksOf(partition), [0])
  assert.equal(failures.length, 1)
  await close()
  const again = await set({ folder })
  assert.equal((await marksOf(again.partition))[0], 0)
  // Nothing was taken under the epoch that could not be written.
  assert.ok(again.partition.leaderEpoch >= partition.leaderEpoch)
  await again.close()
})

test("hybrid: a failed sync ends the taking of batches, once, and says so", async () => {
  const { partition, files, folder, failures, close } = await set({ mode: "hybrid" })
  files.before = failing("sync", "failed", 1_000)
  take(partition, 0)
  await until(() => failures.length > 0)
  assert.equal(take(partition, 1), READ_ONLY)
  await new Promise((resolve) => setTimeout(resolve, 80))
  assert.equal(failures.length, 1)
  assert.deepEqual(await marksOf(partition), [0])
  await close()
  const again = await set({ folder, mode: "hybrid" })
  assert.ok(again.partition.leaderEpoch >= partition.leaderEpoch)
  await again.close()
})

test("a write that fails otherwise is told of later than the append, and what was committed stays", async () => {
  const { partition, files, failures, close } = await set()
  take(partition, 0)
  await committed(partition)
  files.before = failing("write", "failed")
  assert.equal(take(partition, 1), READ_ONLY)
  assert.equal(failures.length, 0)
  await until(() => failures.length > 0)
  await until(() => take(partition, 2) === 1)
  await committed(partition)
  assert.deepEqual(await marksOf(partition), [0, 2])
  await close()
})

test("what waits for a sync has a bound", async () => {
  const { partition, close } = await set({ parts: { unsyncedBytesMax: 5_000 } })
  let taken = 0
  while (take(partition, taken, 500) >= 0) taken += 1
  assert.ok(taken > 2 && taken < 10, String(taken))
  assert.equal(take(partition, 99), BACKLOG)
  await committed(partition)
  assert.equal(take(partition, taken), taken)
  await close()
})

test("limits are kept by whole blocks, the file shrinks, and its readers do not notice", async () => {
  for (const mode of ["hybrid", "persistent"] as const) {
    const limits = { ...UNLIMITED, sizeBytesMax: 300_000 }
    const { partition, file, folder, lines, close } = await set({ mode, limits })
    let mark = 0
    for (; mark < 2_000; mark++) {
      assert.equal(take(partition, mark, 500), mark)
      if (mark % 20 !== 0) continue
      await new Promise((resolve) => setTimeout(resolve, 1))
      const offset = Math.floor((partition.logStartOffset + partition.highWatermark) / 2)
      if (offset === partition.highWatermark) continue
      const records = batches.recordsOf(partition.readUnsafe(offset, 1) ?? (await partition.read(offset, 1)))
      if (offset >= partition.logStartOffset) assert.equal(records[0]?.timestamp, offset)
    }
    // How large it is on the way depends on the disk's speed: it is written anew beside the appends.
    const isLarge = (): boolean => statSync(file).size >= 1_500_000 || partition.sizeBytes > 300_000
    for (await committed(partition); isLarge() && mark < 4_000; mark++) {
      assert.equal(take(partition, mark, 500), mark)
      await new Promise((resolve) => setTimeout(resolve, 2))
      if (mark % 20 === 0) await committed(partition)
    }
    await committed(partition)
    assert.ok(partition.sizeBytes <= 300_000 && partition.sizeBytes > 200_000, String(partition.sizeBytes))
    assert.ok(statSync(file).size < 1_600_000, `the file has ${statSync(file).size} bytes`)
    const expected = Array.from({ length: mark }, (_, each) => each).slice(partition.logStartOffset)
    assert.deepEqual(await marksOf(partition), expected)
    await close()
    const again = await set({ folder, mode, limits })
    assert.deepEqual(await marksOf(again.partition), expected)
    assert.deepEqual([lines, again.lines, readdirSync(join(folder, "0"))], [[], [], ["faults-0.jsonl"]])
    await again.close()
  }
})

test("limits by records and by age", async () => {
  const { partition, close } = await set({ mode: "hybrid", limits: { ...UNLIMITED, recordsMax: 300 } })
  for (let mark = 0; mark < 1_000; mark++) take(partition, mark, 500)
  assert.ok(partition.logEndOffset - partition.logStartOffset <= 300)
  assert.ok(partition.logEndOffset - partition.logStartOffset > 100)
  await close()
  const aged = await set({ mode: "hybrid", limits: { ...UNLIMITED, ageMsMax: 60_000 } })
  for (let mark = 0; mark < 300; mark++) take(aged.partition, mark, 500)
  aged.pass(61_000)
  for (let mark = 0; mark < 150; mark++) take(aged.partition, mark, 500)
  assert.ok(aged.partition.logStartOffset > 200 && aged.partition.logStartOffset <= 300)
  await aged.close()
})

test("a file that cannot be rewritten stays as it is, and is told of", async () => {
  const { partition, files, lines, folder, close } = await set({ mode: "hybrid" })
  for (let mark = 0; mark < 100; mark++) take(partition, mark, 500)
  files.before = failing("rename", "failed", 1_000)
  await partition.deleteBefore(90)
  await until(() => lines.length > 0)
  assert.match(lines[0] ?? "", /a file keeps what was forgotten/)
  assert.equal(take(partition, 100), 100)
  assert.deepEqual(await marksOf(partition), [90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100])
  await close()
  assert.deepEqual(readdirSync(join(folder, "0")), ["faults-0.jsonl"])
})

test("after a file was rewritten a failed sync cuts it where it now ends", async () => {
  const { partition, files, file, failures, close } = await set({ parts: { deadBytesMin: 1 } })
  for (let mark = 0; mark < 20; mark++) take(partition, mark, 500)
  await committed(partition)
  const before = statSync(file).size
  await partition.deleteBefore(15)
  await until(() => statSync(file).size < before)
  // Waits for the end of the rewriting, and changes nothing.
  await partition.deleteBefore(1)
  files.before = failing("sync", "failed")
  take(partition, 99, 500)
  await until(() => failures.length > 0)
  await until(() => take(partition, 20, 500) === 20)
  await committed(partition)
  assert.deepEqual(await marksOf(partition), [15, 16, 17, 18, 19, 20])
  assert.ok(!readFileSync(file, "utf8").includes("\0"))
  await close()
})

test("a log that was emptied below its start goes on there", async () => {
  const { partition, file, folder, close } = await set({ parts: { deadBytesMin: 10_000 } })
  for (let mark = 0; mark < 200; mark++) take(partition, mark, 500)
  await committed(partition)
  const before = statSync(file).size
  await partition.deleteBefore(150)
  await until(() => statSync(file).size < before)
  await partition.deleteBefore(152)
  assert.equal(await partition.truncateTo(5), 5)
  for (let mark = 105; mark < 110; mark++) assert.equal(take(partition, mark), mark - 100)
  await committed(partition)
  assert.equal(await partition.truncateTo(8), 8)
  assert.equal(await partition.deleteBefore(6), 6)
  assert.deepEqual(await marksOf(partition), [106, 107])
  assert.deepEqual(await partition.offsetForTimestamp(107), { offset: 7, timestamp: 107 })
  await close()
  const again = await set({ folder })
  assert.deepEqual(await marksOf(again.partition), [106, 107])
  await again.close()
})

test("one that was begun before a crash is put away", async () => {
  const { folder, file } = await tenRecords()
  writeFileSync(`${file}.new`, "half of it")
  const { partition, close } = await set({ folder })
  assert.equal((await marksOf(partition)).length, 10)
  assert.deepEqual(readdirSync(join(folder, "0")), ["faults-0.jsonl"])
  await close()
})

test("keys that are no names of files are refused, whatever they try", async () => {
  const { engine, close } = await set()
  const open = (key: object): Promise<unknown> =>
    Effect.runPromise(
      Effect.scoped(
        engine.open({ ...KEY, ...key }, { limits: UNLIMITED, mode: "hybrid", events: { committed() {}, failed() {} } })
      )
    )
  for (const key of [
    { topicId: "../../etc/passwd" },
    { topicId: "a/b" },
    { topicId: "" },
    { topicId: "A" },
    { topicId: "a\0b" },
    { topicId: "x".repeat(65) },
    { tenant: -1 },
    { tenant: 0.5 },
    { partition: Number.NaN }
  ]) {
    await assert.rejects(open(key), /no name for a file/, JSON.stringify(key))
    await assert.rejects(Effect.runPromise(engine.remove({ ...KEY, ...key })), /no name for a file/)
  }
  await close()
})

test("no more partitions are open than the bound says, and a closed one makes room", async () => {
  const { engine, close } = await set({ parts: { partitionsMax: 1 } })
  const another = Effect.scoped(
    engine.open(
      { ...KEY, partition: 1 },
      { limits: UNLIMITED, mode: "hybrid", events: { committed() {}, failed() {} } }
    )
  )
  await assert.rejects(Effect.runPromise(another), /as many as partitions_max allows/)
  await close()
  await Effect.runPromise(another)
})
