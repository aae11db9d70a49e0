/** Those who want to hear of a log: there while somebody does. */
import type { PartitionLog } from "./PartitionLog.ts"
import type { PartitionWaiter } from "./partition-log-parts.ts"

export class LogWaiters {
  readonly #waiters = new Set<PartitionWaiter>()

  add(waiter: PartitionWaiter): void {
    this.#waiters.add(waiter)
  }

  /** Whether nobody is left. */
  remove(waiter: PartitionWaiter): boolean {
    this.#waiters.delete(waiter)
    return this.#waiters.size === 0
  }

  advanced(log: PartitionLog): void {
    for (const waiter of this.#waiters) waiter.partitionAdvanced(log)
  }

  /** The log is closed, or another one under the same name: whoever waits looks again. They may leave meanwhile. */
  closed(): void {
    for (const waiter of [...this.#waiters]) waiter.partitionClosed?.()
  }
}
