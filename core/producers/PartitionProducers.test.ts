/** What is a repeat, what the next batch, and what neither: examples, and properties against a model that remembers everything. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { PRODUCER_EPOCH_OLD, PRODUCER_OUT_OF_ORDER } from "../log/refusals.ts"
import { type Outcome, ProducerModel, producerBatch } from "./fakes.ts"
import { hasProducer, PartitionProducers, REPEATED } from "./PartitionProducers.ts"
import { lastSequenceOf, SEQUENCE_MAX } from "./ProducerState.ts"
import { decodeProducers, encodeProducers, producersKey } from "./producer-rows.ts"

class Log {
  producers = new PartitionProducers()
  end = 0
  committed = 0

  /** Offers a batch, and appends it where it may be. */
  offer(id: number, epoch: number, sequence: number, records = 1): Outcome {
    const bytes = producerBatch({ id, epoch, sequence, records: 1 })
    // As long as it says: the records themselves are nobody's matter here.
    new DataView(bytes.buffer).setInt32(23, records - 1)
    const outcome = this.producers.check(bytes, 0)
    if (outcome === REPEATED) return { repeats: this.producers.repeat.baseOffset }
    if (outcome === PRODUCER_OUT_OF_ORDER) return "out-of-order"
    if (outcome === PRODUCER_EPOCH_OLD) return "old-epoch"
    assert.equal(outcome, 0)
    this.producers.appended(bytes, 0, this.end, this.committed, 1_000)
    this.end += records
    return "next"
  }

  cut(end: number): void {
    this.end = end
    this.committed = Math.min(this.committed, end)
    this.producers.rewind(end)
  }
}

test("the last five batches are answered with their offsets; older ones and gaps are out of order", () => {
  const log = new Log()
  for (let batch = 0; batch < 7; batch++) assert.equal(log.offer(1, 0, batch * 3, 3), "next")
  log.committed = log.end
  log.offer(1, 0, 21, 3)
  for (let batch = 3; batch < 8; batch++) assert.deepEqual(log.offer(1, 0, batch * 3, 3), { repeats: batch * 3 })
  for (let batch = 0; batch < 3; batch++) assert.equal(log.offer(1, 0, batch * 3, 3), "out-of-order")
  assert.equal(log.offer(1, 0, 25, 3), "out-of-order")
  // The same first sequence with another count is another batch.
  assert.equal(log.offer(1, 0, 21, 2), "out-of-order")
})

test("an epoch that was replaced is refused; a new one begins at 0", () => {
  const log = new Log()
  assert.equal(log.offer(1, 3, 17), "next")
  assert.equal(log.offer(1, 2, 18), "old-epoch")
  assert.equal(log.offer(1, 4, 18), "out-of-order")
  assert.equal(log.offer(1, 4, 0), "next")
  assert.equal(log.offer(1, 3, 17), "old-epoch")
  assert.equal(log.offer(1, 4, 1), "next")
})

test("sequences wrap behind 2^31 - 1, between two batches and within one", () => {
  const log = new Log()
  assert.equal(log.offer(1, 0, SEQUENCE_MAX), "next")
  assert.equal(log.offer(1, 0, 0), "next")
  assert.deepEqual(log.offer(1, 0, SEQUENCE_MAX), { repeats: 0 })
  assert.equal(log.offer(2, 0, SEQUENCE_MAX - 1, 4), "next")
  assert.deepEqual(log.offer(2, 0, SEQUENCE_MAX - 1, 4), { repeats: 2 })
  assert.equal(log.offer(2, 0, 2), "next")
  assert.equal(log.producers.get(2)?.endOffset, 7)
})

test("where the first batch was lost or refused, what was sent behind it does not take its place", () => {
  const log = new Log()
  assert.equal(log.offer(1, 2, 5), "next")
  log.offer(1, 2, 6)
  log.cut(0)
  assert.equal(log.offer(1, 2, 6), "out-of-order")
  assert.equal(log.offer(1, 2, 5), "next")
  assert.equal(log.offer(1, 2, 6), "next")
  log.producers.refused(producerBatch({ id: 2, sequence: 0 }), 0, 1_000)
  assert.equal(log.offer(2, 0, 1), "out-of-order")
  // One that gives up goes on under another epoch.
  assert.equal(log.offer(2, 1, 0), "next")
})

test("what has no producer id is not looked at", () => {
  assert.equal(hasProducer(producerBatch({ id: 0, sequence: 0 }), 0), true)
  assert.equal(hasProducer(producerBatch({ id: -1, sequence: -1 }), 0), false)
  assert.equal(lastSequenceOf(producerBatch({ id: 0, sequence: 4, records: 3 }), 0), 6)
})

test("those that have not written lately are forgotten first", () => {
  const log = new Log()
  for (const id of [1, 2, 3]) log.offer(id, 0, 0)
  log.producers.forgetOne()
  assert.deepEqual(
    [...log.producers.all()].map(({ id }) => id),
    [2, 3]
  )
  log.offer(2, 0, 1)
  log.producers.forgetOne()
  assert.deepEqual(
    [...log.producers.all()].map(({ id }) => id),
    [2]
  )
  assert.equal(log.producers.expire(1_001), 1)
  assert.equal(log.producers.size, 0)
})

