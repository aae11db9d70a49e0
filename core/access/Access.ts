/**
 * Who may do what. The check sits on every message, so it is a plain call; providers behind it decide.
 *
 * Invariants
 *  - `checkUnsafe` never throws and never waits: PENDING keeps the connection's order until the decision is there.
 *  - A denied action has no effect at all: nothing stored, nothing routed, nothing created.
 */
import { Context } from "effect"

export const DENY = 0
export const ALLOW = 1
export const PENDING = 2

export const PUBLISH = 1
export const SUBSCRIBE = 2
export const READ = 3
export const WRITE = 4
export const CREATE = 5
export const DESCRIBE = 6
export const ALTER = 7
export const DELETE = 8

/** Who acts: resolved once, at login. */
export interface Principal {
  /** Every key in core begins with it. */
  readonly tenant: number
  readonly user: string
  readonly clientIdentifier: string
  readonly peerAddress: string
}

export interface AccessShape {
  /** Whether `principal` may do `action` to the topic name, topic filter or topic `name`. */
  checkUnsafe(principal: Principal, action: number, name: string): number
}

export class Access extends Context.Service<Access, AccessShape>()("manifold/core/access/Access") {}

/** Everybody may do everything: right only while every listener is on loopback, which the host enforces at start. */
export const allowAll: AccessShape = { checkUnsafe: () => ALLOW }
