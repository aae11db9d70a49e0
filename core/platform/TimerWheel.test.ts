import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import type { ClockShape } from "./Clock.ts"
import { TICK_MS, TimerWheel, type WheelTask } from "./TimerWheel.ts"

/** A clock that goes where it is told. */
class HandClock implements ClockShape {
  now = 0
  readonly #timers: Array<{ at: number; task: () => void }> = []
  nowMs = (): number => this.now
  monotonicMs = (): number => this.now
  microtask = (task: () => void): void => task()
  immediate = (task: () => void): void => task()
  after(delayMs: number, task: () => void): { cancel: () => void } {
    const timer = { at: this.now + delayMs, task }
    this.#timers.push(timer)
    return { cancel: () => this.#timers.splice(this.#timers.indexOf(timer), 1) }
  }
  get timers(): number {
    return this.#timers.length
  }
  pass(ms: number): void {
    const end = this.now + ms
    for (;;) {
      this.#timers.sort((left, right) => left.at - right.at)
      const next = this.#timers[0]
      if (next === undefined || next.at > end) break
      this.#timers.shift()
      this.now = next.at
      next.task()
    }
    this.now = end
  }
}

class Task implements WheelTask {
  readonly calls: Array<number> = []
  next = 0
  timeout(nowMs: number): number {
    this.calls.push(nowMs)
    return this.next
  }
}

test("a task is called once, not before its time and at most a tick late, also beyond one round", () => {
  for (const due of [
    0,
    1,
    TICK_MS - 1,
    TICK_MS,
    TICK_MS + 1,
    10_000,
    TICK_MS * 512,
    TICK_MS * 512 + 7,
    TICK_MS * 1_700
  ]) {
    const clock = new HandClock()
    const wheel = new TimerWheel(clock)
    const task = new Task()
    wheel.set(task, due)
    clock.pass(due + TICK_MS * 3)
    assert.equal(task.calls.length, 1, `due ${due}`)
    const [called = -1] = task.calls
    assert.ok(called >= due && called <= due + TICK_MS * 2, `due ${due}, called ${called}`)
    assert.equal(clock.timers, 0, "nothing hangs on it, no timer runs")
  }
})

test("what it returns is its next time; 0 takes it off", () => {
  const clock = new HandClock()
  const wheel = new TimerWheel(clock)
  const task = new Task()
  task.next = 5_000
  wheel.set(task, 1_000)
  clock.pass(2_000)
  assert.equal(task.calls.length, 1)
  task.next = 0
  clock.pass(4_000)
  assert.equal(task.calls.length, 2)
  assert.equal(wheel.size, 0)
})

test("random histories: the last wish of a task holds, a cancelled one is not called", () => {
  const step = fc.record({
    task: fc.integer({ min: 0, max: 4 }),
    delay: fc.option(fc.integer({ min: 0, max: TICK_MS * 1_200 }), { nil: undefined }),
    pass: fc.integer({ min: 0, max: TICK_MS * 300 })
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const clock = new HandClock()
      const wheel = new TimerWheel(clock)
      const tasks = Array.from({ length: 5 }, () => new Task())
      const due = new Map<Task, number>()
      for (const { task: index, delay, pass } of steps) {
        const task = tasks[index]
        if (task === undefined) continue
        if (delay === undefined) {
          wheel.cancel(task)
          due.delete(task)
        } else {
          wheel.set(task, clock.now + delay)
          due.set(task, clock.now + delay)
        }
        const before = tasks.map((each) => each.calls.length)
        clock.pass(pass)
        for (const [position, each] of tasks.entries()) {
          const wish = due.get(each)
          const calls = each.calls.length - (before[position] ?? 0)
          if (wish === undefined) assert.equal(calls, 0)
          else if (calls > 0) {
            assert.equal(calls, 1)
            assert.ok((each.calls.at(-1) ?? 0) >= wish)
            due.delete(each)
          } else assert.ok(clock.now <= wish + TICK_MS * 2, "it was called in time")
        }
      }
      assert.equal(wheel.size, due.size)
    }),
    { numRuns: 300 }
  )
})
