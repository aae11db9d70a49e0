/**
 * The shard as its plugins see it: who owns what, and how a connection reaches its owner.
 *
 * All state of a client identifier is on one shard. A connection that lands on another is passed on: its bytes travel over the
 * Link both ways, and its owner sees a socket like any other. Other state of a plugin is reached through its mailbox.
 */
import { Context } from "effect"
import type { Mailbox, MailReceiver } from "../link/Mailboxes.ts"
import type { Accept, Socket, SocketReceiver } from "../platform/Net.ts"

export interface ShardShape {
  readonly index: number
  readonly count: number
  /** The shard that owns a client identifier's session. */
  ownerOfClient(tenant: number, clientIdentifier: string): number
  /** The shard that owns a group of consumers. */
  ownerOfGroup(tenant: number, group: string): number
  /** Joins this shard's part of `service` to those on other shards; once for each service. */
  mailbox(service: string, receive: MailReceiver): Mailbox
  /** Accepts connections of `service` that other shards pass on. */
  acceptForwarded(service: string, accept: Accept): void
  /**
   * Passes a connection to `target`; `received` is what its peer has sent so far. Returns the receiver that must get everything
   * that the socket says from now on. To this shard itself it is accepted in place.
   */
  forward(target: number, service: string, socket: Socket, received: Uint8Array): SocketReceiver
}

export class Shard extends Context.Service<Shard, ShardShape>()("manifold/core/shard/Shard") {}
