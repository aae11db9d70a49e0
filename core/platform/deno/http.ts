/** HTTP listeners on Deno.serve. What the handler throws is answered 500 with no details and told to `onFault`. */
import { Effect, type Scope } from "effect"
import { REQUEST_BODY_BYTES_MAX } from "../http-limits.ts"
import { formatAddress, type OnFault, openListener } from "../listening.ts"
import type { HttpHandler, ListenError, Listening } from "../Net.ts"
import { type DenoServeOptions, deno } from "./runtime.ts"

/** Listens on `address` for the life of the scope, which ends every connection. */
export function serveHttp(
  address: string,
  handler: HttpHandler,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const opened = openListener(address, (hostname, port) => {
    const stop = new AbortController()
    const options: DenoServeOptions = {
      hostname,
      port,
      signal: stop.signal,
      onListen: () => {},
      onError: (error) => {
        onFault(error)
        return new Response("", { status: 500 })
      }
    }
    const server = deno.serve(options, (request, { remoteAddr }) => {
      // Deno sets no bound; a body of unknown length is bounded by whoever reads it.
      const length = Number(request.headers.get("content-length") ?? 0)
      if (length > REQUEST_BODY_BYTES_MAX) return new Response("", { status: 413 })
      return handler(request, remoteAddr.hostname)
    })
    return { server, stop }
  })
  return Effect.acquireRelease(opened, ({ server, stop }) =>
    Effect.promise(() => {
      stop.abort()
      return server.finished
    })
  ).pipe(Effect.map(({ server }) => ({ address: formatAddress(address, server.addr.port) })))
}
