import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { QueueCount, QueueLogsShape, QueueReceiver, QueueSelection } from "../../core/mod.ts"
import { type Allowed, applyBounds } from "./QueueBounds.ts"

/** A log in an array: sizes of the messages that match, 0 = one that does not. It stops after `step` messages of a call. */
class ArrayLog {
  calls = 0
  /** Calls that have looked at messages. */
  counts = 0
  failsAt = -1
  /** Called before each answer. */
  changing = (): void => {}
  readonly sizes: Array<number>
  readonly #step: number
  constructor(sizes: ReadonlyArray<number>, step = Number.POSITIVE_INFINITY) {
    this.sizes = [...sizes]
    this.#step = step
  }
  countWaiting(
    _log: number,
    position: number,
    _selection: QueueSelection,
    max: number,
    receiver: QueueReceiver<QueueCount>
  ): void {
    this.calls += 1
    assert.ok(this.calls < 10_000, "counting comes to an end")
    this.changing()
    if (this.calls === this.failsAt) {
      receiver.failed(new Error("the disk"))
      return
    }
    if (max > 0) this.counts += 1
    let [messages, bytes, looked, next] = [0, 0, 0, position]
    for (; next < this.sizes.length; next++) {
      const size = this.sizes[next] ?? 0
      if (looked === this.#step || (size > 0 && messages >= max)) break
      looked += 1
      if (size === 0) continue
      messages += 1
      bytes += size
    }
    const logMessages = this.sizes.length
    receiver.received({ messages, bytes, next, isAtEnd: next === logMessages, logMessages, logBytes: sum(this.sizes) })
  }
}

function allowedOf(
  log: ArrayLog,
  bounds: { readonly messagesMax: number; readonly bytesMax: number },
  overflow: "oldest" | "newest",
  position = 0
): Allowed {
  let allowed: Allowed | undefined
  const selection = { tenant: 0, filters: [] }
  applyBounds(log as unknown as QueueLogsShape, 0, position, selection, bounds, overflow, (result) => {
    assert.equal(allowed, undefined, "it is told once")
    allowed = result
  })
  return allowed ?? assert.fail("it is told in place")
}

/** The sizes that a session may read, in order. */
function readOf(sizes: ReadonlyArray<number>, { from, skipFrom, skipTo }: Allowed): ReadonlyArray<number> {
  return sizes.filter((size, offset) => size > 0 && offset >= from && !(offset >= skipFrom && offset < skipTo))
}

const sizes = fc.array(
  fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.integer({ min: 1, max: 50 }) })
)
const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, each) => total + each, 0)

test("by count it is exactly the newest, or the oldest, that are kept", () => {
  fc.assert(
    fc.property(sizes, fc.nat({ max: 12 }), fc.integer({ min: 1, max: 9 }), (given, messagesMax, step) => {
      const wanted = given.filter((size) => size > 0)
      const bounds = { messagesMax, bytesMax: Number.MAX_SAFE_INTEGER }
      const newest = allowedOf(new ArrayLog(given, step), bounds, "oldest")
      assert.deepEqual(readOf(given, newest), wanted.slice(Math.max(0, wanted.length - messagesMax)))
      const oldest = allowedOf(new ArrayLog(given, step), bounds, "newest")
      assert.deepEqual(readOf(given, oldest), wanted.slice(0, messagesMax))
      for (const { dropped } of [newest, oldest]) assert.equal(dropped, Math.max(0, wanted.length - messagesMax))
    })
  )
})

test("by bytes the bound holds, one end is kept, and what is dropped is counted", () => {
  fc.assert(
    fc.property(sizes, fc.nat({ max: 400 }), fc.nat({ max: 12 }), (given, bytesMax, messagesMax) => {
      const wanted = given.filter((size) => size > 0)
      for (const overflow of ["oldest", "newest"] as const) {
        const allowed = allowedOf(new ArrayLog(given), { messagesMax, bytesMax }, overflow)
        const read = readOf(given, allowed)
        assert.ok(sum(read) <= bytesMax && read.length <= messagesMax)
        const end = overflow === "oldest" ? wanted.slice(wanted.length - read.length) : wanted.slice(0, read.length)
        assert.deepEqual(read, end)
        assert.equal(allowed.dropped, wanted.length - read.length)
        const isWithin = sum(wanted) <= bytesMax && wanted.length <= messagesMax
        if (isWithin) assert.equal(allowed.dropped, 0)
      }
    })
  )
})

test("what lies below the position is not counted", () => {
  const allowed = allowedOf(new ArrayLog([9, 9, 9, 1, 1]), { messagesMax: 2, bytesMax: 100 }, "oldest", 3)
  assert.deepEqual(allowed, { from: 3, skipFrom: 0, skipTo: 0, dropped: 0 })
})

test("messages that go while they are counted do not keep it counting", () => {
  const log = new ArrayLog([1, 1, 1, 1, 1])
  log.changing = () => {
    if (log.calls === 3) log.sizes.fill(0)
  }
  assert.equal(allowedOf(log, { messagesMax: 2, bytesMax: 100 }, "oldest").dropped, 0)
})

test("what waits is not counted where all that the log holds may wait", () => {
  const isCounted = (bounds: { readonly messagesMax: number; readonly bytesMax: number }): boolean => {
    const log = new ArrayLog([9, 9, 9])
    assert.deepEqual(allowedOf(log, bounds, "oldest", 2), { from: 2, skipFrom: 0, skipTo: 0, dropped: 0 })
    return log.counts > 0
  }
  assert.equal(isCounted({ messagesMax: 3, bytesMax: 27 }), false)
  assert.equal(isCounted({ messagesMax: 2, bytesMax: 27 }), true)
  assert.equal(isCounted({ messagesMax: 3, bytesMax: 26 }), true)
})

test("where the log cannot be counted everything may be read: reading will tell", () => {
  for (const failsAt of [1, 2, 3]) {
    const log = new ArrayLog([1, 1, 1])
    log.failsAt = failsAt
    assert.deepEqual(allowedOf(log, { messagesMax: 1, bytesMax: 100 }, "oldest").from, 0)
  }
})
