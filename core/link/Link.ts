/**
 * Link: the only way from one shard to another. What passes is bytes, copied; no object, no reference.
 *
 * Invariants
 *  - Frames from one shard to another arrive in the order in which they were sent, each once.
 *  - The receiver is called in a turn of its own loop, never inside the sender's call.
 */
import type { ClockShape } from "../platform/Clock.ts"

export interface Link {
  readonly shards: number
  /** Copies `bytes[start, end)` and hands it to `target` later. */
  send(target: number, bytes: Uint8Array, start: number, end: number): void
}

export type LinkReceiver = (from: number, bytes: Uint8Array) => void

/** Joins shards that live in one thread, as if they did not: every frame is copied and delivered in a later turn. */
export class InThreadLinks {
  readonly #clock: ClockShape
  readonly #receivers: Array<LinkReceiver | undefined>
  #queue: Array<{ readonly from: number; readonly target: number; readonly bytes: Uint8Array }> = []
  #scheduled = false

  constructor(shards: number, clock: ClockShape) {
    this.#clock = clock
    this.#receivers = Array.from({ length: shards }, () => undefined)
  }

  /** The sending end of shard `from`. */
  linkOf(from: number): Link {
    return {
      shards: this.#receivers.length,
      send: (target, bytes, start, end) => {
        this.#queue.push({ from, target, bytes: bytes.slice(start, end) })
        if (this.#scheduled) return
        this.#scheduled = true
        this.#clock.immediate(() => this.#deliver())
      }
    }
  }

  /** Sets who receives the frames for `shard`; undefined takes it off. */
  setReceiver(shard: number, receiver: LinkReceiver | undefined): void {
    this.#receivers[shard] = receiver
  }

  #deliver(): void {
    this.#scheduled = false
    const queue = this.#queue
    this.#queue = []
    for (const frame of queue) this.#receivers[frame.target]?.(frame.from, frame.bytes)
  }
}
