/**
 * A process of many MQTT.js clients, so that load comes from beside the test. Run by `bun`; told what to do by one JSON argument;
 * writes one JSON line when all are ready and one at the end.
 */
import { connectAsync, type IClientPublishOptions, type MqttClient } from "mqtt"

export interface FleetTask {
  readonly url: string
  readonly role: "publish" | "subscribe"
  readonly clients: number
  /** publish: each client has `names` topic names, each gets `messages`; the name's number modulo 3 is its QoS. */
  readonly names?: number
  readonly messages?: number
  /** publish: unacknowledged messages a client has at once. */
  readonly window?: number
  /** subscribe: the filter, and how many messages each client waits for. */
  readonly filter?: string
  readonly expected?: number
  readonly timeoutMs: number
}
export interface FleetReport {
  readonly count: number
  readonly faults: ReadonlyArray<string>
  readonly ms: number
}

/** The topic name that the fleet gives its name number `index`. */
export const fleetName = (index: number): string => `devices/d${index}/telemetry`
/** The QoS of name number `index`. */
export const fleetQos = (index: number): 0 | 1 | 2 => (index % 3) as 0 | 1 | 2

async function publish(client: MqttClient, clientNumber: number, task: FleetTask): Promise<number> {
  const names = task.names ?? 1
  const messages = task.messages ?? 1
  const pending: Array<Promise<unknown>> = []
  for (let message = 0; message < messages; message++) {
    for (let index = 0; index < names; index++) {
      const name = clientNumber * names + index
      const options: IClientPublishOptions = {
        qos: fleetQos(name),
        properties: { userProperties: { seq: String(message), client: `c${clientNumber}` } }
      }
      pending.push(client.publishAsync(fleetName(name), `${name}:${message}`, options))
      if (pending.length >= (task.window ?? 100)) await Promise.all(pending.splice(0))
    }
  }
  await Promise.all(pending)
  return names * messages
}

/** Waits for `expected` messages; each key's numbers must rise by one from 0. */
function subscribe(client: MqttClient, task: FleetTask, faults: Array<string>): { done: Promise<number> } {
  const next = new Map<string, number>()
  let count = 0
  const done = new Promise<number>((resolve) => {
    client.on("message", (topic, payload) => {
      count++
      const wanted = next.get(topic) ?? 0
      const text = payload.toString()
      if (text !== `${topic}:${wanted}` && faults.length < 20) faults.push(`${topic}: wanted ${wanted}, got ${text}`)
      next.set(topic, wanted + 1)
      if (count === task.expected) setTimeout(() => resolve(count), 200)
    })
    setTimeout(() => resolve(count), task.timeoutMs)
  })
  return { done: done.then(() => count) }
}

async function main(task: FleetTask): Promise<void> {
  const faults: Array<string> = []
  const clients = await Promise.all(
    Array.from({ length: task.clients }, () => connectAsync(task.url, { protocolVersion: 5, reconnectPeriod: 0 }))
  )
  for (const client of clients) client.on("error", (error) => faults.push(String(error)))
  const subscriptions = task.role === "subscribe" ? clients.map((client) => subscribe(client, task, faults)) : []
  if (task.role === "subscribe")
    await Promise.all(clients.map((client) => client.subscribeAsync(task.filter ?? "#", { qos: 1 })))
  console.log(JSON.stringify({ ready: true }))
  const start = performance.now()
  const counts =
    task.role === "publish"
      ? await Promise.all(clients.map((client, index) => publish(client, index, task)))
      : await Promise.all(subscriptions.map((each) => each.done))
  for (const [index, count] of counts.entries()) {
    if (task.role === "subscribe" && count !== task.expected)
      faults.push(`client ${index} got ${count} of ${task.expected}`)
  }
  const report: FleetReport = {
    count: counts.reduce((sum, count) => sum + count, 0),
    faults,
    ms: performance.now() - start
  }
  await Promise.all(clients.map((client) => client.endAsync()))
  console.log(JSON.stringify(report))
  process.exit(0)
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? "{}") as FleetTask)
