import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import { Simulation } from "./simulated.ts"
import { TICK_MS, TimerWheel, type WheelTask } from "./TimerWheel.ts"

/** Notes when it is called; goes on as `next` says. */
class Noting implements WheelTask {
  readonly calledMs: Array<number> = []
  readonly next: (nowMs: number) => number
  constructor(next: (nowMs: number) => number = () => 0) {
    this.next = next
  }
  timeout(nowMs: number): number {
    this.calledMs.push(nowMs)
    return this.next(nowMs)
  }
}

function make(startMs = 0): { simulation: Simulation; wheel: TimerWheel } {
  const simulation = new Simulation(1)
  simulation.run(startMs)
  return { simulation, wheel: new TimerWheel(simulation.clock) }
}

test("a task is called once, no earlier than it asked and at most a tick later", () => {
  fc.assert(
    fc.property(
      fc.nat(2_000),
      fc.array(fc.record({ setAtMs: fc.nat(3_000), delayMs: fc.nat(400_000) }), { minLength: 1, maxLength: 25 }),
      (startMs, wishes) => {
        const { simulation, wheel } = make(startMs)
        const tasks = wishes.map(({ setAtMs, delayMs }) => {
          const task = new Noting()
          const due = startMs + setAtMs + delayMs
          simulation.clock.after(setAtMs, () => wheel.set(task, due))
          return { task, due }
        })
        simulation.run()
        for (const { task, due } of tasks) {
          const [called = -1] = task.calledMs
          assert.equal(task.calledMs.length, 1)
          assert.ok(called >= due && called <= due + TICK_MS, `due ${due}, called ${called}`)
        }
        assert.equal(wheel.size, 0)
      }
    ),
    { numRuns: 150 }
  )
})

test("wherever in a tick the wheel is started, a border is not missed", () => {
  for (const startMs of [0, 1, 124.5, 249, 249.9, 250]) {
    const { simulation, wheel } = make(startMs)
    const due = (Math.floor(startMs / TICK_MS) + 1) * TICK_MS
    const task = new Noting()
    wheel.set(task, due)
    simulation.run()
    assert.ok((task.calledMs[0] ?? Infinity) <= due + TICK_MS, `started at ${startMs}: ${task.calledMs}`)
  }
})

test("what is due already is called at the next tick", () => {
  const { simulation, wheel } = make(10_000)
  const task = new Noting()
  wheel.set(task, 3)
  simulation.run()
  assert.ok((task.calledMs[0] ?? Infinity) <= 10_000 + TICK_MS)
})

test("with nothing on it no timer runs", () => {
  const { simulation, wheel } = make()
  const task = new Noting()
  wheel.set(task, 60_000)
  wheel.cancel(task)
  wheel.cancel(task)
  simulation.run()
  assert.ok(simulation.clock.monotonicMs() <= TICK_MS)
  assert.deepEqual(task.calledMs, [])
})

test("a later wish replaces an earlier one, and an earlier one a later", () => {
  const { simulation, wheel } = make()
  const later = new Noting()
  const earlier = new Noting()
  wheel.set(later, 1_000)
  wheel.set(later, 5_000)
  wheel.set(earlier, 50_000)
  wheel.set(earlier, 2_000)
  assert.equal(wheel.size, 2)
  simulation.run()
  assert.deepEqual(later.calledMs.map(Math.floor), [5_250])
  assert.deepEqual(earlier.calledMs.map(Math.floor), [2_250])
})

test("a task that names a next time is called again, any number of times", () => {
  const { simulation, wheel } = make()
  const task = new Noting((nowMs) => (nowMs < 100_000 ? nowMs + 7_000 : 0))
  wheel.set(task, 7_000)
  simulation.run()
  assert.equal(task.calledMs.length, 14)
  for (let index = 1; index < task.calledMs.length; index++) {
    const gap = (task.calledMs[index] ?? 0) - (task.calledMs[index - 1] ?? 0)
    assert.ok(gap >= 7_000 && gap <= 7_000 + TICK_MS)
  }
})

