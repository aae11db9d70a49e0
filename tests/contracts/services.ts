/** What core gives a storage plugin, for a plugin's own tests: real files, a clock whose date the test sets, a log that is kept. */
import type { ClockShape, FilesShape, LogShape } from "../../core/mod.ts"
import { makeNodeFiles } from "../../core/platform/node-files.ts"

export interface TestServices {
  /** The files of this machine. */
  readonly files: FilesShape
  readonly clock: ClockShape
  readonly log: LogShape
  /** What was logged: level, message and fields. */
  readonly lines: Array<string>
}

export function testServices(nowMs: () => number): TestServices {
  const lines: Array<string> = []
  const keep =
    (level: string) =>
    (_area: string, message: string, fields: object = {}): void =>
      void lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  return {
    files: makeNodeFiles(),
    clock: {
      nowMs,
      monotonicMs: () => performance.now(),
      after: (delayMs, task) => {
        const timer = setTimeout(task, delayMs)
        return { cancel: () => clearTimeout(timer) }
      },
      microtask: (task) => queueMicrotask(task),
      immediate: (task) => void setImmediate(task)
    },
    log: {
      debug: keep("debug"),
      info: keep("info"),
      warn: keep("warn"),
      error: keep("error"),
      isEnabled: () => true
    },
    lines
  }
}
