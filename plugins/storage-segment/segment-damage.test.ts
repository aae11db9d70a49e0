/** Segments and indexes that are not as they were written: what is damaged is named and not served, everything else is. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { Effect } from "effect"
import { recordBatch } from "../../core/mod.ts"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { HEADER_BYTES, INDEX_ENTRY_BYTES } from "./segment-format.ts"
import {
  append,
  Bench,
  batchOf,
  damageOf,
  endOf,
  keyOf,
  logsOf,
  makeDisk,
  readAll,
  refusalOf,
  reopened,
  type Stored,
  storeBatches
} from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

const joined = (batches: ReadonlyArray<Uint8Array> | undefined): Uint8Array =>
  new Uint8Array(Buffer.concat([...(batches ?? [])]))

function write(files: SimulatedFiles, pathname: string, bytes: Uint8Array): void {
  const file = files.openUnsafe(pathname, "create")
  file.truncateUnsafe(0)
  file.writeUnsafe(bytes, 0, bytes.length, 0)
  file.close()
}

const remove = (files: SimulatedFiles, pathname: string): Promise<void> => Effect.runPromise(files.remove(pathname))

/** Reads batch by batch; each that is served has to be as it was written. Returns the offsets that are refused. */
async function refusedOf({ partitions, batches }: Stored, which = 0): Promise<ReadonlyArray<number>> {
  const refused: Array<number> = []
  for (const batch of batches[which] ?? []) {
    const base = recordBatch.baseOffset(batch, 0)
    const found = await partitions[which]?.read(base, 1).catch(() => undefined)
    if (found === undefined) refused.push(base)
    else assert.deepEqual(found, batch)
  }
  return refused
}

async function othersServe({ partitions, batches, store }: Stored): Promise<void> {
  for (const [at, partition] of partitions.entries()) {
    if (at > 0) assert.deepEqual(await readAll(partition), joined(batches[at]))
  }
  assert.equal(store.store.checkpoints.failures, 0)
}

test("a bit that is turned anywhere in a batch: it is named and not served, what lies before it is", async () => {
  const chance = Xoshiro128.seeded(11)
  const before = await storeBatches(bench, makeDisk(true), 2, 30)
  await before.store.kill()
  for (let round = 0; round < 120; round++) {
    const files = before.files.afterCrash((length) => [0, length])
    const stored = await reopened(bench, { ...before, files })
    const which = chance.below(30)
    const batch = before.batches[0]?.[which] as Uint8Array
    // Of the header's bytes the half of the rounds; the leader epoch is covered by nothing but the segment's own checksum.
    const byte = chance.chance(1, 2) ? chance.below(recordBatch.RECORDS_POSITION) : chance.below(batch.length)
    if (byte >= recordBatch.LEADER_EPOCH_POSITION && byte < recordBatch.MAGIC_POSITION) continue
    const [pathname = "", position = 0] = placeOf(files, before, which)
    files.flipBit(pathname, position + byte, chance.below(8))
    const label = `round ${round}: byte ${byte} of batch ${which} in ${pathname} at ${position}`
    const refused = await refusedOf(stored)
    const base = recordBatch.baseOffset(batch, 0)
    assert.ok(refused.includes(base), `${label}: refused ${refused}`)
    // One whose offset is too low is told from the one before it, which then ends too late.
    const isOffset = byte < 8
    const first = isOffset ? base - 2 : base
    assert.ok(
      refused.every((offset) => offset >= first),
      `${label}: refused ${refused}`
    )
    const named = damageOf(stored.store).some((line) => line.includes(`"byte":${position},`) && line.includes(pathname))
    assert.ok(named || isOffset, `${label}: ${damageOf(stored.store)}`)
    await othersServe(stored)
    await stored.store.kill()
  }
})

