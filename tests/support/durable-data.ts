/**
 * Brokers with durable state, for tests of what lies on disk: by which storage, what is put into them through MQTT and Kafka, and what
 * comes out again.
 */
import { readdirSync } from "node:fs"
import { join, relative } from "node:path"
import { builtins } from "../../cli/builtins.ts"
import { BrokerProcess } from "../crash/BrokerProcess.ts"
import type { Address } from "./broker.ts"
import { RawKafka } from "./raw-kafka.ts"
import { RawMqtt } from "./raw-mqtt.ts"
import { batch } from "./record-batch.ts"
import { ROOT } from "./runtime.ts"

const HAS_SQLITE = builtins.some(({ name }) => name === "storage-sqlite")
const HAS_SEGMENTS = builtins.some(({ name }) => name === "storage-segment")
const PROTOCOLS = ["protocol-mqtt", "protocol-kafka", "admin-http"]

/** A storage by name, and what its manifest begins with. */
export interface DurableStorage {
  readonly name: string
  readonly plugins: ReadonlyArray<string>
  /** Where partitions are kept; undefined = it keeps none. */
  readonly engine?: string
}

/** A third party's, and ours where it is part of the build. */
export const STORAGES: ReadonlyArray<DurableStorage> = [
  {
    name: "map-store",
    plugins: [
      `use = ${JSON.stringify(join(ROOT, "tests/support/map-store/mod.ts"))}`,
      ...(HAS_SQLITE ? ['use = "storage-sqlite"\nenabled = false'] : [])
    ]
  },
  // State lies in the database, partitions in segments; where these are not part of the build both are in the database.
  ...(HAS_SQLITE ? [{ name: "ours", plugins: [], engine: HAS_SEGMENTS ? "segment" : "sqlite" }] : [])
]

/** The text of a manifest for a node of `shards` with that storage. */
export function manifestOf({ plugins, engine }: DurableStorage, shards: number): string {
  const entries = [...plugins, ...PROTOCOLS.map((name) => `use = "${name}"`)].map((entry) => `[[plugin]]\n${entry}\n`)
  const topics = engine === undefined ? "" : `[topics]\nengine = "${engine}"\nmode = "persistent"\n`
  return `[node]\nshards = ${shards}\n${topics}${entries.join("")}`
}

/** A session that outlives its connections, as one that is offline finds it. */
export const KEEPER = { clientId: "keeper", clean: false } as const
export const TOPIC = "kept"

/** Puts a session with a subscription there, and gives its connection back. */
export async function subscribeKeeper(mqtt: Address): Promise<void> {
  const keeper = await RawMqtt.connect(mqtt, KEEPER)
  await keeper.subscribe("kept/#", 1)
  await keeper.disconnect()
}

/** Publishes and produces until it is told to stop; what was acknowledged, in order. */
export class Load {
  readonly published: Array<string> = []
  readonly produced: Array<string> = []
  #isStopping = false
  readonly #running: Promise<unknown>

  constructor(broker: BrokerProcess, { engine }: DurableStorage) {
    this.#running = Promise.all([
      this.#publish(broker.mqtt),
      engine === undefined ? undefined : this.#produce(broker.kafka)
    ])
    this.#running.catch(() => {})
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#running
  }

  async #publish(mqtt: Address): Promise<void> {
    const client = await RawMqtt.connect(mqtt)
    for (let number = 0; !this.#isStopping; number++) {
      const payload = `${number} ${"x".repeat(200)}`
      await client.publishWhole({ topic: `kept/${number % 7}`, payload, qos: 1, retain: number % 3 === 0 })
      this.published.push(payload)
    }
    await client.disconnect()
  }

  async #produce(kafka: Address): Promise<void> {
    const client = await RawKafka.open(kafka)
    await client.topic(TOPIC)
    for (let number = 0; !this.#isStopping; number++) {
      const value = `record ${number}`
      const { error } = await client.produce(TOPIC, 0, batch([{ value: Buffer.from(value) }]))
      if (error !== 0) throw new Error(`Produce failed with ${error}`)
      this.produced.push(value)
    }
    client.socket.destroy()
  }
}

/** What the session gets that was offline, until nothing more comes. */
export async function drainKeeper(mqtt: Address, countMin: number): Promise<ReadonlyArray<string>> {
  const keeper = await RawMqtt.connect(mqtt, KEEPER)
  if (!keeper.connack.sessionPresent) throw new Error("the session is gone")
  const found = (await keeper.messages(countMin)).map(({ payload }) => Buffer.from(payload).toString())
  for (;;) {
    const more = await keeper.messages(1, { timeoutMs: 300 }).catch(() => undefined)
    if (more === undefined) break
    found.push(...more.map(({ payload }) => Buffer.from(payload).toString()))
  }
  await keeper.disconnect()
  return found
}

/** The retained message of each topic name. */
export async function retainedOf(mqtt: Address, count: number): Promise<ReadonlyMap<string, string>> {
  const client = await RawMqtt.connect(mqtt)
  await client.subscribe("kept/#", 1)
  const messages = await client.messages(count)
  await client.disconnect()
  return new Map(messages.map(({ topic, payload }) => [topic, Buffer.from(payload).toString()]))
}

/** Every file below a directory, by its path from there. */
export function filesBelow(directory: string): ReadonlyArray<string> {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .toSorted()
}

export { BrokerProcess }
