/**
 * TLS listeners on Bun.listen: a connection is accepted as plain TCP and secured with the certificate of that moment, so that a new one
 * is shown from the next connection on, with no gap and no connection lost.
 *
 * Source: RFC 8446, RFC 5246. The runtime (BoringSSL) speaks TLS 1.2 and 1.3 and knows no renegotiation by the peer.
 * Invariants
 *  - Nobody is told of a connection before its handshake is done and, where that is asked for, its certificate is good.
 *  - A handshake takes {@link HANDSHAKE_MS} at most.
 */
import { Effect, type Scope } from "effect"
import { formatAddress, type OnFault, openListener } from "../listening.ts"
import type { Accept, ListenError, Listening, TlsOptions, TlsSource } from "../Net.ts"
import { Connection, type Handle, handlers } from "./tcp.ts"

/** A peer that has not finished its handshake by then is cut. */
const HANDSHAKE_MS = 10_000

/** The options as the runtime takes them. */
export function contextOf({ certificate, privateKey, clientCa, requiresClient }: TlsOptions) {
  const client = clientCa === "" ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: requiresClient }
  return { cert: certificate, key: privateKey, ...client }
}

/** Listens on `address` for the life of the scope. */
export function listenTls(
  address: string,
  accept: Accept,
  tls: TlsSource,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const plain = handlers(accept, onFault)
  /** Handshakes under way, by the plain socket's secured half. */
  const timers = new Map<Handle, ReturnType<typeof setTimeout>>()
  const ended = (handle: Handle): void => {
    clearTimeout(timers.get(handle))
    timers.delete(handle)
  }
  let context = contextOf(tls.current)
  tls.onChange(() => {
    context = contextOf(tls.current)
  })
  const secured = {
    ...plain,
    open(handle: Handle): void {
      timers.set(
        handle,
        setTimeout(() => handle.terminate(), HANDSHAKE_MS)
      )
    },
    handshake(handle: Handle, isDone: boolean): void {
      ended(handle)
      if (!isDone || (tls.current.requiresClient && !handle.authorized)) {
        handle.terminate()
        return
      }
      const connection = new Connection(handle)
      handle.data = connection
      try {
        connection.receiver = accept(connection)
      } catch (error) {
        plain.error(handle, error)
      }
    },
    data(handle: Handle, bytes: Uint8Array): void {
      const connection = handle.data
      if (connection instanceof Connection && !connection.isEnding) connection.receiver?.data(bytes)
    },
    drain(handle: Handle): void {
      if (handle.data instanceof Connection) handle.data.receiver?.drain()
    },
    close(handle: Handle): void {
      ended(handle)
      if (handle.data instanceof Connection) handle.data.closed()
    },
    error(handle: Handle, error: unknown): void {
      // A peer that speaks no TLS, or another one, is nobody's fault here.
      if (handle.data instanceof Connection) plain.error(handle, error)
      else handle.terminate()
    }
  }
  const opened = openListener(address, (hostname, port) =>
    Bun.listen({
      hostname,
      port,
      exclusive: true,
      allowHalfOpen: true,
      socket: {
        binaryType: "uint8array",
        open(raw) {
          raw.setNoDelay(true)
          try {
            raw.upgradeTLS({ data: undefined as unknown as Connection, tls: context, socket: secured })
          } catch (error) {
            raw.terminate()
            onFault(error)
          }
        },
        // The sealed bytes are the secured half's affair.
        data() {},
        error(raw) {
          raw.terminate()
        }
      }
    })
  )
  return Effect.acquireRelease(opened, (listener) =>
    Effect.sync(() => {
      listener.stop(false)
      for (const handle of [...timers.keys()]) handle.terminate()
    })
  ).pipe(Effect.map((listener) => ({ address: formatAddress(address, listener.port) })))
}
