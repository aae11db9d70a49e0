import assert from "node:assert/strict"
import { test } from "node:test"
import { TicketStream, type TicketWaiter } from "./Journal.ts"

/** Issues `count` tickets. */
function streamOf(count: number): TicketStream {
  const stream = new TicketStream()
  for (let ticket = 1; ticket <= count; ticket++) assert.equal(stream.issue(), ticket)
  return stream
}

const waiter = (told: () => void): TicketWaiter => ({ ticketsCommitted: told })

test("tickets rise by one; committed only rises", () => {
  const stream = streamOf(5)
  assert.deepEqual([stream.issued, stream.committed], [5, 0])
  stream.commit(3)
  stream.commit(2)
  assert.equal(stream.committed, 3)
})

test("a ticket that nobody issued is not committed", () => {
  assert.throws(() => streamOf(2).commit(3), /issued before/)
})

test("a waiter is told once, after the next rise, and not for a commit of old", () => {
  const stream = streamOf(9)
  stream.commit(2)
  const seen: Array<number> = []
  stream.wait(waiter(() => seen.push(stream.committed)))
  stream.commit(1)
  stream.commit(2)
  assert.deepEqual(seen, [])
  stream.commit(4)
  stream.commit(5)
  assert.deepEqual(seen, [4])
})

test("waiters are told in the order in which they came", () => {
  const stream = streamOf(1)
  const seen: Array<number> = []
  for (let index = 0; index < 5; index++) stream.wait(waiter(() => seen.push(index)))
  stream.commit(1)
  assert.deepEqual(seen, [0, 1, 2, 3, 4])
})

test("who waits again while it is told waits for the next rise", () => {
  const stream = streamOf(9)
  let told = 0
  const again = waiter(() => {
    told += 1
    stream.wait(again)
  })
  stream.wait(again)
  stream.commit(1)
  assert.equal(told, 1)
  stream.commit(2)
  stream.commit(2)
  assert.equal(told, 2)
})

test("a commit that a waiter causes comes after the others were told, and reaches those who waited again", () => {
  const stream = streamOf(9)
  const seen: Array<string> = []
  const first = waiter(() => {
    seen.push(`first ${stream.committed}`)
    if (stream.committed < 4) stream.wait(first)
    stream.commit(stream.committed + 1)
  })
  stream.wait(first)
  stream.wait(waiter(() => seen.push(`second ${stream.committed}`)))
  stream.commit(1)
  assert.deepEqual(seen, ["first 1", "second 2", "first 2", "first 3", "first 4"])
  assert.equal(stream.committed, 5)
})

test("an outcome is kept for its ticket and given out once; success needs no note", () => {
  const stream = streamOf(3)
  stream.setOutcome(1, -7)
  stream.setOutcome(2, 0)
  assert.equal(stream.takeOutcome(3), 0)
  assert.equal(stream.takeOutcome(1), -7)
  assert.equal(stream.takeOutcome(1), 0)
  assert.equal(stream.takeOutcome(2), 0)
})

test("a failure of many tickets is told to all who ask, and is one note however many they are", () => {
  const stream = new TicketStream()
  for (let ticket = 1; ticket <= 10; ticket++) stream.issue()
  stream.fail(3, 5, -3)
  stream.fail(6, 6, -3)
  stream.fail(8, 7, -7)
  stream.setOutcome(9, -1)
  stream.commit(10)
  const ask = (): ReadonlyArray<number> => Array.from({ length: 10 }, (_, index) => stream.takeOutcome(index + 1))
  assert.deepEqual(ask(), [0, 0, -3, -3, -3, -3, 0, 0, -1, 0])
  assert.deepEqual(ask(), [0, 0, -3, -3, -3, -3, 0, 0, 0, 0])
})
