/**
 * A program with a broker inside: it measures, devices on the network measure too, and it sees everything in one place. Nothing is
 * written to disk, nobody needs to know a port beforehand, and when the last line is done the program ends by itself.
 *
 * Run it: bun examples/embedded/main.ts
 */
import { type Configuration, openBroker, PublishError } from "../../mod.ts"

// The words of manifold.toml. A wrong name does not compile; a wrong value is told at start, with its key.
const configuration: Configuration = {
  node: { id: "edge-1" },
  binding: [{ topic: "telemetry", filter: "devices/+/telemetry" }],
  // A free port on this machine; without this entry nothing listens at all.
  plugin: [{ use: "protocol-mqtt", options: { tcp: "127.0.0.1:0" } }]
}

await using broker = await openBroker(configuration, { log: console.error })
console.log(`devices connect to ${broker.address("protocol-mqtt").replace(/\d+$/, "a free port")}`)

// Handlers run one after the other, never within a publish.
await broker.subscribe("devices/+/telemetry", ({ topicName, text, offset }) => {
  console.log(`live: ${topicName} ${text} at offset ${offset}`)
})

// One message, and a promise that settles when what its topic's mode promises is kept.
await broker.publish("devices/pump/telemetry", "21.5", { userProperties: { unit: "C" } })

// Many messages on one name: no promise for each, one flush for all.
const valve = broker.publisher("devices/valve/telemetry")
const payload = new TextEncoder()
for (const state of ["open", "closed"]) valve.publishUnsafe(payload.encode(state))
await valve.flush()

// The last known state of something, for whoever subscribes later; as an async iterable this time.
await broker.publish("devices/pump/status", "running", { retain: true })
for await (const { topicName, text, retain } of await broker.messages("devices/+/status")) {
  console.log(`${retain ? "retained" : "live"}: ${topicName} ${text}`)
  break
}

// Everything that was stored, again, from the first offset on.
for await (const record of broker.read("telemetry")) {
  console.log(`stored: ${record.offset} ${record.topicName} ${record.text} ${record.header("unit") ?? ""}`.trimEnd())
}

// What is refused says why.
try {
  await broker.publish("devices/#", "everybody")
} catch (error) {
  if (!(error instanceof PublishError)) throw error
  console.log(`refused: ${error.reason}: ${error.message}`)
}
