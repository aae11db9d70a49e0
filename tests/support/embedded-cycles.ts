/**
 * A child process for the end-to-end tests of the library: opens and closes brokers, in turn of one shard and of two, and tells as JSON
 * what the cycles left behind. It must then end by itself; the test looks at the clock.
 *
 * Arguments: `clients` or `alone` (a graceful stop gives clients a moment to read, so cycles without any are quicker); cycles; of those
 * how many come before the first look, since the first ones fill caches that stay.
 */
import { readdirSync } from "node:fs"
import { openBroker } from "../../mod.ts"
import { parseAddress } from "./broker.ts"
import { RawMqtt } from "./raw-mqtt.ts"
import { collectGarbage } from "./runtime.ts"

const [kind = "alone", cycles = "1", first = "0"] = process.argv.slice(2)
const descriptors = (): number => readdirSync("/proc/self/fd").length
const heapBytes = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

async function cycle(shards: number): Promise<void> {
  const broker = await openBroker({
    node: { shards },
    plugin: [
      { use: "protocol-mqtt", options: { tcp: "127.0.0.1:0", websocket: "127.0.0.1:0" } },
      { use: "protocol-kafka" },
      { use: "admin-http" }
    ]
  })
  const client = kind === "clients" ? await subscriber(broker.address("protocol-mqtt", "tcp")) : undefined
  const stream = await broker.messages("a/#")
  await broker.subscribe("a/#", () => {})
  const publisher = broker.publisher("a/b", { retain: true })
  for (let count = 0; count < 100; count++) publisher.publishUnsafe(new Uint8Array(1_000))
  await publisher.flush()
  await stream.next()
  await client?.find("publish")
  const following = broker.read("a.b", 0, { follow: true, from: "end" }).next()
  await broker.close()
  await following
  await client?.closed()
  RawMqtt.cutAll()
}

async function subscriber(address: string): Promise<RawMqtt> {
  const client = await RawMqtt.connect(parseAddress(address))
  await client.subscribe("a/#", 1)
  return client
}

let before = { descriptors: 0, heapBytes: 0 }
for (let count = 0; count < Number(cycles); count++) {
  if (count === Number(first)) before = { descriptors: descriptors(), heapBytes: heapBytes() }
  await cycle(1 + (count % 2))
}
const after = { descriptors: descriptors(), heapBytes: heapBytes() }
console.log(JSON.stringify({ before, after, endsAtMs: Date.now() }))
