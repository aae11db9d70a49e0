import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { TicketStream } from "./Journal.ts"
import { TicketFifo } from "./TicketFifo.ts"

/** A line that notes what leaves it. */
function lineOf(onReleased?: (value: number) => void): {
  fifo: TicketFifo
  seen: Array<readonly [outcome: number, kind: number, value: number]>
  rounds: () => number
} {
  const seen: Array<readonly [number, number, number]> = []
  let rounds = 0
  const fifo = new TicketFifo({
    released: (outcome, kind, value) => {
      seen.push([outcome, kind, value])
      onReleased?.(value)
    },
    releasedAll: () => (rounds += 1)
  })
  return { fifo, seen, rounds: () => rounds }
}

test("an entry leaves when its ticket is committed, with its outcome", () => {
  const stream = new TicketStream()
  const { fifo, seen, rounds } = lineOf()
  fifo.push(stream, stream.issue(), 4, 100)
  fifo.push(stream, stream.issue(), 5, 101)
  assert.equal(fifo.length, 2)
  stream.setOutcome(2, -9)
  stream.commit(1)
  assert.deepEqual(seen, [[0, 4, 100]])
  assert.equal(fifo.length, 1)
  stream.commit(2)
  assert.deepEqual(seen[1], [-9, 5, 101])
  assert.equal(fifo.length, 0)
  assert.equal(rounds(), 2)
})

test("one commit releases all it covers in one round", () => {
  const stream = new TicketStream()
  const { fifo, seen, rounds } = lineOf()
  for (let value = 0; value < 3_000; value++) fifo.push(stream, stream.issue(), 1, value)
  stream.commit(2_500)
  assert.equal(seen.length, 2_500)
  assert.equal(rounds(), 1)
  stream.commit(3_000)
  assert.deepEqual(
    seen.map(([, , value]) => value),
    Array.from({ length: 3_000 }, (_, value) => value)
  )
})

test("a ticket that ended before it was pushed leaves at once, or behind what waits", () => {
  const [stream, other] = [new TicketStream(), new TicketStream()]
  const { fifo, seen } = lineOf()
  const ended = (outcome: number): number => {
    const ticket = stream.issue()
    stream.setOutcome(ticket, outcome)
    stream.commit(ticket)
    return ticket
  }
  fifo.push(stream, ended(0), 4, 100)
  fifo.push(stream, ended(-3), 4, 101)
  assert.deepEqual(seen, [
    [0, 4, 100],
    [-3, 4, 101]
  ])
  fifo.push(other, other.issue(), 4, 102)
  fifo.push(stream, ended(-3), 4, 103)
  assert.equal(seen.length, 2)
  other.commit(1)
  assert.deepEqual(seen.slice(2), [
    [0, 4, 102],
    [-3, 4, 103]
  ])
})

test("what is done already waits behind what is not", () => {
  const stream = new TicketStream()
  const { fifo, seen } = lineOf()
  fifo.push(stream, stream.issue(), 1, 1)
  fifo.pushDone(-3, 2, 2)
  fifo.push(stream, stream.issue(), 1, 3)
  fifo.pushDone(0, 2, 4)
  stream.commit(1)
  assert.deepEqual(seen, [
    [0, 1, 1],
    [-3, 2, 2]
  ])
  stream.commit(2)
  assert.deepEqual(
    seen.map(([, , value]) => value),
    [1, 2, 3, 4]
  )
})

test("a ticket of one stream does not overtake that of another", () => {
  const here = new TicketStream()
  const there = new TicketStream()
  const { fifo, seen } = lineOf()
  fifo.push(here, here.issue(), 1, 1)
  fifo.push(there, there.issue(), 1, 2)
  fifo.push(here, here.issue(), 1, 3)
  there.commit(1)
  assert.deepEqual(seen, [])
  here.commit(1)
  assert.equal(seen.length, 2)
  here.commit(2)
  assert.equal(seen.length, 3)
})

test("an outcome that was known long before its entry's turn is still given", () => {
  const here = new TicketStream()
  const there = new TicketStream()
  const { fifo, seen } = lineOf()
  fifo.push(here, here.issue(), 1, 1)
  fifo.push(there, there.issue(), 1, 2)
  there.setOutcome(1, -5)
  there.commit(1)
  here.commit(1)
  assert.deepEqual(seen[1], [-5, 1, 2])
})

test("what the owner adds while it is told does not make the line miss the stream whose turn is next", () => {
  const here = new TicketStream()
  const there = new TicketStream()
  const { fifo, seen } = lineOf((value) => {
    if (value === 1) fifo.push(there, there.issue(), 1, 4)
  })
  fifo.push(here, here.issue(), 1, 1)
  fifo.push(here, here.issue(), 1, 2)
  fifo.push(there, there.issue(), 1, 3)
  here.commit(2)
  assert.equal(seen.length, 2)
  there.commit(1)
  assert.equal(seen.length, 3)
  there.commit(2)
  assert.deepEqual(
    seen.map(([, , value]) => value),
    [1, 2, 3, 4]
  )
})

test("two lines on one stream each get their own", () => {
  const stream = new TicketStream()
  const one = lineOf()
  const two = lineOf()
  one.fifo.push(stream, stream.issue(), 1, 10)
  two.fifo.push(stream, stream.issue(), 1, 20)
  stream.commit(1)
  assert.equal(one.seen.length, 1)
  assert.equal(two.seen.length, 0)
  stream.commit(2)
  assert.equal(two.seen.length, 1)
})

test("any order of commits on three streams: nothing overtakes, nothing is lost, nothing leaves early", () => {
  const step = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("push" as const),
        stream: fc.nat(2),
        outcome: fc.integer({ min: -2, max: 2 })
      })
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("done" as const),
        stream: fc.nat(2),
        outcome: fc.integer({ min: -2, max: 2 })
      })
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("commit" as const), stream: fc.nat(2), outcome: fc.nat(5) }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const streams = [new TicketStream(), new TicketStream(), new TicketStream()]
      const { fifo, seen } = lineOf()
      const expected: Array<{ stream: TicketStream | undefined; ticket: number; outcome: number }> = []
      const advance = (stream: TicketStream, by: number): void =>
        stream.commit(Math.min(stream.issued, stream.committed + by))
      const check = (): void => {
        const blocked = expected.findIndex(({ stream, ticket }) => stream !== undefined && ticket > stream.committed)
        const count = blocked < 0 ? expected.length : blocked
        assert.deepEqual(
          seen,
          expected.slice(0, count).map(({ outcome }, index) => [outcome, 1, index])
        )
        assert.equal(fifo.length, expected.length - count)
      }
      for (const { kind, stream: index, outcome } of steps) {
        const stream = streams[index] as TicketStream
        if (kind === "push") {
          const ticket = stream.issue()
          stream.setOutcome(ticket, outcome)
          expected.push({ stream, ticket, outcome })
          fifo.push(stream, ticket, 1, expected.length - 1)
        } else if (kind === "commit") advance(stream, outcome)
        else if (fifo.length > 0) {
          expected.push({ stream: undefined, ticket: 0, outcome })
          fifo.pushDone(outcome, 1, expected.length - 1)
        }
        check()
      }
      for (const stream of streams) advance(stream, stream.issued)
      check()
      assert.equal(seen.length, expected.length)
    }),
    { numRuns: 400 }
  )
})