/** Where a batch of the first partition lies. */
function placeOf(
  files: SimulatedFiles,
  { batches }: Stored,
  which: number
): readonly [pathname: string, position: number] {
  const wanted = Buffer.from(batches[0]?.[which] ?? [])
  for (const pathname of logsOf(files)) {
    const at = Buffer.from(files.contentUnsafe(pathname)).indexOf(wanted)
    if (at >= 0) return [pathname, at]
  }
  throw new Error(`batch ${which} is not there`)
}

test("a segment that is missing, cut short, or another's: its batches are refused, all others are served", async () => {
  const changes: Record<string, (files: SimulatedFiles, pathname: string, other: string) => unknown> = {
    missing: (files, pathname) => remove(files, pathname),
    empty: (files, pathname) => write(files, pathname, new Uint8Array(0)),
    short: (files, pathname) => write(files, pathname, files.contentUnsafe(pathname).slice(0, 1_000)),
    other: (files, pathname, other) => write(files, pathname, files.contentUnsafe(other).slice())
  }
  for (const [name, change] of Object.entries(changes)) {
    const before = await storeBatches(bench, makeDisk(), 2, 60)
    const [, pathname = "", other = ""] = logsOf(before.files)
    const segments = before.store.store.catalogue.get(1)?.segments ?? []
    const { base = 0, end = 0 } = segments[1] ?? {}
    await before.store.kill()
    await change(before.files, pathname, other)
    const stored = await reopened(bench, before)
    const refused = await refusedOf(stored)
    assert.ok(refused.length > 0, name)
    assert.ok(
      refused.every((offset) => offset >= base && offset < end),
      `${name}: ${refused} of ${base}-${end}`
    )
    assert.ok(
      damageOf(stored.store).some((line) => line.includes(pathname) && /"byte":\d/.test(line)),
      `${name}: ${stored.store.lines.slice(0, 5)}`
    )
    assert.match(await refusalOf(stored.partitions[0]?.read(base, 1) ?? Promise.resolve()), /damaged|no such file/)
    await othersServe(stored)
  }
})

test("headers and footers are not needed to serve", async () => {
  const before = await storeBatches(bench, makeDisk(), 1, 60)
  const segments = before.store.store.catalogue.get(1)?.segments ?? []
  for (const [at, pathname] of logsOf(before.files).entries()) {
    before.files.flipBit(pathname, at % HEADER_BYTES, 3)
    if (segments[at]?.isSealed === true) before.files.flipBit(pathname, (segments[at]?.bytes ?? 0) + 20, 1)
  }
  assert.deepEqual(await refusedOf(await reopened(bench, before)), [])
})

test("an index that is missing, garbage, too long, too short or another's is made anew, or does no harm", async () => {
  const garbage = Uint8Array.from({ length: 500 }, (_, at) => (at * 37) & 255)
  const changes: Record<string, readonly [isRebuilt: boolean, (bytes: Uint8Array, other: Uint8Array) => Uint8Array]> = {
    missing: [true, () => new Uint8Array(0)],
    garbage: [true, () => garbage],
    long: [false, (bytes) => joined([bytes, garbage])],
    "long by an entry": [false, (bytes, other) => joined([bytes, other.subarray(0, INDEX_ENTRY_BYTES)])],
    short: [true, (bytes) => bytes.slice(0, bytes.length - 1)],
    turned: [true, (bytes) => bytes.map((byte, at) => (at === 30 ? byte ^ 4 : byte))],
    other: [true, (_, other) => other]
  }
  // Of two partitions alike in all sizes, with times that are not.
  const settings = { segment_bytes: 1_000_000 }
  for (const [name, [isRebuilt, change]] of Object.entries(changes)) {
    const files = makeDisk()
    const store = await bench.open(files, { settings })
    const partitions = [await bench.partition(store, keyOf("0")), await bench.partition(store, keyOf("1"))]
    const batches: Array<Array<Uint8Array>> = [[], []]
    for (let each = 0; each < 100; each++) {
      for (const [at, partition] of partitions.entries()) {
        const records = at === 0 ? [each] : [1_000 - each]
        batches[at]?.push(await append(partition, batchOf(records, 500, each)))
      }
    }
    await store.store.checkpoints.flush()
    await store.kill()
    const [first, second] = [1, 2].map((id) => logsOf(files, id)[0]?.replace(".log", ".index") ?? "")
    const bytes = change(files.contentUnsafe(first ?? "").slice(), files.contentUnsafe(second ?? "").slice())
    if (name === "missing") await remove(files, first ?? "")
    else write(files, first ?? "", bytes)
    const stored = await reopened(bench, { files, store, partitions, batches }, { settings })
    const [partition] = stored.partitions
    for (const timestamp of [0, 31, 57, 99]) {
      assert.deepEqual(await partition?.offsetForTimestamp(timestamp), { offset: timestamp, timestamp }, name)
    }
    assert.deepEqual(await refusedOf(stored), [], name)
    assert.equal(stored.store.store.indexes.rewrites.rebuilt > 0, isRebuilt, `${name}: ${stored.store.lines}`)
    await othersServe(stored)
    // It grows, and its index with it.
    if (partition !== undefined) {
      batches[0]?.push(await append(partition, batchOf([5_000], 40_000)))
      await stored.store.store.checkpoints.flush()
      assert.deepEqual(await partition.offsetForTimestamp(4_000), { offset: 100, timestamp: 5_000 }, name)
      assert.deepEqual(await refusedOf(await reopened(bench, stored, { settings })), [], name)
    }
  }
})

