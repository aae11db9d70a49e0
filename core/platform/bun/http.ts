/** HTTP listeners on Bun.serve. What the handler throws is answered 500 with no details and told to `onFault`. */
import { Effect, type Scope } from "effect"
import { REQUEST_BODY_BYTES_MAX } from "../http-limits.ts"
import { formatAddress, type OnFault, openListener } from "../listening.ts"
import type { HttpHandler, ListenError, Listening } from "../Net.ts"

/** Seconds without a byte after which a connection is closed. */
const IDLE_SECONDS = 30

/** Serves `handler` on `address` for the life of the scope; requests under way are cut off when it closes. */
export function serveHttp(
  address: string,
  handler: HttpHandler,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const opened = openListener(address, (hostname, port) =>
    Bun.serve({
      hostname,
      port,
      reusePort: false,
      development: false,
      idleTimeout: IDLE_SECONDS,
      maxRequestBodySize: REQUEST_BODY_BYTES_MAX,
      fetch: (request, server) => handler(request, server.requestIP(request)?.address ?? ""),
      error: (error) => {
        onFault(error)
        return new Response("", { status: 500 })
      }
    })
  )
  return Effect.acquireRelease(opened, (server) => Effect.promise(() => server.stop(true))).pipe(
    Effect.map((server) => ({ address: formatAddress(address, server.port ?? 0) }))
  )
}
