/** A minute of changed MQTT sessions, on one shard and on two: `tests/fuzz/run.ts`. FUZZ_SEED=n repeats them, FUZZ_MS=n makes it longer. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type Broker, IS_EXTERNAL, RUNS_ON_DENO, startBroker } from "../support/broker.ts"
import { FUZZED_SETTINGS, fuzz } from "./run.ts"

const seed = Number(process.env["FUZZ_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
const MS = Number(process.env["FUZZ_MS"] ?? 30_000)
const MIB = 1_048_576

describe.skipIf(IS_EXTERNAL || RUNS_ON_DENO)("changed MQTT sessions", () => {
  for (const shards of [1, 2]) {
    let broker: Broker
    beforeAll(async () => {
      broker = await startBroker({ shards, set: FUZZED_SETTINGS })
    }, 20_000)
    afterAll(() => broker.stop())

    test(
      `shards = ${shards}: nothing breaks, others are served, and nothing is left`,
      async () => {
        console.log(`FUZZ_SEED=${seed}`)
        await fuzz(broker, { seed, ms: MS / 6 })
        const before = broker.residentBytes()
        const { packets, sessions, servedMs } = await fuzz(broker, { seed: seed + 1, ms: (MS * 5) / 6 })
        const grown = broker.residentBytes() - before
        console.log(
          `${packets} packets in ${sessions} sessions; others served within ${servedMs.toFixed(0)} ms; memory ${(grown / MIB).toFixed(1)} MiB`
        )
        expect(packets).toBeGreaterThan(1_000)
        expect(servedMs).toBeLessThan(2_000)
        // Caches and buffers of a first load; a million packets on demand show that it ends.
        expect(grown).toBeLessThan(192 * MIB)
        expect(broker.isAlive).toBe(true)
        expect(/InvariantViolation|uncaught|unhandled|TypeError|RangeError/i.exec(broker.stderr)?.[0]).toBeUndefined()
      },
      MS * 2 + 30_000
    )
  }
})
