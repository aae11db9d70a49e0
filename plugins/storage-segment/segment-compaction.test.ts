/** Compaction of segments on a disk in memory: crashes before and within every operation, a disk that is full or fails, what is left behind. */
import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import {
  CompactionRound,
  endOffsetOf,
  type FilesShape,
  OffsetMap,
  type Partition,
  ProducerEnds,
  RecordBatchBuilder,
  RecordCursor,
  type RoundResult,
  recordBatch
} from "../../core/mod.ts"
import { keepAll, keepNothing, keepSome } from "../../core/platform/simulated-content.ts"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { systemClock } from "../../core/platform/system.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { TestStore } from "./fakes.ts"
import { rebuildManifest } from "./rebuild-manifest.ts"
import {
  append,
  Bench,
  damagesOf,
  keyOf,
  makeDisk,
  readAll,
  refusalOf,
  SEGMENTS,
  turned,
  verified,
  withFiles
} from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

const KEY = keyOf("compacted")
const SETTINGS = { settings: { segment_bytes: 1_500 } }
const text = new TextEncoder()

/** A batch of one record for each key. */
function keyed(keys: ReadonlyArray<string>, mark: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(120).fill(mark & 255)
  for (const key of keys) {
    const bytes = text.encode(key)
    builder.append(1_000 + mark, bytes, 0, bytes.length, value, 0, value.length)
  }
  return builder.bytes.slice(0, builder.finish())
}

async function fill(partition: Partition, count: number, first = 0): Promise<void> {
  for (let at = first; at < first + count; at++) await append(partition, keyed([`k${at % 5}`, `l${at % 3}`], at))
}

/** Offsets and keys of all records, as text. */
async function textOf(partition: Partition): Promise<string> {
  const cursor = new RecordCursor()
  const found: Array<string> = []
  const bytes = await readAll(partition)
  for (let at = 0; at < bytes.length; at += recordBatch.batchSize(bytes, at, bytes.length)) {
    const size = recordBatch.batchSize(bytes, at, bytes.length)
    assert.equal(recordBatch.checkBatch(bytes, at, at + size), 0)
    cursor.reset(bytes, at, at + size)
    while (cursor.next())
      found.push(`${cursor.offset}:${Buffer.from(cursor.bytes.subarray(cursor.keyStart, cursor.keyEnd))}`)
  }
  return `${partition.logStartOffset} ${found.join(" ")} ${partition.logEndOffset}`
}

/** A round; `replaced` is called when a piece is. */
async function compact({ store }: TestStore, replaced = async (): Promise<void> => {}): Promise<RoundResult> {
  await store.checkpoints.flush()
  const { compaction } = store
  const survey = await compaction.survey(KEY, { ageMsMax: 0, sizeBytesMax: undefined })
  assert.ok(survey !== undefined)
  const nowMs = systemClock.nowMs()
  const parts = {
    store: {
      survey: compaction.survey.bind(compaction),
      read: compaction.read.bind(compaction),
      replace: async (...given: Parameters<typeof compaction.replace>) => {
        const replacement = await compaction.replace(...given)
        if (replacement === undefined) return undefined
        return {
          ...replacement,
          commit: async (cleanedTo: number) => {
            const written = await replacement.commit(cleanedTo)
            await replaced()
            return written
          }
        }
      }
    },
    key: KEY,
    survey,
    map: new OffsetMap({ bytesMax: 100_000, secret: Int32Array.of(1, 2, 3, 4) }),
    producers: new ProducerEnds(nowMs),
    pace: turned,
    clock: systemClock
  }
  const options = { nowMs, tombstoneMs: 1, lagMsMin: 0, isWorth: () => true, isOver: () => false }
  return new CompactionRound(parts, options).run()
}

/** Files of the partition's segments. */
const filesOf = (files: SimulatedFiles): ReadonlyArray<string> =>
  [...files.names()].filter((name) => name.startsWith(`${SEGMENTS}/1/`)).sort()

/** Those that the manifest names. */
const namedBy = ({ store }: TestStore): ReadonlyArray<string> =>
  [...store.catalogue.all.values()].flatMap(({ id, segments }) =>
    segments.flatMap(({ base, generation }) => {
      const stem = `${SEGMENTS}/${id}/${String(base).padStart(20, "0")}${generation === undefined ? "" : `.${generation}`}`
      return [`${stem}.index`, `${stem}.log`]
    })
  )

interface WorkloadOptions {
  readonly seed: number
  /** Every so manieth operation of the disk is a place where it crashes. */
  readonly every: number
  /** Wraps the disk, to plant a bug. */
  readonly wrap?: (files: SimulatedFiles) => FilesShape
}