const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ kind: fc.constant("next" as const), id: fc.nat(2), records: fc.integer({ min: 1, max: 3 }) })
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("again" as const), back: fc.nat(7) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("any" as const),
      id: fc.nat(2),
      epoch: fc.nat(2),
      sequence: fc.oneof(fc.nat(6), fc.integer({ min: SEQUENCE_MAX - 3, max: SEQUENCE_MAX })),
      records: fc.integer({ min: 1, max: 3 })
    })
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("commit" as const), share: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const), share: fc.nat(4) }) }
)

test("whatever is sent, committed, lost and read again: what a broker that forgets nothing would say", () => {
  let reopened = 0
  let cuts = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const log = new Log()
      const model = new ProducerModel()
      const sent: Array<readonly [number, number, number, number]> = []
      const appended: Array<{ readonly bytes: Uint8Array; readonly base: number }> = []
      const offer = (id: number, epoch: number, sequence: number, records: number): void => {
        const expected = model.check(id, epoch, sequence, records)
        const before = log.end
        assert.deepEqual(log.offer(id, epoch, sequence, records), expected)
        sent.push([id, epoch, sequence, records])
        if (expected !== "next") return
        model.append(id, epoch, sequence, records)
        const bytes = producerBatch({ id, epoch, sequence, records: 1 })
        new DataView(bytes.buffer).setInt32(23, records - 1)
        appended.push({ bytes, base: before })
      }
      for (const each of steps) {
        if (each.kind === "next") {
          const newest = model.batches.findLast(({ id }) => id === each.id)
          const next = newest === undefined ? 0 : newest.last === SEQUENCE_MAX ? 0 : newest.last + 1
          offer(each.id, newest?.epoch ?? 0, next, each.records)
        } else if (each.kind === "again") {
          const again = sent.at(-1 - each.back)
          if (again !== undefined) offer(...again)
        } else if (each.kind === "any") offer(each.id, each.epoch, each.sequence, each.records)
        else if (each.kind === "commit") log.committed += Math.ceil(((log.end - log.committed) * each.share) / 4)
        else if (each.kind === "cut") {
          // Only what is not committed is lost, and batches are whole.
          const kept = appended.filter(({ base }) => base < log.committed)
          const next = appended[kept.length]?.base ?? log.end
          cuts += next < log.end ? 1 : 0
          log.cut(next)
          model.cut(next)
          appended.length = kept.length
        } else {
          // A row was written at some time that was committed, and what lies behind it is read again.
          const bases = appended.map(({ base }) => base).filter((base) => base <= log.committed)
          const offset = bases[Math.floor((bases.length * each.share) / 5)] ?? 0
          const known = new PartitionProducers()
          for (const batch of appended)
            if (batch.base < offset) known.appended(batch.bytes, 0, batch.base, offset, 1_000)
          const row = decodeProducers(encodeProducers(known, offset))
          assert.equal(row.offset, offset)
          // Whoever sent what was lost sends anew after a start.
          model.expected.clear()
          log.producers = new PartitionProducers()
          for (const state of row.producers) log.producers.add(state)
          for (const batch of appended) {
            if (batch.base >= offset) log.producers.appended(batch.bytes, 0, batch.base, log.committed, 1_000)
          }
          reopened += 1
        }
      }
    }),
    { numRuns: 1_500 }
  )
  assert.ok(reopened > 100 && cuts > 100, `${reopened} reopened, ${cuts} cut`)
})

test("a row holds what lies below its offset, and of that the last five batches", () => {
  const log = new Log()
  for (let sequence = 0; sequence < 9; sequence++) log.offer(1, 0, sequence)
  log.offer(2, 7, 0)
  const row = decodeProducers(encodeProducers(log.producers, 7))
  assert.deepEqual(
    row.producers.map(({ id, count, lastSequence, endOffset, epoch }) => [id, count, lastSequence, endOffset, epoch]),
    [[1, 5, 6, 7, 0]]
  )
})

test("a row that is damaged or of another form is an error", () => {
  const log = new Log()
  log.offer(1, 0, 0)
  const value = encodeProducers(log.producers, 1)
  for (const bad of [
    value.with(0, 9),
    value.subarray(0, -1),
    new Uint8Array([...value, 0]),
    value.with(12, 2),
    new Uint8Array(0)
  ]) {
    assert.throws(() => decodeProducers(bad), /the row of its producers/)
  }
})

test("a row, byte by byte", () => {
  const log = new Log()
  log.offer(258, 3, SEQUENCE_MAX, 2)
  const bytes = encodeProducers(log.producers, 2)
  const head = "01 0000000000000002 00000001 0000000000000102 00000000000003e8 01"
  const batches = "00000003 7fffffff 00000000 0000000000000000 00000000000003e8"
  assert.equal(bytes.toHex(), `${head} ${batches}`.replaceAll(" ", ""))
  const key = producersKey({ tenant: 1, topicId: "t", partition: 2 })
  assert.equal(key.toHex(), "6c70 00000001 74 00 00000002".replaceAll(" ", ""))
})
