import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { ReceivedIdentifiers } from "./ReceivedIdentifiers.ts"

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

test("copies are answered as the first one is, when it is; afterwards nothing has to be waited for", () => {
  const received = new ReceivedIdentifiers()
  received.take(7)
  assert.equal(received.waitAgain(7), undefined)
  received.wait(7)
  const copies = [received.waitAgain(7), received.waitAgain(7)]
  assert.deepEqual(
    copies.map((copy) => copy?.committed),
    [0, 0]
  )
  received.answered(8, 0)
  assert.deepEqual(
    copies.map((copy) => copy?.committed),
    [0, 0]
  )
  received.answered(7, -3)
  assert.deepEqual(
    copies.map((copy) => [copy?.committed, copy?.takeOutcome(1)]),
    [
      [1, -3],
      [1, -3]
    ]
  )
  assert.equal(received.waitAgain(7), undefined)
})
