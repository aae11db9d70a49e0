/** What `storage verify` finds in segments: every bit, and what has a right checksum and is not true. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { Effect } from "effect"
import { recordBatch } from "../../core/mod.ts"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { inspect } from "./inspect.ts"
import { Manifest, type ManifestContent } from "./Manifest.ts"
import type { Segment, StoredPartition } from "./Segment.ts"
import {
  append,
  Bench,
  batchOf,
  DIRECTORY,
  damagesOf,
  keyOf,
  logsOf,
  makeDisk,
  SEGMENTS,
  storeBatches,
  verified
} from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

const MANIFEST = `${SEGMENTS}/manifest`

/** A partition of two sealed segments and an open one, each of some runs; its log begins within the first. Then another one. */
async function stored(): Promise<SimulatedFiles> {
  const files = makeDisk()
  const { store } = await storeBatches(bench, files, 0, 0, { settings: { segment_bytes: 70_000 } })
  const partition = await bench.partition(store, keyOf("0"))
  const other = await bench.partition(store, keyOf("1"))
  for (let each = 0; each < 40; each++) {
    await append(partition, batchOf([1_000 + each, 2_000 + each], 2_000, each))
    if (each === 25) await partition.truncateTo(50)
  }
  await append(other, batchOf([1], 10))
  await partition.deleteBefore(5)
  await store.close()
  assert.equal(logsOf(files).length, 3)
  assert.deepEqual(await damagesOf(files), [])
  return files
}

async function changed(files: SimulatedFiles, change: (content: ManifestContent) => ManifestContent): Promise<void> {
  const { content } = await Manifest.open(files, SEGMENTS)
  await Manifest.write(files, SEGMENTS, change(content))
}

function withPartition(
  { partitions, state }: ManifestContent,
  change: (partition: StoredPartition) => StoredPartition
): ManifestContent {
  const first = partitions.get(1) as StoredPartition
  return { partitions: new Map([...partitions, [1, change(first)]]), state }
}

test("a manifest that does not tell the truth, in any number that it has, is found", async () => {
  const files = await stored()
  const truth = files.contentUnsafe(MANIFEST).slice()
  const { content } = await Manifest.open(files, SEGMENTS)
  const { segments, leaderEpoch, logEnd } = content.partitions.get(1) as StoredPartition
  const lies: Array<readonly [string, (content: ManifestContent) => ManifestContent]> = []
  for (const [at, segment] of segments.entries()) {
    for (const name of Object.keys(segment) as Array<keyof Segment>) {
      // When an open segment was appended to is known to the manifest alone.
      if (!segment.isSealed && /AppendedMs$/.test(name)) continue
      // A segment that is one longer than it is, and sealed where it is not, is told by its bytes.
      for (const by of [1, -1]) {
        const value = typeof segment[name] === "boolean" ? !segment[name] : Number(segment[name]) + by
        const wrong = { ...segment, [name]: value } as Segment
        if (wrong.indexCrc < 0 || wrong.headersCrc < 0 || wrong.base < 0) continue
        lies.push([
          `${name} of segment ${at} by ${by}`,
          (found) => withPartition(found, (own) => ({ ...own, segments: segments.with(at, wrong) }))
        ])
      }
    }
    lies.push([
      `no segment ${at}`,
      (found) => withPartition(found, (own) => ({ ...own, segments: segments.toSpliced(at, 1) }))
    ])
  }
  const key = keyOf("another")
  const partition: Array<readonly [string, Partial<StoredPartition>]> = [
    ["leader epoch too low", { leaderEpoch: leaderEpoch - 1 }],
    ["leader epoch too high", { leaderEpoch: 1_000_000 }],
    ["log start", { logStart: 9 }],
    ["log start behind the end", { logStart: 1_000 }],
    ["log end too low", { logEnd: logEnd - 1 }],
    ["log end too high", { logEnd: logEnd + 1 }],
    ["start position", { startPosition: 128 }],
    ["start position between two batches", { startPosition: 200 }],
    ["topic", { key }],
    ["tenant", { key: { ...keyOf("0"), tenant: 3 } }],
    ["another's key", { key: keyOf("1") }],
    ["number", { id: 9 }]
  ]
  for (const [name, wrong] of partition)
    lies.push([name, (found) => withPartition(found, (own) => ({ ...own, ...wrong }))])
  lies.push(["next number", ({ partitions, state }) => ({ partitions, state: { ...state, nextId: 2 } })])
  lies.push(["epochs", ({ partitions, state }) => ({ partitions, state: { ...state, epochLimit: 0 } })])
  const unfound: Array<string> = []
  for (const [name, lie] of lies) {
    await changed(files, lie)
    const { damage, notes } = await verified(files)
    // Offsets may be missing where a mode lost them: that is told, and no damage.
    const isGap = ["no segment 1", "no segment 2", "log end too high"].includes(name)
    if (isGap ? !/"0"\/0: offsets \d+ to \d+ are missing/.test(notes.join()) : damage.length === 0) unfound.push(name)
    const file = files.openUnsafe(MANIFEST, "write")
    file.truncateUnsafe(0)
    file.writeUnsafe(truth, 0, truth.length, 0)
  }
  assert.deepEqual(unfound, [])
  assert.deepEqual(await damagesOf(files), [])
})

