import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { crc32c } from "../log/crc32c.ts"
import { endOffsetOf } from "../log/partition-operations.ts"
import * as recordBatch from "../log/record-batch.ts"
import { systemClock } from "../platform/system.ts"
import { CompactionRound, type RoundOptions, type RoundResult } from "./CompactionRound.ts"
import {
  type BatchOptions,
  type KeyedRecord,
  keyedBatch,
  keyedRecords,
  MemoryCompaction,
  type PlainRecord
} from "./fakes.ts"
import { halfSipHash } from "./keyed-hash.ts"
import { OffsetMap, SLOT_BYTES } from "./OffsetMap.ts"
import { type KnownProducers, PRODUCER_LIFE_MS, ProducerEnds } from "./ProducerEnds.ts"

const SECRET = Int32Array.of(1, -2, 3, -4)
const KEY = { tenant: 0, topicId: "t", partition: 0 }
const NOW = 1_000_000
const TOMBSTONE_MS = 500

const record = (key: string | null, value: string | null, timestamp = 1_000): KeyedRecord => ({ key, value, timestamp })

interface RunOptions extends Partial<RoundOptions> {
  readonly mapBytes?: number
  readonly known?: KnownProducers
}

async function round(log: MemoryCompaction, options: RunOptions = {}): Promise<RoundResult> {
  const { mapBytes = 1_000_000, known, ...changed } = options
  const nowMs = options.nowMs ?? NOW
  const parts = {
    store: log,
    key: KEY,
    survey: log.surveyed(),
    map: new OffsetMap({ bytesMax: mapBytes, secret: SECRET }),
    producers: new ProducerEnds(nowMs, known),
    pace: () => Promise.resolve(),
    clock: systemClock
  }
  const given = {
    nowMs,
    tombstoneMs: TOMBSTONE_MS,
    lagMsMin: 0,
    isWorth: () => true,
    isOver: () => false,
    ...changed
  }
  return new CompactionRound(parts, given).run()
}

/** A log of these batches, one behind the other, all of which may be compacted, and the last one that is active. */
function logOf(batches: ReadonlyArray<ReadonlyArray<KeyedRecord>>, options: BatchOptions = {}, pieceBatches = 3) {
  const stored: Array<Uint8Array> = []
  for (const records of [...batches, [record("active", "a")]]) {
    const last = stored.at(-1)
    stored.push(keyedBatch(last === undefined ? 0 : endOffsetOf(last, 0), records, options))
  }
  return new MemoryCompaction(stored, pieceBatches)
}

const textOf = (records: ReadonlyArray<PlainRecord>): string =>
  records.map(({ offset, key, value }) => `${offset}:${key}=${value}`).join(" ")

test("HalfSipHash-2-4 gives what its reference implementation gives", () => {
  // vectors.h, vectors_hsip64: key 00..07, input 00, 01, 02, ...
  const key = [0x03020100, 0x07060504] as const
  const out = new Int32Array(2)
  const input = Uint8Array.from({ length: 64 }, (_, at) => at)
  const hex = (length: number): string => {
    halfSipHash(input, 0, length, key[0], key[1], out, 0)
    return Buffer.from(new Uint8Array(out.buffer)).toString("hex")
  }
  assert.deepEqual([0, 1, 2, 3, 4].map(hex), VECTORS)
})

/** Of the reference implementation, for inputs of 0 to 4 bytes. */
const VECTORS = ["218d1f59b9b83cc8", "be552412f8387315", "064f39ef7c50eb57", "ce0f1a45f7060679", "d5e78a175be52ea1"]

test("the map gives the last offset of each key, and says when it is full", () => {
  const map = new OffsetMap({ bytesMax: 256 * SLOT_BYTES, secret: SECRET })
  const expected = new Map<string, number>()
  const put = (key: string, offset: number, isForced = false): boolean => {
    const bytes = Buffer.from(`..${key}.`)
    const isIn = map.put(bytes, 2, bytes.length - 1, offset, isForced)
    if (isIn) expected.set(key, offset)
    return isIn
  }
  let offset = 0
  // 128 slots, and the 64 before them beside: 256 and 128 are more than there may be.
  for (let key = 0; key < 96; key++) assert.ok(put(`key-${key}`, offset++), `key ${key}`)
  assert.equal(put("one more", offset), false)
  assert.ok(put("key-3", 1_000), "one that is there has room")
  assert.ok(map.bytes <= 256 * SLOT_BYTES)
  assert.ok(put("forced", 1_001, true))
  assert.equal(map.size, 97)
  for (const [key, last] of expected) {
    const bytes = Buffer.from(key)
    assert.equal(map.get(bytes, 0, bytes.length), last, key)
  }
  assert.ok(map.get(Buffer.from("nobody"), 0, 6) < 0)
})

