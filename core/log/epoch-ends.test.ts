/** Where epochs end: every epoch of logs with random histories, against a plain search; gaps, deletions, races, what is not committed. */
import { deepStrictEqual, equal } from "node:assert"
import { test } from "node:test"
import fc from "fast-check"
import { FAILED } from "./Engines.ts"
import { epochEndOf } from "./epoch-ends.ts"
import { NOT_AVAILABLE } from "./Logs.ts"
import type { ReadableLog } from "./local-answers.ts"
import { RecordBatchBuilder } from "./RecordBatchBuilder.ts"
import { writeBaseOffset, writeLeaderEpoch } from "./record-batch.ts"

interface Stored {
  readonly base: number
  readonly next: number
  readonly epoch: number
  readonly bytes: Uint8Array
}

/** A log as far as the search knows it; `isCold` answers every read later. */
class EpochLog implements ReadableLog {
  logStartOffset = 0
  end = 0
  leaderEpoch = 0
  uncommitted = 0
  isCold = false
  isBroken = false
  incarnation = 0
  reads = 0
  batches: Array<Stored> = []
  get nextOffset(): number {
    return this.end + this.uncommitted
  }
  highWatermark(): number {
    return this.end
  }
  append(epoch: number, records: number, gap = 0): void {
    const builder = new RecordBatchBuilder()
    for (let index = 0; index < records; index++) builder.append(1, undefined, 0, 0, undefined, 0, 0)
    const bytes = builder.bytes.slice(0, builder.finish())
    const base = this.end + gap
    writeBaseOffset(bytes, 0, base)
    writeLeaderEpoch(bytes, 0, epoch)
    this.batches.push({ base, next: base + records, epoch, bytes })
    this.end = base + records
    this.leaderEpoch = Math.max(this.leaderEpoch, epoch)
  }
  readUnsafe(offset: number): Uint8Array | undefined {
    return this.isCold ? undefined : this.#find(offset)
  }
  read(offset: number): Promise<Uint8Array> {
    if (this.isBroken) return Promise.reject(new Error("the disk is gone"))
    return Promise.resolve(this.#find(offset))
  }
  #find(offset: number): Uint8Array {
    this.reads += 1
    if (offset < this.logStartOffset) return new Uint8Array(0)
    return this.batches.find(({ next }) => next > offset)?.bytes ?? new Uint8Array(0)
  }
}

async function endOf(log: EpochLog, epoch: number): Promise<readonly [number, number, number]> {
  const found = await epochEndOf(log, epoch)
  return [found.refusal, found.epoch, found.epochEndOffset]
}

test("Kafka's rules, one by one", async () => {
  const log = new EpochLog()
  deepStrictEqual(await endOf(log, 0), [0, 0, 0])
  log.append(2, 5)
  log.append(2, 5)
  log.append(5, 10)
  log.leaderEpoch = 7
  log.uncommitted = 3
  // The current epoch ends where the log does, also what is not committed; one that never was is unknown.
  deepStrictEqual(await endOf(log, 7), [0, 7, 23])
  deepStrictEqual(await endOf(log, 8), [0, -1, -1])
  deepStrictEqual(await endOf(log, -1), [0, -1, -1])
  // The last epoch that has batches ends where the current one began.
  deepStrictEqual(await endOf(log, 5), [0, 5, 20])
  deepStrictEqual(await endOf(log, 6), [0, 5, 20])
  deepStrictEqual(await endOf(log, 2), [0, 2, 10])
  deepStrictEqual(await endOf(log, 4), [0, 2, 10])
  // Before all that is kept: where what is kept begins.
  deepStrictEqual(await endOf(log, 1), [0, 1, 0])
  log.logStartOffset = 12
  deepStrictEqual(await endOf(log, 2), [0, 2, 12])
  log.logStartOffset = 20
  deepStrictEqual(await endOf(log, 2), [0, 2, 20])
  deepStrictEqual(await endOf(log, 7), [0, 7, 23])
})

test("every epoch of random logs, with gaps and a start inside a batch, hot and cold", () => {
  const histories = fc.array(fc.record({ rise: fc.nat(2), records: fc.integer({ min: 1, max: 9 }), gap: fc.nat(3) }), {
    minLength: 1,
    maxLength: 40
  })
  return fc.assert(
    fc.asyncProperty(histories, fc.nat(200), fc.nat(2), fc.boolean(), async (history, start, above, isCold) => {
      const log = new EpochLog()
      log.isCold = isCold
      let epoch = 0
      for (const { rise, records, gap } of history) {
        epoch += rise
        log.append(epoch, records, log.end === 0 ? 0 : gap)
      }
      log.logStartOffset = start % log.end
      log.leaderEpoch = epoch + above
      const kept = log.batches.filter(({ next }) => next > log.logStartOffset)
      for (let asked = 0; asked < log.leaderEpoch; asked++) {
        const earlier = kept.filter((batch) => batch.epoch <= asked).at(-1)
        const later = kept.find((batch) => batch.epoch > asked)
        const end = later === undefined ? log.end : Math.max(later.base, log.logStartOffset)
        deepStrictEqual(await endOf(log, asked), [0, earlier?.epoch ?? asked, end], `epoch ${asked}`)
      }
    })
  )
})

test("the last epoch with batches costs one batch, an early one some dozens, of a log of a million", async () => {
  const log = new EpochLog()
  for (let index = 0; index < 1_000; index++) log.append(Math.floor(index / 100), 1)
  log.leaderEpoch = 10
  deepStrictEqual(await endOf(log, 9), [0, 9, 1_000])
  equal(log.reads, 1)
  deepStrictEqual(await endOf(log, 10), [0, 10, 1_000])
  equal(log.reads, 1)
  deepStrictEqual(await endOf(log, 4), [0, 4, 500])
  equal(log.reads < 15, true, `${log.reads} reads`)
})

test("no log, a disk that fails, a log that is cut under the search", async () => {
  equal((await epochEndOf(undefined, 0)).refusal, NOT_AVAILABLE)
  const log = new EpochLog()
  for (let index = 0; index < 8; index++) log.append(index, 1)
  log.isCold = true
  const asked = endOf(log, 4)
  // The answer is of the log as it is after the cut.
  log.batches = log.batches.slice(0, 3)
  log.end = 3
  log.leaderEpoch = 9
  deepStrictEqual(await asked, [0, 2, 3])
  log.isBroken = true
  deepStrictEqual(await endOf(log, 4), [FAILED, -1, -1])
})
