/**
 * Listeners of a node whose shards share a thread: the first shard that asks for an address opens it, the others join, and new
 * connections are dealt to them in turn. (Shards in threads of their own will each listen, and the kernel deals.)
 *
 * Nothing is read from a connection before every shard has taken up what the last run left: what a durable session of one shard wants
 * must be known to all before the first message comes.
 *
 * It also keeps the house safe by default: an address that other machines can reach is refused while nobody has to log in,
 * unless the operator insists.
 */
import { Effect, Scope } from "effect"
import {
  type Accept,
  isLoopback,
  ListenError,
  type Listening,
  type NetShape,
  parseAddress,
  type Socket,
  type SocketReceiver
} from "../platform/Net.ts"

/** Receives nothing: for a connection that came while the last shard was leaving. */
const NOBODY: SocketReceiver = { data: () => {}, drain: () => {}, closed: () => {} }

/** A connection that came before the node was whole: nothing is read from it until then. */
class Early implements SocketReceiver {
  readonly socket: Socket
  #receiver: SocketReceiver | undefined
  #isClosed = false
  constructor(socket: Socket) {
    this.socket = socket
    socket.pause()
  }
  open(accept: Accept): void {
    if (this.#isClosed) return
    this.#receiver = accept(this.socket)
    this.socket.resume()
  }
  data(bytes: Uint8Array): void {
    this.#receiver?.data(bytes)
  }
  drain(): void {
    this.#receiver?.drain()
  }
  closed(): void {
    this.#isClosed = true
    this.#receiver?.closed()
  }
}

class Shared {
  readonly accepts: Array<Accept> = []
  listening: Listening | undefined
  #early: Array<Early> | undefined = []
  #next = 0

  open(): void {
    const early = this.#early ?? []
    this.#early = undefined
    for (const each of early) each.open(this.accept)
  }

  readonly accept = (socket: Socket): SocketReceiver => {
    if (this.#early !== undefined) {
      const early = new Early(socket)
      this.#early.push(early)
      return early
    }
    const accept = this.accepts[this.#next++ % Math.max(1, this.accepts.length)]
    if (accept !== undefined) return accept(socket)
    socket.terminate()
    return NOBODY
  }

  leave(accept: Accept): void {
    this.accepts.splice(this.accepts.indexOf(accept), 1)
  }
}

export class SharedNet {
  readonly #net: NetShape
  readonly #insecure: boolean
  readonly #nodeScope: Scope.Scope
  readonly #shared = new Map<string, Shared>()
  #isOpen = false

  constructor(net: NetShape, insecure: boolean, nodeScope: Scope.Scope) {
    this.#net = net
    this.#insecure = insecure
    this.#nodeScope = nodeScope
  }

  /** Every part of the node stands: connections that have come meanwhile are served, and all that come. */
  open(): void {
    this.#isOpen = true
    for (const shared of this.#shared.values()) shared.open()
  }

  /** The network as one plugin on one shard sees it; equal calls of the same plugin on different shards share a listener. */
  forPlugin(plugin: string): NetShape {
    const asked = new Map<string, number>()
    const keyOf = (kind: string, address: string): string => {
      const key = `${plugin} ${kind} ${address}`
      const count = (asked.get(key) ?? 0) + 1
      asked.set(key, count)
      return `${key} ${count}`
    }
    return {
      listenTcp: (address, accept, tls) =>
        this.#join(keyOf(tls === undefined ? "tcp" : "tls", address), this.#guard(address), accept, (shared) =>
          this.#net.listenTcp(address, shared, tls)
        ),
      listenQuic: (address, accept, tls) =>
        this.#join(keyOf("quic", address), this.#guard(address), accept, (shared) =>
          this.#net.listenQuic(address, shared, tls)
        ),
      // Only this machine can reach it.
      listenUnix: (path, accept) =>
        this.#join(keyOf("unix", path), Effect.void, accept, (shared) => this.#net.listenUnix(path, shared)),
      listenWebSocket: (address, options, accept) =>
        this.#join(keyOf("websocket", address), this.#guard(address), accept, (shared) =>
          this.#net.listenWebSocket(address, options, shared)
        ),
      serveHttp: (address, handler) => this.#guard(address).pipe(Effect.andThen(this.#net.serveHttp(address, handler))),
      // Whoever connects belongs to the shard that does.
      connectTcp: (address, accept, tls) => this.#net.connectTcp(address, accept, tls)
    }
  }

  #join(
    key: string,
    guard: Effect.Effect<void, ListenError>,
    accept: Accept,
    open: (accept: Accept) => Effect.Effect<Listening, ListenError, Scope.Scope>
  ): Effect.Effect<Listening, ListenError, Scope.Scope> {
    return Effect.suspend(() => {
      const known = this.#shared.get(key)
      const shared = known ?? new Shared()
      if (this.#isOpen) shared.open()
      this.#shared.set(key, shared)
      const opened =
        known?.listening !== undefined
          ? Effect.succeed(known.listening)
          : guard.pipe(
              Effect.andThen(open(shared.accept)),
              Scope.provide(this.#nodeScope),
              Effect.tap((listening) =>
                Effect.sync(() => {
                  shared.listening = listening
                })
              )
            )
      return opened.pipe(
        Effect.tap(() =>
          Effect.acquireRelease(
            Effect.sync(() => shared.accepts.push(accept)),
            () => Effect.sync(() => shared.leave(accept))
          )
        )
      )
    })
  }

  #guard(address: string): Effect.Effect<void, ListenError> {
    const host = parseAddress(address)?.host ?? ""
    if (this.#insecure || isLoopback(host)) return Effect.void
    const reason = "other machines could use it without logging in: choose a loopback address, or start with --insecure"
    return Effect.fail(new ListenError({ address, reason }))
  }
}
