/** Crashes at any file operation, by `kill -9` and by power loss: what was promised is there, byte for byte, under a new leader epoch. */
import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, test } from "node:test"
import { Effect, Exit, Scope } from "effect"
import type { Mode, Partition } from "manifold"
import { batches, testServices } from "manifold/contracts"
import { TestFiles, testEngine } from "./testing.ts"

const root = mkdtempSync(join(tmpdir(), "manifold-jsonl-crash-"))
after(() => rmSync(root, { recursive: true, force: true }))

const KEY = { tenant: 0, topicId: "crash", partition: 0 }
const UNLIMITED = { sizeBytesMax: Number.POSITIVE_INFINITY, recordsMax: Number.POSITIVE_INFINITY, ageMsMax: 0 }

/** A small generator of numbers from 0 to 1, the same for the same seed. */
function chanceOf(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9
    return ((state ^ (state >>> 13)) >>> 0) / 4_294_967_296
  }
}

/** What was promised when a copy was made. */
interface Image {
  readonly folder: string
  readonly start: number
  readonly end: number
  readonly epoch: number
  readonly batches: ReadonlyMap<number, Uint8Array>
}

function openIn(
  folder: string,
  mode: Mode,
  scope: Scope.Scope,
  files?: TestFiles,
  failed: (reason: string) => void = (reason) => assert.fail(reason)
): Promise<Partition> {
  const { engine } = testEngine(folder, () => 1_700_000_000_000, files === undefined ? {} : { files })
  const events = { committed: () => {}, failed }
  return Effect.runPromise(Scope.provide(engine.open(KEY, { limits: UNLIMITED, mode, events }), scope))
}

async function contentOf(partition: Partition): Promise<ReadonlyArray<Uint8Array>> {
  const found: Array<Uint8Array> = []
  for (let next = partition.logStartOffset; next < partition.highWatermark; ) {
    const bytes = partition.readUnsafe(next, 10_000) ?? (await partition.read(next, 10_000))
    found.push(...batches.splitBatches(bytes))
    next = (batches.recordsOf(bytes).at(-1)?.offset ?? Number.NaN) + 1
  }
  return found
}

/** Lives through a story of appends, deletions, rewritings, cuts and failed syncs, with a copy of the files at some of its file operations. */
async function story(folder: string, mode: Mode, seed: number, copy: (files: TestFiles, target: string) => boolean) {
  const chance = chanceOf(seed)
  const files = new TestFiles(testServices(Date.now).files)
  const images: Array<Image> = []
  const scope = Scope.makeUnsafe()
  const held = new Map<number, Uint8Array>()
  const forget = (): void => {
    for (const offset of held.keys()) if (offset >= partition.logEndOffset) held.delete(offset)
  }
  const partition: Partition = await openIn(folder, mode, scope, files, forget)
  /** While the log is being cut nothing behind the cut is promised. */
  let ceiling = Number.POSITIVE_INFINITY
  /** Of the last batch that was taken: an epoch under which nothing was taken may be given out again. */
  let epoch = partition.leaderEpoch
  files.before = (operation) => {
    const { logStartOffset, highWatermark } = partition
    const target = `${folder}-${images.length}`
    if (operation !== "read" && images.length < 60 && copy(files, target)) {
      const end = Math.min(highWatermark, ceiling)
      images.push({ folder: target, start: logStartOffset, end, epoch, batches: new Map(held) })
    }
    // A sync that fails loses what was not committed, and nothing else; in mode hybrid it would end the story.
    return operation === "sync" && mode === "persistent" && chance() < 0.05 ? "failed" : undefined
  }
  for (let step = 0; step < 120; step++) {
    const dice = chance()
    if (dice < 0.8) {
      const batch = batches.makeBatch(new Array<number>(1 + (step % 3)).fill(step), Math.floor(chance() * 900), step)
      const offset = partition.tryAppendUnsafe(batch, 0, batch.length, 1 + (step % 3))
      assert.ok(offset >= 0 || mode === "persistent", `refused: ${offset}`)
      if (offset < 0) continue
      held.set(offset, batch)
      epoch = partition.leaderEpoch
    } else if (dice < 0.93) {
      const { logStartOffset, highWatermark } = partition
      const target = logStartOffset + Math.floor(chance() * (highWatermark - logStartOffset))
      await partition.deleteBefore(target).catch(failedSync)
    } else {
      const target = Math.max(0, partition.logEndOffset - Math.floor(chance() * 4))
      ceiling = target - 3
      await partition.truncateTo(target).catch(failedSync)
      forget()
      ceiling = Number.POSITIVE_INFINITY
    }
    if (chance() < 0.5) await new Promise((resolve) => setTimeout(resolve, chance() * 4))
  }
  // What was closed in good order goes on under its epoch.
  epoch -= 1
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return images
}

