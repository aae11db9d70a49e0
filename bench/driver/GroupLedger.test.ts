import assert from "node:assert/strict"
import { test } from "node:test"
import { GroupLedger } from "./GroupLedger.ts"

test("each message counts once, at whichever member it comes first", () => {
  const ledger = new GroupLedger(2, 3)
  for (let sequence = 0; sequence < 9; sequence++) ledger.record(sequence % 3, 1, sequence)
  assert.deepEqual([ledger.delivered, ledger.duplicates, ledger.reordered, ledger.stray], [9, 0, 0, 0])
  assert.deepEqual([...ledger.deliveredTo], [3, 3, 3])
  assert.equal(ledger.lost([0, 9]), 0)
  assert.equal(ledger.lost([1, 10]), 2)
})

test("a message that comes to two members, or twice to one, is a duplicate", () => {
  const ledger = new GroupLedger(1, 2)
  ledger.record(0, 0, 0)
  ledger.record(1, 0, 0)
  ledger.record(0, 0, 0)
  assert.deepEqual([ledger.delivered, ledger.duplicates], [1, 2])
})

test("what one member gets from one publisher rises; across members there is no order", () => {
  const ledger = new GroupLedger(1, 2)
  ledger.record(0, 0, 5)
  ledger.record(1, 0, 2)
  assert.equal(ledger.reordered, 0)
  ledger.record(0, 0, 4)
  assert.deepEqual([ledger.reordered, ledger.delivered, ledger.lost([6])], [1, 3, 3])
})

test("a publisher that is none, or a damaged sequence number, is stray; many sequence numbers find room", () => {
  const ledger = new GroupLedger(1, 1)
  ledger.record(0, 1, 0)
  ledger.record(0, 0, 4_000_000_000)
  assert.deepEqual([ledger.stray, ledger.delivered], [2, 0])
  for (let sequence = 0; sequence < 200_000; sequence++) ledger.record(0, 0, sequence)
  assert.deepEqual([ledger.delivered, ledger.duplicates, ledger.reordered], [200_000, 0, 0])
})
