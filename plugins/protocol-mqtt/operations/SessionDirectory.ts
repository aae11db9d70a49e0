/**
 * All sessions of a shard in the order of their clients' identifiers, those in memory and those that are rows alone, a page at a time.
 *
 * Invariants
 *  - A page costs a pass over the sessions in memory and a bounded number of rows, however many there are.
 *  - Each session that is there throughout is on exactly one page.
 */
import type { Broker } from "../Broker.ts"
import type { Session } from "../Session.ts"
import { isExpired } from "../session-expiry.ts"
import * as rows from "../session-rows.ts"
import { compareTexts, firstBehind } from "./text-order.ts"

/** Rows that are looked at for one page. */
const ROWS_MAX = 5_000
/** Of one reading. */
const ROWS_PAGE = 500

/** A session: in memory, or its row. */
export interface Listed {
  readonly clientIdentifier: string
  readonly session: Session | undefined
  readonly row: rows.SessionRow | undefined
}

export interface ListedPage {
  readonly sessions: ReadonlyArray<Listed>
  /** Where to go on; undefined = there are no more. */
  readonly next: string | undefined
}

/** The one session of a client; undefined where it has none. */
export function findSession(broker: Broker, clientIdentifier: string): Listed | undefined {
  const session = broker.sessions.residentOf(0, clientIdentifier)
  const row = broker.sessions.stored(0, clientIdentifier)
  if (session !== undefined) return { clientIdentifier, session, row }
  const isThere = row !== undefined && !isExpired(row, broker.services.clock.nowMs())
  return isThere ? { clientIdentifier, session, row } : undefined
}

/** Those behind `after` whose client identifier holds `filter`. */
export function listSessions(broker: Broker, after: string, limit: number, filter: string): ListedPage {
  const stored = storedBehind(broker, after, limit + 1, filter)
  const names = [...residentNames(broker, filter, () => true)]
  const resident = firstBehind(names, after, limit + 1)
  const all = [...new Set([...resident, ...stored.names])].toSorted(compareTexts)
  // Beyond what was looked at there may be others in between.
  const known = stored.seen === undefined ? all : all.filter((name) => compareTexts(name, stored.seen ?? "") <= 0)
  const page = known.slice(0, limit)
  const sessions = page.flatMap((name) => findSession(broker, name) ?? [])
  if (known.length > limit) return { sessions, next: page.at(-1) }
  return { sessions, next: stored.seen }
}

/** Those of connected clients behind `after` whose client identifier holds `filter`. */
export function listConnected(broker: Broker, after: string, limit: number, filter: string): ListedPage {
  const names = firstBehind(
    residentNames(broker, filter, ({ connection }) => connection !== undefined),
    after,
    limit + 1
  )
  const page = names.slice(0, limit)
  const sessions = page.flatMap((name) => findSession(broker, name) ?? [])
  return { sessions, next: names.length > limit ? page.at(-1) : undefined }
}

function* residentNames(broker: Broker, filter: string, isWanted: (session: Session) => boolean): Iterable<string> {
  for (const session of broker.sessions.resident()) {
    if (session.clientIdentifier.includes(filter) && isWanted(session)) yield session.clientIdentifier
  }
}

/** Identifiers of rows behind `after`; `seen` is the last one that was looked at, where that is not all. */
function storedBehind(
  { services }: Broker,
  after: string,
  count: number,
  filter: string
): { readonly names: ReadonlyArray<string>; readonly seen: string | undefined } {
  const names: Array<string> = []
  const { end } = rows.rangeOf("sd")
  const from = rows.directoryKey(0, after)
  let start = after === "" ? from : rows.keyAfter(from)
  for (let looked = 0; looked < ROWS_MAX; looked += ROWS_PAGE) {
    const page = services.store.range(start, end, ROWS_PAGE)
    for (const { key } of page) {
      const { clientIdentifier } = rows.ofDirectoryKey(key)
      if (clientIdentifier.includes(filter)) names.push(clientIdentifier)
      if (names.length === count) return { names, seen: undefined }
    }
    const last = page.at(-1)
    if (last === undefined || page.length < ROWS_PAGE) return { names, seen: undefined }
    start = rows.keyAfter(last.key)
    if (looked + ROWS_PAGE >= ROWS_MAX) return { names, seen: rows.ofDirectoryKey(last.key).clientIdentifier }
  }
  return { names, seen: undefined }
}
