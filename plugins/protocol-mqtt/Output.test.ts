import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { Socket, TurnTask } from "../../core/mod.ts"
import { Output, OutputBudget } from "./Output.ts"

/** A socket that takes so much a write: -1 = closed. */
class TakingSocket implements Socket {
  readonly peerAddress = ""
  readonly got: Array<number> = []
  takes = Number.POSITIVE_INFINITY
  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.takes < 0) return -1
    const taken = Math.min(end - start, this.takes)
    this.got.push(...bytes.subarray(start, start + taken))
    return taken
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  terminate(): void {}
}

function make(max = 1_000_000) {
  const deferred: Array<TurnTask> = []
  const turn = { deferWork: () => {}, deferFlush: () => {}, deferOutput: (task: TurnTask) => void deferred.push(task) }
  const budget = new OutputBudget(max, turn)
  return { budget, output: new Output(budget), socket: new TakingSocket(), deferred }
}

function put(output: Output, bytes: ReadonlyArray<number>): void {
  // The place first: making room may put another buffer there.
  const position = output.reserve(bytes.length)
  output.bytes.set(bytes, position)
}

test("bytes leave in the order in which they were reserved, however little the socket takes", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("put" as const), count: fc.nat(6_000) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("flush" as const), count: fc.nat(5_000) }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { budget, output, socket } = make()
      const expected: Array<number> = []
      let next = 0
      for (const { kind, count } of steps) {
        if (kind === "put") {
          const bytes = Array.from({ length: count }, () => next++ & 255)
          put(output, bytes)
          expected.push(...bytes)
        } else {
          socket.takes = count
          assert.equal(output.flush(socket), true)
        }
        assert.equal(output.size, expected.length - socket.got.length)
        assert.equal(budget.used, output.size)
      }
      socket.takes = Number.POSITIVE_INFINITY
      output.flush(socket)
      assert.deepEqual(socket.got, expected)
      assert.equal(budget.used, 0)
      assert.equal(output.size, 0)
      assert.equal(output.bytes.length, 0, "an idle connection holds no buffer")
    }),
    { numRuns: 150 }
  )
})

test("the bound of a connection and the budget of all both count", () => {
  const { budget, output } = make(1_000)
  const other = new Output(budget)
  assert.equal(output.fits(800, 800), true)
  assert.equal(output.fits(801, 800), false)
  put(other, new Array<number>(300).fill(1))
  assert.equal(output.fits(700, 800), true)
  assert.equal(output.fits(701, 800), false)
  other.clear()
  assert.equal(output.fits(800, 800), true)
})

test("what a closed connection held comes back to the budget once", () => {
  const { budget, output, socket } = make()
  put(output, [1, 2, 3])
  socket.takes = -1
  assert.equal(output.flush(socket), false)
  assert.equal(budget.used, 0)
  output.clear()
  assert.equal(budget.used, 0)
  assert.equal(output.flush(socket), true)
})

test("small buffers are used again by others, and hold nothing over", () => {
  const { budget, output, socket } = make()
  put(output, [1])
  const { bytes } = output
  output.flush(socket)
  const other = new Output(budget)
  put(other, [7])
  assert.equal(other.bytes, bytes)
  other.flush(socket)
  assert.deepEqual(socket.got, [1, 7])
})

test("who waits for room is called once there is some, once, and not where it left", () => {
  const { budget, output, socket, deferred } = make(100)
  const task: TurnTask = { endTurn: () => {} }
  const gone: TurnTask = { endTurn: () => {} }
  budget.awaitRoom(task)
  put(output, new Array<number>(300).fill(1))
  budget.awaitRoom(task)
  budget.awaitRoom(task)
  budget.awaitRoom(gone)
  budget.forget(gone)
  socket.takes = 150
  output.flush(socket)
  assert.deepEqual(deferred, [])
  output.flush(socket)
  assert.deepEqual(deferred, [task])
  output.flush(socket)
  assert.equal(deferred.length, 1)
})