test("a task may set itself while it is called; what it returns then does not count", () => {
  const { simulation, wheel } = make()
  let left = 2
  const task: Noting = new Noting((nowMs) => {
    if (left-- > 0) wheel.set(task, nowMs + 1_000)
    return left > 0 ? nowMs + 90_000 : 0
  })
  wheel.set(task, 1_000)
  simulation.run()
  assert.equal(task.calledMs.length, 3)
  assert.ok((task.calledMs[2] ?? 0) < 4_500)
})

test("a task may cancel another that is due in the same tick", () => {
  const { simulation, wheel } = make()
  const second = new Noting()
  const first = new Noting(() => {
    wheel.cancel(second)
    return 0
  })
  wheel.set(first, 500)
  wheel.set(second, 500)
  simulation.run()
  assert.equal(first.calledMs.length, 1)
  assert.equal(second.calledMs.length, 0)
})

test("after a stall of the loop every task that fell due is called, in whatever tick, also where one sets a new time", () => {
  for (const stallMs of [300, 1_100, 20_000, 200_000, 5_000_000]) {
    const { simulation, wheel } = make()
    const again = new Noting((nowMs) => (nowMs < stallMs + 10_000 ? nowMs + 60_000 : 0))
    wheel.set(again, 100)
    const others = Array.from({ length: 40 }, (_, index) => {
      const task = new Noting()
      wheel.set(task, 100 + (stallMs * index) / 40)
      return task
    })
    simulation.stall(stallMs)
    simulation.run(stallMs + TICK_MS)
    for (const [index, task] of others.entries()) assert.equal(task.calledMs.length, 1, `${stallMs}: ${index}`)
    simulation.run()
    assert.equal(again.calledMs.length, 2)
  }
})

test("clear takes everything off, also from inside a task", () => {
  const { simulation, wheel } = make()
  const other = new Noting()
  wheel.set(
    new Noting(() => {
      wheel.clear()
      return 0
    }),
    100
  )
  wheel.set(other, 100)
  wheel.set(new Noting(), 100_000)
  simulation.run()
  assert.equal(other.calledMs.length, 0)
  assert.equal(wheel.size, 0)
  wheel.set(other, simulation.clock.monotonicMs() + 1_000)
  simulation.run()
  assert.equal(other.calledMs.length, 1)
})

test("timers that come late make tasks late by no more", () => {
  const simulation = new Simulation(3, { timerLatenessMsMax: 40 })
  const wheel = new TimerWheel(simulation.clock)
  const tasks = Array.from({ length: 60 }, (_, index) => {
    const task = new Noting()
    wheel.set(task, index * 173)
    return task
  })
  simulation.run()
  for (const [index, task] of tasks.entries()) {
    const late = (task.calledMs[0] ?? Infinity) - index * 173
    assert.ok(late >= 0 && late <= TICK_MS + 40, `${late}`)
  }
})

test("random histories: the last wish of a task holds, a cancelled one is not called", () => {
  const step = fc.record({
    task: fc.integer({ min: 0, max: 4 }),
    delay: fc.option(fc.integer({ min: 0, max: TICK_MS * 1_200 }), { nil: undefined }),
    pass: fc.integer({ min: 0, max: TICK_MS * 300 })
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const { simulation, wheel } = make()
      const tasks = Array.from({ length: 5 }, () => new Noting())
      const due = new Map<Noting, number>()
      for (const { task: index, delay, pass } of steps) {
        const task = tasks[index]
        if (task === undefined) continue
        if (delay === undefined) {
          wheel.cancel(task)
          due.delete(task)
        } else {
          wheel.set(task, simulation.clock.monotonicMs() + delay)
          due.set(task, simulation.clock.monotonicMs() + delay)
        }
        const before = tasks.map((each) => each.calledMs.length)
        simulation.run(simulation.clock.monotonicMs() + pass)
        for (const [position, each] of tasks.entries()) {
          const wish = due.get(each)
          const calls = each.calledMs.length - (before[position] ?? 0)
          if (wish === undefined) assert.equal(calls, 0)
          else if (calls > 0) {
            assert.equal(calls, 1)
            assert.ok((each.calledMs.at(-1) ?? 0) >= wish)
            due.delete(each)
          } else assert.ok(simulation.clock.monotonicMs() <= wish + TICK_MS, "it was called in time")
        }
      }
      assert.equal(wheel.size, due.size)
    }),
    { numRuns: 300 }
  )
})
