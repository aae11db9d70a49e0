/** What a broker that is ready says on stdout: one line for scripts, then lines for a person to copy and try. */
import type { ListenerFact } from "../core/mod.ts"

export interface ReadyFacts {
  readonly id: string
  readonly shards: number
  readonly engine: string
  readonly mode: string
  readonly listeners: ReadonlyArray<ListenerFact>
  /** From the start of the process until every listener accepts. */
  readonly startMs: number
}

/** `ready node=node-1 ... protocol-mqtt.tcp=127.0.0.1:1883 ... in=43ms`; several addresses of one listener are joined by commas. */
export function readyLine(facts: ReadyFacts): string {
  const addresses = new Map<string, Array<string>>()
  for (const { plugin, listener, address } of facts.listeners) {
    const key = `${plugin}.${listener}`
    addresses.set(key, [...(addresses.get(key) ?? []), address])
  }
  return [
    "ready",
    `node=${facts.id}`,
    `shards=${facts.shards}`,
    `topics.engine=${facts.engine}`,
    `topics.mode=${facts.mode}`,
    ...[...addresses].map(([key, list]) => `${key}=${list.join(",")}`),
    `in=${Math.round(facts.startMs)}ms`
  ].join(" ")
}

/** Commands that publish with MQTT and read with Kafka, on the real ports; none for what does not listen. */
export function tryLines(listeners: ReadonlyArray<ListenerFact>): ReadonlyArray<string> {
  const lines: Array<string> = []
  const mqtt = addressOf(listeners, "protocol-mqtt")
  if (mqtt !== undefined) lines.push(`mosquitto_pub -h ${mqtt.host} -p ${mqtt.port} -t sensors/room1 -m 21.5`)
  const kafka = addressOf(listeners, "protocol-kafka")
  if (kafka !== undefined) {
    const host = kafka.host.includes(":") ? `[${kafka.host}]` : kafka.host
    lines.push(`kcat -b ${host}:${kafka.port} -C -t sensors.room1 -o beginning -e`)
  }
  return lines
}

/** The first TCP address of a plugin, as a client on this machine reaches it. */
function addressOf(
  listeners: ReadonlyArray<ListenerFact>,
  plugin: string
): { readonly host: string; readonly port: string } | undefined {
  const address = listeners.find((fact) => fact.plugin === plugin && fact.listener === "tcp")?.address
  if (address === undefined) return undefined
  const colon = address.lastIndexOf(":")
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1")
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host
  return { host: reachable, port: address.slice(colon + 1) }
}
