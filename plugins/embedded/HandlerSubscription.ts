/**
 * A subscription whose messages are handed to a function, one after the other.
 *
 * Invariants
 *  - The handler is never called again before it has returned, nor before the promise that it returned has settled: messages wait in
 *    the queue meanwhile.
 *  - What a handler throws is the program's own: it goes to `onError`, or where there is none it is thrown from the loop, as that of
 *    any event handler would be. The next message is handed out all the same.
 *  - When the broker has closed it is not called any more: what waits for one that is still busy then is forgotten.
 */
import type { Receiver } from "./Dispatcher.ts"
import { Inbox, type SubscribeOptions } from "./Inbox.ts"
import type { ReceivedMessage } from "./ReceivedMessage.ts"
import type { Services } from "./Services.ts"

/** Takes one message. A promise that it returns is awaited before the next message; other results mean nothing. */
export type MessageHandler = (message: ReceivedMessage) => unknown

export interface HandlerOptions extends SubscribeOptions {
  /** Gets what the handler throws or rejects with, and the error with which the subscription ends. */
  readonly onError?: (error: unknown) => void
}

export class HandlerSubscription extends Inbox implements Receiver {
  readonly #handler: MessageHandler
  readonly #onError: ((error: unknown) => void) | undefined
  #isReady = false
  #isHandling = false
  readonly #handled = (): void => {
    this.#isHandling = false
    if (this.queued > 0 || this.isOver) this.changedUnsafe()
  }
  readonly #failed = (error: unknown): void => {
    this.#report(error)
    this.#handled()
  }

  constructor(
    services: Services,
    filter: string,
    handler: MessageHandler,
    options: HandlerOptions,
    ended: (inbox: Inbox) => void
  ) {
    super(services, filter, options, ended)
    this.#handler = handler
    this.#onError = options.onError
  }

  handOutUnsafe(): void {
    this.#isReady = false
    for (let left = this.queued; left > 0 && !this.#isHandling; left--) {
      const message = this.nextUnsafe()
      if (message === undefined) break
      this.#handUnsafe(message)
    }
    if (this.#isHandling) return
    if (this.queued > 0) this.changedUnsafe()
    else {
      const fault = this.takeFault()
      if (fault !== undefined) this.#report(fault)
    }
  }

  override close(): void {
    super.close()
    if (this.#isHandling) this.forget()
  }

  protected changedUnsafe(): void {
    if (this.#isReady || this.#isHandling) return
    this.#isReady = true
    this.services.dispatcher.add(this)
  }

  #handUnsafe(message: ReceivedMessage): void {
    try {
      const result = this.#handler(message)
      if (!(result instanceof Promise)) return
      this.#isHandling = true
      result.then(this.#handled, this.#failed)
    } catch (error) {
      this.#report(error)
    }
  }

  #report(error: unknown): void {
    if (this.#onError === undefined) this.#throwLater(error)
    else {
      try {
        this.#onError(error)
      } catch (further) {
        this.#throwLater(further)
      }
    }
  }

  #throwLater(error: unknown): void {
    this.services.clock.microtask(() => {
      throw error
    })
  }
}
