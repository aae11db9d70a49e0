/**
 * Subscribes a client that has just connected to what the rules say, as if it had sent the SUBSCRIBE itself: the same bounds, the same
 * access, the same retained messages; without a SUBACK.
 *
 * Invariants
 *  - A filter that the session has already, by a rule or by its client, stays as it is: its QoS, its place in what waits, its Subscription
 *    Identifier, whether it is exclusive. Retained messages come where the rule says so.
 *  - A filter that it may not have, or that there is no room for, is left out and counted; so is a rule whose placeholders do not fit.
 */
import type { Connection } from "../Connection.ts"
import { rewriteFilter, type Wished } from "../rewrite/rewrite-filters.ts"
import { fillIn } from "../rules/placeholders.ts"
import type { Session } from "../Session.ts"
import { replayRetained, subscribeTo } from "../subscribing.ts"
import type { Subscription } from "../wire/subscribe.ts"

export function autoSubscribe(connection: Connection, session: Session): void {
  const { broker } = connection
  const { autoSubscriptions, counts } = broker
  const wishes: Array<Wished> = []
  const standing: Array<string> = []
  for (const rule of autoSubscriptions.rules) {
    const filter = fillIn(rule.topic, connection.client)
    if (filter === undefined) {
      counts.autoSubscribesRefused += 1
      continue
    }
    const wish = rewriteFilter(connection, {
      filter,
      qos: rule.qos as Subscription["qos"],
      noLocal: rule.no_local,
      retainAsPublished: rule.retain_as_published,
      retainHandling: rule.retain_handling as Subscription["retainHandling"],
      reasonCode: 0
    })
    if (wish.reasonCode !== 0 || !session.hasSubscription(wish.filter)) wishes.push(wish)
    else if (rule.retain_handling === 0 && hasOrdinary(session, wish.filter)) standing.push(wish.filter)
  }
  if (standing.length > 0) replayRetained(connection, session, standing)
  if (wishes.length === 0) return
  counts.autoSubscribesRefused += subscribeTo(connection, session, wishes).filter((code) => code >= 0x80).length
}

/** Whether it has an ordinary subscription to a filter: others get no retained messages. */
function hasOrdinary(session: Session, filter: string): boolean {
  return session.subscriptionOf(filter) !== undefined && session.replays?.has(filter) !== true
}
