/**
 * Ingress: the one way in. Every message passes here, in this order: access, binding, sequence, store, route.
 *
 * Invariants
 *  - A topic name that is stored is sequenced by one shard, the owner of its home; other shards forward to it.
 *  - What is refused had no effect. What is accepted is stored as its topic's mode promises when its ticket is committed.
 *  - Per publisher and topic name, messages are stored and routed in the order of the calls.
 */
import { Context } from "effect"
import type { Principal } from "../access/Access.ts"
import type { TicketStream } from "../journal/Journal.ts"
import type { Message } from "./Message.ts"

/** Stored or delivered as promised, at once. */
export const ACCEPTED = 0
/** Accepted; nobody wanted it: no topic, no retain flag, no subscriber. */
export const ACCEPTED_UNMATCHED = 1
/** Taken; done when {@link IngressShape.pendingTicket} of {@link IngressShape.pendingStream} is committed. */
export const ACCEPTED_PENDING = 2
/** The topic name breaks the rules of MQTT 5.0 section 4.7, or has more levels than we hold. */
export const REFUSED_TOPIC_NAME = -101
export const REFUSED_NOT_AUTHORIZED = -102
/** Storage refuses for now: a bound is reached or a log is not open. */
export const REFUSED_QUOTA = -103
/** Storage has no room just now: nothing happened, the message is to be offered again in a moment. Only of {@link Message.canWait}. */
export const HELD_UP = -104

/** How a retained message is passed on to one new subscription. */
export type RetainedVisitor = (message: Message) => void

/** How much of them may come at a time. */
export interface RetainedRoom {
  /** 1 or more. */
  readonly messages: number
  /** The last one may go beyond it. */
  readonly bytes: number
}

/** A walk over the retained messages of all shards that match a filter, as slow as its owner likes. */
export interface RetainedWalk {
  readonly isDone: boolean
  /**
   * Visits the next ones, each borrowed during its visit: what its shard has at that moment, in its place among the live messages from
   * there. `done` is called after the last of them, within the call or when another shard has answered; not to be called again before.
   */
  next(room: RetainedRoom, visit: RetainedVisitor, done: () => void): void
  /** Nothing more is wanted. */
  close(): void
}

export interface IngressShape {
  /**
   * Takes `message` (borrowed until this returns) from `principal`. Returns {@link ACCEPTED}, {@link ACCEPTED_UNMATCHED},
   * {@link ACCEPTED_PENDING}, {@link HELD_UP}, or a refusal. What storage has no room for waits within bounds here, where its publisher cannot.
   */
  publishUnsafe(message: Message, principal: Principal): number
  /** Where to wait after {@link ACCEPTED_PENDING}; valid until the next call of `publishUnsafe`. */
  readonly pendingStream: TicketStream
  readonly pendingTicket: number
  /**
   * Who stores it, valid as long: this shard in this turn's entry where it is the shard's own number; else another, or this one later,
   * and the message's {@link Message.token} is held there.
   */
  readonly pendingOwner: number
  /** Whether it stands in this turn's entry of this shard's journal: what else belongs to it may stand there, too. Valid as long. */
  readonly pendingIsJournaled: boolean
  /**
   * Has whoever holds a token forget it: its message will not be published again. `done` is called with 0 when that is committed, and with a
   * refusal where it cannot be: then another message under this token would be taken for the same.
   */
  giveBackToken(token: string, done: (outcome: number) => void): void
  /** Begins a walk over the retained messages that match a filter; close it where it is left before its end. */
  walkRetained(tenant: number, filter: string): RetainedWalk
  /**
   * Visits the retained messages that match a filter, each borrowed during its visit, some at a time, the first at once: for those who take
   * whatever comes. `ended` is called after the last one.
   */
  replayRetained(tenant: number, filter: string, visit: RetainedVisitor, ended?: () => void): void
}

export class Ingress extends Context.Service<Ingress, IngressShape>()("manifold/core/ingress/Ingress") {}
