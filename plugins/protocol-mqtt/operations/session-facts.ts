/** What is shown of a session, and of a client that is connected. */
import * as v from "valibot"
import type { Broker } from "../Broker.ts"
import type { Connection } from "../Connection.ts"
import { expiryOf } from "../session-expiry.ts"
import * as rows from "../session-rows.ts"
import type { Backlog } from "./backlog.ts"
import type { Listed } from "./SessionDirectory.ts"

const number = (what: string) => v.pipe(v.number(), v.integer(), v.minValue(0), v.description(what))
const time = (what: string) => v.pipe(v.nullable(v.pipe(v.string(), v.isoTimestamp())), v.description(what))

const backlogEntries = {
  inflight: number("messages of QoS 1 and 2 that were sent and are not acknowledged"),
  queued_messages: number("messages that wait and were not sent yet"),
  queued_bytes: number("their bytes, as they are held in memory"),
  queued_more: v.pipe(v.boolean(), v.description("whether there are more than were counted")),
  queued_since: time("when the oldest of them was published; null = none waits")
}

export const sessionSchema = v.strictObject({
  client_id: v.pipe(v.string(), v.description("client identifier")),
  connected: v.boolean(),
  subscriptions: number("topic filters"),
  ...backlogEntries,
  received: number("QoS 2 messages that it has sent and not released"),
  expiry_interval: number("seconds that the session outlives its connection; 4294967295 = for ever"),
  left: time("when its connection ended; null = it is connected"),
  expires: time("when it ends; null = not while it is connected, or never")
})

export const clientSchema = v.strictObject({
  client_id: v.pipe(v.string(), v.description("client identifier")),
  username: v.string(),
  address: v.pipe(v.string(), v.description("its address, without a port")),
  protocol_version: v.pipe(v.picklist([3, 4, 5]), v.description("3 = MQTT 3.1, 4 = 3.1.1, 5 = 5.0")),
  keep_alive: number("seconds"),
  connected_at: v.pipe(v.string(), v.isoTimestamp()),
  has_will: v.boolean(),
  subscriptions: number("topic filters"),
  ...backlogEntries,
  output_bytes: number("bytes that wait for its socket")
})

const EVER = 0xffffffff

export function sessionItem(broker: Broker, listed: Listed, backlog: Backlog): v.InferOutput<typeof sessionSchema> {
  const { clientIdentifier, session, row } = listed
  const { leftAtMs = 0, expiryInterval = session?.expiryInterval ?? 0 } = row ?? {}
  const connected = session?.connection !== undefined
  const leftMs = connected ? 0 : leftAtMs
  const expiresMs = connected || row === undefined || expiryInterval === EVER ? 0 : expiryOf(row)
  const stored = session === undefined && row !== undefined ? row.number : 0
  return {
    client_id: clientIdentifier,
    connected,
    subscriptions: session?.subscriptionCount ?? countRows(broker, "ss", stored),
    inflight: session?.window?.count ?? countRows(broker, "si", stored),
    ...backlogItem(backlog),
    received: session?.receivedCount ?? countRows(broker, "sr", stored),
    expiry_interval: session?.expiryInterval ?? expiryInterval,
    left: timeOf(leftMs),
    expires: timeOf(expiresMs)
  }
}

export function clientItem(
  connection: Connection,
  listed: Listed,
  backlog: Backlog
): v.InferOutput<typeof clientSchema> {
  const { client, version, keepAliveMs, connectedAtMs, will, output } = connection
  return {
    client_id: client.clientIdentifier,
    username: client.user,
    address: client.peerAddress,
    protocol_version: version,
    keep_alive: keepAliveMs / 1_500,
    connected_at: new Date(connectedAtMs).toISOString(),
    has_will: will !== undefined,
    subscriptions: listed.session?.subscriptionCount ?? 0,
    inflight: listed.session?.window?.count ?? 0,
    ...backlogItem(backlog),
    output_bytes: output.size
  }
}

function backlogItem({ messages, bytes, oldestAtMs, isMore }: Backlog) {
  return {
    queued_messages: messages,
    queued_bytes: bytes,
    queued_more: isMore,
    queued_since: timeOf(oldestAtMs)
  }
}

function timeOf(ms: number): string | null {
  return ms === 0 ? null : new Date(ms).toISOString()
}

/** Rows of one kind under a session's number; 0 = there are none. */
function countRows({ services }: Broker, prefix: string, number: number): number {
  if (number === 0) return 0
  let count = 0
  let { start, end } = rows.rangeOf(prefix, number)
  for (;;) {
    const page = services.store.range(start, end, 1_000)
    const last = page.at(-1)
    count += page.length
    if (last === undefined || page.length < 1_000) return count
    start = rows.keyAfter(last.key)
  }
}
