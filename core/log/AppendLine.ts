/**
 * Batches of idempotent producers that cannot be appended yet, for what their partition knows of them is being read: appended in the order
 * in which they came, whichever log is the partition's by then.
 *
 * Invariant: while one of a partition waits, those that come for it wait behind it. It is left as soon as nobody waits: not for commits.
 */
import { hasProducer } from "../producers/PartitionProducers.ts"
import type { PartitionLog } from "./PartitionLog.ts"

/** The log of a partition: now, or when it is open; undefined where it cannot be had. */
export type FindLog = () => PartitionLog | undefined | Promise<PartitionLog | undefined>

export interface LineEntry<Result> {
  /** Of the partition. */
  readonly key: string
  readonly bytes: Uint8Array
  readonly findLog: FindLog
  /** Appends it; called in the same turn in which the log was found, and is ready. */
  readonly append: (log: PartitionLog | undefined) => Result | Promise<Result>
  readonly refused: (refusal: number) => Result
}

/** Kept from being waited for with what it came in. */
interface Outcome<Result> {
  readonly result: Result | Promise<Result>
}

export class AppendLine {
  readonly #lines = new Map<string, Promise<unknown>>()

  /** Whether the batch at `start` must go through {@link AppendLine.wait}. `key` names the partition. */
  mustWait(key: () => string, log: PartitionLog, bytes: Uint8Array, start: number): boolean {
    if (!hasProducer(bytes, start)) return false
    return (this.#lines.size > 0 && this.#lines.has(key())) || log.whenAppendable(bytes, start) !== undefined
  }

  /** Appends a batch, the whole of `bytes`, when its turn comes. */
  async wait<Result>(entry: LineEntry<Result>): Promise<Result> {
    const { key } = entry
    const before = this.#lines.get(key) ?? Promise.resolve()
    const appended = before.then(() => this.#append(entry))
    const settled = appended.catch(() => {})
    this.#lines.set(key, settled)
    void settled.then(() => {
      if (this.#lines.get(key) === settled) this.#lines.delete(key)
    })
    return (await appended).result
  }

  async #append<Result>({ bytes, findLog, append, refused }: LineEntry<Result>): Promise<Outcome<Result>> {
    for (;;) {
      const found = findLog()
      const log = found instanceof Promise ? await found : found
      // It may have been closed since it was opened; one that is closed where it is found is nobody's.
      if (log?.isClosed === true) {
        if (found === log) return { result: append(undefined) }
        continue
      }
      const known = log?.whenAppendable(bytes, 0)
      if (log === undefined || known === undefined) return { result: append(log) }
      const refusal = await known
      // A log that was closed meanwhile says nothing of the one that there is now.
      if (refusal >= 0 || log.isClosed) continue
      log.producers?.refused(bytes, 0)
      return { result: refused(refusal) }
    }
  }
}
