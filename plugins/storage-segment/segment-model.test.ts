/** Random stories in which everything is cold, against a plain model: each operation, checkpoint, kill or stop at any place. */

import { afterAll, test } from "bun:test"
import assert from "node:assert/strict"
import { Effect } from "effect"
import { type Partition, RecordCursor, recordBatch } from "../../core/mod.ts"
import { keepAll } from "../../core/platform/simulated-content.ts"
import type { SimulatedFiles } from "../../core/platform/simulated-files.ts"
import { Xoshiro128 } from "../../core/platform/Xoshiro128.ts"
import { compressed } from "../../tests/contracts/batches.ts"
import type { TestStore } from "./fakes.ts"
import { Bench, batchOf, keyOf, LogModel, makeDisk, put, readAll, turned, until } from "./testing.ts"

const bench = new Bench()
afterAll(() => bench.close())

const KEYS = ["a", "b"].map((topicId) => keyOf(topicId))
const SEEDS = Number(process.env["SEEDS"] ?? 45)
const CODECS = [0, 0, 0, 1, 2, 4]

interface StoryOptions {
  readonly seed: number
  readonly steps: number
  readonly valueBytesMax: number
  readonly settings?: object
  /** Breaks the store, to see that this is found. */
  readonly planted?: (store: TestStore) => void
}

class Story {
  readonly #options: StoryOptions
  readonly #chance: Xoshiro128
  #files: SimulatedFiles
  #store: TestStore | undefined
  readonly #models = KEYS.map(() => new LogModel())
  #partitions: Array<Partition> = []
  #step = 0
  #lastTimestamp = 1_000
  /** Reads of segments. */
  reads = 0
  readonly log: Array<string> = []

  constructor(options: StoryOptions) {
    this.#options = options
    this.#chance = Xoshiro128.seeded(options.seed, 3)
    this.#files = makeDisk(true)
  }

  async run(): Promise<void> {
    await this.#open()
    for (; this.#step < this.#options.steps; this.#step++) {
      await this.#act()
      for (const [at, partition] of this.#partitions.entries()) this.#compare(partition, this.#model(at))
    }
    await this.#opened.store.checkpoints.flush()
    for (const [at, partition] of this.#partitions.entries()) {
      assert.deepEqual(await readAll(partition), this.#model(at).bytesFrom(0))
      assert.equal(partition.sizeBytes, this.#model(at).bytes, "size when all is put away")
    }
    await this.#ended(true)
  }

  get #opened(): TestStore {
    if (this.#store === undefined) throw new Error("a story has opened its store")
    return this.#store
  }

  #model(at: number): LogModel {
    return this.#models[at] as LogModel
  }

  async #open(): Promise<void> {
    this.#store = await bench.open(this.#files, { settings: this.#options.settings ?? {} })
    this.#options.planted?.(this.#store)
    this.#partitions = []
    for (const key of KEYS) this.#partitions.push(await bench.partition(this.#store, key))
  }

  async #act(): Promise<void> {
    const chance = this.#chance
    const which = chance.below(KEYS.length)
    const partition = this.#partitions[which] as Partition
    const model = this.#model(which)
    const draw = chance.below(100)
    const offset = Math.max(0, model.start - 2 + chance.below(model.end - model.start + 5))
    if (draw < 38) await this.#append(partition, model)
    else if (draw < 52) await this.#flush()
    else if (draw < 57) {
      this.#note(`${which} deleteBefore ${offset}`)
      model.deleteBefore(offset)
      assert.equal(await partition.deleteBefore(offset), model.start)
    } else if (draw < 63) {
      this.#note(`${which} truncateTo ${offset}`)
      model.truncateTo(offset)
      const before = partition.leaderEpoch
      assert.equal(await partition.truncateTo(offset), model.end)
      assert.ok(partition.leaderEpoch > before, "a cut raises the leader epoch")
    } else if (draw < 65) await this.#removed(which)
    else if (draw < 69) await this.#restart()
    else if (draw < 85) await this.#read(partition, model, offset)
    else await this.#time(partition, model)
  }

