/**
 * TCP listeners on Bun.listen: one shared handler set per listener, one small object per connection, nothing buffered by us.
 *
 * What a receiver throws costs its connection, not the broker; a broken invariant stops the process.
 */
import { Effect, type Scope } from "effect"
import { InvariantViolation } from "../../assert.ts"
import { formatAddress, type OnFault, openListener } from "../listening.ts"
import { type Accept, CLOSED, type ListenError, type Listening, type Socket, type SocketReceiver } from "../Net.ts"
import { type PackedAddress, packAddress, unpackAddress } from "../packed-address.ts"

/** How long a connection that we have ended may take to be ended by the peer. */
const LINGER_MS = 2_000

export type Handle = import("bun").Socket<Connection>

/** A connection over any socket of the runtime's, plain or secured. */
export class Connection implements Socket {
  readonly handle: Handle
  receiver: SocketReceiver | undefined
  #open = true
  #peer: PackedAddress = ""
  /** Set while the connection is ended: it is cut when the peer does not end it too. */
  #linger: ReturnType<typeof setTimeout> | undefined

  constructor(handle: Handle) {
    this.handle = handle
  }

  /** Stays what it was when it was first asked for, also when the connection has ended. */
  get peerAddress(): string {
    if (this.#peer === "" && this.#open) this.#peer = packAddress(this.handle.remoteAddress ?? "")
    return unpackAddress(this.#peer)
  }

  write(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#open || this.isEnding) return CLOSED
    return this.handle.write(bytes, start, end - start)
  }

  pause(): void {
    if (this.#open) this.handle.pause()
  }

  resume(): void {
    if (this.#open) this.handle.resume()
  }

  end(): void {
    if (!this.#open || this.isEnding) return
    this.#linger = setTimeout(() => this.terminate(), LINGER_MS)
    // What the peer still sends is taken off the line: closed with an unread byte, the connection would be reset, and the peer might
    // never see what was sent last.
    this.handle.shutdown()
    this.handle.resume()
  }

  /** What comes from the peer now is nobody's. */
  get isEnding(): boolean {
    return this.#linger !== undefined
  }

  terminate(): void {
    if (this.#open) this.handle.terminate()
  }

  closed(): void {
    this.#open = false
    clearTimeout(this.#linger)
    this.receiver?.closed()
    this.receiver = undefined
  }
}

/** Listens on `address` for the life of the scope. */
export function listenTcp(
  address: string,
  accept: Accept,
  onFault: OnFault
): Effect.Effect<Listening, ListenError, Scope.Scope> {
  const opened = openListener(address, (hostname, port) =>
    Bun.listen<Connection>({
      hostname,
      port,
      exclusive: true,
      allowHalfOpen: true,
      socket: handlers(accept, onFault)
    })
  )
  return Effect.acquireRelease(opened, (listener) => Effect.sync(() => listener.stop(false))).pipe(
    Effect.map((listener) => ({ address: formatAddress(address, listener.port) }))
  )
}

/** What is done with connections whose bytes come as they are. */
export function handlers(accept: Accept, onFault: OnFault) {
  return {
    binaryType: "uint8array" as const,
    open(handle: Handle): void {
      handle.setNoDelay(true)
      const connection = new Connection(handle)
      handle.data = connection
      connection.receiver = accept(connection)
    },
    data(handle: Handle, bytes: Uint8Array): void {
      if (!handle.data.isEnding) handle.data.receiver?.data(bytes)
    },
    end(handle: Handle): void {
      handle.end()
    },
    drain(handle: Handle): void {
      handle.data.receiver?.drain()
    },
    close(handle: Handle): void {
      handle.data?.closed()
    },
    error(handle: Handle, error: unknown): void {
      if (error instanceof InvariantViolation) throw error
      handle.terminate()
      onFault(error)
    }
  }
}
