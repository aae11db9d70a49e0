/** Time and chance of the real machine: the same calls on every runtime. */
import { getRandomValues, randomFillSync } from "node:crypto"
import type { ClockShape } from "./Clock.ts"
import type { RandomShape } from "./Random.ts"

export const systemClock: ClockShape = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
  microtask: (task) => queueMicrotask(task),
  immediate: (task) => void setImmediate(task)
}

const word = new Uint32Array(1)

export const systemRandom: RandomShape = {
  uint32: () => getRandomValues(word)[0] ?? 0,
  fill: (target, start, end) => void randomFillSync(target, start, end - start)
}
