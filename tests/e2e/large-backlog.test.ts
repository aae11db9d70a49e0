/** What waited for a kept session comes whatever the size of its messages, also when it has left memory long ago. MQTT 5.0 section 4.1. */
import { afterEach, expect, test } from "bun:test"
import { brokerSuite } from "../support/broker.ts"
import { RawMqtt, uniqueId, uniqueLevel } from "../support/raw-mqtt.ts"

/** A backlog is more than the 16 MiB of a queue log that stay in memory, and less than the 64 MiB that may wait for one session. */
const BACKLOGS = [
  { count: 40, bytes: 900_000 },
  { count: 100, bytes: 300_000 }
] as const

// What was stored is put away in the database at once, so that it is read from there.
const set = { "storage-sqlite.checkpoint_interval_ms": "100" }

brokerSuite("large messages that waited", { set }, (broker) => {
  afterEach(() => RawMqtt.cutAll())

  for (const { count, bytes } of BACKLOGS) {
    test(`${count} of ${bytes} bytes, by a filter with a wildcard, by a name, and in a shared subscription`, async () => {
      const level = uniqueLevel()
      const filters = { wild: `${level}/#`, named: `${level}/a`, shared: `$share/${level}/${level}/+` }
      const clients = Object.entries(filters).map(([name, filter]) => ({ clientId: uniqueId(name), filter }))
      const connect = (clientId: string): Promise<RawMqtt> => RawMqtt.connect(broker().mqtt, { clientId, clean: false })
      for (const { clientId, filter } of clients) {
        const client = await connect(clientId)
        await client.subscribe(filter, 1)
        await client.disconnect()
      }
      const publisher = await RawMqtt.connect(broker().mqtt)
      const payload = Buffer.alloc(bytes, "x")
      for (let index = 0; index < count; index++) {
        payload.write(`${index} `)
        await publisher.publishWhole({ topic: `${level}/a`, payload, qos: 1 })
      }
      const numberOf = (each: Uint8Array): number => Number.parseInt(Buffer.from(each.subarray(0, 8)).toString(), 10)
      const expected = Array.from({ length: count }, (_, index) => `${index} of ${bytes}`)
      for (const { clientId, filter } of clients) {
        // What was sent and not acknowledged has to be read once more.
        const cut = await connect(clientId)
        expect((await cut.messages(3, { acknowledge: false })).map((each) => numberOf(each.payload))).toEqual([0, 1, 2])
        cut.cut()
        const client = await connect(clientId)
        const found = await client.messages(count)
        // What a member gives back to its group comes behind what is on its way already (decision 8).
        if (filter === filters.shared) found.sort((one, other) => numberOf(one.payload) - numberOf(other.payload))
        expect(found.map((each) => `${numberOf(each.payload)} of ${each.payload.length}`)).toEqual(expected)
        await client.disconnect()
      }
    }, 60_000)
  }
})