/** Two rounds with appends between them, and crashes; tells what is wrong after the first that breaks a promise, or "". */
async function brokenBy({ seed, every, wrap }: WorkloadOptions): Promise<string> {
  const chance = Xoshiro128.seeded(seed, 3)
  const files = makeDisk(true)
  const store = await bench.open(files, { ...SETTINGS, ...(wrap === undefined ? {} : { files: wrap(files) }) })
  const partition = await bench.partition(store, KEY)
  await fill(partition, 24)
  await store.store.checkpoints.flush()
  const states = [await textOf(partition)]
  const images: Array<{ readonly files: SimulatedFiles; readonly label: string; readonly from: number }> = []
  let operations = 0
  files.hook = (operation) => {
    operations += 1
    if (operations % every > 0) return undefined
    const during = operation.name === "write" ? operation : undefined
    const kinds = { kill: keepAll, power: keepNothing, torn: keepSome((bound) => chance.below(bound)) }
    for (const [name, kept] of Object.entries(kinds)) {
      const label = `seed ${seed}, operation ${operations} (${operation.name} ${operation.pathname}), ${name}`
      images.push({ files: files.afterCrash(kept, during), label, from: states.length - 1 })
    }
    return undefined
  }
  const noted = async (): Promise<void> => void states.push(await textOf(partition))
  assert.equal((await compact(store, noted)).outcome, "done")
  assert.ok(states.length > 4, `${states.length} pieces`)
  await fill(partition, 9, 24)
  states.push(await textOf(partition))
  await compact(store, noted)
  await store.store.writer.whenIdle()
  files.hook = undefined
  await store.kill()
  assert.ok(images.length > 20, `${images.length} images`)
  for (const { files: image, label, from } of images) {
    try {
      await checkImage(image, states.slice(from))
    } catch (error) {
      return `${label}: ${String(error).slice(0, 900)}`
    }
  }
  return ""
}

/** What is there is what was at one moment; compacted once more nothing is damaged, and nothing is left that nobody needs. */
async function checkImage(image: SimulatedFiles, states: ReadonlyArray<string>): Promise<void> {
  const store = await bench.open(image, SETTINGS)
  const partition = await bench.partition(store, KEY)
  const found = await textOf(partition)
  // Appends that were not acknowledged may be there, or a part of them.
  assert.ok(states.includes(found) || isBetween(states, found), `found ${found}, and none of ${states.join(" | ")}`)
  assert.deepEqual(
    store.lines.filter((line) => /damaged here|failed/.test(line)),
    []
  )
  // So that there is something to do, in the course of which it is looked for what was left.
  await fill(partition, 2, 50)
  assert.equal((await compact(store)).outcome, "done")
  await store.store.writer.whenIdle()
  const named = namedBy(store)
  assert.deepEqual(
    // Behind the last there may be what a checkpoint was about to write.
    filesOf(image).filter((name) => !named.includes(name) && name < (named.at(-2) ?? "")),
    []
  )
  assert.deepEqual(await damagesOf(image), [])
  await store.kill()
}

test("a crash before and within every operation of a compaction leaves the old segments or the new ones", async () => {
  assert.equal(await brokenBy({ seed: 1, every: 5 }), "")
}, 60_000)

test("the same by seed, here and there", async () => {
  for (let seed = 2; seed < 2 + Number(process.env["SEEDS"] ?? 2); seed++) {
    assert.equal(await brokenBy({ seed, every: 11 }), "")
  }
}, 60_000)

test("a planted bug is found: the manifest names a compacted segment that is not synced", async () => {
  const wrap = withFiles(({ pathname }) => (/\.[1-9]\d*\.log$/.test(pathname) ? { sync: () => Promise.resolve() } : {}))
  assert.match(await brokenBy({ seed: 1, every: 3, wrap }), /damaged|found/)
}, 60_000)

/** What lies between two states while records are appended one by one: the first, and some of what the second has more. */
function isBetween(states: ReadonlyArray<string>, now: string): boolean {
  return states.some((state, at) => {
    const next = states[at + 1]
    if (next === undefined) return false
    const records = (each: string): ReadonlyArray<string> => each.split(" ").slice(1, -1)
    const [first, second, own] = [records(state), records(next), records(now)]
    const isLonger = second.length > first.length && first.every((record, index) => second[index] === record)
    return isLonger && own.length >= first.length && own.every((record, index) => second[index] === record)
  })
}

