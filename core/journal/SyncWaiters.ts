/** Promises of those who wait until an entry is synced. */
import { DiskFull, StorageError, Unusable } from "../log/Engines.ts"
import type { FileError } from "../platform/Files.ts"

interface SyncWaiter {
  readonly index: number
  readonly resolve: () => void
  readonly reject: (error: StorageError) => void
}

export class SyncWaiters {
  #waiters: Array<SyncWaiter> = []

  wait(index: number): Promise<void> {
    return new Promise((resolve, reject) => void this.#waiters.push({ index, resolve, reject }))
  }

  /** Settles those for entries up to `index`. */
  synced(index: number): void {
    if (this.#waiters.length === 0) return
    const waiters = this.#waiters
    this.#waiters = waiters.filter((waiter) => waiter.index > index)
    for (const waiter of waiters) if (waiter.index <= index) waiter.resolve()
  }

  /** Rejects all. */
  lost(failure: FileError): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const { reject } of waiters) reject(whyLost(failure))
  }
}

/** What a promise ends with after `failure`, or when the journal is closed. */
export function whyLost(failure: FileError | undefined): StorageError {
  const reason =
    failure?.code === "disk-full"
      ? new DiskFull({ pathname: failure.pathname })
      : new Unusable({ message: failure?.message ?? "the journal is closed" })
  return new StorageError({ engine: "journal", reason })
}
