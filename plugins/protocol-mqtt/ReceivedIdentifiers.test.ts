import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { TicketStream } from "../../core/mod.ts"
import { identifierOf, ReceivedIdentifiers } from "./ReceivedIdentifiers.ts"

test("any history of taking and releasing agrees with a set", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.constantFrom(1, 2, 31, 32, 33, 65_534, 65_535))), (steps) => {
      const received = new ReceivedIdentifiers()
      const model = new Set<number>()
      for (const [takes, identifier] of steps) {
        assert.equal(received.has(identifier), model.has(identifier))
        if (takes && !model.has(identifier)) {
          received.take(identifier)
          model.add(identifier)
        } else if (!takes) assert.equal(received.release(identifier), model.delete(identifier))
        assert.equal(received.count, model.size)
      }
    })
  )
})

test("copies wait for the same ticket, and every line tells how it ended, whichever is told first", () => {
  const received = new ReceivedIdentifiers()
  const stream = new TicketStream()
  received.take(7)
  assert.equal(received.waitAgain(7), undefined)
  const number = received.wait(7, stream, 5)
  assert.equal(identifierOf(number), 7)
  const copies = [received.waitAgain(7), received.waitAgain(7)]
  for (const copy of copies) assert.deepEqual([copy?.stream, copy?.ticket, copy?.number], [stream, 5, number])
  assert.equal(received.answered(number, -3), -3)
  assert.equal(received.has(7), false, "a refused message was never taken")
  // The stream tells the outcome once: what it says to the other lines is 0.
  assert.deepEqual([received.answered(number, 0), received.answered(number, 0)], [-3, -3])
  assert.equal(received.answered(number, 0), 0)
})

test("a line of an old connection says nothing of a later message with the same identifier", () => {
  const received = new ReceivedIdentifiers()
  const stream = new TicketStream()
  received.take(7)
  const old = received.wait(7, stream, 1)
  received.waitAgain(7)
  assert.equal(received.answered(old, 0), 0)
  assert.equal(received.waitAgain(7), undefined, "it is stored: its PUBREC is all that a copy waits for")
  assert.equal(received.release(7), true)
  received.take(7)
  const young = received.wait(7, stream, 2)
  assert.equal(received.answered(old, 0), 0)
  assert.equal(received.waitAgain(7)?.number, young)
  assert.equal(received.has(7), true)
})
