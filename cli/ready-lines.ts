/** What a started broker says on stdout: the `ready` line that scripts read, and two lines for a person to try. */
import type { Config } from "../core/config/mod.ts"
import type { ReadyInfo } from "../core/node/mod.ts"

export function readyLines(config: Config, info: ReadyInfo, elapsedMs: number): ReadonlyArray<string> {
  const addressOf = (plugin: string, listener: string): string | undefined =>
    info.listeners.find((fact) => fact.plugin === plugin && fact.listener === listener)?.address
  const facts = [
    `node=${config.node.id}`,
    `shards=${config.node.shards}`,
    `topics.engine=${config.topics.engine}`,
    `topics.mode=${config.topics.mode}`,
    `topics.auto_create_mqtt=${config.topics.auto_create_mqtt}`,
    ...info.listeners.map((fact) => `${fact.plugin}.${fact.listener}=${fact.address}`),
    `in=${Math.round(elapsedMs)}ms`
  ]
  const lines = [`ready ${facts.join(" ")}`]
  const mqtt = addressOf("protocol-mqtt", "tcp")
  if (mqtt !== undefined) {
    const { host, port } = split(mqtt)
    lines.push(`  publish:  mosquitto_pub -h ${host} -p ${port} -t sensors/room1 -m 21.5`)
  }
  const kafka = addressOf("protocol-kafka", "tcp")
  if (kafka !== undefined) lines.push(`  consume:  kcat -b ${kafka} -C -t sensors.room1 -o beginning`)
  return lines
}

function split(address: string): { readonly host: string; readonly port: string } {
  const colon = address.lastIndexOf(":")
  return { host: address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port: address.slice(colon + 1) }
}
