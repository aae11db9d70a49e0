/** Sessions of clients that plugins of this node run: what holds for them in place of the options, and who is told of what they lose. */
import type { HostedClient } from "../../core/mod.ts"
import type { Connection } from "./Connection.ts"
import type { DurableSession } from "./DurableSession.ts"

const EVER = 0xffffffff

/** Undefined where it is a session like any other. */
export function hostOf({ broker, clientIdentifier }: DurableSession): HostedClient | undefined {
  return broker.services.hosted.of(clientIdentifier)
}

/** `messages` that waited for a session were given up; 0 = nobody knows how many. */
export function gaveUp(session: DurableSession, messages: number): void {
  const { counts } = session.broker
  if (messages === 0) counts.trimmedBehind += 1
  else counts.droppedQueue += messages
  hostOf(session)?.gaveUp(messages)
}

/** How long the session of a connecting client may outlive its connections, seconds. */
export function expiryMaxOf({ listener, broker }: Connection): number {
  return listener.isHosted ? EVER : broker.settings.session_expiry_max
}
