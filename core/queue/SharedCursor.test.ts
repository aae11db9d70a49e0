import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { lowOf, SharedCursor } from "./SharedCursor.ts"

/** What a reader of one log whose messages lie at every offset below `end` would be given next; undefined = nothing is left. */
function readNext(cursor: SharedCursor, end: number): number | undefined {
  for (let offset = cursor.position(0); offset < end; offset++) if (cursor.isWanted(0, offset)) return offset
  cursor.passed(0, end)
  return undefined
}

const step = fc.record({
  kind: fc.constantFrom("read", "read", "read", "acknowledge", "release", "restart"),
  which: fc.nat(20)
})

test("every message is acknowledged once, whatever is released, and whenever the state is taken up again", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), fc.integer({ min: 1, max: 30 }), (steps, end) => {
      let cursor = new SharedCursor([{ next: 0, open: [] }])
      const held: Array<number> = []
      const done: Array<number> = []
      const run = ({ kind, which }: { readonly kind: string; readonly which: number }): void => {
        if (kind === "read") {
          const offset = readNext(cursor, end)
          if (offset === undefined) return
          assert.ok(!held.includes(offset) && !done.includes(offset), `offset ${offset} is given twice`)
          cursor.acquire(0, offset)
          held.push(offset)
        } else if (kind === "restart") {
          const [state] = cursor.state()
          assert.ok(state !== undefined)
          assert.equal(lowOf(state), Math.min(...held, state.next, ...state.open))
          for (const offset of done) assert.ok(offset < state.next && !state.open.includes(offset))
          cursor = new SharedCursor([state])
          held.length = 0
        } else {
          const [offset] = held.splice(which % Math.max(1, held.length), 1)
          if (offset === undefined) return
          if (kind === "acknowledge") {
            assert.ok(cursor.acknowledge(0, offset))
            done.push(offset)
          } else assert.ok(cursor.release(0, offset))
        }
        assert.equal(cursor.heldCount, held.length)
      }
      for (const each of steps) run(each)
      // In the end all that is left is given, in order where nothing is held.
      while (held.length > 0) run({ kind: "release", which: 0 })
      const rest: Array<number> = []
      for (let offset = readNext(cursor, end); offset !== undefined; offset = readNext(cursor, end)) {
        cursor.acquire(0, offset)
        cursor.acknowledge(0, offset)
        rest.push(offset)
      }
      assert.deepEqual(
        rest,
        [...rest].sort((left, right) => left - right)
      )
      assert.deepEqual(
        [...done, ...rest].sort((left, right) => left - right),
        Array.from({ length: end }, (_, offset) => offset)
      )
      assert.deepEqual(cursor.state(), [{ next: end, open: [] }])
    }),
    { numRuns: 500 }
  )
})

test("what was to be read again and is gone is not waited for", () => {
  const cursor = new SharedCursor([{ next: 10, open: [3, 7] }])
  assert.equal(cursor.position(0), 3)
  assert.ok(cursor.isWanted(0, 3) && !cursor.isWanted(0, 4) && cursor.isWanted(0, 7) && cursor.isWanted(0, 10))
  // The log begins at 5 now.
  cursor.passed(0, 5)
  cursor.acquire(0, 7)
  assert.deepEqual(cursor.state(), [{ next: 10, open: [7] }])
  cursor.acknowledge(0, 7)
  assert.deepEqual(cursor.state(), [{ next: 10, open: [] }])
})

test("acknowledging and releasing what is not held does nothing", () => {
  const cursor = new SharedCursor([{ next: 5, open: [] }])
  assert.ok(!cursor.acknowledge(0, 2))
  assert.ok(!cursor.release(0, 2))
  assert.deepEqual(cursor.state(), [{ next: 5, open: [] }])
  assert.throws(() => cursor.position(1), RangeError)
})
