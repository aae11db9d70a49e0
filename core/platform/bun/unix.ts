/**
 * Unix sockets on Bun.listen: for clients on this machine, which the permissions of the path's folder let in or keep out.
 *
 * Invariant: a path at which somebody listens is left alone; one whose process is gone is taken over.
 */
import { statSync, unlinkSync } from "node:fs"
import { Effect, type Scope } from "effect"
import type { OnFault } from "../listening.ts"
import { type Accept, ListenError, type Listening } from "../Net.ts"
import { handlers } from "./tcp.ts"

/** Longest path that the system takes, bytes: `sun_path` without its closing zero. */
const PATH_BYTES_MAX = 107

/** Listens at `path` for the life of the scope. */
export function listenUnix(
  path: string,
  accept: Accept,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const fail = (reason: string) => new ListenError({ address: path, reason })
  const listen = () => Bun.listen({ unix: path, allowHalfOpen: true, socket: handlers(accept, onFault) })
  const opened = Effect.tryPromise({
    try: async () => {
      if (Buffer.byteLength(path) > PATH_BYTES_MAX) throw fail(`the path is longer than ${PATH_BYTES_MAX} bytes`)
      const left = statSync(path, { throwIfNoEntry: false })
      if (left !== undefined && !left.isSocket()) throw fail("there is a file of another kind")
      if (left !== undefined) {
        if (await isAnswered(path)) throw fail("another process listens there")
        unlinkSync(path)
      }
      return listen()
    },
    catch: (error) =>
      error instanceof ListenError ? error : fail(error instanceof Error ? error.message : String(error))
  })
  return Effect.acquireRelease(opened, (listener) =>
    Effect.sync(() => {
      listener.stop(false)
      try {
        unlinkSync(path)
      } catch {
        // It is gone already.
      }
    })
  ).pipe(Effect.as({ address: path }))
}

async function isAnswered(path: string): Promise<boolean> {
  try {
    const probe = await Bun.connect({ unix: path, socket: { data() {} } })
    probe.terminate()
    return true
  } catch {
    return false
  }
}
