/**
 * Connections of ours on Bun.connect, plain and with TLS.
 *
 * Source: RFC 8446, RFC 5246; RFC 6125 for the name in the peer's certificate, which the runtime checks.
 * Invariant: nobody is told of a connection before its handshake is done and the peer's certificate is good.
 */
import type { Effect } from "effect"
import { connecting } from "../connecting.ts"
import type { OnFault } from "../listening.ts"
import type { Accept, ConnectError, TlsClientOptions } from "../Net.ts"
import { Connection, type Handle, handlers } from "./tcp.ts"

/** The options as the runtime takes them. */
function contextOf({ serverName, ca, certificate, privateKey }: TlsClientOptions) {
  return {
    serverName,
    rejectUnauthorized: true,
    ...(ca !== "" && { ca }),
    ...(certificate !== "" && { cert: certificate, key: privateKey })
  }
}

export function connectTcp(
  address: string,
  accept: Accept,
  tls: TlsClientOptions | undefined,
  onFault: OnFault
): Effect.Effect<void, ConnectError> {
  return connecting(address, (hostname, port, attempt) => {
    let opened: Handle | undefined
    const plain = handlers(accept, onFault)
    const stands = (handle: Handle): void => {
      if (!attempt.stands(() => plain.open(handle))) handle.terminate()
    }
    const isTold = (handle: Handle): boolean => handle.data instanceof Connection
    const socket = {
      ...plain,
      open(handle: Handle): void {
        opened = handle
        // Given up before there was anything to give up: a handshake that never ends would keep it.
        if (attempt.isOver) handle.terminate()
        else if (tls === undefined) stands(handle)
      },
      handshake(handle: Handle, isDone: boolean, error: Error | null): void {
        if (tls === undefined) return
        if (isDone && handle.authorized) stands(handle)
        else
          attempt.failed(
            error === null ? "its certificate is not good" : `its certificate is not good: ${error.message}`
          )
      },
      data(handle: Handle, bytes: Uint8Array): void {
        if (isTold(handle)) plain.data(handle, bytes)
      },
      drain(handle: Handle): void {
        if (isTold(handle)) plain.drain(handle)
      },
      close(handle: Handle): void {
        if (isTold(handle)) plain.close(handle)
        else attempt.failed("it closed the connection")
      },
      error(handle: Handle, error: unknown): void {
        if (isTold(handle)) plain.error(handle, error)
        else attempt.failed(error)
      },
      connectError(_handle: Handle, error: Error): void {
        attempt.failed(error)
      }
    }
    const options = { hostname, port, allowHalfOpen: true, socket, data: undefined as unknown as Connection }
    // A certificate that cannot be read is thrown at once, not told later.
    const open = async () => Bun.connect(tls === undefined ? options : { ...options, tls: contextOf(tls) })
    // The error is told by `connectError`, too; what is told second says nothing. One about the host's name comes here alone.
    open().catch((error) => attempt.failed(error))
    return () => opened?.terminate()
  })
}
