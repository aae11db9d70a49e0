/** TCP listeners on Deno.listen. */
import { Effect, type Scope } from "effect"
import { InvariantViolation } from "../../assert.ts"
import { formatAddress, type OnFault, openListener } from "../listening.ts"
import type { Accept, ListenError, Listening } from "../Net.ts"
import { StreamConnection } from "../StreamConnection.ts"
import { type DenoListener, deno } from "./runtime.ts"

/** After an accept that failed: descriptors may have run out, and come back. */
const ACCEPT_PAUSE_MS = 50

/** Listens on `address` for the life of the scope. */
export function listenTcp(
  address: string,
  accept: Accept,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const opened = openListener(address, (hostname, port) => {
    const listener = deno.listen({ hostname, port })
    const state = { isOpen: true }
    const accepting = acceptAll(listener, state, accept, onFault)
    const close = async (): Promise<void> => {
      state.isOpen = false
      listener.close()
      // Until then the descriptor is there.
      await accepting.catch(() => {})
    }
    return { listener, close }
  })
  return Effect.acquireRelease(opened, ({ close }) => Effect.promise(close)).pipe(
    Effect.map(({ listener }) => ({ address: formatAddress(address, listener.addr.port) }))
  )
}

async function acceptAll(
  listener: DenoListener,
  state: { readonly isOpen: boolean },
  accept: Accept,
  onFault: OnFault
): Promise<void> {
  let hasFailed = false
  while (state.isOpen) {
    try {
      const handle = await listener.accept()
      hasFailed = false
      handle.setNoDelay(true)
      new StreamConnection(handle, handle.remoteAddr.hostname, onFault).start(accept)
    } catch (error) {
      if (!state.isOpen) return
      if (error instanceof InvariantViolation) throw error
      if (!hasFailed) onFault(error)
      hasFailed = true
      await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE_MS))
    }
  }
}
