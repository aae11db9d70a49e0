/**
 * Subscriptions that were taken off while messages for them had not been read yet: what was published before goes on to the client, as
 * what lies in any queue does [MQTT-3.10.4-2 speaks of new messages only]. They are forgotten when all has been read, and by a crash.
 */
import type { Message, QueueLogsShape, Subscription } from "../../core/mod.ts"

interface Past {
  readonly subscription: Subscription
  readonly since: ReadonlyArray<number>
  /** Where each queue log ended when it was taken off. */
  readonly until: Array<number>
}

export class PastSubscriptions {
  #past: Array<Past> = []
  /** Queue logs that have not said where they end. */
  #unanswered = 0

  /** Whether every queue log has said where it ended when each was taken off. */
  get isKnown(): boolean {
    return this.#unanswered === 0
  }

  get isEmpty(): boolean {
    return this.#past.length === 0
  }

  /** `known` is called when every queue log has said where it ends: all that was published for it is here, or lies below. */
  add(subscription: Subscription, since: ReadonlyArray<number>, queueLogs: QueueLogsShape, known: () => void): void {
    this.#unanswered += queueLogs.count
    const until = Array.from({ length: queueLogs.count }, () => Number.POSITIVE_INFINITY)
    this.#past.push({ subscription, since, until })
    for (let log = 0; log < queueLogs.count; log++) {
      const received = (end: number): void => {
        until[log] = Math.min(until[log] ?? end, end)
        this.#unanswered -= 1
        if (this.isKnown) known()
      }
      queueLogs.end(log, { received, failed: () => received(0) })
    }
  }

  /** A message has come live: what is taken off got none of it, nor of what follows, whatever had reached the log by then. */
  cameLive(queue: number, queueOffset: number): void {
    for (const { until } of this.#past) until[queue] = Math.min(until[queue] ?? queueOffset, queueOffset)
  }

  clear(): void {
    this.#past = []
  }

  filtersInto(filters: Array<string>): void {
    for (const { subscription } of this.#past) filters.push(subscription.filter)
  }

  /** Adds those that were there when `message` was published. */
  matchedInto(message: Message, matches: (filter: string, name: string) => boolean, out: Array<Subscription>): void {
    const { queue, queueOffset, name } = message
    for (const { subscription, since, until } of this.#past) {
      if (queueOffset < (since[queue] ?? 0) || queueOffset >= (until[queue] ?? 0)) continue
      if (matches(subscription.filter, name)) out.push(subscription)
    }
  }
}
