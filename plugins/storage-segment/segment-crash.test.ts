/** What journal and segments together promise over crashes: of a workload on a disk in memory, before and within its operations. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { Effect } from "effect"
import { crc32c, type FilesShape, type Partition, recordBatch } from "../../core/mod.ts"
import { keepAll, keepNothing, keepSome } from "../../core/platform/simulated-content.ts"
import type { SimulatedFiles, SimulatedOperation } from "../../core/platform/simulated-files.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import type { TestStore, TestStoreOptions } from "./fakes.ts"
import { Bench, batchOf, keyOf, LogModel, makeDisk, put, readAll, turned, until, withFiles } from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

const KEYS = ["a", "b", "c"].map((topicId) => keyOf(topicId))
const SETTINGS = { settings: { segment_bytes: 1_500 } }

/** A disk after a crash, and how much of what was done has to be there. */
interface Image {
  readonly files: SimulatedFiles
  readonly label: string
  /** Operations that were acknowledged, of those that were begun; a prefix that ends between them is there. */
  readonly acknowledged: number
  readonly submitted: number
  /** The highest leader epoch that was seen. */
  readonly epoch: number
}

interface WorkloadOptions {
  readonly seed: number
  readonly turns: number
  /** Every so manieth operation of the disk is a place where it crashes. */
  readonly every: number
  /** What is copied from elsewhere is appended, too, and logs are begun anew for it. */
  readonly copies?: boolean
  /** Wraps the disk, to plant a bug. */
  readonly wrap?: (files: SimulatedFiles) => FilesShape
}

class Workload {
  readonly images: Array<Image> = []
  /** What each log has to be after each operation. */
  readonly states: Array<ReadonlyArray<string>> = []
  readonly #options: WorkloadOptions
  readonly #chance: Xoshiro128
  readonly #files = makeDisk(true)
  readonly #models = KEYS.map(() => new LogModel())
  #partitions: Array<Partition> = []
  #acknowledged = 0
  #epoch = 0
  #operations = 0
  /** Acknowledgements come in the order of the operations. */
  #waiting: Array<Promise<unknown>> = []

  private constructor(options: WorkloadOptions) {
    this.#options = options
    this.#chance = Xoshiro128.seeded(options.seed, 5)
  }

  static async run(options: WorkloadOptions): Promise<Workload> {
    const workload = new Workload(options)
    await workload.#run()
    return workload
  }

