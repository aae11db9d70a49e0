import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Commits } from "./Commits.ts"

const LOST = -7

test("a ticket is done when the high watermark has passed its record", () => {
  const commits = new Commits()
  const { tickets } = commits
  tickets.issue()
  tickets.issue()
  commits.appended(10)
  tickets.issue()
  commits.appended(12)
  commits.settle(9)
  assert.equal(tickets.committed, 0)
  commits.settle(10)
  assert.equal(tickets.committed, 2)
  commits.settle(12)
  assert.equal(tickets.committed, 3)
  assert.deepEqual(
    [1, 2, 3].map((ticket) => tickets.takeOutcome(ticket)),
    [0, 0, 0]
  )
})

test("a refused ticket waits for those before it, and says how it ended", () => {
  const commits = new Commits()
  const { tickets } = commits
  tickets.issue()
  commits.appended(5)
  tickets.issue()
  tickets.issue()
  commits.refused(-3, 0)
  tickets.issue()
  commits.appended(6)
  assert.equal(tickets.committed, 0)
  commits.settle(5)
  assert.equal(tickets.committed, 3)
  commits.settle(6)
  assert.deepEqual(
    [1, 2, 3, 4].map((ticket) => tickets.takeOutcome(ticket)),
    [0, -3, -3, 0]
  )
})

test("what was lost ends with its outcome, what was refused before keeps its own, what was committed is not touched", () => {
  const commits = new Commits()
  const { tickets } = commits
  for (const [end, refusal] of [
    [4, 0],
    [0, -3],
    [8, 0]
  ] as const) {
    tickets.issue()
    if (refusal < 0) commits.refused(refusal, 0)
    else commits.appended(end)
  }
  const gathered = tickets.issue()
  commits.lost(LOST, 4)
  assert.equal(tickets.committed, gathered)
  assert.deepEqual(
    [1, 2, 3, gathered].map((ticket) => tickets.takeOutcome(ticket)),
    [0, -3, LOST, LOST]
  )
  tickets.issue()
  commits.appended(5)
  commits.settle(5)
  assert.equal(tickets.takeOutcome(gathered + 1), 0)
})

/** What became of each ticket: its end offset while it waits, its outcome when it is known. */
interface Told {
  endOffset: number
  outcome: number | undefined
}

test("any sequence: tickets end once, in order, as the log says", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("issue" as const), count: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ kind: fc.constant("append" as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant("refuse" as const), count: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant("commit" as const), count: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ kind: fc.constant("lose" as const), count: fc.constant(0) })
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const commits = new Commits()
      const told: Array<Told> = []
      let end = 0
      let high = 0
      let gathered = 0
      const since = (): ReadonlyArray<Told> => told.slice(told.length - gathered)
      for (const { kind, count } of steps) {
        if (kind === "issue") {
          for (let index = 0; index < count; index++) {
            assert.equal(commits.tickets.issue(), told.length + 1)
            told.push({ endOffset: Number.POSITIVE_INFINITY, outcome: undefined })
          }
          gathered += count
        } else if (kind === "append") {
          end += count
          for (const one of since()) one.endOffset = end
          gathered = 0
          commits.appended(end)
        } else if (kind === "refuse") {
          for (const one of since()) one.outcome = -count
          gathered = 0
          commits.refused(-count, high)
        } else if (kind === "commit") {
          high = Math.min(end, high + count)
          commits.settle(high)
        } else {
          for (const one of told) if (one.outcome === undefined && one.endOffset > high) one.outcome = LOST
          gathered = 0
          end = high
          commits.lost(LOST, high)
        }
        for (const one of told) if (one.outcome === undefined && one.endOffset <= high) one.outcome = 0
        const open = told.findIndex((one) => one.outcome === undefined)
        assert.equal(commits.tickets.committed, open < 0 ? told.length : open)
      }
      const { committed } = commits.tickets
      const outcomes = told.slice(0, committed).map((_, index) => commits.tickets.takeOutcome(index + 1))
      assert.deepEqual(
        outcomes,
        told.slice(0, committed).map((one) => one.outcome)
      )
    })
  )
})
