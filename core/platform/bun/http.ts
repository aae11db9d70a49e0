/** HTTP listeners on Bun.serve. What the handler throws is answered 500 with no details and told to `onFault`. */
import { Effect, type Scope } from "effect"
import { type HttpHandler, ListenError, type Listening, parseAddress } from "../Net.ts"
import { formatAddress, listenReason, type OnFault } from "./tcp.ts"

/** Largest request body in bytes; handlers may ask for less. */
export const REQUEST_BODY_BYTES_MAX = 16_777_216

/** Seconds without a byte after which a connection is closed. */
const IDLE_SECONDS = 30

/** Serves `handler` on `address` for the life of the scope; requests under way are cut off when it closes. */
export function serveHttp(
  address: string,
  handler: HttpHandler,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const opened = Effect.try({
    try: () => {
      const parsed = parseAddress(address)
      if (parsed === undefined) throw new Error('expected "host:port"')
      return Bun.serve({
        hostname: parsed.host,
        port: parsed.port,
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
    },
    catch: (error) => new ListenError({ address, reason: listenReason(error) })
  })
  return Effect.acquireRelease(opened, (server) => Effect.promise(() => server.stop(true))).pipe(
    Effect.map((server) => ({ address: formatAddress(address, server.port ?? 0) }))
  )
}
