/**
 * Subscribes a client that has just connected to what the rules say, as if it had sent the SUBSCRIBE itself: the same bounds, the same
 * access, the same retained messages; without a SUBACK.
 *
 * A filter that it may not have, or that there is no room for, is left out and counted; so is a rule whose placeholders do not fit.
 */
import type { Connection } from "../Connection.ts"
import { fillIn } from "../rules/placeholders.ts"
import type { Session } from "../Session.ts"
import { subscribeTo } from "../subscribing.ts"
import type { Subscription } from "../wire/subscribe.ts"

export function autoSubscribe(connection: Connection, session: Session): void {
  const { autoSubscriptions, counts } = connection.broker
  const wishes: Array<Subscription> = []
  for (const rule of autoSubscriptions.rules) {
    const filter = fillIn(rule.topic, connection.principal)
    if (filter === undefined) {
      counts.autoSubscribesRefused += 1
      continue
    }
    wishes.push({
      filter,
      qos: rule.qos as Subscription["qos"],
      noLocal: rule.no_local,
      retainAsPublished: rule.retain_as_published,
      retainHandling: rule.retain_handling as Subscription["retainHandling"],
      reasonCode: 0
    })
  }
  if (wishes.length > 0) counts.autoSubscribesRefused += subscribeTo(connection, session, wishes)
}
