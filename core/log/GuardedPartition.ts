/**
 * A partition of an engine, third party's or ours, with what it may do wrong held back: it throws, answers what the contract rules
 * out, or never settles a promise. Each becomes a refusal or a {@link StorageError} with the engine's name, a line in the log and a
 * count; the broker and every other partition go on.
 *
 * Invariants
 *  - No call throws; promises reject with {@link StorageError} only, {@link ANSWER_TIMEOUT_MS} after the call at the latest.
 *  - An engine that gave a batch other offsets than its end said, or positions that are none, is broken: what it holds can no longer
 *    be told apart, so it takes no more batches.
 *
 * What it cannot hold back: a call that never returns, and what an engine throws outside of a call (its own timers).
 */
import type { ClockShape } from "../platform/Clock.ts"
import {
  FAILED,
  type OffsetAndTimestamp,
  type Partition,
  type PartitionLimits,
  StorageError,
  Unusable
} from "./Engines.ts"
import type { ReadLease } from "./ReadLease.ts"

/** How long a read or a cut may take. */
export const ANSWER_TIMEOUT_MS = 30_000

export interface GuardedPartitionParts {
  /** "engine jsonl of plugin storage-jsonl", for a person. */
  readonly engineName: string
  readonly clock: ClockShape
  /** Told of every fault, in one line. */
  readonly fault: (line: string) => void
}

type Positions = Record<"logStartOffset" | "highWatermark" | "logEndOffset" | "leaderEpoch" | "sizeBytes", number>

export class GuardedPartition implements Partition {
  readonly #known: Positions = { logStartOffset: 0, highWatermark: 0, logEndOffset: 0, leaderEpoch: 0, sizeBytes: 0 }
  readonly #engine: Partition
  readonly #parts: GuardedPartitionParts
  #isBroken = false

  constructor(engine: Partition, parts: GuardedPartitionParts) {
    this.#engine = engine
    this.#parts = parts
  }

  get logStartOffset(): number {
    return this.#number("logStartOffset")
  }

  /** Never past the end: what is acknowledged by it must be there. */
  get highWatermark(): number {
    const before = this.#known.highWatermark
    const value = this.#number("highWatermark")
    if (value <= this.logEndOffset) return value
    this.#known.highWatermark = before
    if (!this.#isBroken) this.#break(`high watermark ${value} lies past its end`)
    return before
  }

  get logEndOffset(): number {
    return this.#number("logEndOffset")
  }

  get leaderEpoch(): number {
    return this.#number("leaderEpoch")
  }

  get sizeBytes(): number {
    return this.#number("sizeBytes")
  }

  tryAppendUnsafe(bytes: Uint8Array, start: number, end: number, recordCount: number): number {
    if (this.#isBroken) return FAILED
    const expected = this.logEndOffset
    let offset: number
    try {
      offset = this.#engine.tryAppendUnsafe(bytes, start, end, recordCount)
    } catch (error) {
      this.#tell(`append threw ${lineOf(error)}`)
      if (this.logEndOffset !== expected) this.#break("a part of what it threw at was kept")
      return FAILED
    }
    if (offset === expected || (Number.isInteger(offset) && offset < 0)) return offset
    this.#break(`append at ${expected} gave offset ${String(offset)}`)
    return FAILED
  }

  admits(sizeBytes: number): boolean {
    if (this.#isBroken) return true
    try {
      return this.#engine.admits?.(sizeBytes) !== false
    } catch (error) {
      this.#tell(`admits threw ${lineOf(error)}`)
      return true
    }
  }

  tryAppendAsFollowerUnsafe(bytes: Uint8Array, start: number, end: number): number {
    if (this.#isBroken) return FAILED
    try {
      return this.#engine.tryAppendAsFollowerUnsafe?.(bytes, start, end) ?? FAILED
    } catch (error) {
      this.#break(`append of a copied batch threw ${lineOf(error)}`)
      return FAILED
    }
  }

  truncateFullyAndStartAt(offset: number, leaderEpoch: number): Promise<void> {
    const begun = (): Promise<void> =>
      this.#engine.truncateFullyAndStartAt?.(offset, leaderEpoch) ?? Promise.reject(new Error("it takes no copies"))
    return this.#settled("truncateFullyAndStartAt", begun)
  }

  readUnsafe(offset: number, maxBytes: number): Uint8Array | undefined {
    let bytes: Uint8Array | undefined
    try {
      bytes = this.#engine.readUnsafe(offset, maxBytes)
    } catch (error) {
      this.#tell(`readUnsafe threw ${lineOf(error)}`)
      return undefined
    }
    if (bytes === undefined || bytes instanceof Uint8Array) return bytes
    this.#tell("readUnsafe gave something else than bytes")
    return undefined
  }

  async read(offset: number, maxBytes: number, lease?: ReadLease): Promise<Uint8Array> {
    const bytes = await this.#settled("read", () => this.#engine.read(offset, maxBytes, lease))
    if (bytes instanceof Uint8Array) return bytes
    throw this.#tell("read gave something else than bytes")
  }

  offsetForTimestamp(timestamp: number): Promise<OffsetAndTimestamp | undefined> {
    return this.#settled("offsetForTimestamp", () => this.#engine.offsetForTimestamp(timestamp))
  }

  deleteBefore(offset: number): Promise<number> {
    return this.#settled("deleteBefore", () => this.#engine.deleteBefore(offset))
  }

  relimit(limits: PartitionLimits): void {
    try {
      this.#engine.relimit?.(limits)
    } catch (error) {
      this.#tell(`relimit threw ${lineOf(error)}`)
    }
  }

  truncateTo(offset: number): Promise<number> {
    return this.#settled("truncateTo", () => this.#engine.truncateTo(offset))
  }

  /** What the engine says, or what it last said that was a number. */
  #number(field: keyof Positions): number {
    try {
      const value = this.#engine[field]
      if (Number.isSafeInteger(value)) {
        this.#known[field] = value
        return value
      }
      if (!this.#isBroken) this.#break(`${field} is ${String(value)}`)
    } catch (error) {
      if (!this.#isBroken) this.#break(`${field} threw ${lineOf(error)}`)
    }
    return this.#known[field]
  }

  /** The engine's answer, or a {@link StorageError} for whatever else comes of the call. */
  #settled<Answer>(name: string, call: () => Promise<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const timer = this.#parts.clock.after(ANSWER_TIMEOUT_MS, () => {
        reject(this.#tell(`${name} has not answered after ${ANSWER_TIMEOUT_MS / 1000} s`))
      })
      const failed = (error: unknown): void => {
        timer.cancel()
        reject(error instanceof StorageError ? error : this.#tell(`${name} failed: ${lineOf(error)}`))
      }
      try {
        Promise.resolve(call()).then((answer) => {
          timer.cancel()
          resolve(answer)
        }, failed)
      } catch (error) {
        failed(error)
      }
    })
  }

  #break(what: string): void {
    this.#isBroken = true
    this.#tell(`${what}: it gets no more batches`)
  }

  #tell(what: string): StorageError {
    const line = `${this.#parts.engineName}: ${what}`
    this.#parts.fault(line)
    return new StorageError({ engine: this.#parts.engineName, reason: new Unusable({ message: line }) })
  }
}

/** An error's first line, with its name. */
export function lineOf(error: unknown): string {
  return String(error).split("\n")[0] ?? ""
}
