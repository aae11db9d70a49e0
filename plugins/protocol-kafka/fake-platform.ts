/** Stand-ins for tests of this plugin: a socket that takes as much as it is told to, a clock and a turn that go on by hand. */
import type { ClockShape, Socket, SocketReceiver, TurnShape, TurnTask } from "../../core/mod.ts"

export class FakeSocket implements Socket {
  readonly peerAddress = "127.0.0.1"
  /** How many bytes the next writes take, one number a write; all where there is none. */
  takes: Array<number> = []
  sent: Array<Uint8Array> = []
  writes = 0
  paused = false
  ended = false
  terminated = false
  receiver: SocketReceiver | undefined

  write(bytes: Uint8Array, start: number, end: number): number {
    if (this.terminated) return -1
    this.writes += 1
    const taken = Math.min(this.takes.shift() ?? end - start, end - start)
    if (taken > 0) this.sent.push(bytes.slice(start, start + taken))
    return taken
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
  }
  end(): void {
    this.ended = true
  }
  terminate(): void {
    if (this.terminated) return
    this.terminated = true
    this.receiver?.closed()
  }
}

/** Time and turns that go on when they are told to. */
export class FakeTime implements ClockShape, TurnShape {
  #now = 1_000
  #timers: Array<{ at: number; task: () => void }> = []
  #work: Array<TurnTask> = []
  #output: Array<TurnTask> = []
  nowMs = (): number => 1_700_000_000_000 + this.#now
  monotonicMs = (): number => this.#now
  after = (delayMs: number, task: () => void): { cancel(): void } => {
    const timer = { at: this.#now + delayMs, task }
    this.#timers.push(timer)
    const cancel = (): void => {
      this.#timers = this.#timers.filter((one) => one !== timer)
    }
    return { cancel }
  }
  microtask = (task: () => void): void => void Promise.resolve().then(task)
  immediate = (task: () => void): void => void Promise.resolve().then(task)
  deferFlush = (task: TurnTask): void => void this.#work.push(task)
  deferWork = (task: TurnTask): void => void this.#work.push(task)
  deferOutput = (task: TurnTask): void => void this.#output.push(task)
  get timers(): number {
    return this.#timers.length
  }

  /** Ends the turn: work until there is none, then output, until neither is left; promises in between. */
  async settle(): Promise<void> {
    for (let round = 0; round < 20; round++) {
      for (let hop = 0; hop < 10; hop++) await Promise.resolve()
      const task = this.#work.shift() ?? this.#output.shift()
      if (task !== undefined) {
        round = 0
        task.endTurn()
      }
    }
  }

  /** Lets `delayMs` pass. */
  async pass(delayMs: number): Promise<void> {
    this.#now += delayMs
    const due = this.#timers.filter((timer) => timer.at <= this.#now)
    this.#timers = this.#timers.filter((timer) => timer.at > this.#now)
    for (const timer of due.sort((left, right) => left.at - right.at)) timer.task()
    await this.settle()
  }
}
