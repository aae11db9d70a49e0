/**
 * When a session without a connection ends, and the row that says so.
 *
 * Invariants
 *  - A session that is connected, or that never expires, is not over at any time.
 *  - The key of the row begins with the time, so that the rows that are due stand first and together. A row may be left over from an
 *    earlier time that its session was left: whether it still holds is asked of the session itself.
 *
 * Source: MQTT 5.0 section 3.1.2.11.2; what is 0xffffffff there never ends.
 */
import type { KeyValueWrite } from "../../core/mod.ts"
import * as rows from "./session-rows.ts"
import { SESSION_NEVER_EXPIRES } from "./wire/connect.ts"

/** What the end of a session depends on: of a session in memory, or of its row. */
export interface Expiring {
  /** When its connection ended, ms since 1970; 0 = it has one. */
  readonly leftAtMs: number
  /** Seconds; 0xffffffff = never ends. */
  readonly expiryInterval: number
}

/** When a session that was left ends, ms since 1970; 0 = it was not, or never ends. */
export function expiryOf({ leftAtMs, expiryInterval }: Expiring): number {
  return leftAtMs === 0 || expiryInterval === SESSION_NEVER_EXPIRES ? 0 : leftAtMs + expiryInterval * 1_000
}

export function isExpired(session: Expiring, nowMs: number): boolean {
  const expiresAtMs = expiryOf(session)
  return expiresAtMs !== 0 && expiresAtMs <= nowMs
}

/** Adds the row of a session that was left at `leftAtMs`, ms since 1970; none where it never ends. */
export function pushExpiry(
  writes: Array<KeyValueWrite>,
  { number, expiryInterval }: rows.SessionRow,
  leftAtMs: number,
  tenant: number,
  clientIdentifier: string
): void {
  if (expiryInterval === SESSION_NEVER_EXPIRES) return
  const key = rows.expiryKey(leftAtMs + expiryInterval * 1_000, number)
  writes.push({ key, value: rows.encodeClient(tenant, clientIdentifier) })
}
