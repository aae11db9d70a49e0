/** Ends what a client has, and what waits for it, because an administrator says so. */
import type { Broker } from "../Broker.ts"
import { DurableSession } from "../DurableSession.ts"
import { ADMINISTRATIVE_ACTION } from "../reasons.ts"
import * as rows from "../session-rows.ts"
import { findSession, type Listed } from "./SessionDirectory.ts"

/** Ends a client's session, and its connection first; a will that waits is published [MQTT-3.1.2-8]. False where there is none. */
export function endSession(broker: Broker, clientIdentifier: string): boolean {
  const { sessions } = broker
  const listed = findSession(broker, clientIdentifier)
  const connection = sessions.connectionOf(0, clientIdentifier)
  connection?.close(ADMINISTRATIVE_ACTION)
  const left = sessions.residentOf(0, clientIdentifier)
  if (left instanceof DurableSession) {
    sessions.end(left)
    return true
  }
  const row = sessions.stored(0, clientIdentifier)
  if (row !== undefined) sessions.endStored(0, clientIdentifier, row)
  return listed !== undefined || connection !== undefined
}

/** Has a session pass over all that waits for it; what is in flight stays. False where it cannot be told now. */
export async function dropQueue(broker: Broker, { clientIdentifier }: Listed): Promise<boolean> {
  const { services, sessions } = broker
  const ends = await services.queueLogs.ends()
  if (sessions.isOpening(0, clientIdentifier)) return false
  const session = sessions.residentOf(0, clientIdentifier)
  if (session !== undefined) {
    session.dropQueue(ends)
    session.drain()
    return true
  }
  const row = sessions.stored(0, clientIdentifier)
  if (row === undefined) return false
  const key = rows.positionsKey(row.number)
  const value = services.store.get(key)
  const before = value === undefined ? [] : rows.decodePositions(value)
  // What is in flight may lie lower: what the session needs stays as low as it was.
  const positions = ends.map((end, log) => {
    const { next = 0, low = end } = before[log] ?? {}
    return { next: Math.max(next, end), low: Math.min(low, end) }
  })
  services.journal.submit({ writes: [{ key, value: rows.encodePositions(positions) }] })
  return true
}
