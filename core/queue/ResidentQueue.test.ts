import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { TicketStream } from "../journal/Journal.ts"
import { messageOf } from "./fakes.ts"
import { QueueMatcher } from "./QueueMatcher.ts"
import { type LostOffsets, QueueEntry, ResidentQueue, SCANNED_ALL } from "./ResidentQueue.ts"

function entryOf(name: string, offset: number, ticket = 0): QueueEntry {
  return new QueueEntry(messageOf(name, ""), offset, 10, offset, ticket)
}

function scan(queue: ResidentQueue, position: number, filters: ReadonlyArray<string>): ReadonlyArray<number> {
  const seen: Array<number> = []
  const matcher = new QueueMatcher({ tenant: 0, filters }, 5)
  let from = position
  do {
    from = queue.scan(from, matcher, ({ offset }) => {
      seen.push(offset)
      return true
    })
  } while (from !== SCANNED_ALL)
  return seen
}

test("pushes and shifts by the thousand, with names looked up now and then: as an array does it", () => {
  const step = fc.record({
    push: fc.nat(900),
    gap: fc.nat(3),
    shift: fc.nat(900),
    look: fc.boolean(),
    from: fc.nat(100)
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 14, size: "max" }), (steps) => {
      const queue = new ResidentQueue()
      let model: Array<{ readonly offset: number; readonly name: string }> = []
      let next = 0
      for (const { push, gap, shift, look, from } of steps) {
        next += gap
        for (let times = 0; times < push; times++, next++) {
          const name = next % 300 === 7 ? "rare" : `n/${next % 5}`
          queue.push(entryOf(name, next))
          model.push({ offset: next, name })
        }
        const gone = Math.min(shift, model.length)
        for (let times = 0; times < gone; times++) queue.shift()
        model = model.slice(gone)
        assert.deepEqual([queue.length, queue.bytes], [model.length, model.length * 10])
        assert.deepEqual([queue.first?.offset, queue.last?.offset], [model[0]?.offset, model.at(-1)?.offset])
        if (!look) continue
        const position = (model[0]?.offset ?? 0) + from * 5
        const expected = model.filter(({ offset }) => offset >= position)
        const wanted = expected.filter(({ name }) => name === "rare" || name === "n/3").map(({ offset }) => offset)
        assert.deepEqual(scan(queue, position, ["rare", "n/3", "none"]), wanted)
        assert.deepEqual(scan(queue, position, ["+", "n/3"]), wanted)
        assert.ok(queue.nameCount <= 6)
      }
      while (queue.length > 0) queue.shift()
      assert.equal(queue.nameCount, 0)
    }),
    { numRuns: 60 }
  )
})

test("tickets that failed take their entries out, and only them; names are right afterwards", () => {
  const queue = new ResidentQueue()
  const tickets = new TicketStream()
  for (let offset = 0; offset < 300; offset++) queue.push(entryOf(`n/${offset % 2}`, offset, tickets.issue()))
  assert.equal(scan(queue, 0, ["n/0"]).length, 150)
  tickets.fail(11, 20, -7)
  tickets.fail(31, 32, -7)
  tickets.commit(100)
  const lost: Array<LostOffsets> = []
  assert.equal(queue.settle(tickets, lost), 99)
  assert.deepEqual(lost, [
    { from: 10, end: 20 },
    { from: 30, end: 32 }
  ])
  assert.deepEqual([queue.length, queue.bytes, queue.lostBytes, queue.hasUncommitted], [288, 2_880, 120, true])
  const expected = Array.from({ length: 300 }, (_, offset) => offset).filter(
    (offset) => offset % 2 === 0 && !(offset >= 10 && offset < 20) && offset !== 30
  )
  assert.deepEqual(scan(queue, 0, ["n/0"]), expected)
  assert.equal(queue.committedFrom(0, 1_000).length, 88)
  assert.deepEqual(
    queue.committedFrom(8, 3).map(({ offset }) => offset),
    [8, 9, 20]
  )
  tickets.fail(101, 300, -7)
  tickets.commit(300)
  assert.equal(queue.settle(tickets, lost), -1)
  assert.deepEqual([queue.length, queue.hasUncommitted, lost.at(-1)], [88, false, { from: 100, end: 300 }])
})
