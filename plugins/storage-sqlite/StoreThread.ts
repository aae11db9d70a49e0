/**
 * A shard's end of its storage thread.
 *
 * Invariants
 *  - Answers come in the order of the requests, and each is handed over before the next: who merges an answer with what lies in memory
 *    sees the memory as it was left by all answers before.
 *  - No answer comes from within the call that asks.
 *  - A thread that broke down is not started again: every request fails from then on.
 */
import { type ClockShape, DiskFull, StorageError, Unusable } from "../../core/mod.ts"
import type { Thread, ThreadsShape } from "../../core/platform/mod.ts"
import type { Answer, Answers, Failure, Request } from "./database/messages.ts"
import { StoreServer } from "./database/StoreServer.ts"

type Settle = (answer: Answer) => void

const NONE: Array<ArrayBuffer> = []

export class StoreThread {
  #thread: Thread | undefined
  #waiting: Array<Settle> = []
  #head = 0
  #failure: Failure | undefined

  /** A thread of the runtime, whose module lies at `url`. */
  static started(threads: ThreadsShape, url: string): StoreThread {
    const own = new StoreThread()
    own.#thread = threads.start(url, {
      message: (message) => own.#answered(message as Answer),
      failed: (reason) => own.#fail(`the storage thread has ended: ${reason}`)
    })
    return own
  }

  /** The same without a thread: what is asked is done at once, and answered when the loop turns. For tests and simulations. */
  static inline(clock: ClockShape, server = new StoreServer()): StoreThread {
    const own = new StoreThread()
    own.#thread = {
      post: (message) => {
        const answer = server.handle(message as Request)
        if (answer !== undefined) clock.immediate(() => own.#answered(answer))
      },
      stop: () => void server.handle({ kind: "close" })
    }
    return own
  }

  /** Requests that wait for their answer. */
  get waiting(): number {
    return this.#waiting.length - this.#head
  }

  /** Asks; `done` gets the answer, or why there is none. */
  ask<Kind extends Exclude<Request["kind"], "part">>(
    request: Extract<Request, { readonly kind: Kind }>,
    done: (value: Answers[Kind] | undefined, failure: Failure | undefined) => void
  ): void {
    const settle: Settle = (answer) => {
      if ("failure" in answer) done(undefined, answer.failure)
      else done(answer.value as Answers[Kind], undefined)
    }
    if (this.#failure !== undefined) {
      const failure = this.#failure
      queue(() => settle({ failure }))
      return
    }
    this.#waiting.push(settle)
    this.#thread?.post(request, NONE)
  }

  /** The same as a promise, for who merges the answer with nothing. Rejects with `StorageError`. */
  request<Kind extends Exclude<Request["kind"], "part">>(
    request: Extract<Request, { readonly kind: Kind }>
  ): Promise<Answers[Kind]> {
    return new Promise((resolve, reject) => {
      this.ask<Kind>(request, (value, failure) => {
        if (value === undefined) reject(storageError(failure))
        else resolve(value)
      })
    })
  }

  /** Sends a part of a checkpoint; its buffer is given away. */
  part(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#failure === undefined) this.#thread?.post({ kind: "part", bytes } satisfies Request, [bytes.buffer])
  }

  /** Ends the thread; what still waits fails. */
  stop(): void {
    this.#thread?.stop()
    this.#fail("the store is closed")
  }

  #answered(answer: Answer): void {
    const settle = this.#waiting[this.#head]
    if (settle === undefined) return
    this.#head += 1
    if (this.#head === this.#waiting.length) {
      this.#waiting = []
      this.#head = 0
    } else if (this.#head > 1_024) {
      this.#waiting.splice(0, this.#head)
      this.#head = 0
    }
    settle(answer)
  }

  #fail(message: string): void {
    if (this.#failure !== undefined) return
    const failure: Failure = { fault: "failed", message }
    this.#failure = failure
    const waiting = this.#waiting.slice(this.#head)
    this.#waiting = []
    this.#head = 0
    for (const settle of waiting) settle({ failure })
  }
}

function queue(task: () => void): void {
  void Promise.resolve().then(task)
}

/** A fault of the thread as who reads or opens is told of it. */
export function storageError(failure: Failure | undefined): StorageError {
  const message = failure?.message ?? "the store is closed"
  const reason =
    failure?.fault === "full" ? new DiskFull({ pathname: message.split(": ")[0] ?? "" }) : new Unusable({ message })
  return new StorageError({ engine: "sqlite", reason })
}
