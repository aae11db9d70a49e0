/**
 * What clients do, told under `$SYS/brokers/<node>/clients/<client identifier>/`: connected, disconnected, subscribed, unsubscribed.
 *
 * All of it is told on `$SYS/events` once more. Payloads are JSON. In the topic name a character of the identifier that would be no part of one
 * level is percent-encoded.
 * Source: EMQX, "System topics", client events.
 */
import type { Connection } from "../Connection.ts"
import { reasonName } from "../wire/reason-codes.ts"

/** What cannot stand in one level of a topic name, and what stands for it. */
const NOT_IN_LEVEL = /[%/+#\0]/g

/** Where all events are told, one after the other. */
const EVENTS = "$SYS/events"

/** What a subscription is, for whoever is told of it. */
export interface SubscribedTo {
  readonly filter: string
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: number
}

export function clientConnected(connection: Connection): void {
  const nowMs = tellable(connection)
  if (nowMs === 0) return
  tell(connection, "connected", {
    ...factsOf(connection, nowMs),
    connected_at: nowMs,
    keepalive: connection.keepAliveMs / 1_500,
    expiry_interval: connection.session?.expiryInterval ?? 0
  })
}

export function clientDisconnected(connection: Connection): void {
  const nowMs = tellable(connection)
  if (nowMs === 0) return
  const reason = connection.endReason < 0 ? "tcp_closed" : wordOf(connection.endReason)
  tell(connection, "disconnected", { ...factsOf(connection, nowMs), disconnected_at: nowMs, reason })
}

export function clientSubscribed(connection: Connection, to: SubscribedTo): void {
  const nowMs = tellable(connection)
  if (nowMs === 0) return
  const { filter: topic, qos, noLocal, retainAsPublished, retainHandling } = to
  const subopts = { qos, nl: Number(noLocal), rap: Number(retainAsPublished), rh: retainHandling }
  tell(connection, "subscribed", { ...factsOf(connection, nowMs), topic, subopts })
}

export function clientUnsubscribed(connection: Connection, topic: string): void {
  const nowMs = tellable(connection)
  if (nowMs !== 0) tell(connection, "unsubscribed", { ...factsOf(connection, nowMs), topic })
}

/** The wall clock, where somebody may hear of it; 0 = nobody does. */
function tellable({ broker }: Connection): number {
  return broker.system?.isHeard === true ? broker.services.clock.nowMs() : 0
}

function factsOf({ client, version }: Connection, ts: number): object {
  const { clientIdentifier: clientid, user: username, peerAddress: ipaddress } = client
  return { clientid, username, ipaddress, proto_name: version === 3 ? "MQIsdp" : "MQTT", proto_ver: version, ts }
}

function tell({ broker, client }: Connection, what: string, facts: object): void {
  const { system } = broker
  if (system === undefined) return
  const level = client.clientIdentifier.replaceAll(
    NOT_IN_LEVEL,
    (character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`
  )
  system.tell(`${system.prefix}/clients/${level}/${what}`, facts, EVENTS, { event: `client_${what}` })
}

/** A Reason Code as one word: "normal", "session_taken_over". */
function wordOf(reasonCode: number): string {
  return reasonCode === 0 ? "normal" : reasonName(reasonCode).toLowerCase().replaceAll(" ", "_")
}
