/**
 * Listeners of a node whose shards share a thread: the first shard that asks for an address opens it, the others join, and new
 * connections are dealt to them in turn. (Shards in threads of their own will each listen, and the kernel deals.)
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

class Shared {
  readonly accepts: Array<Accept> = []
  listening: Listening | undefined
  #next = 0

  readonly accept = (socket: Socket): SocketReceiver => {
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

  constructor(net: NetShape, insecure: boolean, nodeScope: Scope.Scope) {
    this.#net = net
    this.#insecure = insecure
    this.#nodeScope = nodeScope
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
      listenTcp: (address, accept) =>
        this.#join(keyOf("tcp", address), address, accept, (shared) => this.#net.listenTcp(address, shared)),
      listenWebSocket: (address, options, accept) =>
        this.#join(keyOf("websocket", address), address, accept, (shared) =>
          this.#net.listenWebSocket(address, options, shared)
        ),
      serveHttp: (address, handler) => this.#guard(address).pipe(Effect.andThen(this.#net.serveHttp(address, handler)))
    }
  }

  #join(
    key: string,
    address: string,
    accept: Accept,
    open: (accept: Accept) => Effect.Effect<Listening, ListenError, Scope.Scope>
  ): Effect.Effect<Listening, ListenError, Scope.Scope> {
    return Effect.suspend(() => {
      const known = this.#shared.get(key)
      const shared = known ?? new Shared()
      this.#shared.set(key, shared)
      const opened =
        known?.listening !== undefined
          ? Effect.succeed(known.listening)
          : this.#guard(address).pipe(
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
