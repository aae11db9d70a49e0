/**
 * What waits to be written to one connection: one buffer, one write a turn. An idle connection holds none.
 *
 * Invariants
 *  - Bytes leave in the order in which they were reserved.
 *  - `size` never passes the bound that the caller checks with {@link Output.fits}; acknowledgements and answers may pass it by those
 *    to what was read at once, for beyond it nothing more is read ({@link Output.isOverfull}).
 */
import { CLOSED, type Socket, type TurnShape, type TurnTask } from "../../core/mod.ts"
import { BufferPool } from "./BufferPool.ts"
import type { Connection } from "./Connection.ts"

const EMPTY = new Uint8Array(0)

/** Bytes that wait on all connections of a shard, against their common bound, and who waits until there is room again. */
export class OutputBudget {
  used = 0
  readonly max: number
  /** Whoever waits goes on below this: not for a byte. */
  readonly #ampleAt: number
  readonly #turn: TurnShape
  readonly #waiting = new Set<TurnTask>()
  readonly buffers = new BufferPool()

  constructor(max: number, turn: TurnShape) {
    this.max = max
    this.#ampleAt = max - max / 16
    this.#turn = turn
  }

  /** Bytes that may be added. */
  get left(): number {
    return this.max - this.used
  }

  /** Whether what can come later should. */
  get isNearlyFull(): boolean {
    return this.used > this.#ampleAt
  }

  /** Calls `task` at the end of the turn in which there is ample room again; not at all where there is now. */
  awaitRoom(task: TurnTask): void {
    if (this.isNearlyFull) this.#waiting.add(task)
  }

  /** Takes a wish of {@link OutputBudget.awaitRoom} back. */
  forget(task: TurnTask): void {
    this.#waiting.delete(task)
  }

  release(count: number): void {
    this.used -= count
    if (this.#waiting.size === 0 || this.isNearlyFull) return
    for (const task of this.#waiting) this.#turn.deferOutput(task)
    this.#waiting.clear()
  }
}

export class Output {
  bytes: Uint8Array = EMPTY
  #start = 0
  #end = 0
  /** Whether its connection flushes it at the end of this turn. */
  isDeferred = false
  /** Since when it waits for the socket, which took less than it was offered: for its `drain`; 0 = it does not. */
  blockedSinceMs = 0
  readonly #budget: OutputBudget

  constructor(budget: OutputBudget) {
    this.#budget = budget
  }

  /** Bytes that wait. */
  get size(): number {
    return this.#end - this.#start
  }

  /** Whether `count` more bytes stay within `sizeMax` and the shard's budget. */
  fits(count: number, sizeMax: number): boolean {
    return this.#end - this.#start + count <= sizeMax && this.#budget.used + count <= this.#budget.max
  }

  /** Whether more waits than may, of this connection or of all together: of answers, which are not kept from coming in. */
  isOverfull(sizeMax: number): boolean {
    const size = this.#end - this.#start
    return size > sizeMax || (size > 0 && this.#budget.left < 0)
  }

  /** Makes room for `count` bytes and returns where to write them in {@link Output.bytes}. */
  reserve(count: number): number {
    const position = this.#end
    if (position + count > this.bytes.length) return this.#grow(count)
    this.#end = position + count
    this.#budget.used += count
    return position
  }

  /** Writes what waits; false, and drops it, where the connection is closed: what its client sent before is seen to all the same. */
  flush(socket: Socket): boolean {
    if (this.#start === this.#end) return true
    const taken = socket.write(this.bytes, this.#start, this.#end)
    if (taken === CLOSED) {
      this.clear()
      return false
    }
    this.#start += taken
    this.#budget.release(taken)
    if (this.#start === this.#end) this.#release()
    return true
  }

  /** Drops everything. */
  clear(): void {
    const count = this.size
    this.#release()
    this.#budget.release(count)
  }

  #release(): void {
    if (this.bytes !== EMPTY) this.#budget.buffers.give(this.bytes)
    this.bytes = EMPTY
    this.#start = 0
    this.#end = 0
  }

  #grow(count: number): number {
    const size = this.#end - this.#start
    const needed = size + count
    if (needed <= this.bytes.length) this.bytes.copyWithin(0, this.#start, this.#end)
    else {
      const { buffers } = this.#budget
      const grown = buffers.take(needed)
      grown.set(this.bytes.subarray(this.#start, this.#end), 0)
      if (this.bytes !== EMPTY) buffers.give(this.bytes)
      this.bytes = grown
    }
    this.#start = 0
    this.#end = needed
    this.#budget.used += count
    return size
  }
}

/** Whether a message of QoS 0 may be added to a connection's output now; one that may not is dropped, and counted here. */
export function takesQos0({ broker, output, packetSizeMax }: Connection, size: number): boolean {
  if (!output.fits(size, broker.settings.output_bytes_max)) {
    broker.counts.droppedSlow += 1
    return false
  }
  if (size > packetSizeMax) {
    broker.counts.droppedTooLarge += 1
    return false
  }
  return true
}