for (const what of ["missing", "cut short", "garbage"]) {
  test(`a segment that is ${what} where its log is cut or deleted: it costs this partition alone`, async () => {
    const stored = await storeBatches(bench, makeDisk(), 3, 60)
    const [cut, deleted, other] = stored.partitions
    assert.ok(cut !== undefined && deleted !== undefined && other !== undefined)
    await cut.truncateTo(45)
    const kept = stored.batches[0]?.filter((batch) => endOf(batch) <= 45)
    assert.equal(await deleted.deleteBefore(45), 45)
    const paths = [1, 2].map((id) => {
      const segments = stored.store.store.catalogue.get(id)?.segments ?? []
      const at = segments.findIndex(({ end }) => end > 45)
      return { pathname: logsOf(stored.files, id)[at] ?? "", base: segments[at]?.base ?? 0 }
    })
    stored.store.store.files.close()
    for (const { pathname } of paths) {
      if (what === "missing") await remove(stored.files, pathname)
      else write(stored.files, pathname, new Uint8Array(what === "garbage" ? 3_000 : 200).fill(0xee))
    }
    // The journal says it again to a store that starts with the damage.
    for (const isStart of [false, true]) {
      const found = isStart ? await reopened(bench, { ...stored, files: stored.files }) : stored
      const [again, shorter, whole] = found.partitions
      assert.ok(again !== undefined && shorter !== undefined && whole !== undefined)
      for (const partition of found.partitions) await append(partition, batchOf([1], 50))
      await found.store.store.checkpoints.flush()
      assert.equal(found.store.store.checkpoints.failures, 0, found.store.lines.join("\n"))
      for (const { pathname } of paths) {
        const line = damageOf(found.store).find((each) => each.includes(pathname))
        assert.ok(isStart || /"byte":\d/.test(line ?? ""), found.store.lines.join("\n"))
      }
      const base = paths[0]?.base ?? 0
      const intact = kept?.filter((batch) => endOf(batch) <= base)
      assert.deepEqual((await refusedOf({ ...found, batches: [intact ?? []] })).length, 0)
      assert.notEqual(await refusalOf(again.read(base, 1)), "")
      // What comes behind the cut is there, and nothing of what was cut off.
      const behind = await again.read(isStart ? 45 : 44, 1)
      assert.equal(behind.length > 0 && recordBatch.baseOffset(behind, 0) >= 44, true)
      assert.ok((await shorter.read(shorter.logEndOffset - 1, 1)).length > 0)
      assert.ok((await whole.read(0, 100)).length > 0)
    }
  })
}
