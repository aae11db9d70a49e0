/** The exclusive filters of a SUBSCRIBE are asked for before any of its subscriptions is made: their codes depend on it. */
import type { Connection } from "../Connection.ts"
import type { Session } from "../Session.ts"
import { PAUSED } from "../wire/framing.ts"

/**
 * Asks for `filters` and calls `go` with those that others hold; where that takes a while nothing more is read from the connection
 * until then, and PAUSED is returned. Not called where the connection has ended meanwhile.
 */
export function claimFilters(
  connection: Connection,
  session: Session,
  filters: ReadonlyArray<string>,
  go: (refused: ReadonlySet<string>) => void
): number {
  const refused = new Set<string>()
  let left = filters.length
  let isInPlace = true
  const answered = (): void => {
    if (connection.session !== session) {
      for (const filter of filters) if (!refused.has(filter)) session.exclusive?.drop(filter)
      return
    }
    go(refused)
    if (!isInPlace) connection.release()
  }
  for (const filter of filters) {
    session.claimExclusive(filter, (isGranted) => {
      if (!isGranted) refused.add(filter)
      left -= 1
      if (left === 0) answered()
    })
  }
  isInPlace = false
  if (left === 0) return 0
  connection.isHeld = true
  return PAUSED
}
