/** Connections of ours on Deno.connect and Deno.connectTls. */
import type { Effect } from "effect"
import { connecting } from "../connecting.ts"
import type { OnFault } from "../listening.ts"
import type { Accept, ConnectError, TlsClientOptions } from "../Net.ts"
import { StreamConnection } from "../StreamConnection.ts"
import { type DenoConnection, deno } from "./runtime.ts"

type OpenConnection = Omit<DenoConnection, "setNoDelay"> & Partial<Pick<DenoConnection, "setNoDelay">>

export function connectTcp(
  address: string,
  accept: Accept,
  tls: TlsClientOptions | undefined,
  onFault: OnFault
): Effect.Effect<void, ConnectError> {
  return connecting(address, (hostname, port, attempt) => {
    let opened: OpenConnection | undefined
    if (tls !== undefined && tls.serverName !== hostname) {
      attempt.failed("a certificate for another name than the host's needs Bun, or one of the executables")
      return () => {}
    }
    const open = async (): Promise<void> => {
      let stream: OpenConnection
      if (tls === undefined) stream = opened = await deno.connect({ hostname, port })
      else {
        const secured = await deno.connectTls({
          hostname,
          port,
          ...(tls.ca !== "" && { caCerts: [tls.ca] }),
          ...(tls.certificate !== "" && { cert: tls.certificate, key: tls.privateKey })
        })
        stream = opened = secured
        await secured.handshake()
      }
      // One with TLS has no such choice.
      stream.setNoDelay?.(true)
      const connection = new StreamConnection(stream, stream.remoteAddr.hostname, onFault)
      if (!attempt.stands(() => connection.start(accept))) stream.close()
    }
    open().catch((error) => attempt.failed(error))
    return () => {
      try {
        opened?.close()
      } catch {
        // It ended at the same moment.
      }
    }
  })
}
