/** When somebody at the end of a log has to read again. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Simulation } from "../../../core/platform/simulated.ts"
import { topicOf } from "./fakes.ts"
import { awaitCommit, LogTail } from "./LogTail.ts"

test("what was appended before the filter was known is waited for, then only what is told", () => {
  const tail = new LogTail()
  tail.answered(12)
  assert.ok(!tail.rest(10), "two are not committed yet")
  assert.equal(tail.awaited(10), 10)
  tail.answered(20)
  assert.ok(tail.rest(12), "of those behind it would have been told")
  assert.ok(tail.isAtRest)
})

test("a message that is told is read where it is, and what comes meanwhile once more", () => {
  const tail = new LogTail()
  tail.answered(3)
  assert.ok(tail.rest(3))
  assert.ok(tail.hear(7), "its commit is waited for")
  assert.equal(tail.awaited(3), 7)
  assert.ok(!tail.hear(9), "that is under way")
  tail.answered(8)
  assert.ok(!tail.rest(8), "the second is not committed yet")
  assert.equal(tail.awaited(8), 8)
  tail.answered(10)
  assert.ok(tail.rest(10))
})

test("an offset that was lost and is given again is read", () => {
  const tail = new LogTail()
  tail.answered(3)
  tail.rest(3)
  assert.ok(tail.hear(7))
  // The log lost all from 3 on.
  assert.ok(tail.hear(4))
  assert.equal(tail.awaited(3), 4)
})

test("after a connection's end nothing is taken for told", () => {
  const tail = new LogTail()
  tail.answered(3)
  tail.rest(3)
  tail.hear(7)
  tail.renew()
  assert.equal(tail.awaited(3), 3)
  tail.answered(9)
  assert.ok(!tail.rest(8))
})

test("a log in memory is looked at when its batch has had its time", () => {
  const simulation = new Simulation(1)
  const { clock } = simulation
  const advance = (): void => simulation.run(clock.monotonicMs() + 10)
  let watches = 0
  const services = {
    clock,
    logs: {
      watch: () => {
        watches += 1
        return () => {
          watches -= 1
        }
      }
    },
    queueLogs: { watch: () => assert.fail("it is none") }
  } as unknown as Parameters<typeof awaitCommit>[0]
  const stop = awaitCommit(services, { ...topicOf("t", "t/+", 1), mode: "memory" }, 0, 5, () => {})
  assert.equal(watches, 0)
  advance()
  assert.equal(watches, 1)
  stop()
  assert.equal(watches, 0)
  awaitCommit(services, { ...topicOf("t", "t/+", 1), mode: "memory" }, 0, 5, () => {})()
  advance()
  assert.equal(watches, 0, "it was taken back")
})