function failedSync(error: unknown): void {
  assert.match(String(error), /a test has this sync fail/)
}

async function check(image: Image, mode: Mode, isSure: boolean): Promise<void> {
  const scope = Scope.makeUnsafe()
  const partition = await openIn(image.folder, mode, scope)
  const place = `${image.folder}: [${image.start}, ${image.end}) of epoch ${image.epoch}`
  assert.ok(partition.leaderEpoch > image.epoch, `${place}, found epoch ${partition.leaderEpoch}`)
  assert.ok(partition.logStartOffset <= Math.max(image.start, partition.logEndOffset), place)
  if (isSure) assert.ok(partition.highWatermark >= image.end, `${place}, found end ${partition.highWatermark}`)
  let next = -1
  for (const batch of await contentOf(partition)) {
    const records = batches.recordsOf(batch)
    const base = records[0]?.offset ?? -1
    assert.ok(next === -1 || base === next, `${place}: ${base} follows ${next}`)
    next = base + records.length
    const sent = image.batches.get(base)
    // A batch that was being written when the copy was made, or was about to be cut, is in nobody's account.
    if (sent === undefined || base >= image.end) continue
    assert.ok(
      Buffer.compare(batches.withoutRewritten(batch), batches.withoutRewritten(sent)) === 0,
      `${place}: ${base}`
    )
  }
  const offset = partition.tryAppendUnsafe(...whole(batches.makeBatch([1])))
  assert.equal(offset, partition.logEndOffset - 1)
  await Effect.runPromise(Scope.close(scope, Exit.void))
}

const whole = (batch: Uint8Array): [Uint8Array, number, number, number] => [batch, 0, batch.length, 1]

for (const mode of ["hybrid", "persistent"] as const) {
  test(`mode ${mode}: killed at any file operation, all that was promised is there`, async () => {
    let count = 0
    for (let seed = 1; seed <= 4; seed++) {
      const folder = join(root, `killed-${mode}-${seed}`)
      const chance = chanceOf(seed + 1_000)
      const images = await story(folder, mode, seed, (files, target) => {
        if (chance() < 0.75) return false
        files.killed(folder, target)
        return true
      })
      count += images.length
      for (const image of images) await check(image, mode, true)
    }
    assert.ok(count > 60, `${count} copies`)
  })

  test(`mode ${mode}: after power loss at any file operation the log is whole${mode === "hybrid" ? "" : ", with all that was promised"}`, async () => {
    let count = 0
    for (let seed = 1; seed <= 8; seed++) {
      const folder = join(root, `lost-${mode}-${seed}`)
      const chance = chanceOf(seed + 2_000)
      const images = await story(folder, mode, seed, (files, target) => {
        if (chance() < 0.75) return false
        mkdirSync(target, { recursive: true })
        files.powerLost(target, chance)
        return true
      })
      count += images.length
      for (const image of images) await check(image, mode, mode === "persistent")
    }
    assert.ok(count > 120, `${count} copies`)
  })
}
