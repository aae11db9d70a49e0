/** What a shard counts for `$SYS`, in one order, so that the counts of all shards can be added up place by place. */
import type { Broker } from "../Broker.ts"
import { PACKET_TYPES, PUBLISH } from "../wire/packet-types.ts"

type Read = (broker: Broker) => number

/** What goes up and down, as `stats/<name>/count` and `stats/<name>/max`. */
const GAUGES: ReadonlyArray<readonly [name: string, read: Read]> = [
  ["connections", ({ counts }) => counts.connectionsOpen],
  ["sessions", ({ sessions }) => sessions.count],
  ["subscriptions", ({ services, shared }) => services.router.subscriptionCount + shared.membershipCount],
  ["subscriptions/shared", ({ shared }) => shared.membershipCount],
  ["subscriptions/exclusive", ({ exclusive }) => exclusive.heldCount],
  ["routes", ({ services }) => services.router.filterCount],
  ["delayed", ({ delayed }) => delayed.count],
  ["queued", ({ counts }) => counts.queuedMessages]
]

/** What only rises, as `metrics/<name>`. */
const COUNTERS: ReadonlyArray<readonly [name: string, read: Read]> = [
  ["bytes/received", ({ counts }) => counts.bytesReceived],
  ["bytes/sent", ({ counts }) => counts.bytesSent],
  ["packets/received", ({ counts }) => sum(counts.packetsReceived) + counts.publishReceived],
  ["packets/sent", ({ counts }) => sum(counts.packetsSent) + counts.publishSent],
  ...PACKET_TYPES.flatMap(({ type, name, fromClient, fromServer }) => [
    ...(fromClient ? [[`packets/${name.toLowerCase()}/received`, receivedOf(type)] as const] : []),
    ...(fromServer ? [[`packets/${name.toLowerCase()}/sent`, sentOf(type)] as const] : [])
  ]),
  ["messages/received", ({ counts }) => counts.publishReceived],
  ["messages/sent", ({ counts }) => counts.publishSent],
  ["messages/refused", ({ counts }) => counts.publishRefused],
  ["messages/expired", ({ counts }) => counts.droppedExpired],
  ["messages/dropped", ({ counts }) => counts.droppedSlow + counts.droppedQueue + counts.droppedTooLarge]
]

export const GAUGE_NAMES: ReadonlyArray<string> = GAUGES.map(([name]) => name)
export const COUNTER_NAMES: ReadonlyArray<string> = COUNTERS.map(([name]) => name)

/** The gauges and then the counters of this shard. */
export function countsOf(broker: Broker): ReadonlyArray<number> {
  return [...GAUGES, ...COUNTERS].map(([, read]) => read(broker))
}

function receivedOf(type: number): Read {
  return ({ counts }) => (type === PUBLISH ? counts.publishReceived : (counts.packetsReceived[type] ?? 0))
}

function sentOf(type: number): Read {
  return ({ counts }) => (type === PUBLISH ? counts.publishSent : (counts.packetsSent[type] ?? 0))
}

function sum(counts: Float64Array): number {
  return counts.reduce((total, count) => total + count, 0)
}
