/**
 * Changed MQTT sessions on demand: `bun tests/fuzz/main.ts [--seed N] [--packets N] [--shards N]`, one million packets where nothing else is
 * said. Ends with 1 where the broker broke a promise; the seed repeats what was sent, not how the clients' packets met.
 */
import { parseArgs } from "node:util"
import { startBroker } from "../support/broker.ts"
import { FUZZED_SETTINGS, fuzz } from "./run.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    packets: { type: "string", default: "1000000" },
    shards: { type: "string", default: "2" }
  }
})
const seed = Number(values.seed)
console.log(`--seed ${seed} --packets ${values.packets} --shards ${values.shards}`)
const broker = await startBroker({ shards: Number(values.shards), set: FUZZED_SETTINGS })
try {
  const before = broker.residentBytes()
  const { packets, sessions, servedMs } = await fuzz(broker, { seed, packets: Number(values.packets) })
  const mib = (bytes: number): string => (bytes / 1_048_576).toFixed(0)
  console.log(
    `${packets} packets in ${sessions} sessions; others served within ${servedMs.toFixed(0)} ms; ` +
      `memory ${mib(before)} MiB, then ${mib(broker.residentBytes())} MiB; all tables empty`
  )
} finally {
  await broker.stop()
}
