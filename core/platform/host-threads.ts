/**
 * Threads of the runtime, for work that blocks. Bun and Deno have the same ones (Web Workers).
 *
 * Invariants
 *  - Messages are plain data, copied, or `ArrayBuffer`s that are given away; they arrive in the order in which they were sent, both ways.
 *  - A thread shares nothing with the one that started it. It ends when it is stopped or when it throws.
 */

/** A thread that runs, as its starter sees it. */
export interface Thread {
  /** Sends a message; the buffers in `transfer` cannot be used here any more. */
  post(message: unknown, transfer: Array<ArrayBuffer>): void
  /** Ends the thread at once; a second time does nothing. */
  stop(): void
}

export interface ThreadEvents {
  message(message: unknown): void
  /** The thread could not be started, or threw: no message comes any more. `reason` is one line. */
  failed(reason: string): void
}

export interface ThreadsShape {
  /** Starts the module at `url` in a thread. */
  start(url: string, events: ThreadEvents): Thread
}

export const hostThreads: ThreadsShape = {
  start(url, events) {
    const worker = new Worker(url, { type: "module" })
    let isOver = false
    const failed = (reason: string): void => {
      if (isOver) return
      isOver = true
      events.failed(reason.split("\n")[0] ?? "")
    }
    worker.onmessage = (event: MessageEvent): void => {
      if (!isOver) events.message(event.data)
    }
    worker.onerror = (event: ErrorEvent): void => {
      // Otherwise the fault of a thread ends the process under Deno.
      event.preventDefault()
      failed(event.message)
    }
    worker.onmessageerror = () => failed("a message could not be read")
    return {
      post: (message, transfer) => {
        if (!isOver) worker.postMessage(message, transfer)
      },
      stop: () => {
        isOver = true
        worker.terminate()
      }
    }
  }
}

/** The other side, called once by the module that a thread runs: `handle` gets each message and may answer any number of times. */
export function serveThread(
  handle: (message: unknown, answer: (message: unknown, transfer: Array<ArrayBuffer>) => void) => void
): void {
  const scope = globalThis as unknown as {
    onmessage: ((event: MessageEvent) => void) | null
    postMessage(message: unknown, transfer: Array<ArrayBuffer>): void
  }
  scope.onmessage = (event) => handle(event.data, (message, transfer) => scope.postMessage(message, transfer))
}
