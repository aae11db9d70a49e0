import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { type Entry, type HardState, NOTHING_STORED, type StoredState, StoredStateFault } from "./Consensus.ts"
import { SingleVoter } from "./SingleVoter.ts"

const start = (stored: StoredState = NOTHING_STORED): SingleVoter =>
  new SingleVoter({ id: 1, electionTicks: 10, stored })
const data = (text: string): Uint8Array => new TextEncoder().encode(text)

test("one voter wins its election at once; vote and first entry are stored together, then the entry is committed", () => {
  const voter = start()
  assert.deepEqual([voter.role, voter.propose(data("early")), voter.hasReady], ["follower", 0, false])
  voter.campaign()
  assert.equal(voter.role, "leader")
  const ready = voter.ready()
  assert.deepEqual(ready.hardState, { term: 1, vote: 1, commit: 0 })
  assert.deepEqual(ready.entries, [{ index: 1, term: 1, data: new Uint8Array(0) }])
  assert.deepEqual([ready.committed, ready.messages], [[], []])
  voter.advance()
  assert.equal(voter.hardState.commit, 1)
  assert.deepEqual(voter.ready(), { hardState: undefined, entries: [], committed: ready.entries, messages: [] })
  voter.advance()
  assert.equal(voter.hasReady, false)
})

test("an election is due after so many ticks, and only where there is no leader", () => {
  const voter = start()
  for (let tick = 0; tick < 9; tick++) voter.tick()
  assert.equal(voter.role, "follower")
  voter.tick()
  assert.deepEqual([voter.role, voter.hardState.term], ["leader", 1])
  for (let tick = 0; tick < 50; tick++) voter.tick()
  voter.campaign()
  assert.equal(voter.hardState.term, 1)
})

test("what is proposed while something is being stored is stored next", () => {
  const voter = start()
  voter.campaign()
  voter.ready()
  assert.equal(voter.propose(data("a")), 2)
  voter.advance()
  const ready = voter.ready()
  assert.deepEqual([ready.entries.map(({ index }) => index), ready.committed.map(({ index }) => index)], [[2], [1]])
})

test("what is lost was never there: the voter is where a restart would put it", () => {
  const voter = start()
  voter.campaign()
  voter.ready()
  voter.advance()
  voter.propose(data("a"))
  const { committed } = voter.ready()
  assert.equal(committed.length, 1)
  voter.propose(data("b"))
  voter.lost()
  assert.deepEqual([voter.role, voter.lastIndex, voter.hardState], ["follower", 1, { term: 1, vote: 1, commit: 1 }])
  assert.equal(voter.hasReady, false, "what was applied is not handed out again")
  voter.campaign()
  assert.deepEqual(
    voter.ready().entries.map(({ index, term }) => [index, term]),
    [[2, 2]]
  )
})

test("a stored log that cannot be one is refused", () => {
  const entry = (index: number, term: number): Entry => ({ index, term, data: data("x") })
  const hardState: HardState = { term: 2, vote: 1, commit: 0 }
  const rows: ReadonlyArray<Partial<StoredState>> = [
    { entries: [entry(2, 1)] },
    { entries: [entry(1, 1), entry(3, 1)] },
    { entries: [entry(1, 2), entry(2, 1)] },
    { entries: [entry(1, 3)] },
    { snapshotIndex: 4, snapshotTerm: 1, entries: [entry(4, 1)] },
    { hardState: { term: 2, vote: 1, commit: 2 }, entries: [entry(1, 1)] }
  ]
  for (const row of rows) assert.throws(() => start({ ...NOTHING_STORED, hardState, ...row }), StoredStateFault)
  start({ hardState, snapshotIndex: 4, snapshotTerm: 1, entries: [entry(5, 1), entry(6, 2)] })
})

test("whatever is proposed, lost and started again, what was applied once is applied in every later life, in order", () =>
  fc.assert(
    fc.property(fc.array(fc.constantFrom("propose", "store", "lose", "restart", "campaign")), (steps) => {
      let hardState = NOTHING_STORED.hardState
      const log: Array<Entry> = []
      const applied: Array<Entry> = []
      let voter = start()
      const settle = (isStored: boolean): void => {
        while (voter.hasReady) {
          const ready = voter.ready()
          for (const entry of ready.committed) {
            assert.deepEqual(log[entry.index - 1], entry, "what is applied is stored")
            if (entry.index <= applied.length) assert.deepEqual(applied[entry.index - 1], entry)
            else applied.push(entry)
            assert.equal(applied.at(-1)?.index, applied.length)
          }
          if (ready.hardState === undefined) {
            voter.advance()
            continue
          }
          if (!isStored) {
            voter.lost()
            return
          }
          assert.ok(ready.hardState.term >= hardState.term)
          hardState = ready.hardState
          log.push(...ready.entries)
          voter.advance()
        }
      }
      for (const [index, step] of steps.entries()) {
        if (step === "propose") voter.propose(data(String(index)))
        else if (step === "campaign") voter.campaign()
        else if (step === "restart") voter = start({ ...NOTHING_STORED, hardState, entries: log })
        else settle(step === "store")
      }
      voter = start({ ...NOTHING_STORED, hardState, entries: log })
      settle(true)
      assert.deepEqual(applied, log)
    })
  ))
