/** HTTP listeners on Deno.serve. What the handler throws is answered 500 with no details and told to `onFault`. */
import { Effect, type Scope } from "effect"
import { REQUEST_BODY_BYTES_MAX } from "../http-limits.ts"
import { formatAddress, type OnFault, openListener } from "../listening.ts"
import type { HttpHandler, ListenError, Listening } from "../Net.ts"
import { type DenoHttpServer, type DenoRuntime, type DenoServeOptions, deno } from "./runtime.ts"

/** After a server has failed: descriptors may have run out, and come back. */
const REOPEN_PAUSE_MS = 100

/** Listens on `address` for the life of the scope, which ends every connection. */
export function serveHttp(
  address: string,
  handler: HttpHandler,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const opened = openListener(address, (hostname, port) => new HttpListener(hostname, port, handler, onFault))
  return Effect.acquireRelease(opened, (listener) => Effect.promise(() => listener.close())).pipe(
    Effect.map(({ port }) => ({ address: formatAddress(address, port) }))
  )
}

/** A server, and after one that failed the next: Deno's ends for good where it cannot accept a connection. */
class HttpListener {
  readonly port: number
  readonly #options: DenoServeOptions
  readonly #handler: Parameters<DenoRuntime["serve"]>[1]
  readonly #onFault: OnFault
  readonly #stop = new AbortController()
  #server: DenoHttpServer
  #reopening: ReturnType<typeof setTimeout> | undefined

  constructor(hostname: string, port: number, handler: HttpHandler, onFault: OnFault) {
    this.#onFault = onFault
    this.#options = {
      hostname,
      port,
      signal: this.#stop.signal,
      onListen: () => {},
      onError: (error) => {
        onFault(error)
        return new Response("", { status: 500 })
      }
    }
    this.#handler = (request, { remoteAddr }) => {
      // Deno sets no bound; a body of unknown length is bounded by whoever reads it.
      const length = Number(request.headers.get("content-length") ?? 0)
      if (length > REQUEST_BODY_BYTES_MAX) return new Response("", { status: 413 })
      return handler(request, remoteAddr.hostname)
    }
    this.#server = deno.serve(this.#options, this.#handler)
    this.port = this.#server.addr.port
    this.#watch()
  }

  async close(): Promise<void> {
    clearTimeout(this.#reopening)
    this.#stop.abort()
    await this.#server.finished.catch(() => {})
  }

  #watch(): void {
    this.#server.finished.catch((error) => {
      if (this.#stop.signal.aborted) return
      this.#onFault(error)
      this.#reopenLater()
    })
  }

  #reopenLater(): void {
    this.#reopening = setTimeout(() => {
      try {
        this.#server = deno.serve({ ...this.#options, port: this.port }, this.#handler)
        this.#watch()
      } catch {
        this.#reopenLater()
      }
    }, REOPEN_PAUSE_MS)
  }
}
