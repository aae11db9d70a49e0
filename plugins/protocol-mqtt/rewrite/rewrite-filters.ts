/** The filters of a SUBSCRIBE as the rules have them. Expressions take their time: of many filters some at a time, so that nobody waits. */
import type { Connection } from "../Connection.ts"
import { exclusiveFilterOf } from "../exclusive/exclusive-filter.ts"
import type { Session } from "../Session.ts"
import { PAUSED } from "../wire/framing.ts"
import { TOPIC_FILTER_INVALID } from "../wire/reason-codes.ts"
import type { Subscription } from "../wire/subscribe.ts"
import { NOT_ALLOWED } from "./TopicRewrite.ts"

/** In one go, ms. */
const SLICE_MS = 4

/** A subscription with the name by which it was asked for, `$exclusive/` left out; without one it was asked for by its own. */
export type Wished = Subscription & { readonly asked?: string }

export function rewriteFilter({ broker, client }: Connection, wish: Subscription): Wished {
  if (wish.reasonCode !== 0 || !broker.rewrite.hasSubscribeRules) return wish
  const asked = exclusiveFilterOf(wish.filter) ?? wish.filter
  const filter = broker.rewrite.subscribed(wish.filter, client)
  return filter === NOT_ALLOWED ? { ...wish, asked, reasonCode: TOPIC_FILTER_INVALID } : { ...wish, asked, filter }
}

/**
 * Calls `go` with the filters, at once or, where they take a while, later: then nothing more is read from the connection until that, and PAUSED
 * is returned. Not called where the connection has ended meanwhile. `go` returns what to return: 0, PAUSED, or why the connection ends.
 */
export function rewriteFilters(
  connection: Connection,
  session: Session,
  wishes: ReadonlyArray<Subscription>,
  go: (wished: ReadonlyArray<Wished>) => number
): number {
  const { rewrite, services } = connection.broker
  if (!rewrite.hasSubscribeRules) return go(wishes)
  const { clock } = services
  const wished: Array<Wished> = []
  const isDone = (): boolean => {
    const untilMs = clock.monotonicMs() + SLICE_MS
    while (wished.length < wishes.length) {
      wished.push(rewriteFilter(connection, wishes[wished.length] as Subscription))
      if (clock.monotonicMs() > untilMs) break
    }
    return wished.length === wishes.length
  }
  if (isDone()) return go(wished)
  const goOn = (): void => {
    if (connection.session !== session) return
    if (!isDone()) {
      clock.immediate(goOn)
      return
    }
    const code = go(wished)
    if (code > 0) connection.close(code)
    else if (code === 0) connection.release()
  }
  connection.isHeld = true
  clock.immediate(goOn)
  return PAUSED
}