test("a leader epoch or an offset that no checksum of its batch covers is told with its byte", async () => {
  const files = await stored()
  const [, pathname = ""] = logsOf(files)
  const bytes = files.contentUnsafe(pathname)
  const places: Array<number> = []
  for (let at = 128, size = 1; size > 0; at += size) {
    size = recordBatch.batchSize(bytes, at, bytes.length - 96)
    if (size > 0) places.push(at)
  }
  assert.ok(places.length > 10)
  for (const at of places) {
    for (const [byte, bit] of [
      [recordBatch.LEADER_EPOCH_POSITION + 3, 0],
      [recordBatch.LEADER_EPOCH_POSITION, 3],
      [7, 0],
      [7, 5],
      [3, 2]
    ] as const) {
      files.flipBit(pathname, at + byte, bit)
      const [damage, ...more] = (await verified(files)).damage.filter((each) => each.pathname === pathname)
      assert.deepEqual(more, [])
      // What cannot be placed is told of all batches together.
      const near = [-1, 0, 1].map((by) => places[places.indexOf(at) + by])
      assert.ok(
        [128, ...near].includes(damage?.position ?? -1),
        `batch at ${at}, byte ${byte}: ${JSON.stringify(damage)}`
      )
      files.flipBit(pathname, at + byte, bit)
    }
  }
})

test("every byte of segments and indexes is read, a little at a time, as the pace allows", async () => {
  const files = await stored()
  let read = 0
  let most = 0
  const pace = async (bytes: number): Promise<void> => {
    read += bytes
    most = Math.max(most, bytes)
  }
  const request = { depth: "verify", store: 0, directory: DIRECTORY, files, pace } as const
  await Effect.runPromise(inspect({}, request))
  const size = [...files.names()]
    .filter((name) => /segments\/\d+\//.test(name))
    .reduce((sum, name) => sum + files.contentUnsafe(name).length, 0)
  // But for headers and footers.
  assert.ok(read <= size && read > size - 5 * 224, `${read} of ${size}`)
  assert.ok(most <= 1_048_576)
})

test("a batch that says that it has a gigabyte is not waited for", async () => {
  const files = await stored()
  const [pathname = ""] = logsOf(files)
  files.flipBit(pathname, 128 + recordBatch.BATCH_LENGTH_POSITION, 6)
  assert.match(String(await damagesOf(files)), /no whole batch lies here/)
})

test("a node that cuts, appends, trims and removes meanwhile is no damage", async () => {
  const files = makeDisk()
  const before = await storeBatches(bench, files, 3, 60)
  const [cut, trimmed] = before.partitions
  let paces = 0
  const pace = async (): Promise<void> => {
    paces += 1
    if (paces === 3) {
      await cut?.truncateTo(11)
      for (let each = 0; each < 60; each++) if (cut) await append(cut, batchOf([each], 150, each))
      await trimmed?.deleteBefore(70)
      await before.store.store.checkpoints.flush()
      await before.store.store.writer.whenIdle()
    }
  }
  const found = await verified(files, pace)
  assert.ok(paces > 3)
  assert.deepEqual(found.damage, [])
})

test("stats tells each partition as the manifest has it, without reading a segment", async () => {
  const files = await stored()
  for (const name of logsOf(files)) files.faults.set(name, { code: "failed", reason: "read" })
  const request = { depth: "stats", store: 0, directory: DIRECTORY, files, pace: () => Promise.resolve() } as const
  const [report] = await Effect.runPromise(inspect({}, request))
  const [first, second] = report?.partitions ?? []
  const { bytes = 0, indexBytes, records, ...rest } = first ?? {}
  assert.deepEqual(rest, {
    ...{ engine: "segment", tenant: 0, topicId: "0", partition: 0, segments: 3, logStart: 5, logEnd: 78 },
    ...{ firstTimestamp: 1_000, lastTimestamp: 2_039 }
  })
  // Two batches of two records are wholly below the log's start; their bytes lie there still.
  assert.ok(bytes > 37 * 4_000 && bytes < 38 * 4_200 && records === 78, `${bytes} bytes, ${records} records`)
  const indexes = [...files.names()].filter((name) => /\/1\/\d+\.index$/.test(name))
  assert.equal(
    indexBytes,
    indexes.reduce((sum, name) => sum + files.contentUnsafe(name).length, 0)
  )
  assert.deepEqual([second?.topicId, second?.segments, second?.records, report?.partitions?.length], ["1", 1, 1, 2])
})
