import assert from "node:assert/strict"
import { test } from "node:test"
import { BACKLOG, DISK_FULL, HELD_UP_MS_MAX } from "../log/Engines.ts"
import { BATCH_BYTES, BacklogRoom } from "./BacklogRoom.ts"

const MAX = 100_000

function make() {
  const journal = { refusal: 0, isHeldUp: false, nextIndex: 1 }
  const seen = { nowMs: 5_000, asked: 0 }
  const full = (): void => void (seen.asked += 1)
  const room = new BacklogRoom({ bytesMax: MAX, journal, monotonicMs: () => seen.nowMs, full })
  /** What is admitted is appended when the turn ends. */
  const turn = (sizes: ReadonlyArray<number>): number => {
    let taken = 0
    for (const size of sizes) {
      if (!room.admits(size)) break
      taken += 1
    }
    for (const size of sizes.slice(0, taken)) room.bytes += size + BATCH_BYTES
    journal.nextIndex += 1
    return taken
  }
  return { room, journal, seen, turn }
}

test("what one turn gathers counts before it is appended, and never goes beyond the bound", () => {
  const { room, seen, turn } = make()
  assert.equal(turn(new Array(1_000).fill(800)), 100)
  assert.equal(room.bytes, MAX)
  assert.equal(turn([0]), 0)
  assert.ok(seen.asked > 0, "more is to be put away")
  assert.deepEqual([room.isFull, room.isOverfull], [false, false])
  // What is appended without having asked.
  room.bytes += MAX / 4 + 1
  assert.deepEqual([room.isFull, room.isOverfull], [true, true])
})

test("who waits goes on when a quarter is free; one that is larger than all of it, when nothing waits", () => {
  const { room, turn } = make()
  turn(new Array(101).fill(800))
  room.bytes = 0.75 * MAX + 1
  room.madeRoom()
  assert.equal(turn([1]), 0)
  room.bytes = 0.75 * MAX
  room.madeRoom()
  assert.equal(turn([1]), 1)
  assert.equal(turn([2 * MAX]), 0)
  room.bytes = 0
  room.madeRoom()
  assert.equal(turn([2 * MAX, 1]), 1)
})

test("a store that puts nothing away for so long refuses; one that puts something away, however little, has its time again", () => {
  const { room, seen, turn } = make()
  turn(new Array(100).fill(800))
  // It had nothing to put away for long: that is no fault.
  seen.nowMs += 10 * HELD_UP_MS_MAX
  assert.equal(room.admits(1), false)
  seen.nowMs += HELD_UP_MS_MAX - 1
  assert.equal(room.admits(1), false)
  room.bytes -= 1_000
  room.madeRoom()
  seen.nowMs += HELD_UP_MS_MAX - 1
  assert.equal(room.admits(1), false)
  seen.nowMs += 1
  assert.equal(room.admits(1), true, "the append says that it is refused")
  room.bytes = 0
  room.madeRoom()
  assert.equal(room.admits(1), true)
})

test("a journal with a backlog that gives way is waited for, other refusals are told at once", () => {
  const { room, journal } = make()
  journal.refusal = BACKLOG
  journal.isHeldUp = true
  assert.equal(room.admits(1), false)
  journal.isHeldUp = false
  assert.equal(room.admits(1), true)
  journal.refusal = DISK_FULL
  assert.equal(room.admits(1), true)
})
