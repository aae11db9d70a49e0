/** Large batches that are read a few records at a time: inflated once, walked on from where each reader stopped, and not kept for ever. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { batch } from "../../tests/support/record-batch.ts"
import type { ReadResult } from "../log/Logs.ts"
import { RecordCursor } from "../log/RecordCursor.ts"
import { writeBaseOffset } from "../log/record-batch.ts"
import { Simulation } from "../platform/simulated.ts"
import { TopicDirectory } from "../topics/TopicDirectory.ts"
import { payloadOf, TELEMETRY } from "./fakes.ts"
import { ShardHistory } from "./History.ts"
import { OPEN_BYTES_MAX, OpenBatches } from "./OpenBatches.ts"

const RECORDS = 2_000

function make(codec: "none" | "zstd") {
  const records = Array.from({ length: RECORDS }, (_, each) => ({ key: "d/1/t", value: `${each}`.padEnd(50) }))
  const stored = { bytes: batch(records, { codec }) }
  const directory = new TopicDirectory()
  directory.add(TELEMETRY)
  const read = (): ReadResult => {
    const ends = { logStartOffset: 0, highWatermark: RECORDS, endOffset: RECORDS }
    return { refusal: 0, ...ends, leaderEpoch: 0, incarnation: 0, bytes: stored.bytes }
  }
  const simulation = new Simulation(1)
  const history = new ShardHistory({ read }, directory, simulation.clock)
  /** Reads on; gives what came and where to go on. */
  const go = async (offset: number, messages: number): Promise<{ next: number; got: ReadonlyArray<number> }> => {
    const got: Array<number> = []
    const { next } = await history.read(
      TELEMETRY,
      0,
      { offset, incarnation: undefined },
      "#",
      { messages, bytes: 1_000_000 },
      (message) => got.push(Number(payloadOf(message))) > 0
    )
    return { next, got }
  }
  return { stored, simulation, history, go }
}

for (const codec of ["none", "zstd"] as const) {
  test(`two who read a batch a few records at a time open it once, and each has all; codec ${codec}`, async () => {
    const { history, simulation, go } = make(codec)
    const { reset, next: step } = RecordCursor.prototype
    let [resets, steps] = [0, 0]
    RecordCursor.prototype.reset = function counted(...asked) {
      resets += 1
      return reset.apply(this, asked)
    }
    RecordCursor.prototype.next = function counted() {
      steps += 1
      return step.call(this)
    }
    const readers = [64, 50].map((room) => ({ room, next: 0, got: [] as Array<number> }))
    try {
      while (readers.some(({ next }) => next < RECORDS)) {
        for (const reader of readers) {
          if (reader.next >= RECORDS) continue
          const { next, got } = await go(reader.next, reader.room)
          reader.next = next
          reader.got.push(...got)
        }
      }
    } finally {
      Object.assign(RecordCursor.prototype, { reset, next: step })
    }
    const all = Array.from({ length: RECORDS }, (_, each) => each)
    for (const { got } of readers) assert.deepEqual(got, all)
    assert.equal(resets, 1)
    assert.ok(steps < 3 * RECORDS, `${steps} steps`)
    assert.ok(history.openBytes > 0)
    await simulation.runAsync(simulation.clock.monotonicMs() + 10_000)
    assert.equal(history.openBytes, 0, "what nobody reads any more is not kept")
  })
}

test("a batch that is another one at the same offset is not taken for what was open", async () => {
  const { stored, go } = make("zstd")
  const { next } = await go(0, 10)
  const records = Array.from({ length: RECORDS }, (_, each) => ({ key: "d/1/t", value: `${each + 5_000}`.padEnd(50) }))
  stored.bytes = batch(records, { codec: "zstd" })
  assert.deepEqual((await go(next, 2)).got, [5_010, 5_011])
})

test("a small batch is not kept open, however much was read with it", async () => {
  const { stored, history, go } = make("none")
  const records = Array.from({ length: 20 }, (_, each) => ({ key: "d/1/t", value: `${each}`.padEnd(50) }))
  const batches = Array.from({ length: 100 }, (_, each) => {
    const bytes = batch(records)
    writeBaseOffset(bytes, 0, each * 20)
    return bytes
  })
  stored.bytes = Buffer.concat(batches)
  assert.deepEqual(await go(0, 2), { next: 2, got: [0, 1] })
  assert.equal(history.openBytes, 0)
})

test("what is held open is bounded: those that were used the longest ago go, but for the last one", () => {
  const simulation = new Simulation(1)
  const open = new OpenBatches(simulation.clock)
  const cursorOf = (size: number): RecordCursor => {
    const cursor = new RecordCursor()
    assert.equal(cursor.reset(new Uint8Array(size), 0, size), 0)
    return cursor
  }
  assert.ok(!open.stopped("small", 1, cursorOf(100), 0), "that is walked again in no time")
  for (const key of ["a", "b", "c"]) assert.ok(open.stopped(key, 1, cursorOf(OPEN_BYTES_MAX / 4), 0))
  assert.notEqual(open.find("a", 1, 0), undefined)
  open.stopped("d", 1, cursorOf(OPEN_BYTES_MAX / 2), 0)
  assert.equal(open.find("b", 1, 0), undefined)
  assert.notEqual(open.find("a", 1, 0), undefined)
  assert.ok(open.bytes <= OPEN_BYTES_MAX)
  open.stopped("e", 1, cursorOf(OPEN_BYTES_MAX * 2), 0)
  assert.equal(open.bytes, OPEN_BYTES_MAX * 2)
})
