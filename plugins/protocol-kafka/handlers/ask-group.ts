/** Hands a request to the shard that owns its group, and answers when that has. */
import type { Broker, Caller } from "../Broker.ts"
import type { Exchange } from "../Exchange.ts"
import type { GroupCaller } from "../groups/member-requests.ts"
import type { Api, RequestOf, ResponseOf } from "../wire/schema.ts"

/** The caller as groups know it. */
export function groupCaller({ principal }: Caller, version: number, retentionMs = -1): GroupCaller {
  const { tenant, clientIdentifier, peerAddress } = principal
  return { tenant, version, clientId: clientIdentifier, clientHost: `/${peerAddress}`, retentionMs }
}

/**
 * Asks the owner of `groupId` and completes `exchange` with what `answerOf` makes of the answer. Where the connection has to end before
 * there is one, `unanswered` is what the client gets.
 */
export function askGroup<A extends Api>(
  exchange: Exchange<A>,
  broker: Broker,
  groupId: string,
  request: RequestOf<A>,
  unanswered: () => ResponseOf<A>,
  answerOf: (response: ResponseOf<A>) => ResponseOf<A>,
  retentionMs = -1
): void {
  const { groups } = broker
  const caller = groupCaller(exchange.caller, exchange.version, retentionMs)
  let isOpen = true
  const end = (response: ResponseOf<A>): void => {
    if (!isOpen) return
    isOpen = false
    exchange.complete(response)
  }
  exchange.waiting = {
    finish: () => end(unanswered()),
    cancel: () => {
      isOpen = false
    }
  }
  groups.ask(groups.ownerOf(caller.tenant, groupId), exchange.api, caller, request, (response) => {
    if (isOpen) end(answerOf(response))
  })
}
