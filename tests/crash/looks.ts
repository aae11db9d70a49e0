/** Looks at the state of a broker, from outside: what is retained, which topics there are, what stands in their partitions. */
import type { Address } from "../support/broker.ts"
import { RawKafka } from "../support/raw-kafka.ts"
import { RawMqtt } from "../support/raw-mqtt.ts"
import type { Ledger } from "./Ledger.ts"
import type { LogModel } from "./LogModel.ts"
import type { RetainedModel } from "./RetainedModel.ts"

/** What is retained comes within this time, ms. */
const RETAINED_MS_MAX = 5_000
/** How long nothing more has to come, ms. */
const QUIET_MS = 120

/** Looks at every retained name while nobody writes. */
export async function lookAtRetained(address: Address, retained: RetainedModel, ledger: Ledger): Promise<void> {
  const client = await RawMqtt.connect(address, { version: 4 })
  const names = retained.names
  const got = new Map<string, Array<number>>(names.map((name) => [name, []]))
  await client.subscribe(names.map((filter) => ({ filter, qos: 0 as const })))
  const end = performance.now() + RETAINED_MS_MAX
  let quietSinceMs = performance.now()
  const isDue = (): boolean => names.some((name) => got.get(name)?.length === 0 && !retained.mayBeEmpty(name))
  while (performance.now() < end && (isDue() || performance.now() - quietSinceMs < QUIET_MS)) {
    const packet = await client.next(QUIET_MS).catch(() => undefined)
    if (packet?.type !== "publish") continue
    quietSinceMs = performance.now()
    const message = ledger.messageOf(packet.payload, `the look at what is retained got "${packet.topic}"`)
    ledger.check(packet.retain, () => `"${packet.topic}" came without RETAIN, though nobody writes`)
    if (message !== undefined) got.get(packet.topic)?.push(message.id)
  }
  for (const [name, ids] of got) retained.found(name, ids)
  await client.disconnect()
}

/** Reads every partition of the topics that are there for good, from 0 to the end. */
export async function lookAtPartitions(address: Address, log: LogModel, isFinal: boolean): Promise<void> {
  const kafka = await RawKafka.open(address)
  const { topics } = await kafka.metadata(null)
  log.listed(new Map(topics.map(({ name, partitions }) => [name, partitions.length])))
  for (const [topic, partitions] of log.topics) {
    if (!topics.some(({ name }) => name === topic)) continue
    for (let partition = 0; partition < partitions; partition++) {
      log.read(topic, partition, await kafka.readAll(topic, partition))
    }
  }
  log.checkRead(isFinal)
  kafka.socket.destroy()
}

/** Topic ids, where the broker tells them. */
export async function lookAtTopics(address: Address, log: LogModel): Promise<void> {
  const answer = await fetch(`http://${address.host}:${address.port}/api/v1/topics?limit=1000`)
  if (!answer.ok) return
  const body: unknown = await answer.json()
  const items = typeof body === "object" && body !== null && "items" in body ? body.items : []
  for (const item of Array.isArray(items) ? items : []) {
    const { name, id } = item as { readonly name?: unknown; readonly id?: unknown }
    if (typeof name === "string" && typeof id === "string" && log.topics.has(name)) log.identified(name, id)
  }
}
