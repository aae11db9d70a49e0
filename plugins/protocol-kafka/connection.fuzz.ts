/**
 * Fuzzes whole connections: damaged streams through framing, decoding and handlers, in chunks of any size, over sockets that take
 * what they like. Nothing throws; every answer is a whole frame; the connection ends or stays, and leaves nothing behind.
 *
 * Run long by hand: `bun plugins/protocol-kafka/connection.fuzz.ts [--seed N] [--runs N]`; it prints the seed that replays it.
 */
import fc from "fast-check"
import { fuzzOptions } from "../../tests/support/fuzz-options.ts"
import { TestClient } from "./fakes.ts"
import { makeAdminFixture } from "./handlers/testing.ts"
import { streamArbitrary } from "./wire/wire.fuzz.ts"

/** How connections ended, by cause; "" = still open at the end of the stream. */
export type Endings = Map<string, number>

async function feed(
  stream: Uint8Array,
  chunkSize: number,
  takes: ReadonlyArray<number>,
  isRemote: boolean
): Promise<string> {
  const settings = { request_size_max: 65_536, requests_in_flight_max: 3 }
  const { broker } = makeAdminFixture({ settings, shards: 1 })
  broker.logs.isRemote = isRemote
  const client = new TestClient(broker)
  client.socket.takes = [...takes]
  for (let position = 0; position < stream.length; position += chunkSize) {
    client.send(stream.slice(position, position + chunkSize))
    await broker.time.settle()
  }
  for (let round = 0; round < 10; round++) {
    client.connection.drain()
    await broker.time.pass(2 ** 31)
  }
  const cause = [...broker.counts.closed.keys()].join()
  if (broker.counts.closed.has("internal")) throw new Error(`a handler failed: ${broker.logged.join()}`)
  for (const frame of client.received()) if (frame.length < 4) throw new Error("an answer without a correlation id")
  client.leave()
  if (broker.heldBytes !== 0) throw new Error(`${broker.heldBytes} bytes are still held`)
  if (broker.counts.fetchesWaiting !== 0 || broker.time.timers !== 0) throw new Error("something still waits")
  return cause
}

/** Runs `iterations` streams from `seed`. Rejects, with the stream that is to blame, at the first fault. */
export async function fuzzConnections(seed: number, iterations: number): Promise<Endings> {
  const endings: Endings = new Map()
  const takes = fc.array(fc.nat(40), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(streamArbitrary, fc.integer({ min: 1, max: 300 }), takes, fc.boolean(), async (...input) => {
      const cause = await feed(...input)
      endings.set(cause, (endings.get(cause) ?? 0) + 1)
    }),
    { seed, numRuns: iterations }
  )
  return endings
}

if (import.meta.main) {
  const { seed, runs: iterations } = fuzzOptions(20_000)
  console.log(`seed ${seed}, ${iterations} iterations`)
  console.log(await fuzzConnections(seed, iterations))
}