test("a disk that is full during a round: it is told, nothing is lost or left, and it goes on later", async () => {
  const files = makeDisk()
  const store = await bench.open(files, SETTINGS)
  const partition = await bench.partition(store, KEY)
  await fill(partition, 40)
  await store.store.checkpoints.flush()
  const before = await textOf(partition)
  for (let round = 0; round < 3; round++) {
    let writes = 0
    files.hook = ({ name, pathname }) => {
      if (name !== "write" || !/\.1\.(log|index)$/.test(pathname) || writes++ < round) return undefined
      return { code: "disk-full", reason: "the disk is full", written: 30 }
    }
    const refusal = await refusalOf(compact(store))
    if (round < 2) assert.match(refusal, /the disk is full/)
    files.hook = undefined
    if (round === 0) assert.equal(await textOf(partition), before)
    await store.store.writer.whenIdle()
    assert.deepEqual(filesOf(files), [...namedBy(store)].sort())
  }
  await fill(partition, 3, 40)
  assert.equal((await compact(store)).outcome, "done")
  assert.deepEqual(await damagesOf(files), [])
  assert.equal(
    (await textOf(partition)).split(" ").length,
    2 + 8,
    "a record of each key, and where the log starts and ends"
  )
})

test("a manifest whose sync fails at the swap: either is there after a crash, and the round is done again", async () => {
  const files = makeDisk(true)
  const store = await bench.open(files, SETTINGS)
  const partition = await bench.partition(store, KEY)
  await fill(partition, 24)
  await store.store.checkpoints.flush()
  // Ends the last segment, which is a change of the manifest, too.
  await store.store.compaction.survey(KEY, { ageMsMax: 0, sizeBytesMax: undefined })
  const before = await textOf(partition)
  files.hook = ({ name, pathname }) =>
    name === "sync" && pathname.endsWith("/manifest") ? { code: "failed", reason: "the device is gone" } : undefined
  assert.match(await refusalOf(compact(store)), /the device is gone/)
  files.hook = undefined
  assert.equal(await textOf(partition), before)
  for (const kept of [keepAll, keepNothing]) {
    const again = await bench.open(files.afterCrash(kept), SETTINGS)
    const reopened = await bench.partition(again, KEY)
    await readAll(reopened)
    assert.deepEqual(
      again.lines.filter((line) => /damaged here|failed/.test(line)),
      []
    )
    await again.kill()
  }
  assert.equal((await compact(store)).outcome, "done")
  await store.store.writer.whenIdle()
  assert.deepEqual(filesOf(files), [...namedBy(store)].sort())
  assert.deepEqual(await damagesOf(files), [])
})

test("verify has nothing to say of what is left out; a manifest that is lost is made anew of the latest generation", async () => {
  const files = makeDisk()
  const store = await bench.open(files, SETTINGS)
  const partition = await bench.partition(store, KEY)
  await fill(partition, 40)
  await store.store.checkpoints.flush()
  const old = new Map(filesOf(files).map((name) => [name, files.contentUnsafe(name).slice()]))
  await compact(store)
  await store.store.writer.whenIdle()
  const report = await verified(files)
  assert.deepEqual([report.damage, report.notes], [[], []])
  assert.ok((report.counts["records"] ?? 80) < 40, JSON.stringify(report.counts))
  assert.equal(endOffsetOf(await partition.read(79, 1), 0), 80)
  const named = store.store.catalogue.get(1)?.segments
  await store.kill()
  // As a crash leaves them that comes before the old ones are removed, and in the midst of another compaction.
  const put = (name: string, bytes: Uint8Array): void => {
    const file = files.openUnsafe(name, "create")
    file.truncateUnsafe(0)
    file.writeUnsafe(bytes, 0, bytes.length, 0)
    file.close()
  }
  for (const [name, bytes] of old) put(name, bytes)
  const [first] = filesOf(files).filter((name) => name.endsWith(".1.log"))
  assert.ok(first !== undefined)
  put(first.replace(".1.log", ".2.log"), files.contentUnsafe(first).slice(0, -10))
  const parts = { files, directory: SEGMENTS, nowMs: 1, applied: 0, pace: () => Promise.resolve() }
  const { content, aside } = await rebuildManifest(parts)
  const compacted = (segments: typeof named) => segments?.filter(({ generation }) => generation !== undefined)
  const facts = (segments: typeof named) =>
    compacted(segments)?.map(({ base, end, generation }) => [base, end, generation])
  const rebuilt = content.partitions.get(1)?.segments
  assert.deepEqual(facts(rebuilt), facts(named))
  // Of a segment of which nothing was left nobody says that it is gone: its records, which later ones follow, are there again.
  for (const [at, { base }] of (rebuilt ?? []).entries()) assert.ok(at === 0 || base >= (rebuilt?.[at - 1]?.end ?? 0))
  assert.ok(aside.length >= 3, JSON.stringify(aside))
  assert.deepEqual(
    aside.map(({ message }) => message).filter((message) => !/a compaction/.test(message)),
    []
  )
})
