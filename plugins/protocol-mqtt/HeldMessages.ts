/**
 * The bytes of messages that sessions of a shard keep, in queues and in flight, against their common bound.
 *
 * Sessions share one copy of a message, so its bytes count once, with the first that keeps it, until the last lets go; each keeping
 * costs an entry.
 */
import type { Message } from "../../core/mod.ts"

/** What one place in a queue or window costs, about. */
const ENTRY_BYTES = 64

export class HeldMessages {
  used = 0
  readonly max: number

  constructor(max: number) {
    this.max = max
  }

  get isFull(): boolean {
    return this.used >= this.max
  }

  /** Keeps an owned copy once more. */
  hold(message: Message): void {
    if (message.holders === 0) this.used += message.sizeBytes
    message.holders += 1
    this.used += ENTRY_BYTES
  }

  /** Takes one {@link HeldMessages.hold} back. */
  release(message: Message): void {
    message.holders -= 1
    if (message.holders === 0) this.used -= message.sizeBytes
    this.used -= ENTRY_BYTES
  }
}
