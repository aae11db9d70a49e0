import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Ledger } from "./Ledger.ts"

function ledgerWithOneRoute(): Ledger {
  const ledger = new Ledger(2, 2)
  ledger.expect(0, 1)
  return ledger
}

test("in order: all delivered, nothing else", () => {
  const ledger = ledgerWithOneRoute()
  for (let sequence = 0; sequence < 5; sequence++) ledger.record(0, 1, sequence)
  assert.equal(ledger.delivered, 5)
  assert.equal(ledger.deliveredOf[1], 5)
  assert.equal(ledger.lost([0, 5]), 0)
  assert.equal(ledger.duplicates + ledger.reordered + ledger.stray, 0)
})

test("a gap is lost until it is filled, and then reordered", () => {
  const ledger = ledgerWithOneRoute()
  for (const sequence of [0, 3]) ledger.record(0, 1, sequence)
  assert.equal(ledger.lost([0, 4]), 2)
  ledger.record(0, 1, 2)
  assert.deepEqual([ledger.lost([0, 4]), ledger.reordered, ledger.duplicates], [1, 1, 0])
  ledger.record(0, 1, 2)
  assert.deepEqual([ledger.lost([0, 4]), ledger.reordered, ledger.duplicates], [1, 1, 1])
})

test("what was never subscribed, or cannot be a sequence number, is stray and owes nothing", () => {
  const ledger = ledgerWithOneRoute()
  ledger.record(1, 1, 0)
  ledger.record(0, 0, 0)
  ledger.record(0, 9, 0)
  ledger.record(0, 1, 4_000_000_000)
  assert.equal(ledger.stray, 4)
  assert.equal(ledger.delivered, 0)
  assert.equal(ledger.lost([7, 0]), 0)
})

test("a message owes as many deliveries as it has subscribers", () => {
  const ledger = new Ledger(1, 3)
  ledger.expect(0, 0)
  ledger.expect(2, 0)
  assert.equal(ledger.fanOf(0), 2)
  ledger.record(0, 0, 0)
  assert.equal(ledger.lost([1]), 1)
})

test("each touched publisher is taken once", () => {
  const ledger = new Ledger(3, 1)
  for (let publisher = 0; publisher < 3; publisher++) ledger.expect(0, publisher)
  for (const [publisher, sequence] of [
    [2, 0],
    [0, 0],
    [2, 1]
  ] as const)
    ledger.record(0, publisher, sequence)
  assert.deepEqual([ledger.takeTouched(), ledger.takeTouched(), ledger.takeTouched()].sort(), [-1, 0, 2])
  ledger.record(0, 2, 2)
  assert.equal(ledger.takeTouched(), 2)
})

test("whatever arrives in whatever order, the sums are exact", () =>
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 30 }), { maxLength: 80 }), (arrivals) => {
      const ledger = ledgerWithOneRoute()
      for (const sequence of arrivals) ledger.record(0, 1, sequence)
      const distinct = new Set(arrivals).size
      assert.equal(ledger.delivered, distinct)
      assert.equal(ledger.duplicates, arrivals.length - distinct)
      assert.equal(ledger.lost([0, 31]), 31 - distinct)
      let highest = -1
      let late = 0
      const seen = new Set<number>()
      for (const sequence of arrivals) {
        if (sequence < highest && !seen.has(sequence)) late++
        seen.add(sequence)
        highest = Math.max(highest, sequence)
      }
      assert.equal(ledger.reordered, late)
    })
  ))
