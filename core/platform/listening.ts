/** What listeners have in common on every runtime: the address taken apart, and one line where it cannot be opened. */
import { Effect } from "effect"
import { ListenError, parseAddress } from "./Net.ts"

/** Told of what the owner of a connection threw, and of what a handler of requests did; the connection is closed by then. */
export type OnFault = (error: unknown) => void

/** Opens a listener on "host:port"; what `open` throws becomes a {@link ListenError}. */
export function openListener<Listener>(
  address: string,
  open: (host: string, port: number) => Listener
): Effect.Effect<Listener, ListenError> {
  return Effect.try({
    try: () => {
      const parsed = parseAddress(address)
      if (parsed === undefined) throw new Error('expected "host:port"')
      return open(parsed.host, parsed.port)
    },
    catch: (error) => new ListenError({ address, reason: listenReason(error) })
  })
}

/** The same where opening takes its time. */
export function openListenerLate<Listener>(
  address: string,
  open: (host: string, port: number) => Promise<Listener>
): Effect.Effect<Listener, ListenError> {
  return Effect.flatMap(openListener(address, open), (opening) =>
    Effect.tryPromise({
      try: () => opening,
      catch: (error) => new ListenError({ address, reason: listenReason(error) })
    })
  )
}

/** The address as it was asked for, with the port that it got. */
export function formatAddress(asked: string, port: number): string {
  return `${asked.slice(0, asked.lastIndexOf(":"))}:${port}`
}

/** One line that says why a listener could not be opened. */
function listenReason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  if (code === "EADDRINUSE") return "the port is in use"
  if (code === "EACCES") return "not permitted to use this port"
  // node:net of Deno says EINVAL of it.
  if (code === "EADDRNOTAVAIL" || code === "EINVAL") return "this machine has no such address"
  return error instanceof Error ? error.message : String(error)
}
