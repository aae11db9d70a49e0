/**
 * Clients that plugins of this node run themselves, a bridge's for one: their connections come from inside (`Shard.forward`), and their
 * sessions have bounds of their own.
 *
 * Invariants
 *  - A client identifier is hosted once; nobody from outside connects with one that begins with {@link HOSTED_PREFIX}, whether it is
 *    hosted just now or not: sessions stay when the plugin is not there.
 *  - They are known to the shard that owns the client identifier, and to no other.
 */
import { Context, Effect, type Scope } from "effect"
import { assert } from "../assert.ts"

/** What the identifiers of all of them begin with, and of nobody else. */
export const HOSTED_PREFIX = "manifold-bridge-"

/** What holds for one, and who is told of what was given up. */
export interface HostedClient {
  readonly clientIdentifier: string
  /** Messages and bytes that may wait for it, in each queue log. */
  readonly messagesMax: number
  readonly bytesMax: number
  /** Seconds after which a message does not wait any more; 0 = as long as the queue log keeps it. */
  readonly ageMaxSeconds: number
  /** What is dropped where more waits. */
  readonly overflow: "oldest" | "newest"
  /** `messages` that waited for it were given up; 0 = nobody knows how many. */
  gaveUp(messages: number): void
  /** A message of QoS 0 that it published was refused: of any other it is told by the acknowledgement. */
  refused(): void
}

export interface HostedClientsShape {
  /** Makes a client known for the life of the surrounding scope. */
  register(client: HostedClient): Effect.Effect<void, never, Scope.Scope>
  of(clientIdentifier: string): HostedClient | undefined
}

export class HostedClients extends Context.Service<HostedClients, HostedClientsShape>()(
  "manifold/core/shard/HostedClients"
) {}

/** Of one shard. */
export function makeHostedClients(): HostedClientsShape {
  const clients = new Map<string, HostedClient>()
  return {
    of: (clientIdentifier) => (clients.size === 0 ? undefined : clients.get(clientIdentifier)),
    register: (client) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          assert(client.clientIdentifier.startsWith(HOSTED_PREFIX), "client identifiers that are hosted are reserved")
          assert(!clients.has(client.clientIdentifier), "a client identifier is hosted once")
          clients.set(client.clientIdentifier, client)
        }),
        () => Effect.sync(() => clients.delete(client.clientIdentifier))
      )
  }
}