test("of each key the last record stays, in order and at its offset; the active part is not touched", async () => {
  const log = logOf([
    [record("a", "1"), record("b", "1"), record("c", "1")],
    [record("a", "2"), record("a", "3")],
    [record("d", "1"), record("active", "0")],
    [record("b", "2"), record(null, "no key")]
  ])
  const result = await round(log)
  assert.equal(textOf(keyedRecords(log.batches)), "2:c=1 4:a=3 5:d=1 6:active=0 7:b=2 9:active=a")
  assert.equal(result.outcome, "done")
  assert.deepEqual([result.recordsRead, result.recordsRemoved, result.keys], [9, 4, 5])
  assert.equal(log.cleanedTo, 9)
  assert.deepEqual(
    log.batches.map((batch) => [recordBatch.baseOffset(batch, 0), endOffsetOf(batch, 0)]),
    [
      [0, 3],
      [3, 5],
      [5, 7],
      [7, 9],
      [9, 10]
    ]
  )
})

test("a batch of which nothing is left goes, but for the log's first and the round's last", async () => {
  const log = logOf([
    [record("a", "1")],
    [record("a", "2")],
    [record("b", "1")],
    [record("a", "3")],
    [record(null, "x")]
  ])
  await round(log)
  assert.equal(textOf(keyedRecords(log.batches)), "2:b=1 3:a=3 5:active=a")
  assert.deepEqual(
    log.batches.map((batch) => [recordBatch.baseOffset(batch, 0), recordBatch.recordCount(batch, 0), batch.length]),
    [
      [0, 0, 61],
      [2, 1, log.batches[1]?.length],
      [3, 1, log.batches[2]?.length],
      [4, 0, 61],
      [5, 1, log.batches[4]?.length]
    ]
  )
})

test("a tombstone stays until its horizon, which is counted from when it was met first", async () => {
  const log = logOf([[record("a", "1"), record("b", "1", 5)], [record("a", null, 7)], [record("c", "1")]])
  await round(log)
  assert.equal(textOf(keyedRecords(log.batches)), "1:b=1 2:a=null 3:c=1 4:active=a")
  const marked = log.batches[1] as Uint8Array
  assert.equal(recordBatch.deleteHorizon(marked, 0), NOW + TOMBSTONE_MS)
  assert.equal(keyedRecords([marked])[0]?.timestamp, 7, "its own time is what it was")
  assert.equal(recordBatch.maxTimestamp(marked, 0), 7)
  // Neither the horizon nor anything else changes before it has passed; then it goes.
  const again = async (nowMs: number): Promise<void> => {
    log.cleanedTo = 0
    await round(log, { nowMs })
  }
  await again(NOW + TOMBSTONE_MS - 1)
  assert.deepEqual(log.batches[1], marked)
  await again(NOW + TOMBSTONE_MS)
  assert.equal(textOf(keyedRecords(log.batches)), "1:b=1 3:c=1 4:active=a")
})

test("a record that is not there any more when its key comes back does not take the new one with it", async () => {
  const log = logOf([[record("a", "1")], [record("a", null)], [record("a", "2")], [record("b", "1")]])
  await round(log)
  assert.equal(textOf(keyedRecords(log.batches)), "2:a=2 3:b=1 4:active=a")
})

for (const codec of [0, 1, 2, 3, 4]) {
  test(`what is left of a batch is compressed as it was, codec ${codec}; header and records stay true`, async () => {
    const many = Array.from({ length: 3_000 }, (_, at) =>
      record(`k${at % 1_500}`, `${"value".repeat(8)}${at}`, 9_000 - at)
    )
    const log = logOf([many.slice(0, 2_000), many.slice(2_000)], { codec, producerId: 77, baseSequence: 5 })
    const before = log.batches[0] as Uint8Array
    const expected = keyedRecords(log.batches).filter(({ offset }) => offset >= 1_500)
    await round(log)
    assert.deepEqual(keyedRecords(log.batches), expected)
    const first = log.batches[0] as Uint8Array
    assert.equal(recordBatch.codec(first, 0), codec)
    assert.ok(first.length < before.length / 2, `${first.length} bytes of ${before.length}`)
    assert.equal(recordBatch.maxTimestamp(first, 0), 7_500)
    assert.deepEqual([recordBatch.producerId(first, 0), recordBatch.baseSequence(first, 0)], [77, 5])
    assert.deepEqual([recordBatch.recordCount(first, 0), recordBatch.lastOffsetDelta(first, 0)], [500, 1_999])
  })
}

