/**
 * What is used of Deno's own API, written out: the types of Deno and of Bun do not live in one program.
 *
 * Source: Deno 2.9, `deno types`.
 */

export interface DenoAddress {
  readonly transport: string
  readonly hostname: string
  readonly port: number
}

export interface DenoConnection {
  readonly remoteAddr: DenoAddress
  /** Bytes that were read; null = the peer sent the end of its stream. */
  read(target: Uint8Array): Promise<number | null>
  write(bytes: Uint8Array): Promise<number>
  /** Sends the end of the stream; reading goes on. */
  closeWrite(): Promise<void>
  close(): void
  setNoDelay(on?: boolean): void
}

export interface DenoListener {
  readonly addr: DenoAddress
  accept(): Promise<DenoConnection>
  close(): void
}

export interface DenoConnectTlsOptions {
  readonly hostname: string
  readonly port: number
  /** Roots in PEM form, in place of the runtime's own. */
  readonly caCerts?: ReadonlyArray<string>
  readonly cert?: string
  readonly key?: string
}

export interface DenoTlsConnection extends Omit<DenoConnection, "setNoDelay"> {
  handshake(): Promise<unknown>
}

export interface DenoHttpServer {
  readonly addr: DenoAddress
  readonly finished: Promise<void>
}

export interface DenoServeOptions {
  readonly hostname: string
  readonly port: number
  /** Aborting it ends the server and every connection. */
  readonly signal: AbortSignal
  readonly onListen: () => void
  readonly onError: (error: unknown) => Response | Promise<Response>
}

export interface DenoRuntime {
  readonly errors: { readonly Interrupted: abstract new () => Error; readonly BadResource: abstract new () => Error }
  listen(options: { readonly hostname: string; readonly port: number }): DenoListener
  connect(options: { readonly hostname: string; readonly port: number }): Promise<DenoConnection>
  connectTls(options: DenoConnectTlsOptions): Promise<DenoTlsConnection>
  serve(
    options: DenoServeOptions,
    handler: (request: Request, info: { readonly remoteAddr: DenoAddress }) => Response | Promise<Response>
  ): DenoHttpServer
  upgradeWebSocket(
    request: Request,
    options: { readonly protocol?: string; readonly idleTimeout?: number }
  ): { readonly response: Response; readonly socket: WebSocket }
}

/** Deno's API; only to be called under Deno. */
export const deno = (globalThis as unknown as { readonly Deno: DenoRuntime }).Deno
