/**
 * A subscription as an async iterable: `for await (const message of stream)`. Leaving the loop unsubscribes.
 *
 * Invariants
 *  - A message goes to one `next()`, in order; who reads slowly fills the queue, whose bound holds.
 *  - After the end what still waits is given first; then the error with which it ended, once; then it is done.
 */
import { Inbox } from "./Inbox.ts"
import type { ReceivedMessage } from "./ReceivedMessage.ts"

interface Waiting {
  readonly resolve: (result: IteratorResult<ReceivedMessage, undefined>) => void
  readonly reject: (error: Error) => void
}

export class MessageStream extends Inbox implements AsyncIterableIterator<ReceivedMessage, undefined, undefined> {
  readonly #waiting: Array<Waiting> = []

  next(): Promise<IteratorResult<ReceivedMessage, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.changedUnsafe()
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Leaves the loop: unsubscribes. */
  return(): Promise<IteratorResult<ReceivedMessage, undefined>> {
    this.unsubscribe()
    return Promise.resolve({ done: true, value: undefined })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.unsubscribe()
  }

  protected changedUnsafe(): void {
    while (this.#waiting.length > 0) {
      const message = this.nextUnsafe()
      if (message === undefined && !this.isOver) return
      const waiting = this.#waiting.shift()
      if (message !== undefined) waiting?.resolve({ done: false, value: message })
      else this.#tellEnd(waiting)
    }
  }

  #tellEnd(waiting: Waiting | undefined): void {
    const fault = this.takeFault()
    if (fault === undefined) waiting?.resolve({ done: true, value: undefined })
    else waiting?.reject(fault)
  }
}