test("with LogAppendTime all records keep the time of their batch", async () => {
  const log = logOf([[record("a", "1", 3), record("b", null, 9)], [record("a", "2", 4)]], {
    attributes: recordBatch.LOG_APPEND_TIME
  })
  const before = keyedRecords(log.batches)
  await round(log)
  assert.deepEqual(keyedRecords(log.batches), before.slice(1))
})

test("a batch that cannot be read stays as it is, and so do tombstones behind it", async () => {
  const log = logOf([[record("a", "1")], [record("a", null)], [record("b", "1")]], { codec: 1 })
  await round(log)
  const [, marked] = log.batches
  assert.ok(marked !== undefined && recordBatch.deleteHorizon(marked, 0) !== undefined)
  const garbage = keyedBatch(0, [record("a", "0")], { codec: 1 }).fill(0xee, 61)
  recordBatch.writeInt32(
    garbage,
    recordBatch.CRC_POSITION,
    crc32c(garbage, recordBatch.ATTRIBUTES_POSITION, garbage.length)
  )
  log.batches = [garbage, ...log.batches.slice(1)]
  log.cleanedTo = 0
  const result = await round(log, { nowMs: NOW * 2 })
  assert.equal(result.unread, 1)
  assert.deepEqual(log.batches[0], garbage)
  assert.equal(textOf(keyedRecords(log.batches.slice(1))), "1:a=null 2:b=1 3:active=a")
})

test("what is younger than the lag stays, and all behind it", async () => {
  const log = logOf([
    [record("a", "1", 10)],
    [record("a", "2", 20)],
    [record("a", "3", NOW - 5)],
    [record("a", "4", 30)]
  ])
  const result = await round(log, { lagMsMin: 10 })
  assert.equal(textOf(keyedRecords(log.batches)), "1:a=2 2:a=3 3:a=4 4:active=a")
  assert.deepEqual([result.cleanedTo, log.cleanedTo], [2, 2])
})

test("it is not worth it: nothing is replaced", async () => {
  const log = logOf([[record("a", "1")], [record("a", "2")]])
  let asked = 0
  const result = await round(log, { isWorth: (bytes) => (asked = bytes) < 0 })
  assert.equal(asked, log.surveyed().dirtyBytes)
  assert.deepEqual([result.outcome, log.commits, log.cleanedTo], ["nothing", 0, 0])
})

test("keys that do not fit are taken in by further rounds", async () => {
  const keys = Array.from({ length: 300 }, (_, at) => `key-${at}`)
  const batches = [...keys, ...keys, ...keys].map((key, at) => [record(key, String(at))])
  const log = logOf(batches, {}, 50)
  let rounds = 0
  for (let isPartial = true; isPartial; rounds++) {
    const result = await round(log, { mapBytes: 128 * SLOT_BYTES })
    assert.equal(result.outcome, "done")
    ;({ isPartial } = result)
    assert.ok(rounds < 100)
  }
  assert.ok(rounds >= 900 / 96, `${rounds} rounds`)
  const expected = keys.map((key, at) => `${600 + at}:${key}=${600 + at}`)
  assert.equal(textOf(keyedRecords(log.batches)), [...expected, "900:active=a"].join(" "))
})

test("one batch with more keys than the map may hold is taken in all the same", async () => {
  const many = Array.from({ length: 500 }, (_, at) => record(`key-${at}`, "x"))
  const log = logOf([many, [record("key-3", "y")]])
  for (let isPartial = true; isPartial; ) ({ isPartial } = await round(log, { mapBytes: 64 * SLOT_BYTES }))
  assert.equal(log.cleanedTo, 501)
  assert.equal(keyedRecords(log.batches).length, 501)
})