  async #append(partition: Partition, model: LogModel): Promise<void> {
    const chance = this.#chance
    this.#note("append")
    for (let count = chance.below(4); count >= 0; count--) {
      const records = 1 + chance.below(5)
      const timestamps: Array<number> = []
      for (let each = 0; each < records; each++) {
        this.#lastTimestamp = Math.max(0, this.#lastTimestamp + chance.below(41) - 18)
        timestamps.push(this.#lastTimestamp)
      }
      const plain = batchOf(timestamps, chance.below(this.#options.valueBytesMax), this.#step)
      const codec = CODECS[chance.below(CODECS.length)] ?? 0
      model.add(put(partition, codec === 0 ? plain : compressed(plain, codec)))
    }
    await until(() => partition.highWatermark === partition.logEndOffset)
  }

  /** A checkpoint, that of the moment or one that is still under way when the next thing happens. */
  async #flush(): Promise<void> {
    const flushed = this.#opened.store.checkpoints.flush()
    const isAwaited = this.#chance.chance(2, 3)
    this.#note(isAwaited ? "checkpoint" : "checkpoint begins")
    if (isAwaited) await flushed
    else for (let turns = this.#chance.below(12); turns > 0; turns--) await turned()
  }

  async #removed(which: number): Promise<void> {
    this.#note(`${which} removed`)
    const key = KEYS[which] as (typeof KEYS)[number]
    await Effect.runPromise(this.#opened.engine.remove(key))
    this.#models[which] = new LogModel()
    this.#partitions[which] = await bench.partition(this.#opened, key)
  }

  async #restart(): Promise<void> {
    const isKill = this.#chance.chance(1, 2)
    this.#note(isKill ? "kill" : "stop")
    const before = this.#partitions.map(({ leaderEpoch }) => leaderEpoch)
    if (isKill) this.#files = this.#files.afterCrash(keepAll)
    await this.#ended(isKill)
    await this.#open()
    for (const [at, partition] of this.#partitions.entries())
      assert.ok(partition.leaderEpoch >= (before[at] ?? 0), "leader epochs rise")
  }

  async #ended(isKill: boolean): Promise<void> {
    if (isKill) await this.#opened.kill()
    else await this.#opened.close()
    this.reads += this.#opened.store.reads.reads
  }

  async #read(partition: Partition, model: LogModel, offset: number): Promise<void> {
    const bytesMax = this.#chance.below(6_000)
    this.#note(`read ${offset} ${bytesMax}`)
    const bytes = await partition.read(offset, bytesMax)
    if (offset < model.start || offset >= model.end) {
      assert.equal(bytes.length, 0)
      return
    }
    const wanted = model.bytesFrom(offset)
    const first = recordBatch.batchSize(wanted, 0, wanted.length)
    assert.ok(bytes.length >= first && bytes.length <= Math.max(first, bytesMax), "a batch at least, bytesMax at most")
    assert.deepEqual(bytes, wanted.slice(0, bytes.length))
    for (let at = 0; at < bytes.length; ) {
      const size = recordBatch.batchSize(bytes, at, bytes.length)
      assert.ok(size > 0, "whole batches")
      at += size
    }
  }

  async #time(partition: Partition, model: LogModel): Promise<void> {
    const timestamp = Math.max(0, this.#lastTimestamp + this.#chance.below(300) - 200)
    this.#note(`time ${timestamp}`)
    assert.deepEqual(await partition.offsetForTimestamp(timestamp), firstAt(model, timestamp))
  }

  #compare(partition: Partition, model: LogModel): void {
    const { logStartOffset, highWatermark, logEndOffset } = partition
    const wanted = { start: model.start, mark: model.end, end: model.end, bytes: model.bytes }
    assert.deepEqual(
      { start: logStartOffset, mark: highWatermark, end: logEndOffset, bytes: partition.sizeBytes },
      wanted
    )
  }

  #note(text: string): void {
    this.log.push(text)
  }
}

function firstAt(
  model: LogModel,
  timestamp: number
): { readonly offset: number; readonly timestamp: number } | undefined {
  const cursor = new RecordCursor()
  for (const batch of model.batches) {
    assert.equal(cursor.reset(batch, 0, batch.length), 0)
    while (cursor.next()) {
      if (cursor.timestamp >= timestamp && cursor.offset >= model.start)
        return { offset: cursor.offset, timestamp: cursor.timestamp }
    }
  }
  return undefined
}

/** Runs a story; what goes wrong says which seed it was and what was done last. */
async function tell(options: StoryOptions): Promise<Story> {
  const story = new Story(options)
  try {
    await story.run()
    return story
  } catch (error) {
    const last = story.log.slice(-25).join("; ")
    throw new Error(`seed ${options.seed}, step ${story.log.length}: ${last}: ${String(error).slice(0, 800)}`)
  }
}

test("stories of small batches agree with a plain model", async () => {
  let reads = 0
  for (let seed = 1; seed <= SEEDS; seed++) reads += (await tell({ seed, steps: 120, valueBytesMax: 300 })).reads
  assert.ok(reads > 500, `${reads} reads of segments`)
})

test("stories of large batches and segments of many runs agree with a plain model", async () => {
  const settings = { segment_bytes: 400_000, cold_bytes_max: 600_000 }
  for (const seed of [...Array(SEEDS).keys(), 130, 277].filter((seed) => seed % 3 === 1))
    await tell({ seed, steps: 150, valueBytesMax: 9_000, settings })
})

test("a planted bug is found: a window that is kept over a cut", async () => {
  const planted = ({ store }: TestStore): void => void (store.reads.forget = () => {})
  const settings = { cold_bytes_max: 10_000_000 }
  const found: Array<string> = []
  for (let seed = 1; seed <= 20 && found.length === 0; seed++) {
    await tell({ seed, steps: 120, valueBytesMax: 300, settings, planted }).catch((error) => found.push(String(error)))
  }
  assert.match(found[0] ?? "", /seed/)
})