  async #run(): Promise<void> {
    const wrapped: TestStoreOptions = this.#options.wrap === undefined ? {} : { files: this.#options.wrap(this.#files) }
    const store = await bench.open(this.#files, { ...SETTINGS, ...wrapped })
    for (const key of KEYS) this.#partitions.push(await bench.partition(store, key))
    this.#noteState()
    this.#files.hook = (operation) => this.#crash(operation)
    for (let turn = 0; turn < this.#options.turns; turn++) await this.#turn(store)
    await Promise.all(this.#waiting)
    await store.store.checkpoints.flush()
    this.#crash({ name: "end", pathname: "" }, true)
    this.#files.hook = undefined
    await store.kill()
  }

  async #turn(store: TestStore): Promise<void> {
    const chance = this.#chance
    const which = chance.below(KEYS.length)
    const partition = this.#partitions[which] as Partition
    const model = this.#models[which] as LogModel
    const key = KEYS[which] as (typeof KEYS)[number]
    const draw = chance.below(this.#options.copies === true ? 26 : 20)
    const offset = model.start + chance.below(Math.max(1, model.end - model.start))
    if (draw < 11) {
      const timestamps = Array.from({ length: 1 + chance.below(3) }, () => chance.below(1_000))
      model.add(put(partition, batchOf(timestamps, chance.below(250), this.states.length)))
      const { end } = model
      // One that is cut off before it is committed is not acknowledged; the cut is.
      const isCommitted = (): boolean => partition.highWatermark >= end
      this.#submitted(until(() => isCommitted() || partition.logEndOffset < end).then(isCommitted))
    } else if (draw < 13 && Math.min(offset, partition.highWatermark) > model.start) {
      model.deleteBefore(Math.min(offset, partition.highWatermark))
      this.#submitted(partition.deleteBefore(offset).then(() => true))
    } else if (draw < 16 && this.#options.copies !== true) {
      // Not beside copies: a log that is cut in a gap ends behind it, with nothing to be read there.
      model.truncateTo(offset)
      this.#submitted(partition.truncateTo(offset).then(() => true))
    } else if (draw === 16) {
      this.#models[which] = new LogModel()
      this.#submitted(Effect.runPromise(store.engine.remove(key)).then(() => true))
      this.#partitions[which] = await bench.partition(store, key)
    } else if (draw < 20) void store.store.checkpoints.flush()
    else if (draw < 24) {
      // Behind a gap, and of an older epoch than the log's.
      const bytes = batchOf([chance.below(1_000)], chance.below(250), this.states.length)
      recordBatch.writeBaseOffset(bytes, 0, model.end + chance.below(4))
      recordBatch.writeLeaderEpoch(bytes, 0, chance.below(partition.leaderEpoch + 1))
      assert.ok((partition.tryAppendAsFollowerUnsafe?.(bytes, 0, bytes.length) ?? -1) >= 0)
      if (model.start === model.end) model.start = recordBatch.baseOffset(bytes, 0)
      model.add(bytes)
      const { end } = model
      const isCommitted = (): boolean => partition.highWatermark >= end
      this.#submitted(until(() => isCommitted() || partition.logEndOffset < end).then(isCommitted))
    } else {
      // What it forgets would count as committed where it goes on behind that.
      await Promise.all(this.#waiting)
      const begun = chance.below(2) === 0 ? offset : model.end + 1 + chance.below(50)
      const fresh = new LogModel()
      fresh.start = begun
      fresh.end = begun
      this.#models[which] = fresh
      const done = partition.truncateFullyAndStartAt?.(begun, partition.leaderEpoch) ?? Promise.reject()
      this.#submitted(done.then(() => true))
    }
    this.#epoch = Math.max(this.#epoch, ...this.#partitions.map(({ leaderEpoch }) => leaderEpoch))
    for (let turns = chance.below(8); turns > 0; turns--) await turned()
    if (chance.chance(1, 6)) await Promise.all(this.#waiting)
  }

  #submitted(done: Promise<boolean>): void {
    this.#noteState()
    const number = this.states.length - 1
    const noted = done.then((isDone) => {
      if (isDone) this.#acknowledged = Math.max(this.#acknowledged, number)
    })
    this.#waiting.push(noted)
  }

  #noteState(): void {
    this.states.push(this.#models.map((model) => textOf(model.start, model.end, model.bytesFrom(model.start))))
  }

  #crash(operation: SimulatedOperation, isMeant = false): undefined {
    this.#operations += 1
    if (!isMeant && this.#operations % this.#options.every > 0) return undefined
    const below = (bound: number): number => this.#chance.below(bound)
    const during = operation.name === "write" ? operation : undefined
    const at = `seed ${this.#options.seed}, operation ${this.#operations} (${operation.name} ${operation.pathname})`
    const { states } = this
    const facts = { acknowledged: this.#acknowledged, submitted: states.length, epoch: this.#epoch }
    const kinds = { kill: keepAll, power: keepNothing, torn: keepSome(below) }
    for (const [name, kept] of Object.entries(kinds)) {
      this.images.push({ files: this.#files.afterCrash(kept, during), label: `${at}, ${name}`, ...facts })
    }
    return undefined
  }
}

function textOf(start: number, end: number, bytes: Uint8Array): string {
  return start === end ? `${end}` : `${start}-${end}: ${bytes.length} bytes ${crc32c(bytes, 0, bytes.length)}`
}

interface Found {
  readonly store: TestStore
  readonly partitions: ReadonlyArray<Partition>
  readonly texts: ReadonlyArray<string>
}

async function look(files: SimulatedFiles): Promise<Found> {
  const store = await bench.open(files, SETTINGS)
  const partitions: Array<Partition> = []
  for (const key of KEYS) partitions.push(await bench.partition(store, key))
  return { store, partitions, texts: await textsOf(partitions) }
}

async function textsOf(partitions: ReadonlyArray<Partition>): Promise<ReadonlyArray<string>> {
  const texts: Array<string> = []
  for (const partition of partitions) {
    texts.push(textOf(partition.logStartOffset, partition.logEndOffset, await readAll(partition)))
  }
  return texts
}

/** Starts from an image; what is there is what was at one moment, none before the last acknowledgement. */
async function check(workload: Workload, image: Image): Promise<Found> {
  const found = await look(image.files)
  const { texts, store, partitions } = found
  const wanted = JSON.stringify(texts)
  const fits = workload.states.some(
    (state, at) => at >= image.acknowledged && at < image.submitted + 1 && JSON.stringify(state) === wanted
  )
  const expected = workload.states.slice(image.acknowledged, image.submitted + 1)
  assert.ok(fits, `found ${wanted} and not one of ${expected.map((state) => JSON.stringify(state)).join(" ")}`)
  for (const { leaderEpoch } of partitions) assert.ok(leaderEpoch > image.epoch, "an epoch that nobody has seen")
  assert.deepEqual(
    store.lines.filter((line) => /damaged here|failed/.test(line)),
    []
  )
  await store.store.checkpoints.flush()
  assert.deepEqual(await textsOf(partitions), texts, "when it is put away")
  assert.equal(store.store.checkpoints.failures, 0)
  assert.deepEqual(
    store.lines.filter((line) => line.startsWith("error")),
    []
  )
  return found
}

/** The first image that breaks a promise; or nothing. */
async function broken(workload: Workload): Promise<string> {
  for (const image of workload.images) {
    try {
      await (await check(workload, image)).store.kill()
    } catch (error) {
      return `${image.label}: ${String(error).slice(0, 900)}`
    }
  }
  return ""
}

test("a small workload, a crash before and within every operation", async () => {
  const workload = await Workload.run({ seed: 1, turns: 50, every: 1 })
  assert.ok(workload.images.length > 300, `${workload.images.length} images`)
  assert.equal(await broken(workload), "")
})

test("workloads by seed, crashes here and there", async () => {
  for (let seed = 2; seed < 2 + Number(process.env["SEEDS"] ?? 8); seed++) {
    assert.equal(await broken(await Workload.run({ seed, turns: 120, every: 13 })), "")
  }
})

test("the same with batches that are copied from elsewhere, gaps and logs that are begun anew", async () => {
  for (let seed = 100; seed < 100 + Number(process.env["SEEDS"] ?? 4); seed++) {
    assert.equal(await broken(await Workload.run({ seed, turns: 120, every: 13, copies: true })), "")
  }
})

test("a second crash, during the start after the first or right behind it, changes nothing", async () => {
  const workload = await Workload.run({ seed: 50, turns: 60, every: 29 })
  for (const [at, image] of workload.images.entries()) {
    const chance = Xoshiro128.seeded(at, 9)
    const seconds: Array<Image> = []
    const { files } = image
    let operations = 0
    files.hook = (operation) => {
      operations += 1
      if (operations % 17 !== at % 17) return undefined
      const during = operation.name === "write" ? operation : undefined
      const kept = keepSome((bound) => chance.below(bound))
      const label = `${image.label}, then ${operation.name} ${operation.pathname}`
      seconds.push({ ...image, label, files: files.afterCrash(kept, during) })
      return undefined
    }
    const { store, partitions, texts } = await check(workload, image)
    files.hook = undefined
    const same = { ...image, label: `${image.label}, started`, files: files.afterCrash(keepNothing) }
    const again = await look(same.files)
    assert.deepEqual(again.texts, texts, same.label)
    const epochs = partitions.map(({ leaderEpoch }) => leaderEpoch)
    for (const { leaderEpoch } of again.partitions) assert.ok(leaderEpoch > Math.max(...epochs), same.label)
    for (const second of seconds) {
      const found = await look(second.files)
      assert.deepEqual(found.texts, texts, second.label)
      await found.store.kill()
    }
    await again.store.kill()
    await store.kill()
  }
})

const PLANTED = { seed: 1, turns: 60, every: 5 }

test("a planted bug is found: the manifest names what is not synced", async () => {
  assert.equal(await broken(await Workload.run({ ...PLANTED, wrap: withFiles(() => ({})) })), "")
  const wrap = withFiles(({ pathname }) => (pathname.endsWith(".log") ? { sync: () => Promise.resolve() } : {}))
  assert.match(await broken(await Workload.run({ ...PLANTED, wrap })), /damaged|nothing at|found/)
})

test("a planted bug is found: the journal gives back what the manifest does not hold yet", async () => {
  const wrap = withFiles(({ pathname }) => (/manifest/.test(pathname) ? { sync: () => Promise.resolve() } : {}))
  assert.match(await broken(await Workload.run({ ...PLANTED, turns: 400, every: 25, wrap })), /Error/)
})
