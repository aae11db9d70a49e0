import assert from "node:assert/strict"
import { describe, test } from "node:test"
import fc from "fast-check"
import { DISK_FULL } from "../log/Engines.ts"
import { PartitionLog } from "../log/PartitionLog.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import { RecordBatchBuilder } from "../log/RecordBatchBuilder.ts"
import { Simulation } from "../platform/simulated.ts"
import { TurnLoop } from "../platform/Turn.ts"
import { FutureLog } from "./FutureLog.ts"
import { BUSY, ObedientPartition } from "./ObedientPartition.ts"
import { PartitionCopy } from "./PartitionCopy.ts"
import type { TopicInfo } from "./TopicInfo.ts"

const TOPIC: TopicInfo = {
  tenant: 0,
  name: "t",
  id: "00000000-0000-4000-8000-000000000000",
  partitions: 1,
  engine: "obedient",
  mode: "persistent",
  origin: "manifest"
}
/** Longer than any of these copies takes, of virtual time. */
const LONG_MS = 60_000

function batchOf(records: number, valueBytes: number, mark: number): Uint8Array {
  const builder = new RecordBatchBuilder()
  const value = new Uint8Array(valueBytes).fill(mark)
  for (let at = 0; at < records; at++) builder.append(1_000 + mark, undefined, 0, 0, value, 0, value.length)
  return builder.bytes.slice(0, builder.finish())
}

function make(bytesPerSecond = 1_000_000_000, coldMs = 0) {
  const simulation = new Simulation(1)
  const { clock } = simulation
  const from = new ObedientPartition(clock)
  const to = new ObedientPartition(clock)
  to.isPrompt = true
  from.coldMs = coldMs
  const source = new PartitionLog(TOPIC, 0, from, { clock, turn: new TurnLoop(clock) })
  from.events = { committed: () => source.committed(), failed: (_reason, refusal) => source.failed(refusal) }
  let marks = 0
  const append = (records: number, valueBytes = 20): void => {
    const bytes = batchOf(records, valueBytes, marks++ & 255)
    source.appendUnsafe(bytes, 0, bytes.length, records)
  }
  const future = new FutureLog(to, undefined, undefined)
  const copy = new PartitionCopy({ partition: 0, source: () => source, future, bytesPerSecond, clock })
  const pass = (ms: number): Promise<void> => simulation.runAsync(clock.monotonicMs() + ms)
  /** What the shard does when it switches: nobody appends, what waits is committed, the rest is copied. */
  const drained = async (): Promise<boolean> => {
    const halted = copy.halt()
    await pass(100)
    await halted
    from.commit()
    let answer: boolean | undefined
    const draining = copy
      .drain(source, () => true)
      .then((isDone) => {
        answer = isDone
      })
    for (let waits = 0; answer === undefined && waits < 100; waits++) await pass(100)
    if (answer === undefined) return false
    await draining
    return answer
  }
  return { simulation, from, to, source, append, copy, pass, drained }
}

function assertCopied({ from, to }: { readonly from: ObedientPartition; readonly to: ObedientPartition }): void {
  const there = from.batches.filter((batch) => endOffsetOf(batch, 0) > from.logStartOffset)
  const copied = to.batches.filter((batch) => endOffsetOf(batch, 0) > from.logStartOffset)
  assert.deepEqual(copied, there)
  assert.equal(to.logEndOffset, from.logEndOffset)
  assert.ok(to.leaderEpoch >= from.leaderEpoch, `leader epoch ${to.leaderEpoch} behind ${from.leaderEpoch}`)
  assert.ok(to.logStartOffset >= from.logStartOffset, `${to.logStartOffset} came back`)
}

describe("whatever becomes of the log in use meanwhile, the copy is what it is in the end", () => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ what: fc.constant("append" as const), records: fc.integer({ min: 1, max: 5 }) })
    },
    {
      weight: 3,
      arbitrary: fc.record({ what: fc.constant("commit" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) })
    },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("fail" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({ what: fc.constant("delete" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) })
    },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("busy" as const), isBusy: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant("halt" as const) }) },
    { weight: 4, arbitrary: fc.record({ what: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 120 }) }) }
  )
  for (const [name, coldMs, rate] of [
    ["what is read is resident", 0, 1_000_000_000],
    ["reads take their time", 30, 1_000_000_000],
    ["copied slowly", 0, 5_000]
  ] as const) {
    test(name, () =>
      fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const made = make(rate, coldMs)
          const { from, to, append, copy, pass, drained } = made
          append(3)
          from.commit()
          copy.start()
          for (const each of steps) {
            if (each.what === "append") append(each.records)
            else if (each.what === "commit") {
              from.commit(from.highWatermark + Math.round((from.logEndOffset - from.highWatermark) * each.share))
            } else if (each.what === "fail") from.fail()
            else if (each.what === "delete") {
              await from.deleteBefore(
                from.logStartOffset + Math.round((from.highWatermark - from.logStartOffset) * each.share)
              )
            } else if (each.what === "busy") to.refusal = each.isBusy ? BUSY : 0
            else if (each.what === "pass") await pass(each.ms)
            else {
              const halted = copy.halt()
              await pass(100)
              await halted
              copy.start()
            }
          }
          to.refusal = 0
          assert.equal(await drained(), true, copy.failure)
          assertCopied(made)
        }),
        { numRuns: 150 }
      )
    )
  }
})

test("it is no faster than it may be, and as fast as that", async () => {
  const { from, append, copy, pass, to } = make(10_000)
  for (let count = 0; count < 100; count++) append(1, 900)
  from.commit()
  copy.start()
  await pass(5_000)
  assert.ok(to.sizeBytes > 40_000 && to.sizeBytes <= 60_000, `${to.sizeBytes} bytes in 5 s`)
  const halted = copy.halt()
  await pass(1_000)
  await halted
})

test("a target that refuses for good ends it, and says why", async () => {
  const { from, append, copy, pass, to } = make()
  append(1)
  from.commit()
  to.refusal = DISK_FULL
  copy.start()
  await pass(LONG_MS)
  assert.match(copy.failure, /refused a batch \(-3\)/)
  assert.equal(await copy.drain(make().source, () => true), false)
})

test("a rest that takes longer than appends may wait is given up, and the copy goes on", async () => {
  const made = make(1_000_000_000, 400)
  const { from, append, copy, pass, drained } = made
  copy.start()
  await pass(500)
  for (let count = 0; count < 5; count++) append(1, 200_000)
  from.commit()
  const halted = copy.halt()
  await pass(1_000)
  await halted
  let isOver = false
  let answer: boolean | undefined
  const draining = copy
    .drain(made.source, () => !isOver)
    .then((isDone) => {
      answer = isDone
    })
  await pass(900)
  isOver = true
  await pass(1_000)
  await draining
  assert.equal(answer, false)
  assert.equal(copy.failure, "")
  copy.start()
  append(2)
  await pass(5_000)
  assert.equal(await drained(), true)
  assertCopied(made)
})

test("before anything is copied all of it is", async () => {
  const { from, append, copy, pass } = make()
  append(4)
  from.commit()
  assert.equal(copy.lag, Number.POSITIVE_INFINITY)
  copy.start()
  await pass(100)
  assert.equal(copy.lag, 0)
  from.fail()
  assert.equal(copy.lag, Number.POSITIVE_INFINITY)
  await pass(100)
  assert.equal(copy.lag, 0)
})
