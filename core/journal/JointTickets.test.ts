import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { JointTickets } from "./JointTickets.ts"
import { TicketStream } from "./TicketStream.ts"

test("a joint ticket ends when both have, with the worse outcome, in order", () => {
  const outcome = fc.constantFrom(0, -3, -7)
  fc.assert(
    fc.property(
      fc.array(fc.record({ one: outcome, other: outcome }), { minLength: 1, maxLength: 12 }),
      fc.infiniteStream(fc.boolean()),
      (pairs, firstOrSecond) => {
        const [one, other] = [new TicketStream(), new TicketStream()]
        const joint = new JointTickets()
        const ended: Array<number> = []
        const waiter = {
          ticketsCommitted: () => {
            while (ended.length < joint.stream.committed) ended.push(joint.stream.takeOutcome(ended.length + 1))
            joint.stream.wait(waiter)
          }
        }
        joint.stream.wait(waiter)
        for (const pair of pairs) {
          const [first, second] = [one.issue(), other.issue()]
          one.setOutcome(first, pair.one)
          other.setOutcome(second, pair.other)
          joint.join(one, first, other, second)
        }
        for (const isFirst of firstOrSecond) {
          if (one.committed + other.committed === 2 * pairs.length) break
          const stream = (isFirst || other.committed === pairs.length) && one.committed < pairs.length ? one : other
          stream.commit(stream.committed + 1)
          assert.equal(joint.stream.committed, Math.min(one.committed, other.committed))
        }
        assert.deepEqual(
          ended,
          pairs.map((pair) => Math.min(pair.one, pair.other))
        )
      }
    )
  )
})