test("the last batch of a producer that lives keeps its header, others do not", async () => {
  const batches = [
    keyedBatch(0, [record("x", "0")]),
    keyedBatch(1, [record("a", "1", NOW)], { producerId: 7, baseSequence: 0 }),
    keyedBatch(2, [record("a", "2", NOW)], { producerId: 7, baseSequence: 1 }),
    keyedBatch(3, [record("a", "3", NOW - PRODUCER_LIFE_MS - 1)], { producerId: 8, baseSequence: 0 }),
    keyedBatch(4, [record("a", "4", NOW)], { producerId: 9, baseSequence: 4 }),
    keyedBatch(5, [record("a", "5", NOW)]),
    keyedBatch(6, [record("active", "a")])
  ]
  const left = async (known?: KnownProducers): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
    const log = new MemoryCompaction(batches)
    await round(log, known === undefined ? {} : { known })
    return log.batches
      .filter((batch) => recordBatch.recordCount(batch, 0) === 0)
      .map((batch) => [
        recordBatch.baseOffset(batch, 0),
        recordBatch.producerId(batch, 0),
        recordBatch.baseSequence(batch, 0)
      ])
  }
  assert.deepEqual(await left(), [
    [2, 7, 1],
    [4, 9, 4]
  ])
  assert.deepEqual(await left(new Map([[7, 2]])), [[1, 7, 0]])
})

test("a log that changes under a round is left as it is, and tried again from where it was", async () => {
  const log = logOf([[record("a", "1")], [record("a", "2")], [record("a", "3")], [record("a", "4")]], {}, 2)
  let commits = 0
  log.onCommit = () => ++commits < 2
  assert.equal((await round(log)).outcome, "changed")
  assert.equal(log.cleanedTo, 0)
  log.onCommit = () => true
  await round(log)
  assert.equal(textOf(keyedRecords(log.batches)), "3:a=4 4:active=a")
})

// The model: what a log of records has to be, worked out from plain objects.

const anyRecord = fc.record({
  key: fc.option(fc.constantFrom("a", "b", "c", "d", "e"), { freq: 12 }),
  value: fc.option(fc.string({ maxLength: 5 }), { freq: 3 }),
  timestamp: fc.integer({ min: 0, max: 100 })
})
const anyStep = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ records: fc.array(anyRecord, { minLength: 1, maxLength: 5 }), codec: fc.nat(4) })
  },
  { weight: 2, arbitrary: fc.record({ passMs: fc.nat(TOMBSTONE_MS), mapSlots: fc.constantFrom(64, 4_096) }) }
)

test("any appends and rounds leave what the model leaves", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyStep, { maxLength: 30 }),
      fc.integer({ min: 1, max: 4 }),
      async (steps, pieceBatches) => {
        const log = new MemoryCompaction([], pieceBatches)
        let nowMs = NOW
        let model: ReadonlyArray<PlainRecord> = []
        /** When tombstones may go, by their batches' base offsets. */
        const horizons = new Map<number, number>()
        const baseOf = (offset: number): number =>
          recordBatch.baseOffset(log.batches.find((batch) => endOffsetOf(batch, 0) > offset) as Uint8Array, 0)
        for (const step of steps) {
          if ("records" in step) {
            const last = log.batches.at(-1)
            const offset = last === undefined ? 0 : endOffsetOf(last, 0)
            log.batches = [...log.batches, keyedBatch(offset, step.records, { codec: step.codec })]
            model = [...model, ...step.records.map((each, at) => ({ ...each, offset: offset + at }))]
            log.activeFrom = offset
            continue
          }
          nowMs += step.passMs
          const bases = new Map(model.map(({ offset }) => [offset, baseOf(offset)]))
          const { cleanedTo, outcome } = await round(log, { nowMs, mapBytes: step.mapSlots * SLOT_BYTES })
          if (outcome === "nothing") continue
          const last = new Map<string | null, number>()
          for (const { key, offset } of model) if (offset < cleanedTo) last.set(key, offset)
          model = model.filter(({ key, value, offset }) => {
            if (offset >= cleanedTo) return true
            const horizon = horizons.get(bases.get(offset) ?? -1)
            const isOver = value === null && horizon !== undefined && nowMs >= horizon
            return key !== null && last.get(key) === offset && !isOver
          })
          for (const { value, offset } of model) {
            const base = bases.get(offset) ?? -1
            if (value === null && offset < cleanedTo && !horizons.has(base)) horizons.set(base, nowMs + TOMBSTONE_MS)
          }
        }
        assert.deepEqual(keyedRecords(log.batches), model)
      }
    ),
    { numRuns: 300 }
  )
})
